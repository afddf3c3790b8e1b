//! Entries that travel together: the next group, which is being planned, and the one in flight.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::command::Write;
use crate::state::{Layer, Response, Sequence};
use crate::store::compactor::Checkpointed;
use crate::store::error::Error;
use crate::store::log::{AppendError, Outgoing, Record, Traits};
use crate::store::records;

/// Bytes of one group: below a block of the server's file store, so that a staged batch and a torn one stay small.
const MAX_GROUP_BYTES: usize = 8 << 20;

/// The next group. `layer` is what it will change.
#[derive(Default)]
pub struct Group {
    pub entries: Vec<PlannedEntry>,
    pub layer: Layer,
    /// The place after which it was planned: sent anywhere else it would be planned on a state that never was.
    pub on: Sequence,
    messages: usize,
    bytes: usize,
    /// Takes one entry only.
    pub alone: bool,
    /// Outcomes that write nothing, planned on this group: true once it is committed.
    pub readers: Vec<(Write, Result<Response, Error>)>,
    /// Those who wait for any append that commits.
    pub fences: Vec<oneshot::Sender<Result<(), Error>>>,
}

/// An entry that is to be appended.
pub struct PlannedEntry {
    pub records: Vec<Record>,
    /// Taken when answered.
    pub origin: Option<Origin>,
}

impl PlannedEntry {
    /// Whether it adds to what the store has to keep.
    pub fn grows(&self) -> bool {
        self.records.iter().any(|record| matches!(record, Record::Put { .. } | Record::LeaseGrant { .. }))
    }
}

/// Who wanted the entry.
pub enum Origin {
    Write(Write, Response),
    Checkpoint(Vec<oneshot::Sender<Option<Checkpointed>>>),
    /// A claim or a fence.
    Internal,
}

/// The group that was sent and has no outcome yet.
pub struct InFlight {
    pub group: Group,
    pub messages: Vec<Outgoing>,
    pub first: Sequence,
    pub last: Sequence,
    /// The counter of the first entry's id; the others follow.
    pub first_counter: u64,
    /// Whether some of it was stored cannot be known any more, and was told so.
    pub unknown: bool,
    /// None once it is done, or given up.
    pub done: Option<Appending>,
    /// When it was sent.
    pub since: Instant,
}

/// An append under way. Goes on only while it is polled; dropped, it sends nothing more. (It cannot be shared between threads, so neither can
/// the engine: its async functions take it by `&mut`.)
pub type Appending = Pin<Box<dyn Future<Output = Result<Sequence, AppendError>> + Send>>;

impl Group {
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.readers.is_empty() && self.fences.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many wait for it.
    pub fn clients(&self) -> usize {
        self.entries.len() + self.readers.len()
    }

    /// Whether anybody has asked for one of its entries.
    pub fn has_writes(&self) -> bool {
        self.entries.iter().any(|entry| matches!(entry.origin, Some(Origin::Write(..))))
    }

    /// Whether it is no batch yet.
    pub fn is_single(&self) -> bool {
        self.messages == 1
    }

    pub fn is_full(&self, traits: &Traits) -> bool {
        self.messages >= traits.max_group_messages
            || self.bytes >= MAX_GROUP_BYTES
            || self.alone && !self.entries.is_empty()
    }

    /// Whether these records can travel with what is planned already.
    pub fn has_room(&self, records: &[Record], traits: &Traits) -> bool {
        let bytes: usize = records.iter().map(records::size).sum();
        self.entries.is_empty()
            || !self.alone
                && self.messages + records.len() <= traits.max_group_messages
                && self.bytes + bytes <= MAX_GROUP_BYTES
    }

    pub fn push(&mut self, records: Vec<Record>, origin: Origin) {
        self.messages += records.len();
        self.bytes += records.iter().map(records::size).sum::<usize>();
        self.entries.push(PlannedEntry { records, origin: Some(origin) });
    }

    /// It is in the log as a whole. (Entries are answered when they are applied.)
    pub fn committed(self) {
        for (write, result) in self.readers {
            write.answer(result);
        }
        for fence in self.fences {
            let _ = fence.send(Ok(()));
        }
    }

    /// It was never sent: empties it.
    pub fn refuse(&mut self, error: &Error) {
        std::mem::take(self).into_refused(error);
    }

    pub fn into_refused(mut self, error: &Error) {
        self.refuse_entries(error);
        self.refuse_fences(error);
        for (write, _) in self.readers {
            write.answer(Err(error.clone()));
        }
    }

    /// Only those that make the store grow; the others stay.
    pub fn refuse_growth(&mut self, error: &Error) {
        for entry in self.entries.iter_mut().filter(|entry| entry.grows()) {
            if let Some(Origin::Write(write, _)) = entry.origin.take() {
                write.answer(Err(error.clone()));
            }
        }
    }

    pub fn refuse_fences(&mut self, error: &Error) {
        for fence in self.fences.drain(..) {
            let _ = fence.send(Err(error.clone()));
        }
    }

    pub fn refuse_entries(&mut self, error: &Error) {
        for origin in self.entries.drain(..).filter_map(|entry| entry.origin) {
            if let Origin::Write(write, _) = origin {
                write.answer(Err(error.clone()));
            }
        }
    }

    /// What has to be planned again, in order; fences are handed to `fences`.
    pub fn into_unanswered(self, fences: &mut Vec<oneshot::Sender<Result<(), Error>>>) -> Vec<Write> {
        fences.extend(self.fences);
        let written = self.entries.into_iter().filter_map(|entry| match entry.origin {
            Some(Origin::Write(write, _)) => Some(write),
            // Whoever wanted a checkpoint sees that its answer will not come, and asks again.
            _ => None,
        });
        written.chain(self.readers.into_iter().map(|(write, _)| write)).collect()
    }
}

impl InFlight {
    /// Whether nothing of it is known to be in the log.
    pub fn is_untouched(&self) -> bool {
        self.group.entries.iter().all(|entry| entry.origin.is_some())
    }

    /// After a replay by a checkpoint that describes the log up to `base`: what may have been stored there and removed again, because others
    /// have written over it, must not be tried a second time. (What is still there was answered as it was read.)
    pub fn give_up(&mut self, base: Sequence) {
        let mut place = self.first;
        for entry in &mut self.group.entries {
            if place <= base
                && let Some(origin) = entry.origin.take()
            {
                self.unknown = true;
                if let Origin::Write(write, _) = origin {
                    write.answer(Err(Error::TimedOut));
                }
            }
            place = place.plus(entry.records.len() as u64);
        }
    }
}

/// Resolves when the group in flight has an outcome; never where there is none.
pub async fn landing(inflight: &mut Option<InFlight>) -> Result<Sequence, AppendError> {
    let Some(done) = inflight.as_mut().and_then(|inflight| inflight.done.as_mut()) else {
        return std::future::pending().await;
    };
    let outcome = done.await;
    if let Some(inflight) = inflight {
        inflight.done = None;
    }
    outcome
}
