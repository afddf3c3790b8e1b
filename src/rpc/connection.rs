//! Connections: accepting them, TLS, HTTP/1.1 and HTTP/2 on the same port.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::BoxError;
use axum::body::Body;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service;

use super::gate::{CountedBody, Gate};
use super::gathered::Gathered;
use super::handshake;
use super::prompt::Prompt;
use crate::accept::accept;

/// A request of the largest size (2 MiB with etcd's defaults) arrives without waiting for a window update …
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// … and so do several on one connection: kube-apiserver has all its calls on one.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// Bytes waiting in one stream for its client; what the store holds back for a slow watcher is not in it.
const SEND_BUFFER: usize = 1024 * 1024;
/// A client that vanished without a word is noticed after these two; etcd takes 2 h and 20 s. Until then its watchers
/// would take memory.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams that a client gave up before we saw them. h2's default of 20 closes a busy connection of a client that cancels
/// many calls at once; etcd has no such limit.
const MAX_RESET_STREAMS: usize = 100_000;
const MAX_HEADER_BYTES: u32 = 64 * 1024;
/// For the first bytes, after the TLS handshake if there is one, and for the head of a HTTP/1.1 request. (etcd waits for ever for the first bytes.)
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// gRPC and the rest.
#[derive(Clone)]
pub(super) struct Handlers {
    pub(super) grpc: Arc<Gate>,
    pub(super) http: axum::Router,
    /// Of one connection.
    pub(super) max_streams: u32,
}

/// gRPC's answers or the rest's.
enum Answer {
    Grpc(CountedBody),
    Http(Body),
}

impl Handlers {
    async fn answer(mut self, request: Request<Incoming>) -> Result<Response<Answer>, Infallible> {
        let is_grpc =
            request.headers().get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"));
        if is_grpc {
            return Ok(self.grpc.answer(request).await.map(Answer::Grpc));
        }
        Ok(self.http.call(request.map(Body::new)).await?.map(Answer::Http))
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Answer::Grpc(body) => Pin::new(body).poll_frame(cx).map_err(BoxError::from),
            Answer::Http(body) => Pin::new(body).poll_frame(cx).map_err(BoxError::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Answer::Grpc(body) => body.is_end_stream(),
            Answer::Http(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Answer::Grpc(body) => body.size_hint(),
            Answer::Http(body) => body.size_hint(),
        }
    }
}

/// Accepts until it is told to stop, then waits for the connections.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    handlers: Handlers,
    stop: CancellationToken,
) {
    accept(listener, stop, |stream, peer, stop| connection(stream, peer, tls.clone(), handlers.clone(), stop)).await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    handlers: Handlers,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
    let Some(tls) = tls else { return http(stream, peer, handlers, stop).await };
    // Who is not through yet has asked nothing that would have to be answered.
    let begun = tokio::select! {
        begun = handshake::accept(stream, peer, tls) => begun,
        () = stop.cancelled() => None,
    };
    if let Some(stream) = begun {
        http(stream, peer, handlers, stop).await;
    }
}

async fn http<S>(stream: S, peer: SocketAddr, handlers: Handlers, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let builder = builder(handlers.max_streams);
    let service = hyper::service::service_fn(move |request| handlers.clone().answer(request));
    let gathered = Gathered::new(Prompt::new(stream, HANDSHAKE_TIMEOUT));
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(gathered.handle()), service));
    let ended = tokio::select! {
        ended = gathered.drive(connection.as_mut()) => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            gathered.drive(connection).await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

fn builder(max_streams: u32) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(max_streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_RESET_STREAMS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    use super::*;

    /// With its settings and no more, an answer to ours neither.
    const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

    #[tokio::test(start_paused = true)]
    async fn a_client_that_answers_no_ping_is_dropped() {
        let (mut client, server) = tokio::io::duplex(1000);
        let service = hyper::service::service_fn(|_| async { Ok::<_, Infallible>(Response::new(Body::empty())) });
        let served = tokio::spawn(async move {
            builder(100).serve_connection(TokioIo::new(server), service).await.map_err(|error| error.to_string())
        });
        let begun = Instant::now();
        client.write_all(HELLO).await.unwrap();
        client.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), 80);
        assert!(served.await.unwrap().is_err());
    }
}
