//! Whether messages that wait are written sooner one after the other or as one batch, by how long either took here so far.
//!
//! A batch costs what staging it costs: on a server of one replica that stages on its disk as much as twenty single messages, in memory as
//! much as two, and with three replicas nothing. No setting of the server tells, so it is measured.

use std::time::Duration;

/// Batches of about the same size (by powers of two, up to 1023 messages) are measured together.
const SIZES: usize = 10;

/// One part in so many of a new duration goes into the estimate.
const WEIGHT: f64 = 8.0;

/// What is not chosen is believed to become quicker by one part in so many every time, and so is tried again at last.
const HOPE: f64 = 1024.0;

/// How long groups take, in seconds.
#[derive(Debug, Default)]
pub struct Pace {
    single: Option<f64>,
    batches: [Option<f64>; SIZES],
}

impl Pace {
    /// A group of so many messages was acknowledged.
    pub fn landed(&mut self, messages: usize, took: Duration) {
        let took = took.as_secs_f64();
        let estimate = if messages == 1 { &mut self.single } else { &mut self.batches[size(messages)] };
        *estimate = Some(estimate.map_or(took, |before| before + (took - before) / WEIGHT));
    }

    /// Whether `messages` that wait are written sooner one by one. What was never tried is tried.
    pub fn one_by_one(&mut self, messages: usize) -> bool {
        let Some(single) = self.single else { return true };
        let Some(known) = self.known(messages) else { return false };
        let Some(batch) = &mut self.batches[known] else { return false };
        let one_by_one = single * (messages as f64) < *batch;
        let other = if one_by_one { Some(batch) } else { self.single.as_mut() };
        if let Some(other) = other {
            *other -= *other / HOPE;
        }
        one_by_one
    }

    /// Whether a batch of so many is known to be quicker.
    pub fn together(&self, messages: usize) -> bool {
        let batch = self.known(messages).and_then(|known| self.batches[known]);
        matches!((self.single, batch), (Some(single), Some(batch)) if single * (messages as f64) >= batch)
    }

    /// The size to go by: that of another says more than nothing.
    fn known(&self, messages: usize) -> Option<usize> {
        let mut sizes = (0..=size(messages)).rev().chain(size(messages) + 1..SIZES);
        sizes.find(|size| self.batches[*size].is_some())
    }
}

fn size(messages: usize) -> usize {
    (messages.max(1).ilog2() as usize).min(SIZES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_quicker_way_is_taken() {
        let mut pace = Pace::default();
        assert!(pace.one_by_one(2), "a single message was never tried");
        pace.landed(1, MS);
        assert!(!pace.one_by_one(2), "now it was, but no batch");
        assert!(!pace.together(2), "nor is it known that one would be quicker");
        pace.landed(5, 5 * MS);
        assert!(pace.one_by_one(2));
        assert!(pace.one_by_one(4));
        assert!(!pace.one_by_one(6));
        assert!(pace.together(6) && !pace.together(2));
        assert!(!pace.one_by_one(64), "as one of five");
        pace.landed(70, 100 * MS);
        assert!(pace.one_by_one(64));
        assert!(!pace.one_by_one(63), "still as one of five");
    }

    #[test]
    fn what_has_become_quick_is_noticed() {
        let mut pace = Pace::default();
        pace.landed(1, MS);
        pace.landed(4, 50 * MS);
        let singles = (0..10_000).take_while(|_| pace.one_by_one(4)).count();
        assert!((1000..5000).contains(&singles), "{singles}");
        pace.landed(4, MS);
        (0..40).for_each(|_| pace.landed(4, MS));
        assert!(!pace.one_by_one(4));
        // The single message had a bad moment.
        (0..40).for_each(|_| pace.landed(1, 300 * MS));
        let batches = (0..10_000).take_while(|_| !pace.one_by_one(4)).count();
        assert!((1000..10_000).contains(&batches), "{batches}");
    }

    #[test]
    fn any_size_is_measured() {
        let mut pace = Pace::default();
        for messages in [0, 1, 2, 3, 999, 1000, 100_000] {
            pace.landed(messages, MS);
            pace.one_by_one(messages);
        }
    }
}
