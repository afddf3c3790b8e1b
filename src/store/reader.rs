//! Which messages count. A [`Reader`] is fed every message of the log in order and gives out the valid entries.
//!
//! An entry is valid if and only if all its messages stand at the places they were meant for, and so does every message of its
//! group before it. Nothing else matters: not what the server acknowledged, not which fence was sent along. All readers of
//! one log therefore agree. An example, with `A`, `B` entries of one group meant for 7 and 8–9, `x` a foreign message:
//!
//! ```text
//! 7: A   8: B1  9: B2      A and B are valid
//! 7: x   8: A              A was meant for 7: void. B, if it comes, follows a void one: void
//! 7: A   8: B1             A is valid, B undecided: B2 may yet be stored at 9
//! 7: A   8: B1  9: x       now B is torn, for good
//! ```
//!
//! At or below the newest checkpoint messages may have been removed. There an entry is taken as valid whatever is missing of it,
//! unless the checkpoint lists what is left of it as void.

use std::collections::BTreeSet;

use super::log::{Checkpoint, ClusterId, Content, EntryId, Incoming, Outgoing, Record, SessionId, Stamp};
use super::records;
use crate::state::{Entry, Sequence};

/// An entry that counts.
#[derive(Debug, PartialEq)]
pub struct Decided {
    pub id: EntryId,
    /// Its last place.
    pub last: Sequence,
    pub content: Written,
}

/// What a valid entry says.
#[derive(Debug, PartialEq)]
pub enum Written {
    /// With the place where each op begins.
    Entry(Entry, Vec<Sequence>),
    Claim,
    Checkpoint(Checkpoint),
    /// A fence, or what a purge left of an entry.
    Nothing,
}

/// Why reading cannot go on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Valid entries are missing before this place: either removed below a checkpoint that this reader has not seen, or lost.
    #[error("entries {expected} to {found} are missing before sequence {at}")]
    Missing { at: Sequence, expected: u64, found: u64 },
    #[error("sequence {at} holds {subject}, which this version cannot read: {why}")]
    Unreadable { at: Sequence, subject: String, why: String },
    #[error("sequence {at} continues a log of another cluster id or numbering: {why}")]
    Damaged { at: Sequence, why: String },
}

/// Finds the valid entries in what stands in the log.
pub struct Reader {
    cluster: ClusterId,
    /// The last place received; everything up to it is decided, but for `partial`.
    last: Sequence,
    /// The number of the last valid entry.
    entry: u64,
    /// The checkpoint this replay goes by, until it is passed.
    base: Option<Checkpoint>,
    /// Messages at or below `base.at` that are void.
    base_void: BTreeSet<Sequence>,
    /// The group whose messages stand, without a gap, from its first place up to `last`.
    run: Option<(SessionId, Sequence)>,
    partial: Option<Partial>,
    /// Messages that stand where they were meant to and do not count all the same; what a checkpoint lists.
    void: BTreeSet<Sequence>,
    /// Of others; counted for a metric.
    pub foreign: u64,
}

/// An entry of which the first messages are there.
struct Partial {
    stamp: Stamp,
    records: Vec<(Sequence, Record)>,
}

impl Reader {
    /// Reads a log from the place after `last`; `base` is its newest checkpoint.
    pub fn new(cluster: ClusterId, last: Sequence, base: Option<Checkpoint>) -> Self {
        let base_void = base.iter().flat_map(|c| c.void.iter().copied()).collect();
        Reader { cluster, last, entry: 0, base, base_void, run: None, partial: None, void: BTreeSet::new(), foreign: 0 }
    }

    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    pub fn last(&self) -> Sequence {
        self.last
    }

    /// The number of the last valid entry.
    pub fn entry(&self) -> u64 {
        self.entry
    }

    /// Whether an entry has begun and is neither whole nor torn.
    pub fn undecided(&self) -> bool {
        self.partial.is_some()
    }

    /// Messages up to here that stand where they were meant to and do not count.
    pub fn void(&self) -> Vec<Sequence> {
        self.void.iter().copied().collect()
    }

    /// To be asked before `next` is received (or noted as reached): if that is past the base, gives out what was still
    /// unfinished below it and the checkpoint to compare the state with. Gives it out once.
    pub fn cross_base(&mut self, next: Sequence) -> Option<(Option<Decided>, Checkpoint)> {
        if self.base.as_ref().is_none_or(|base| next <= base.at) {
            return None;
        }
        let unfinished = self.interrupt();
        let base = self.base.take()?;
        self.entry = base.entry;
        self.last = self.last.max(base.at);
        self.void = std::mem::take(&mut self.base_void);
        Some((unfinished, base))
    }

    /// Notes that everything up to `reached` was delivered: what is missing there was removed.
    pub fn reached(&mut self, reached: Sequence) -> Option<Decided> {
        if reached <= self.last {
            return None;
        }
        let decided = self.interrupt();
        self.last = reached;
        decided
    }

    /// Our own messages, acknowledged at the places they were meant for.
    pub fn receive_own(&mut self, message: Outgoing) -> Result<Vec<Decided>, Broken> {
        self.receive_stamped(message.stamp.meant_for, message.stamp, message.record)
    }

    /// The next message. Places that were skipped were removed. Places already received are ignored.
    pub fn receive(&mut self, message: Incoming) -> Result<Vec<Decided>, Broken> {
        let at = message.sequence;
        if at <= self.last {
            return Ok(Vec::new());
        }
        match message.content {
            Content::Ours(stamp, record) => self.receive_stamped(at, stamp, record),
            Content::Foreign { .. } => {
                self.foreign += 1;
                let decided = self.interrupt();
                self.last = at;
                Ok(decided.into_iter().collect())
            }
            Content::Unreadable { subject, why } => Err(Broken::Unreadable { at, subject, why }),
        }
    }

    fn receive_stamped(&mut self, at: Sequence, stamp: Stamp, record: Record) -> Result<Vec<Decided>, Broken> {
        if at <= self.last {
            return Ok(Vec::new());
        }
        let mut decided = Vec::new();
        if at != self.last.next() {
            decided.extend(self.interrupt());
        }
        if self.base.as_ref().is_some_and(|base| at <= base.at) {
            self.receive_below_base(at, stamp, record, &mut decided);
        } else {
            self.receive_above_base(at, stamp, record, &mut decided)?;
        }
        self.last = at;
        Ok(decided)
    }

    /// Whatever stood at the next place, it was not what the unfinished entry and group needed.
    fn interrupt(&mut self) -> Option<Decided> {
        self.run = None;
        let partial = self.partial.take()?;
        if self.base.is_some() {
            return Some(whole(partial, self.last));
        }
        self.void.extend(partial.records.iter().map(|(at, _)| *at));
        None
    }

    fn receive_below_base(&mut self, at: Sequence, stamp: Stamp, record: Record, decided: &mut Vec<Decided>) {
        let counts = stamp.cluster == self.cluster && stamp.meant_for == at && !self.base_void.contains(&at);
        if self.partial.as_ref().is_some_and(|p| !counts || p.stamp.id != stamp.id) {
            decided.extend(self.interrupt());
        }
        if !counts || matches!(record, Record::Genesis(_)) {
            return;
        }
        let partial = self.partial.get_or_insert_with(|| Partial { stamp, records: Vec::new() });
        partial.records.push((at, record));
        if stamp.part == stamp.parts {
            decided.extend(self.partial.take().map(|p| whole(p, at)));
        }
    }

    fn receive_above_base(
        &mut self,
        at: Sequence,
        stamp: Stamp,
        record: Record,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Broken> {
        if matches!(record, Record::Genesis(_)) && at == Sequence(1) {
            return Ok(());
        }
        if stamp.cluster != self.cluster || stamp.meant_for != at {
            decided.extend(self.interrupt());
            return Ok(());
        }
        if self.partial.as_ref().is_some_and(|p| !continues(p, &stamp)) {
            decided.extend(self.interrupt());
        }
        let group = (stamp.id.session, stamp.group);
        if stamp.group == at {
            self.run = Some(group);
        } else if self.run != Some(group) {
            self.run = None;
        }
        if self.run.is_none() || (self.partial.is_none() && stamp.part != 1) {
            self.run = None;
            self.void.insert(at);
            return Ok(());
        }
        if self.partial.is_none() && stamp.entry != self.entry + 1 {
            return Err(self.misnumbered(at, stamp.entry));
        }
        let partial = self.partial.get_or_insert_with(|| Partial { stamp, records: Vec::new() });
        partial.records.push((at, record));
        if stamp.part == stamp.parts {
            self.entry = stamp.entry;
            decided.extend(self.partial.take().map(|p| whole(p, at)));
        }
        Ok(())
    }

    fn misnumbered(&self, at: Sequence, found: u64) -> Broken {
        let expected = self.entry + 1;
        if found > expected {
            return Broken::Missing { at, expected, found };
        }
        Broken::Damaged { at, why: format!("entry {found} stands where entry {expected} was expected") }
    }
}

fn continues(partial: &Partial, stamp: &Stamp) -> bool {
    partial.stamp.id == stamp.id
        && partial.stamp.parts == stamp.parts
        && stamp.part as usize == partial.records.len() + 1
}

fn whole(partial: Partial, last: Sequence) -> Decided {
    let id = partial.stamp.id;
    let mut records = partial.records;
    let content = match (records.len(), records.pop()) {
        (1, Some((_, Record::Claim))) => Written::Claim,
        (1, Some((_, Record::Checkpoint(checkpoint)))) => Written::Checkpoint(checkpoint),
        (_, record) => {
            records.extend(record);
            records::join(records).map_or(Written::Nothing, |(entry, at)| Written::Entry(entry, at))
        }
    };
    Decided { id, last, content }
}
