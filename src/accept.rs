//! Accepting connections until told to stop.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Out of file descriptors, say: trying again at once would only burn CPU.
const RETRY: Duration = Duration::from_millis(100);

/// Runs `connection` for each client until it is told to stop; then closes the port and waits for those that are left.
pub async fn accept<F>(
    listener: TcpListener,
    stop: CancellationToken,
    connection: impl Fn(TcpStream, SocketAddr, CancellationToken) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(RETRY).await;
                }
            },
            // Nothing is done with them; they must not pile up.
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.join_all().await;
}
