//! What waits to be sent on one stream.
//!
//! In the order in which it came, but for one thing: a watcher's events join those of it that wait already. As long as a client keeps up
//! nothing waits, and each revision is sent by itself. Where it does not, what waits for one watcher becomes one message, and so a stream with
//! a hundred watchers of one key needs a hundred messages for ten revisions of it and not a thousand. Between watchers no order is promised,
//! except by an output about all of them: nothing joins what came before that.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::WatchOutput;
use crate::state::{Event, Revision};

#[derive(Default)]
pub(super) struct Queue {
    pending: VecDeque<Pending>,
    /// The number of the first of `pending`; they are counted on.
    first: u64,
    /// Nothing joins what has a number below it.
    closed_below: u64,
    /// As many calls of `pop` as empty it.
    len: usize,
}

enum Pending {
    Events { id: i64, next: Delivery, then: VecDeque<Delivery> },
    Other(WatchOutput),
}

/// What a watcher wants of one revision.
pub(super) struct Delivery {
    pub(super) revision: Revision,
    pub(super) current: Revision,
    pub(super) events: Arc<[Arc<Event>]>,
}

/// Where a watcher's newest events wait, or have waited.
#[derive(Default)]
pub(super) struct Place(AtomicU64);

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn push_events(&mut self, id: i64, place: &Place, delivery: Delivery) {
        self.len += 1;
        let number = place.0.load(Ordering::Relaxed);
        if number >= self.first.max(self.closed_below)
            && let Some(Pending::Events { id: its, then, .. }) = self.pending.get_mut((number - self.first) as usize)
            && *its == id
        {
            then.push_back(delivery);
            return;
        }
        place.0.store(self.first + self.pending.len() as u64, Ordering::Relaxed);
        self.pending.push_back(Pending::Events { id, next: delivery, then: VecDeque::new() });
    }

    /// What is said of one watcher, or of all: later events do not go before it.
    pub(super) fn push(&mut self, output: WatchOutput) {
        self.len += 1;
        self.pending.push_back(Pending::Other(output));
        self.closed_below = self.first + self.pending.len() as u64;
    }

    /// Events of the same watcher come one after the other, each revision by itself.
    pub(super) fn pop(&mut self) -> Option<WatchOutput> {
        let output = match self.pending.front_mut()? {
            Pending::Events { id, next, then } if !then.is_empty() => {
                let delivery = std::mem::replace(next, then.pop_front()?);
                // Otherwise one that never ends could keep the others waiting.
                self.closed_below = self.closed_below.max(self.first + 1);
                delivery.of(*id)
            }
            _ => match self.pending.pop_front()? {
                Pending::Events { id, next, .. } => {
                    self.first += 1;
                    next.of(id)
                }
                Pending::Other(output) => {
                    self.first += 1;
                    output
                }
            },
        };
        self.len -= 1;
        Some(output)
    }

    /// The next revision for this watcher, if that is what comes next and `takes` says so.
    pub(super) fn pop_more(&mut self, of: i64, takes: impl FnOnce(&[Arc<Event>]) -> bool) -> Option<WatchOutput> {
        match self.pending.front()? {
            Pending::Events { id, next, .. } if *id == of && takes(&next.events) => self.pop(),
            _ => None,
        }
    }
}

impl Delivery {
    fn of(self, id: i64) -> WatchOutput {
        WatchOutput::Events { id, revision: self.revision, current: self.current, events: self.events }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn push(queue: &mut Queue, id: i64, place: &Place, revision: i64) {
        let revision = Revision(revision);
        queue.push_events(id, place, Delivery { revision, current: revision, events: Arc::new([]) });
    }

    fn pop(queue: &mut Queue) -> Option<(i64, i64)> {
        match queue.pop()? {
            WatchOutput::Events { id, revision, .. } | WatchOutput::Progress { id, revision } => Some((id, revision.0)),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn drain(queue: &mut Queue) -> Vec<(i64, i64)> {
        std::iter::from_fn(|| pop(queue)).collect()
    }

    #[test]
    fn what_waits_for_one_watcher_comes_together() {
        let (mut queue, a, b) = (Queue::default(), Place::default(), Place::default());
        for revision in 2..5 {
            push(&mut queue, 7, &a, revision);
            push(&mut queue, 8, &b, revision);
        }
        assert_eq!(queue.len(), 6);
        assert_eq!(drain(&mut queue), [(7, 2), (7, 3), (7, 4), (8, 2), (8, 3), (8, 4)]);
        assert_eq!((queue.len(), pop(&mut queue)), (0, None));
        push(&mut queue, 8, &b, 5);
        push(&mut queue, 7, &a, 5);
        assert_eq!(drain(&mut queue), [(8, 5), (7, 5)]);
    }

    #[test]
    fn nothing_goes_before_what_is_said_of_all() {
        let (mut queue, a, b) = (Queue::default(), Place::default(), Place::default());
        push(&mut queue, 0, &a, 2);
        push(&mut queue, 1, &b, 2);
        queue.push(WatchOutput::Progress { id: -1, revision: Revision(2) });
        push(&mut queue, 0, &a, 3);
        push(&mut queue, 0, &a, 4);
        assert_eq!(drain(&mut queue), [(0, 2), (1, 2), (-1, 2), (0, 3), (0, 4)]);
    }

    #[test]
    fn a_watcher_that_is_being_sent_to_does_not_keep_the_others_waiting() {
        let (mut queue, a, b) = (Queue::default(), Place::default(), Place::default());
        push(&mut queue, 0, &a, 2);
        push(&mut queue, 0, &a, 3);
        push(&mut queue, 1, &b, 3);
        assert_eq!(pop(&mut queue), Some((0, 2)));
        push(&mut queue, 0, &a, 4);
        push(&mut queue, 0, &a, 5);
        assert_eq!(drain(&mut queue), [(0, 3), (1, 3), (0, 4), (0, 5)]);
    }

    #[test]
    fn more_of_a_watcher_is_what_comes_next_and_fits() {
        let (mut queue, a, b) = (Queue::default(), Place::default(), Place::default());
        for revision in 2..5 {
            push(&mut queue, 7, &a, revision);
        }
        push(&mut queue, 8, &b, 4);
        let mut more = |takes| queue.pop_more(7, |_| takes).is_some();
        assert_eq!([more(true), more(false), more(true), more(true), more(true)], [true, false, true, true, false]);
        assert_eq!(drain(&mut queue), [(8, 4)]);
    }

    /// A place is a number only; that of a watcher which is gone, or was never sent anything, says nothing about another's.
    #[test]
    fn a_place_is_good_for_one_watcher() {
        let (mut queue, a) = (Queue::default(), Place::default());
        push(&mut queue, 3, &a, 2);
        push(&mut queue, 4, &Place::default(), 2);
        push(&mut queue, 3, &a, 3);
        assert_eq!(drain(&mut queue), [(3, 2), (3, 3), (4, 2)]);
    }
}
