//! Whether what could go now waits for the clients that were answered a moment ago.
//!
//! Who asks for one thing after the other is back soon after an answer. If what goes next goes with the first of them, the others are left to
//! the one after it, and the clients part into two halves that take turns. Each group is then half as large as it could be, and pays what a
//! group costs, however small:
//!
//! ```text
//! at once    1 of 16 ▶ log   15 ▶ log   1 ▶ log   …   or, in the long run,   8 ▶ log   8 ▶ log
//! held back  15 or so of 16 ▶ log   15 or so ▶ log
//! ```
//! Where nobody comes back it would be time lost. So it is given up after as long as the last one took, and then not tried for a while.

use std::time::Duration;

use tokio::time::Instant;

/// With more clients than these a group's own cost is small for each, and it is better that some are answered while others are written.
const MANY: usize = 200;

/// Nothing is held back for longer, whatever a group takes.
const LONGEST: Duration = Duration::from_millis(5);

/// After the first vain wait one group goes at once, after the next one two, then four, and so on up to this many.
const MOST_SKIPPED: u32 = 1024;

#[derive(Debug, Default)]
pub struct Hold {
    /// How many clients there are, as it seemed when the last group was done.
    expected: usize,
    until: Option<Instant>,
    /// Somebody was.
    held: bool,
    /// So many groups go at once.
    skip: u32,
    /// How many were to after the last vain wait.
    penalty: u32,
}

impl Hold {
    /// A group is done that took so long: so many were answered by it, and so many more wait already.
    pub fn landed(&mut self, answered: usize, waiting: usize, took: Duration, now: Instant) {
        self.expected = answered + waiting;
        (self.until, self.held) = (None, false);
        if self.skip > 0 {
            self.skip -= 1;
        } else if (2..=MANY).contains(&self.expected) {
            self.until = Some(now + took.min(LONGEST));
        }
    }

    /// A group is done after which nothing is to be held back.
    pub fn let_go(&mut self) {
        self.until = None;
    }

    /// How many will have come by the time a group goes, if `waiting` have now.
    pub fn foreseen(&self, waiting: usize, now: Instant) -> usize {
        let held = self.until.is_some_and(|until| now < until);
        if held { waiting.max(self.expected) } else { waiting }
    }

    /// Until when a group with so many in it, or behind it, is held back; None: it goes.
    pub fn until(&mut self, waiting: usize, now: Instant) -> Option<Instant> {
        let until = self.until?;
        if waiting >= enough(self.expected) {
            self.penalty = 0;
            self.until = None;
        } else if now < until {
            self.held = true;
        } else {
            if self.held {
                self.penalty = (self.penalty * 2).clamp(1, MOST_SKIPPED);
                self.skip = self.penalty;
            }
            self.until = None;
        }
        self.until
    }
}

/// Returns when the wait is over; never where there is none.
pub async fn lapses(until: Option<Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

/// Not every one is waited for: one that is slow, or gone, would hold up the others.
fn enough(expected: usize) -> usize {
    expected - expected / 8
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// As after groups that answered all of so many clients.
    fn after(clients: usize, now: Instant) -> Hold {
        let mut hold = Hold::default();
        hold.landed(clients, 0, MS, now);
        hold
    }

    #[test]
    fn nearly_all_are_waited_for() {
        let now = Instant::now();
        let mut hold = after(16, now);
        assert_eq!(hold.until(1, now), Some(now + MS));
        assert_eq!(hold.until(13, now), Some(now + MS));
        assert_eq!(hold.until(14, now), None);
        assert_eq!(hold.until(1, now), None, "the others are not waited for again");
    }

    #[test]
    fn those_who_waited_meanwhile_count() {
        let now = Instant::now();
        let mut hold = Hold::default();
        hold.landed(8, 8, MS, now);
        assert!(hold.until(8, now).is_some());
        assert!(hold.until(14, now).is_none());
    }

    #[test]
    fn one_client_is_never_held_back_nor_are_very_many() {
        let now = Instant::now();
        assert_eq!(after(1, now).until(1, now), None);
        assert_eq!(after(0, now).until(1, now), None);
        assert_eq!(after(MANY + 1, now).until(1, now), None);
    }

    #[test]
    fn what_does_not_pay_is_done_ever_more_seldom() {
        let mut now = Instant::now();
        let mut hold = Hold::default();
        let mut held = 0;
        for _ in 0..4096 {
            hold.landed(2, 0, MS, now);
            held += u32::from(hold.until(1, now).is_some());
            now += MS;
            assert_eq!(hold.until(1, now), None);
        }
        assert!((10..20).contains(&held), "{held}");
        // Once it pays it is done every time again.
        while hold.until(1, now).is_none() {
            hold.landed(2, 0, MS, now);
        }
        for _ in 0..10 {
            assert_eq!(hold.until(2, now), None);
            hold.landed(2, 0, MS, now);
            assert!(hold.until(1, now).is_some());
        }
    }

    #[test]
    fn a_slow_log_holds_nothing_back_for_long() {
        let now = Instant::now();
        let mut hold = Hold::default();
        hold.landed(2, 0, Duration::from_secs(10), now);
        assert_eq!(hold.until(1, now), Some(now + LONGEST));
    }

    #[test]
    fn what_is_foreseen_is_who_comes_back_while_it_is_held() {
        let now = Instant::now();
        let mut hold = after(16, now);
        assert_eq!(hold.foreseen(2, now), 16);
        assert_eq!(hold.foreseen(2, now + MS), 2);
        assert_eq!(hold.until(14, now), None);
        assert_eq!(hold.foreseen(2, now), 2);
    }
}
