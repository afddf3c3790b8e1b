//! Writing what the calls on a connection answer at about the same time in one piece.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Bytes that are kept for a write together with others; as many as h2 keeps of its own.
const ROOM: usize = 16 * 1024;
/// Bytes that are worth a system call of their own: they are not copied, and nobody waits for more.
const LARGE: usize = ROOM / 2;
/// Who has one call at a time shall not wait for others: after a wait that brought nothing the next write goes at once, after the one
/// after it the next three, then seven, and so on up to this.
const LONGEST_PAUSE: u8 = 15;

/// How an answer to a HTTP/2 PING begins, of so many bytes.
const PING_ANSWER: [u8; 5] = [0, 0, 8, 6, 1];
const PING_ANSWER_BYTES: usize = 17;
/// How long one waits for something to go with. grpc-go sends a PING with nearly every call, to measure the bandwidth, and the call's own answer
/// is about to follow.
const PING_PATIENCE: Duration = Duration::from_millis(1);

/// A connection that keeps what is written to it, flushed or not, until the turn of the task that drives it ends
/// ([`Gathered::drive`]), and lets the other tasks go first once before it writes that. HTTP/2 hands over every answer as it comes,
/// and every frame of more than 256 bytes for itself, and the system call for it costs more than such an answer.
pub(super) struct Gathered<S>(Arc<Mutex<Kept<S>>>);

struct Kept<S> {
    inner: S,
    bytes: Vec<u8>,
    /// How many of `bytes` are written.
    written: usize,
    /// Whether nothing is left in `inner`.
    flushed: bool,
    /// Something was written in this turn already.
    busy: bool,
    state: State,
    /// Writes for which not to wait.
    pause: u8,
    /// How many they were after the last vain wait; 0: it was not vain.
    last_pause: u8,
    /// When answers to PINGs have waited long enough.
    patience: Option<Pin<Box<Sleep>>>,
    /// Of a write that nobody waited for; told when the connection is used next.
    failed: Option<io::Error>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Empty,
    /// Only with answers to PINGs.
    Patient,
    /// With so many bytes to write when the others' turn began.
    Waiting(usize),
    Writing,
}

impl<S> Gathered<S> {
    pub(super) fn new(inner: S) -> Gathered<S> {
        Gathered(Arc::new(Mutex::new(Kept {
            inner,
            bytes: Vec::new(),
            written: 0,
            flushed: true,
            busy: false,
            state: State::Empty,
            pause: 0,
            last_pause: 0,
            patience: None,
            failed: None,
        })))
    }

    /// The same connection, for whoever reads and writes it.
    pub(super) fn handle(&self) -> Gathered<S> {
        Gathered(self.0.clone())
    }

    /// Nobody ever waits for it: one task drives a connection.
    fn lock(&self) -> MutexGuard<'_, Kept<S>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// Drives what has a handle of this connection, and writes at the end of each turn what it has left.
    pub(super) async fn drive<F: Future>(&self, mut connection: Pin<&mut F>) -> F::Output {
        poll_fn(|cx| {
            let ended = connection.as_mut().poll(cx);
            self.lock().end_turn(cx);
            ended
        })
        .await
    }
}

impl<S: AsyncWrite + Unpin> Kept<S> {
    fn end_turn(&mut self, cx: &mut Context<'_>) {
        let busy = mem::take(&mut self.busy);
        if (self.bytes.is_empty() && self.flushed) || self.wait(busy, cx).is_pending() {
            return;
        }
        if let Poll::Ready(Err(error)) = self.poll_empty(cx) {
            self.failed = Some(error);
            cx.waker().wake_by_ref();
        }
    }

    /// Ready once the others had their turn. `busy`: something was written in this one.
    fn wait(&mut self, busy: bool, cx: &mut Context<'_>) -> Poll<()> {
        if matches!(self.state, State::Empty | State::Patient) && !busy && self.answers_pings_only() {
            ready!(self.lose_patience(cx));
            self.state = State::Writing;
        }
        match self.state {
            State::Writing => {}
            State::Waiting(before) => {
                let vain = self.bytes.len() == before;
                self.last_pause = if vain { (self.last_pause * 2 + 1).min(LONGEST_PAUSE) } else { 0 };
                self.pause = self.last_pause;
            }
            State::Empty | State::Patient if busy || self.bytes.len() >= LARGE => {}
            State::Empty | State::Patient if self.pause > 0 => self.pause -= 1,
            State::Empty | State::Patient => {
                self.state = State::Waiting(self.bytes.len());
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        self.state = State::Writing;
        Poll::Ready(())
    }

    fn answers_pings_only(&self) -> bool {
        self.written == 0
            && !self.bytes.is_empty()
            && self
                .bytes
                .chunks(PING_ANSWER_BYTES)
                .all(|frame| frame.len() == PING_ANSWER_BYTES && frame.starts_with(&PING_ANSWER))
    }

    /// Ready when what is kept has waited long enough for something that it could go with.
    fn lose_patience(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let patience = self.patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PING_PATIENCE)));
        if self.state == State::Empty {
            patience.as_mut().reset(Instant::now() + PING_PATIENCE);
            self.state = State::Patient;
        }
        patience.as_mut().poll(cx)
    }

    /// Writes all that is kept.
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.bytes.len() {
            self.flushed = false;
            match ready!(Pin::new(&mut self.inner).poll_write(cx, &self.bytes[self.written..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.written += written,
            }
        }
        self.bytes.clear();
        self.written = 0;
        ready!(Pin::new(&mut self.inner).poll_flush(cx))?;
        self.flushed = true;
        self.state = State::Empty;
        Poll::Ready(Ok(()))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let len = bufs.iter().map(|buf| buf.len()).sum();
        if self.bytes.len() + len > ROOM {
            self.busy = true;
            ready!(self.poll_empty(cx))?;
        }
        if len >= LARGE && self.bytes.is_empty() {
            (self.busy, self.flushed) = (true, false);
            return Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        }
        bufs.iter().for_each(|buf| self.bytes.extend_from_slice(buf));
        Poll::Ready(Ok(len))
    }

    fn check(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut kept = self.lock();
        if let Some(error) = kept.failed.take() {
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut kept.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut kept = self.lock();
        kept.check()?;
        kept.poll_write(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().inner.is_write_vectored()
    }

    /// Says that it is done: what is kept is written when the turn ends.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.lock().check())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut kept = self.lock();
        kept.check()?;
        ready!(kept.poll_empty(cx))?;
        Pin::new(&mut kept.inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    /// Takes so many bytes, and keeps them apart by the write they came in.
    #[derive(Default)]
    struct Wire {
        writes: Vec<Vec<u8>>,
        room: usize,
        broken: bool,
    }

    impl AsyncWrite for Wire {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            match buf.len().min(self.room) {
                _ if self.broken => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
                0 => Poll::Pending,
                taken => {
                    self.room -= taken;
                    self.writes.push(buf[..taken].to_vec());
                    Poll::Ready(Ok(taken))
                }
            }
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn gathered(room: usize) -> Gathered<Wire> {
        Gathered::new(Wire { room, ..Wire::default() })
    }

    /// A turn in which so much is written, piece by piece. Returns how the last piece was taken.
    fn turn(connection: &Gathered<Wire>, pieces: &[usize]) -> Poll<io::Result<usize>> {
        let pieces: Vec<_> = pieces.iter().map(|&piece| vec![b'x'; piece]).collect();
        turn_of(connection, &pieces)
    }

    fn turn_of(connection: &Gathered<Wire>, pieces: &[Vec<u8>]) -> Poll<io::Result<usize>> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut handle = connection.handle();
        let mut last = Poll::Pending;
        let mut one = Box::pin(poll_fn(|cx| {
            for piece in pieces {
                last = Pin::new(&mut handle).poll_write(cx, piece);
                assert!(Pin::new(&mut handle).poll_flush(cx).is_ready());
            }
            Poll::<()>::Pending
        }));
        assert!(Box::pin(connection.drive(one.as_mut())).as_mut().poll(&mut cx).is_pending());
        drop(one);
        last
    }

    fn written(connection: &Gathered<Wire>) -> Vec<usize> {
        connection.lock().inner.writes.drain(..).map(|write| write.len()).collect()
    }

    #[test]
    fn what_several_turns_bring_is_one_write() {
        let connection = gathered(usize::MAX);
        assert!(turn(&connection, &[1000, 1000]).is_ready());
        assert!(written(&connection).is_empty(), "the others go first");
        assert!(turn(&connection, &[1000]).is_ready());
        assert_eq!(written(&connection), [3000]);
    }

    #[test]
    fn others_go_first_as_long_as_they_bring_something() {
        let connection = gathered(usize::MAX);
        for _ in 0..3 {
            let _ = turn(&connection, &[10]);
            assert!(written(&connection).is_empty());
            let _ = turn(&connection, &[10]);
            assert_eq!(written(&connection), [20]);
        }
        let _ = turn(&connection, &[10]);
        let _ = turn(&connection, &[]);
        assert_eq!(written(&connection), [10], "nobody else had anything");
        for pause in [1, 3, 7, 15, 15] {
            for _ in 0..pause {
                let _ = turn(&connection, &[10]);
                assert_eq!(written(&connection), [10], "nobody waits in vain each time");
            }
            let _ = turn(&connection, &[10]);
            assert!(written(&connection).is_empty());
            let _ = turn(&connection, &[]);
            assert_eq!(written(&connection), [10]);
        }
    }

    fn ping_answer() -> Vec<u8> {
        [&PING_ANSWER[..], &[0; 12]].concat()
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_to_a_ping_goes_with_the_next_answer() {
        let connection = gathered(usize::MAX);
        connection.lock().pause = LONGEST_PAUSE;
        let _ = turn_of(&connection, &[ping_answer()]);
        let _ = turn(&connection, &[]);
        assert!(written(&connection).is_empty());
        let _ = turn(&connection, &[100]);
        assert_eq!(written(&connection), [PING_ANSWER_BYTES + 100]);
        let _ = turn(&connection, &[PING_ANSWER_BYTES]);
        assert_eq!(written(&connection), [PING_ANSWER_BYTES], "another frame of that size");
    }

    #[tokio::test(start_paused = true)]
    async fn the_answer_to_a_ping_does_not_wait_for_ever() {
        let connection = gathered(usize::MAX);
        for answers in [1, 2] {
            let _ = turn_of(&connection, &vec![ping_answer(); answers]);
            tokio::time::advance(PING_PATIENCE / 2).await;
            let _ = turn(&connection, &[]);
            assert!(written(&connection).is_empty());
            tokio::time::advance(PING_PATIENCE).await;
            let _ = turn(&connection, &[]);
            assert_eq!(written(&connection), [PING_ANSWER_BYTES * answers]);
        }
    }

    #[test]
    fn what_is_large_waits_for_nobody() {
        let connection = gathered(usize::MAX);
        let _ = turn(&connection, &[LARGE, 100]);
        assert_eq!(written(&connection), [LARGE, 100]);
        let _ = turn(&connection, &[100, ROOM, 100]);
        assert_eq!(written(&connection), [100, ROOM, 100], "and nothing overtakes");
        let _ = turn(&connection, &[LARGE - 1; 5]);
        assert_eq!(written(&connection), [2 * (LARGE - 1), 2 * (LARGE - 1), LARGE - 1]);
    }

    #[test]
    fn a_peer_that_does_not_read_is_not_written_for_without_limit() {
        let connection = gathered(0);
        assert!(turn(&connection, &[LARGE - 1, LARGE - 1]).is_ready());
        assert!(turn(&connection, &[LARGE - 1]).is_pending());
        connection.lock().inner.room = 1000;
        assert!(turn(&connection, &[]).is_pending());
        connection.lock().inner.room = usize::MAX;
        assert!(turn(&connection, &[10]).is_ready());
        assert_eq!(written(&connection).iter().sum::<usize>(), 2 * (LARGE - 1) + 10);
    }

    #[test]
    fn a_write_that_failed_is_told_at_the_next() {
        let connection = gathered(0);
        connection.lock().inner.broken = true;
        assert!(turn(&connection, &[10]).is_ready());
        assert!(turn(&connection, &[]).is_pending());
        let mut cx = Context::from_waker(Waker::noop());
        let error = Pin::new(&mut connection.handle()).poll_write(&mut cx, b"more");
        assert!(matches!(error, Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe));
    }

    #[test]
    fn nothing_is_left_behind_at_the_end() {
        let connection = gathered(usize::MAX);
        let _ = turn(&connection, &[10]);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut connection.handle()).poll_shutdown(&mut cx).is_ready());
        assert_eq!(written(&connection), [10]);
    }
}
