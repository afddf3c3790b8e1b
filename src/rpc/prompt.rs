//! Connections whose client has to begin in time.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// Bytes of HTTP/2's preface. A request of HTTP/1.1 is longer.
const FIRST: usize = 24;

/// A connection on which reading fails if its first bytes do not come in time: a client that connects and says nothing would otherwise
/// hold a file descriptor for ever, as nothing tells HTTP/1.1 from HTTP/2 yet and neither's own limits hold.
pub(super) struct Prompt<S> {
    inner: S,
    /// None: it has begun.
    awaited: Option<Awaited>,
}

struct Awaited {
    bytes: usize,
    deadline: Pin<Box<Sleep>>,
}

impl<S> Prompt<S> {
    pub(super) fn new(inner: S, limit: Duration) -> Prompt<S> {
        Prompt { inner, awaited: Some(Awaited { bytes: FIRST, deadline: Box::pin(sleep(limit)) }) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prompt<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(cx, buf);
        let Some(awaited) = &mut self.awaited else { return read };
        awaited.bytes = awaited.bytes.saturating_sub(buf.filled().len() - before);
        if awaited.bytes == 0 {
            self.awaited = None;
        } else if read.is_pending() && awaited.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client says nothing")));
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prompt<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::timeout;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_begin_is_given_up() {
        for bytes in [0, 1, FIRST - 1] {
            let (mut client, server) = duplex(100);
            let mut server = Prompt::new(server, LIMIT);
            client.write_all(&vec![b'P'; bytes]).await.unwrap();
            let mut read = Vec::new();
            let error = server.read_to_end(&mut read).await.unwrap_err();
            assert_eq!((error.kind(), read.len()), (io::ErrorKind::TimedOut, bytes));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_begun_may_be_silent() {
        let (mut client, server) = duplex(100);
        let mut server = Prompt::new(server, LIMIT);
        client.write_all(&[b'P'; FIRST]).await.unwrap();
        let mut read = Vec::new();
        assert!(timeout(LIMIT * 100, server.read_to_end(&mut read)).await.is_err(), "it ended");
        assert_eq!(read.len(), FIRST);
    }
}
