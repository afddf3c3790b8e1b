//! Sending a group, and what its acknowledgement brings.

use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::group::{Appending, Group, InFlight, Origin, PlannedEntry};
use super::{Engine, Fatal};
use crate::state::Sequence;
use crate::store::error::Error;
use crate::store::log::{AppendError, Checkpoint, EntryId, Identity, Log, Outgoing, Record, Refusal, Stamp};

impl<L: Log> Engine<L> {
    /// Sends the next group if none is in flight.
    pub(super) fn launch(&mut self) {
        self.held_until = None;
        if self.inflight.is_some() {
            return;
        }
        if !self.unfenced.is_empty() {
            self.ask_for_a_fence();
            return;
        }
        if self.log.traits().exclusive {
            // Nobody else writes, and own entries are applied at their acknowledgement.
            self.follower = None;
        }
        if let Some(group) = self.internal_group() {
            return self.send(group);
        }
        if !self.next.entries.is_empty() && self.next.on != self.reader.last() {
            // Others have written since.
            self.plan_next_again();
        }
        self.gather();
        if self.next.entries.is_empty() {
            if self.next.fences.is_empty() {
                return;
            }
            self.next.push(vec![Record::Fence], Origin::Internal);
        }
        if self.next.fences.is_empty() && self.stopping.is_none() {
            let waiting = self.next.clients() + self.backlog.len() + self.waiting;
            self.held_until = self.hold.until(waiting, Instant::now());
            if self.held_until.is_some() {
                return;
            }
        }
        let group = std::mem::take(&mut self.next);
        self.send(group);
        // With room again, what waited can be planned while this is on its way.
        self.plan_backlog();
    }

    /// Entries that do not change the state, and so may go before a group that is already planned.
    fn internal_group(&mut self) -> Option<Group> {
        let mut group = Group::default();
        if std::mem::take(&mut self.claim_wanted) {
            group.push(vec![Record::Claim], Origin::Internal);
        } else if !self.checkpoints_wanted.is_empty() && !self.reader.undecided() {
            let replies = std::mem::take(&mut self.checkpoints_wanted);
            if !self.shared.room.has_any() {
                // Who wanted it sees that its answer will not come, and asks again.
                return None;
            }
            group.push(vec![Record::Checkpoint(self.checkpoint())], Origin::Checkpoint(replies));
        } else {
            return None;
        }
        Some(group)
    }

    /// Describes the state as of the last place received.
    fn checkpoint(&self) -> Checkpoint {
        let state = self.shared.state();
        let fingerprint = state.fingerprint();
        Checkpoint {
            at: self.reader.last(),
            entry: self.reader.entry(),
            revision: state.revision(),
            compacted: state.compacted(),
            keys: fingerprint.keys,
            keys_hash: fingerprint.keys_hash,
            leases: fingerprint.leases,
            leases_hash: fingerprint.leases_hash,
            claim: self.shared.claim(),
            void: self.reader.void(),
        }
    }

    fn send(&mut self, group: Group) {
        let on = self.reader.last();
        let first = on.next();
        let first_counter = self.counter + 1;
        let messages = self.stamp(&group, first);
        let last = on.plus(messages.len() as u64);
        let counters = &self.shared.counters;
        self.shared.room.take(group.bytes());
        counters.groups.fetch_add(1, Ordering::Relaxed);
        counters.group_entries.fetch_add(group.entries.len() as u64, Ordering::Relaxed);
        let (log, to_send) = (self.log.clone(), messages.clone());
        // Not a task of its own: where one client waits for one write, every hand-over between tasks is felt.
        let done: Appending = Box::pin(async move { log.append(to_send).await });
        let done = Some(done);
        let since = Instant::now();
        self.inflight = Some(InFlight { group, messages, first, last, first_counter, unknown: false, done, since });
    }

    fn stamp(&mut self, group: &Group, first: Sequence) -> Vec<Outgoing> {
        let mut messages = Vec::new();
        let mut at = first;
        for (entry, number) in group.entries.iter().zip(self.reader.entry() + 1..) {
            self.counter += 1;
            let id = EntryId { session: self.options.session, counter: self.counter };
            for (record, part) in entry.records.iter().zip(1..) {
                let stamp = Stamp {
                    id,
                    cluster: self.reader.cluster(),
                    entry: number,
                    part,
                    parts: entry.records.len() as u32,
                    meant_for: at,
                    group: first,
                };
                messages.push(Outgoing { stamp, record: record.clone() });
                at = at.next();
            }
        }
        messages
    }

    /// The group in flight has an outcome.
    pub(super) async fn landed(&mut self, outcome: Result<Sequence, AppendError>) -> Result<(), Fatal> {
        let Some(inflight) = &self.inflight else { return Ok(()) };
        let expected = inflight.last;
        match outcome {
            Ok(last) if last == expected => {
                let (now, answered) = (Instant::now(), inflight.group.clients());
                let took = now - inflight.since;
                self.pace.landed(inflight.messages.len(), took);
                let waiting = self.next.clients() + self.backlog.len() + self.writes.len();
                if self.pace.together(answered + waiting) {
                    self.hold.landed(answered, waiting, took, now);
                } else {
                    self.hold.let_go();
                }
                self.shared.counters.appends.add(took);
                self.acknowledged().await
            }
            Ok(last) => {
                let why = format!("acknowledged at sequence {last} where {expected} was meant");
                self.settle(false, why).await
            }
            Err(AppendError::Refused(Refusal::Sequence)) => self.settle(true, Refusal::Sequence.to_string()).await,
            Err(AppendError::Refused(refusal)) => self.refused_by_one(refusal).await,
            Err(AppendError::Unknown(why)) => self.settle(false, why).await,
        }
    }

    async fn acknowledged(&mut self) -> Result<(), Fatal> {
        let messages =
            self.inflight.as_mut().map(|inflight| std::mem::take(&mut inflight.messages)).unwrap_or_default();
        if let Some(last) = messages.last() {
            self.mark = self.mark.max_by_place((last.stamp.meant_for, Identity::Ours(last.stamp.id, last.stamp.part)));
        }
        let mut decided = Vec::with_capacity(messages.len());
        for message in messages {
            match self.reader.receive_own(message) {
                Ok(more) => decided.extend(more),
                Err(broken) => {
                    self.apply(decided);
                    return self.overcome(broken.into()).await;
                }
            }
        }
        self.apply(decided);
        let echoes = self.forget_fenced();
        self.finish_settled();
        match echoes {
            Ok(()) => Ok(()),
            Err(trouble) => self.overcome(trouble).await,
        }
    }

    /// Nothing of the group is in the log, nor will be. What was planned on it has to be planned again; and so has what may not be to blame.
    pub(super) fn refused(&mut self, refusal: Refusal) {
        self.plan_next_again();
        let Some(InFlight { mut group, .. }) = self.inflight.take() else { return };
        match refusal {
            Refusal::NoSpace(why) => {
                if !self.shared.room.is_alarmed() {
                    tracing::error!(why, "the log is full: make room, or raise its limit; reads go on");
                }
                if group.entries.iter().any(PlannedEntry::grows) {
                    group.refuse_growth(&Error::NoSpace);
                } else {
                    group.refuse_entries(&Error::NoSpace);
                    // Sent again by themselves they would be refused again, without end.
                    group.refuse_fences(&Error::NoSpace);
                }
            }
            other if group.entries.len() > 1 => {
                tracing::warn!(%other, "the log refused a group: its entries are sent one by one");
                self.alone = group.entries.len();
            }
            other => {
                tracing::error!(%other, "the log refused a write");
                group.refuse_entries(&Error::NoLeader);
                group.refuse_fences(&Error::NoLeader);
            }
        }
        self.plan_again(group);
    }

    pub(super) fn plan_next_again(&mut self) {
        let next = std::mem::take(&mut self.next);
        self.plan_again(next);
    }

    pub(super) fn plan_again(&mut self, group: Group) {
        for write in group.into_unanswered(&mut self.next.fences).into_iter().rev() {
            self.backlog.push_front(write);
        }
    }
}

/// The later of two marks: a follower may be ahead of an acknowledgement.
trait LaterMark {
    fn max_by_place(self, other: (Sequence, Identity)) -> Self;
}

impl LaterMark for Option<(Sequence, Identity)> {
    fn max_by_place(self, other: (Sequence, Identity)) -> Self {
        match self {
            Some(mark) if mark.0 >= other.0 => Some(mark),
            _ => Some(other),
        }
    }
}
