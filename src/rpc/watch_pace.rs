//! How many messages of events a stream sends when there are very many.
//!
//! A message costs a client several times what an event in it does. While the queue holds a stream's events back for a moment, those of each
//! watcher become one message. So a stream that is busy sends so many messages a second, and all events: a client with hundreds of
//! watchers of one key takes up to twice as many, some milliseconds later (docs/performance.md). Streams with less to say never wait.

use std::time::Duration;

use tokio::time::Instant;

/// In the long run a message goes this often: 5000 a second.
const EACH: Duration = Duration::from_micros(200);

/// So many may go at once after a pause: one for each watcher of most streams.
const BURST: u32 = 128;

/// Nothing waits for longer.
const LONGEST: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Pace {
    /// When all that was sent would have been, had it gone evenly.
    even: Instant,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { even: Instant::now() }
    }

    /// A message of events goes.
    pub(super) fn sent(&mut self) {
        let now = Instant::now();
        self.even = (self.even.max(now) + EACH).min(now + EACH * BURST + LONGEST);
    }

    /// Until when the next has to wait; None: it goes.
    pub(super) fn until(&self) -> Option<Instant> {
        let next = self.even.checked_sub(EACH * BURST)?;
        (next > Instant::now()).then_some(next)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, sleep_until};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_few_messages_never_wait() {
        let mut pace = Pace::new();
        for _ in 0..1000 {
            for _ in 0..BURST {
                assert_eq!(pace.until(), None);
                pace.sent();
            }
            advance(EACH * BURST).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_go_evenly() {
        let (mut pace, began) = (Pace::new(), Instant::now());
        for _ in 0..10_000 {
            if let Some(until) = pace.until() {
                sleep_until(until).await;
            }
            pace.sent();
        }
        let (took, even) = (began.elapsed(), EACH * (10_000 - BURST));
        assert!((even - LONGEST..even + LONGEST).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_waits_for_long() {
        let mut pace = Pace::new();
        (0..100_000).for_each(|_| pace.sent());
        assert_eq!(pace.until(), Some(Instant::now() + LONGEST));
    }
}
