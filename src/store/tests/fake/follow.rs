//! Reading a stream in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::log::FakeLog;
use super::stream::Stream;
use crate::state::Sequence;
use crate::store::log::{Follow, Followed, Incoming, LogError};

const HEARTBEAT: Duration = Duration::from_millis(500);

pub struct FakeFollower {
    stream: Stream,
    /// The connection it began on.
    number: u64,
    link: watch::Receiver<(u64, bool)>,
    gap: Arc<AtomicBool>,
    frozen: watch::Receiver<bool>,
    changed: watch::Receiver<u64>,
    /// The next place to look at.
    from: u64,
    /// Where the log ended when this began, if that is to be told before the message there.
    early: Option<u64>,
    /// Where the replica has stopped that it reads.
    stops_at: Option<u64>,
    deliver: Duration,
    /// When what was seen is delivered.
    deliver_at: Option<Instant>,
    heartbeat: Instant,
    told: u64,
}

impl FakeFollower {
    pub(super) fn new(log: &FakeLog, from: Sequence, end: Sequence) -> FakeFollower {
        let stops_at = log.next_replica();
        FakeFollower {
            stream: log.stream.clone(),
            number: log.link().borrow().0,
            link: log.link(),
            gap: log.gap_flag(),
            frozen: log.frozen(),
            changed: log.stream.changed.subscribe(),
            from: from.0,
            early: log.is_next_hasty().then_some(end.0),
            stops_at,
            deliver: log.timing().deliver,
            deliver_at: None,
            heartbeat: Instant::now() + HEARTBEAT,
            told: 0,
        }
    }

    fn available(&self) -> Option<Incoming> {
        let stream = self.stream.lock();
        let next = stream.messages.range(self.from..).next().map(|(_, message)| message.clone());
        next.filter(|message| self.stops_at.is_none_or(|place| message.sequence.0 <= place))
    }

    fn take(&mut self, message: Incoming) -> Followed {
        self.deliver_at = None;
        self.from = message.sequence.0 + 1;
        self.heartbeat = Instant::now() + HEARTBEAT;
        Followed::Message(message)
    }

    fn reached(&mut self, place: u64) -> Followed {
        self.told = place;
        self.from = self.from.max(place + 1);
        Followed::Reached(Sequence(place))
    }
}

impl Follow for FakeFollower {
    async fn next(&mut self) -> Result<Followed, LogError> {
        loop {
            let lost = *self.link.borrow_and_update() != (self.number, true);
            if lost || self.gap.swap(false, Ordering::Relaxed) {
                return Err(LogError::Unavailable("the follower lost its place".into()));
            }
            if *self.frozen.borrow_and_update() {
                tokio::select! {
                    _ = self.frozen.changed() => {}
                    _ = self.link.changed() => {}
                }
                continue;
            }
            self.changed.borrow_and_update();
            let message = self.available();
            if let Some(end) = self.early
                && message.as_ref().is_some_and(|message| message.sequence.0 == end)
            {
                self.early = None;
                return Ok(Followed::Reached(Sequence(end)));
            }
            let wake = match message {
                Some(message) => {
                    let at = *self.deliver_at.get_or_insert(Instant::now() + self.deliver);
                    if at <= Instant::now() {
                        return Ok(self.take(message));
                    }
                    at
                }
                None => {
                    if self.heartbeat <= Instant::now() {
                        self.heartbeat = Instant::now() + HEARTBEAT;
                        let last = self.stream.last();
                        let last = self.stops_at.map_or(last, |place| place.min(last));
                        let told = last <= self.told && self.stops_at.is_none();
                        if !told && last + 1 >= self.from {
                            return Ok(self.reached(last));
                        }
                    }
                    self.heartbeat
                }
            };
            tokio::select! {
                _ = self.changed.changed() => {}
                _ = self.link.changed() => {}
                _ = self.frozen.changed() => {}
                () = sleep_until(wake) => {}
            }
        }
    }
}
