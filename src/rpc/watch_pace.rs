//! How many messages of events a stream sends when there are very many.
//!
//! A message costs a client several times what an event in it does. While the queue holds a stream's events back for a moment, those of each
//! watcher become one message. So a stream that is busy sends so many messages a second, and all events: a client with hundreds of
//! watchers of one key takes up to twice as many, some milliseconds later (docs/performance.md). Streams with less to say never wait.

use std::time::Duration;

use tokio::time::Instant;

/// In the long run a message goes this often, 5000 a second …
const EACH: Duration = Duration::from_micros(200);

/// … or more often, so that each watcher of the stream has its turn in this time.
const TURN: Duration = Duration::from_millis(20);

/// What a pause makes up for: some hundred messages may go at once then.
const CREDIT: Duration = Duration::from_millis(25);

#[derive(Debug)]
pub(super) struct Pace {
    /// When all that was sent would have been, had it gone evenly.
    even: Instant,
}

impl Pace {
    pub(super) fn new() -> Pace {
        Pace { even: Instant::now() }
    }

    /// A message of events goes, on a stream with so many watchers.
    pub(super) fn sent(&mut self, watchers: usize) {
        let turn = TURN / u32::try_from(watchers.max(1)).unwrap_or(u32::MAX);
        self.even = self.even.max(Instant::now()) + EACH.min(turn);
    }

    /// Until when the next has to wait; None: it goes.
    pub(super) fn until(&self) -> Option<Instant> {
        let next = self.even.checked_sub(CREDIT)?;
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
            for _ in 0..100 {
                assert_eq!(pace.until(), None);
                pace.sent(100);
            }
            advance(EACH * 100).await;
        }
    }

    /// How long so many messages take.
    async fn time_of(messages: u32, watchers: usize) -> Duration {
        let (mut pace, began) = (Pace::new(), Instant::now());
        for _ in 0..messages {
            if let Some(until) = pace.until() {
                sleep_until(until).await;
            }
            pace.sent(watchers);
        }
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn many_go_evenly() {
        let (took, even) = (time_of(10_000, 100).await, EACH * 10_000);
        assert!((even - 2 * CREDIT..=even).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_long_for_its_turn() {
        let (took, turns) = (time_of(100_000, 1000).await, 100);
        assert!(took <= TURN * turns, "{took:?}");
    }
}
