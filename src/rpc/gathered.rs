//! Writing what several calls on a connection answer at about the same time in one piece.

use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes of small answers: h2 gathers frames of at most 256 bytes of payload, and hands over each larger one for itself.
const SMALL: usize = 512;
/// Flushes without a wait after one that brought nothing: who has one call at a time shall not wait for others.
const PAUSE: u8 = 7;

/// A connection that lets other tasks go first before it writes small answers, once before each flush. HTTP/2 hands over every answer
/// as it comes, and the system call for it costs more than such an answer; what others have answered meanwhile goes along.
pub(super) struct Gathered<S> {
    inner: S,
    state: State,
    /// Flushes for which not to wait.
    pause: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Flushed,
    /// With so many bytes to write when the others' turn began.
    Waiting(usize),
    Writing,
}

impl<S> Gathered<S> {
    pub(super) fn new(inner: S) -> Gathered<S> {
        Gathered { inner, state: State::Flushed, pause: 0 }
    }

    /// Ready once the others had their turn. `len`: the bytes to write now.
    fn wait(&mut self, len: usize, cx: &mut Context<'_>) -> Poll<()> {
        match mem::replace(&mut self.state, State::Writing) {
            State::Writing => {}
            State::Waiting(before) => self.pause = if len > before { 0 } else { PAUSE },
            State::Flushed if len > SMALL => {}
            State::Flushed if self.pause > 0 => self.pause -= 1,
            State::Flushed => {
                self.state = State::Waiting(len);
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.wait(buf.len(), cx));
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.wait(bufs.iter().map(|buf| buf.len()).sum(), cx));
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        if self.state == State::Writing {
            self.state = State::Flushed;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Whether it was written at once.
    fn write(connection: &mut Gathered<Vec<u8>>, bytes: &[u8]) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let written = Pin::new(&mut *connection).poll_write(&mut cx, bytes).is_ready();
        if written {
            assert!(Pin::new(connection).poll_flush(&mut cx).is_ready());
        }
        written
    }

    #[test]
    fn others_go_first_as_long_as_they_bring_something() {
        let mut connection = Gathered::new(Vec::new());
        for _ in 0..3 {
            assert!(!write(&mut connection, b"one"));
            assert!(write(&mut connection, b"one and another"));
        }
        assert!(!write(&mut connection, b"alone"));
        assert!(write(&mut connection, b"alone"));
        assert!((0..PAUSE).all(|_| write(&mut connection, b"alone")), "nobody waits in vain each time");
        assert!(!write(&mut connection, b"one"));
        assert_eq!(connection.inner.len(), 3 * 15 + 5 * (1 + usize::from(PAUSE)));
    }

    #[test]
    fn what_is_large_waits_for_nobody() {
        assert!(write(&mut Gathered::new(Vec::new()), &[0; SMALL + 1]));
    }
}
