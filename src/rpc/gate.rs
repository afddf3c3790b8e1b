//! What every gRPC call passes on its way in and out.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use super::metrics::{InFlight, Methods};
use super::services::Services;
use super::{error, unserved};
use crate::store::{self, Store};

pub(super) struct Gate {
    pub(super) store: Store,
    pub(super) methods: Methods,
    pub(super) services: Services,
}

impl Gate {
    /// Answers what is not served or can't be right now; counts; makes the transport's errors those of etcd.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Response<CountedBody> {
        let uri = request.uri().clone();
        let path = uri.path();
        let mut call = self.methods.start(path);
        let response = if unserved::contains(path) {
            unserved::status(path).into_http()
        } else if wants_leader(request.headers()) && self.store.unavailable().is_some() {
            Status::from(store::Error::NoLeader).into_http()
        } else {
            run(path, self.services.call(request)).await
        };
        match Status::from_header_map(response.headers()) {
            // The whole answer is a status: there is no body.
            Some(status) => {
                let status = amend(status, path);
                call.ended(status.code());
                status.into_http().map(|body| CountedBody { body, call })
            }
            None => response.map(|body| CountedBody { body, call }),
        }
    }
}

/// `clientv3.WithRequireLeader`.
fn wants_leader(headers: &HeaderMap) -> bool {
    headers.get("hasleader").is_some_and(|value| value == "true")
}

async fn run(path: &str, answer: impl Future<Output = Response<Body>>) -> Response<Body> {
    match AssertUnwindSafe(answer).catch_unwind().await {
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
pub(super) struct CountedBody {
    body: Body,
    call: InFlight,
}

impl HttpBody for CountedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled {
            if let Some(data) = frame.data_ref() {
                self.call.sent(data.len());
            }
            if let Some(code) = frame.trailers_ref().and_then(|trailers| trailers.get(Status::GRPC_STATUS)) {
                self.call.ended(Code::from_bytes(code.as_bytes()));
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
