//! What every gRPC call passes on its way in and out.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use http::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use tonic::{Code, Status};

use super::metrics::{InFlight, Methods};
use super::{error, unserved};
use crate::store::{self, Store};

pub(super) struct Gate {
    pub(super) store: Store,
    pub(super) methods: Methods,
}

/// Answers what is not served or can't be right now; counts; makes the transport's errors those of etcd.
pub(super) async fn pass(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let mut call = gate.methods.start(&path);
    let response = if unserved::contains(&path) {
        unserved::status(&path).into_http()
    } else if wants_leader(request.headers()) && gate.store.unavailable().is_some() {
        Status::from(store::Error::NoLeader).into_http()
    } else {
        run(&path, request, next).await
    };
    match Status::from_header_map(response.headers()) {
        // The whole answer is a status: there is no body.
        Some(status) => {
            let status = amend(status, &path);
            call.ended(status.code());
            status.into_http()
        }
        None => response.map(|body| Body::new(Counted { body, call })),
    }
}

/// `clientv3.WithRequireLeader`.
fn wants_leader(headers: &HeaderMap) -> bool {
    headers.get("hasleader").is_some_and(|value| value == "true")
}

async fn run(path: &str, request: Request, next: Next) -> Response {
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => response,
        Err(_) => {
            tracing::error!(path, "a call panicked: this is a bug, please report it with the lines above");
            Status::internal("etcdserver: internal error").into_http()
        }
    }
}

fn amend(status: Status, path: &str) -> Status {
    if status.code() == Code::Unimplemented && status.message().is_empty() {
        return unserved::status(path);
    }
    error::of_transport(status)
}

/// A body that tells how the call ended.
struct Counted {
    body: Body,
    call: InFlight,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            if let Some(data) = frame.data_ref() {
                self.call.sent(data.len());
            }
            if let Some(status) = frame.trailers_ref().and_then(Status::from_header_map) {
                self.call.ended(status.code());
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
