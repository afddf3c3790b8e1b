//! From requests to entries of the next group.

use tokio::time::Instant;

use super::group::Origin;
use super::{Engine, Write};
use crate::state::{self, Entry, Limits, Op, Planned, Response, View, plan};
use crate::store::error::Error;
use crate::store::log::{Log, Traits};
use crate::store::records;

impl<L: Log> Engine<L> {
    /// Plans waiting writes in order, as far as the next group goes.
    pub(super) fn plan_backlog(&mut self) {
        while let Some(write) = self.backlog.pop_front() {
            // Nobody waits for it, and it was not executed: the best moment to forget it.
            if write.reply.is_closed() && write.expires.is_none() {
                continue;
            }
            // Whoever was told by a claim read meanwhile that time starts anew must not be expired by the old one's count, nor anyone
            // who is not heard any more.
            let expires = |id| self.shared.lessor().is_expiring(id) && self.shared.hears_keepalives();
            if write.expires.is_some_and(|id| !expires(id)) {
                continue;
            }
            if let Some(later) = self.plan(write) {
                self.backlog.push_front(later);
                return;
            }
        }
    }

    /// Gives the write back if it has to wait until what is planned before it is in the log.
    fn plan(&mut self, write: Write) -> Option<Write> {
        if !self.layers_fit() || self.goes_alone() {
            return Some(write);
        }
        let traits = self.log.traits();
        match self.plan_on_planned_state(&write, &traits) {
            Err(state::Error::Unsettled) => return Some(write),
            Err(error) => self.wrote_nothing(write, Err(error.into())),
            Ok(Planned { entry: None, response }) => self.wrote_nothing(write, Ok(response)),
            Ok(Planned { entry: Some(entry), response }) => return self.add(write, &entry, response, &traits),
        }
        None
    }

    /// Whether the one message that is planned to go next is to go alone, as all that wait would be written sooner in that way.
    fn goes_alone(&mut self) -> bool {
        if !self.next.is_single() {
            return false;
        }
        // It, the one to be planned, and all behind that.
        let waiting = 2 + self.backlog.len() + self.waiting;
        self.pace.one_by_one(self.hold.foreseen(waiting, Instant::now()))
    }

    fn plan_on_planned_state(&self, write: &Write, traits: &Traits) -> Result<Planned, state::Error> {
        let state = self.shared.state();
        let layers = self.layers();
        // Beyond the operations of a transaction, which must fit whatever else it deletes.
        let spare = self.options.largest.leaves(traits).unwrap_or(0);
        let max_delete_ops = spare.min(traits.max_group_messages / 2);
        let limits = Limits { max_delete_ops, max_tombstones_bytes: traits.max_record_bytes };
        plan(&View::new(&state, &layers), &write.request, limits)
    }

    /// Whether what is in flight and next was planned on the state as it is: not if something was received since.
    fn layers_fit(&self) -> bool {
        let last = self.reader.last();
        match &self.inflight {
            Some(inflight) => inflight.first == last.next(),
            None => self.next.entries.is_empty() || self.next.on == last,
        }
    }

    fn layers(&self) -> Vec<&state::Layer> {
        self.inflight.iter().map(|inflight| &inflight.group.layer).chain([&self.next.layer]).collect()
    }

    fn add(&mut self, write: Write, entry: &Entry, response: Response, traits: &Traits) -> Option<Write> {
        let records = records::split(entry, traits.max_record_bytes);
        if records.iter().any(records::has_too_long_a_key) {
            write.answer(Err(Error::KeyTooLong));
            return None;
        }
        if grows(entry) {
            let bytes = records.iter().map(records::size).sum();
            if !self.shared.room.has(bytes) {
                write.answer(Err(Error::NoSpace));
                return None;
            }
        } else if !self.shared.room.has_any() {
            write.answer(Err(Error::NoSpace));
            return None;
        }
        if records.len() > traits.max_group_messages {
            write.answer(Err(Error::TooManyMessages));
            return None;
        }
        if !self.next.has_room(&records, traits) {
            return Some(write);
        }
        if self.next.entries.is_empty() {
            self.next.alone = self.alone > 0;
            self.alone = self.alone.saturating_sub(1);
            self.next.on = self.inflight.as_ref().map_or(self.reader.last(), |inflight| inflight.last);
        }
        self.next.layer.absorb(entry);
        self.next.push(records, Origin::Write(write, response));
        None
    }

    /// An answer without an entry is as good as what it was computed on: it waits until all of that is in the log, and for a proof that
    /// nobody else has written before the request came.
    fn wrote_nothing(&mut self, write: Write, result: Result<Response, Error>) {
        if !self.next.entries.is_empty() {
            self.next.readers.push((write, result));
        } else if write.fenced || self.log.traits().exclusive {
            match &mut self.inflight {
                Some(inflight) => inflight.group.readers.push((write, result)),
                None => write.answer(result),
            }
        } else {
            self.plan_again_behind_a_fence(write);
        }
    }

    fn plan_again_behind_a_fence(&self, mut write: Write) {
        let (fence, writes) = (self.fence.clone(), self.shared.writes());
        tokio::spawn(async move {
            match fence.pass().await {
                Ok(()) => {
                    write.fenced = true;
                    // An engine that has ended drops it, which tells the client.
                    let _ = writes.send(write);
                }
                Err(error) => write.answer(Err(error)),
            }
        });
    }
}

/// Whether the entry adds to what the store has to keep; what only takes away may use the room that is kept for it.
fn grows(entry: &Entry) -> bool {
    entry.ops.iter().any(|op| matches!(op, Op::Put { .. } | Op::LeaseGrant { .. }))
}
