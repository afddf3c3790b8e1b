//! The TLS handshake, and what is told of one that fails.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::server::Acceptor;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// etcd's.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A client that cannot get in tries again and again, and there may be many: one line in so much time says enough.
const BETWEEN_LINES: Duration = Duration::from_secs(1);

static REJECTED: Rejected = Rejected(Mutex::new(None));

/// None: it failed, and that was told.
pub(super) async fn accept(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Arc<ServerConfig>,
) -> Option<TlsStream<TcpStream>> {
    // What the client calls this server.
    let mut name = String::new();
    let shaken = async {
        let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        name = start.client_hello().server_name().unwrap_or_default().to_owned();
        start.into_stream(tls).await
    };
    let error = match timeout(TIMEOUT, shaken).await {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => error,
        Err(_) => io::Error::new(io::ErrorKind::TimedOut, format!("the TLS handshake took longer than {TIMEOUT:?}")),
    };
    // Who looks only whether the port is open hangs up; etcd does not speak of it either.
    if error.kind() == io::ErrorKind::UnexpectedEof {
        tracing::debug!(remote_addr = %peer, server_name = name, %error, "rejected connection on client endpoint");
    } else if let Some(unsaid) = REJECTED.one_more(Instant::now()) {
        let unsaid = Some(unsaid).filter(|number| *number > 0);
        tracing::warn!(remote_addr = %peer, server_name = name, %error, unsaid, "rejected connection on client endpoint");
    }
    None
}

/// When a line was last written, and how many were not since.
struct Rejected(Mutex<Option<(Instant, u64)>>);

impl Rejected {
    /// Whether it is to be told, and then how many before it were not.
    fn one_more(&self, now: Instant) -> Option<u64> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *last {
            Some((at, unsaid)) if now.duration_since(*at) < BETWEEN_LINES => {
                *unsaid += 1;
                None
            }
            _ => Some(last.replace((now, 0)).map_or(0, |(_, unsaid)| unsaid)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_rejections_are_one_line_with_their_number() {
        let rejected = Rejected(Mutex::new(None));
        let start = Instant::now();
        let told = [0, 1, 999, 1000, 1001, 5000].map(|at| rejected.one_more(start + Duration::from_millis(at)));
        assert_eq!(told, [Some(0), None, None, Some(2), None, Some(1)]);
    }
}
