//! A port of their own for health and metrics: HTTP/1.1 without TLS.

use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::accept::accept;

/// For the head of a request, the first or the next on a connection: whoever connects and says nothing holds a file descriptor no longer. etcd's.
const HEAD_TIMEOUT: Duration = Duration::from_secs(300);

/// Answers until it is told to stop, and then waits for the connections.
pub async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    accept(listener, stop, |stream, _, stop| connection(stream, router.clone(), stop)).await;
}

async fn connection(stream: impl AsyncRead + AsyncWrite + Unpin, router: Router, stop: CancellationToken) {
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let served = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut served = std::pin::pin!(served);
    let ended = tokio::select! {
        ended = served.as_mut() => ended,
        () = stop.cancelled() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn said(bytes: &[u8]) -> String {
        let (mut client, server) = tokio::io::duplex(1000);
        let router = Router::new().route("/", get(|| async { "hello" }));
        let served = tokio::spawn(connection(server, router, CancellationToken::new()));
        client.write_all(bytes).await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        served.await.unwrap();
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_when_nothing_is_asked_on_it() {
        assert_eq!(said(b"").await, "");
        assert!(!said(b"GET / HTTP/1.1\r\nHost: x\r\n").await.contains("hello"));
        assert!(said(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.ends_with("hello"));
    }
}
