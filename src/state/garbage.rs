//! What nobody needs any more and may be removed from the log.
//!
//! ```text
//! sequence    10         20         30          40         50
//! key a       put rev 2  put rev 3  delete rev 4           (compact 5)
//! key b                                         put rev 5
//!
//! compact(5) makes   Garbage { a, below: 30, then: Some(31) }
//! ```
//! First the messages about `a` below 30 go. The delete itself must outlive them: were it gone and they still there, or
//! back after a power cut, a replay would find `a` alive. So only when their removal is durable does the compactor say
//! [`State::collected`], and the next time it asks it is handed `Garbage { a, below: 31, then: None }`.
//!
//! A crash forgets how far this went. The replay meets what is left, be it the delete alone, and begins anew: removing
//! what is gone already does no harm. Where another jine does the removing, [`State::collected_elsewhere`] takes the same
//! steps, so that either could go on from where the other stopped.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use super::machine::State;
use super::revision::{LeaseId, Sequence};

/// What the messages are about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum GarbageTarget {
    Key(Bytes),
    Lease(LeaseId),
    /// The messages of [`Op::Tombstones`](super::Op::Tombstones), which stand together.
    Tombstones,
}

/// All messages about `target` below `below` may be removed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Garbage {
    pub target: GarbageTarget,
    /// Where the first message of what stays begins: a version that is kept, or the tombstone or revoke that ends it.
    pub below: Sequence,
    /// The tombstone or revoke can go too, in a later round: what is below this.
    pub then: Option<Sequence>,
}

#[derive(Clone, Debug)]
struct Pending {
    below: Sequence,
    then: Option<Sequence>,
    /// What makes the rest superfluous; must be at or below the checkpoint under which something is removed.
    by: Sequence,
    /// The entry that made it garbage, or a later one: every checkpoint from here on permits the removal.
    made: Sequence,
    /// The tombstones messages that have to stay until this is collected.
    awaited_by: Vec<Sequence>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct GarbageBook {
    pending: BTreeMap<GarbageTarget, Pending>,
    /// Every tombstones message that may still be in the log, and how many of its keys are not collected yet.
    messages: BTreeMap<Sequence, usize>,
    /// Up to where another jine is known to have removed everything.
    elsewhere: Sequence,
}

impl GarbageBook {
    pub(super) fn add(
        &mut self,
        target: GarbageTarget,
        below: Sequence,
        then: Option<Sequence>,
        made: Sequence,
        awaited_by: Vec<Sequence>,
    ) {
        let new = Pending { below, then, by: below, made, awaited_by };
        match self.pending.get_mut(&target) {
            None => drop(self.pending.insert(target, new)),
            Some(old) => {
                // Whatever is below the newer place is below what stays, the older tombstone too.
                let mut awaited_by = std::mem::take(&mut old.awaited_by);
                awaited_by.extend(&new.awaited_by);
                if new.below >= old.below {
                    *old = new;
                }
                old.awaited_by = awaited_by;
            }
        }
    }

    pub(super) fn tombstones_message(&mut self, at: Sequence, keys: usize) {
        *self.messages.entry(at).or_default() += keys;
    }

    pub(super) fn is_tombstones_message(&self, at: Sequence) -> bool {
        self.messages.contains_key(&at)
    }

    /// Tombstones messages stand on one subject, so only those before the first one still needed can go.
    fn tombstones(&self, upto: Sequence) -> Option<Garbage> {
        let done = self.messages.iter().take_while(|(at, keys)| **keys == 0 && **at <= upto).last()?;
        Some(Garbage { target: GarbageTarget::Tombstones, below: done.0.next(), then: None })
    }

    fn collected(&mut self, garbage: &Garbage) {
        if garbage.target == GarbageTarget::Tombstones {
            self.messages = self.messages.split_off(&garbage.below);
            return;
        }
        // More may have become garbage meanwhile, and that takes in all of this.
        let Some(pending) = self.pending.get_mut(&garbage.target) else { return };
        if pending.below != garbage.below {
            return;
        }
        for at in std::mem::take(&mut pending.awaited_by) {
            if let Some(keys) = self.messages.get_mut(&at) {
                *keys = keys.saturating_sub(1);
            }
        }
        match pending.then.take() {
            Some(then) => pending.below = then,
            None => drop(self.pending.remove(&garbage.target)),
        }
    }

    fn collected_elsewhere(&mut self, upto: Sequence) {
        if upto <= self.elsewhere {
            return;
        }
        self.elsewhere = upto;
        // Those that were ready before this; what gets ready now goes with the next checkpoint.
        if let Some(messages) = self.tombstones(upto) {
            self.collected(&messages);
        }
        let done = self.pending.iter().filter(|(_, pending)| pending.made <= upto);
        let done: Vec<_> = done.map(|(target, pending)| pending.garbage(target)).collect();
        for garbage in done {
            self.collected(&garbage);
            if let Some(rest) = self.pending.get_mut(&garbage.target) {
                rest.made = upto.next();
            }
        }
    }
}

impl Pending {
    fn garbage(&self, target: &GarbageTarget) -> Garbage {
        Garbage { target: target.clone(), below: self.below, then: self.then }
    }
}

impl State {
    /// What may be removed under a checkpoint that describes the log up to `upto`, in the order of
    /// the targets, beginning after `after`, at most `max`. It is handed out again until it is [`State::collected`].
    /// Complete only when [`State::find_garbage`] has nothing more to do.
    pub fn garbage(&self, upto: Sequence, after: Option<&GarbageTarget>, max: usize) -> Vec<Garbage> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let pending = self.garbage.pending.range((from, Bound::Unbounded));
        let tombstones = if after == Some(&GarbageTarget::Tombstones) { None } else { self.garbage.tombstones(upto) };
        pending
            .filter(|(_, pending)| pending.by <= upto)
            .map(|(target, pending)| pending.garbage(target))
            .chain(tombstones)
            .take(max)
            .collect()
    }

    /// The removal of these is durable. What has a `then` is garbage again, up to there: for a later round, under a
    /// later checkpoint.
    pub fn collected(&mut self, garbage: &[Garbage]) {
        garbage.iter().for_each(|garbage| self.garbage.collected(garbage));
    }

    /// Another jine has removed, durably, all that a checkpoint at `upto` permitted (or a later one). To be told when
    /// [`State::find_garbage`] has nothing more to do.
    pub fn collected_elsewhere(&mut self, upto: Sequence) {
        self.garbage.collected_elsewhere(upto);
    }

    /// Whether there may be something to remove, also such as is not settled yet.
    pub fn has_garbage(&self) -> bool {
        !self.garbage.pending.is_empty() || !self.unsettled.is_empty()
    }

    /// How many targets have something to remove.
    pub fn garbage_len(&self) -> usize {
        self.garbage.pending.len()
    }
}
