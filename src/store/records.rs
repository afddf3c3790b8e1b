//! Between the state machine's entries and the log's records: a value over the server's limit needs several messages,
//! and a message knows its revision where an op leaves that to its entry.

use bytes::Bytes;

use super::log::{MAX_KEY_BYTES, Record};
use crate::state::{Entry, Op, Revision, Sequence, TOMBSTONE_OVERHEAD};

/// The records of an entry, in order; `max_bytes` is the most value that one message holds. (Lists of keys were cut by the plan.)
pub fn split(entry: &Entry, max_bytes: usize) -> Vec<Record> {
    let mut records = Vec::with_capacity(entry.ops.len());
    for op in &entry.ops {
        split_op(op, entry.revision, max_bytes.max(1), &mut records);
    }
    records
}

fn split_op(op: &Op, revision: Revision, max_bytes: usize, records: &mut Vec<Record>) {
    match op {
        Op::Put { key, value, lease, create_revision, version, sub } => {
            let chunks = value.len().div_ceil(max_bytes).max(1);
            for i in 0..chunks {
                let end = value.len().min((i + 1) * max_bytes);
                records.push(Record::Put {
                    key: key.clone(),
                    revision,
                    create_revision: *create_revision,
                    version: *version,
                    lease: *lease,
                    sub: *sub,
                    chunk: i as u32 + 1,
                    chunks: chunks as u32,
                    value: value.slice(i * max_bytes..end),
                });
            }
        }
        Op::Delete { key, sub } => records.push(Record::Delete { key: key.clone(), revision, sub: *sub }),
        Op::Tombstones { keys, sub } => {
            records.push(Record::Tombstones { keys: keys.clone(), revision, sub: *sub });
        }
        Op::LeaseGrant { id, ttl } => records.push(Record::LeaseGrant { id: *id, ttl: *ttl }),
        Op::LeaseRevoke { id } => records.push(Record::LeaseRevoke { id: *id }),
        Op::Compact { revision } => records.push(Record::Compact { revision: *revision }),
        Op::AlarmRaise(alarm) => records.push(Record::AlarmRaise(*alarm)),
        Op::AlarmDisarm(alarm) => records.push(Record::AlarmDisarm(*alarm)),
    }
}

/// Only what puts a key can have one: others name keys that are there.
pub fn has_too_long_a_key(record: &Record) -> bool {
    matches!(record, Record::Put { key, .. } if key.len() > MAX_KEY_BYTES)
}

/// Roughly what a record takes on the wire, for bounding groups.
pub fn size(record: &Record) -> usize {
    const HEADERS: usize = 300;
    HEADERS
        + match record {
            Record::Put { key, value, .. } => key.len() + value.len(),
            Record::Delete { key, .. } => key.len(),
            Record::Tombstones { keys, .. } => keys.iter().map(|k| k.len() + TOMBSTONE_OVERHEAD).sum(),
            _ => 0,
        }
}

/// The entry that records make up, and where each of its ops begins. Chunks of a value that are not all there (only the
/// purged part of a log has such) make no op: what they belong to is superseded. None if no op is left.
pub fn join(records: Vec<(Sequence, Record)>) -> Option<(Entry, Vec<Sequence>)> {
    let mut entry = Entry { revision: Revision::ZERO, ops: Vec::with_capacity(records.len()) };
    let mut at = Vec::with_capacity(records.len());
    let mut value = PartialValue::default();
    for (sequence, record) in records {
        if let Some(revision) = revision_of(&record) {
            entry.revision = entry.revision.max(revision);
        }
        if let Some((begins, op)) = join_record(sequence, record, &mut value) {
            entry.ops.push(op);
            at.push(begins);
        }
    }
    (!entry.ops.is_empty()).then_some((entry, at))
}

/// The chunks of the value that is being put together.
#[derive(Default)]
struct PartialValue {
    begins: Sequence,
    next_chunk: u32,
    bytes: Vec<u8>,
}

fn join_record(sequence: Sequence, record: Record, partial: &mut PartialValue) -> Option<(Sequence, Op)> {
    let op = match record {
        Record::Put { key, create_revision, version, lease, sub, chunk, chunks, value, .. } => {
            let (begins, value) = partial.add(sequence, chunk, chunks, value)?;
            return Some((begins, Op::Put { key, value, lease, create_revision, version, sub }));
        }
        Record::Delete { key, sub, .. } => Op::Delete { key, sub },
        Record::Tombstones { keys, sub, .. } => Op::Tombstones { keys, sub },
        Record::LeaseGrant { id, ttl } => Op::LeaseGrant { id, ttl },
        Record::LeaseRevoke { id } => Op::LeaseRevoke { id },
        Record::Compact { revision } => Op::Compact { revision },
        Record::AlarmRaise(alarm) => Op::AlarmRaise(alarm),
        Record::AlarmDisarm(alarm) => Op::AlarmDisarm(alarm),
        Record::Claim | Record::Fence | Record::Checkpoint(_) | Record::Genesis(_) => return None,
    };
    Some((sequence, op))
}

impl PartialValue {
    /// The whole value with the last chunk, None before it.
    fn add(&mut self, at: Sequence, chunk: u32, chunks: u32, value: Bytes) -> Option<(Sequence, Bytes)> {
        if chunks <= 1 {
            return Some((at, value));
        }
        if chunk == 1 {
            *self = PartialValue { begins: at, next_chunk: 1, bytes: Vec::new() };
        }
        if chunk != self.next_chunk {
            *self = PartialValue::default();
            return None;
        }
        self.bytes.extend_from_slice(&value);
        self.next_chunk += 1;
        (chunk == chunks).then(|| (self.begins, Bytes::from(std::mem::take(&mut self.bytes).into_boxed_slice())))
    }
}

fn revision_of(record: &Record) -> Option<Revision> {
    match record {
        Record::Put { revision, .. } | Record::Delete { revision, .. } | Record::Tombstones { revision, .. } => {
            Some(*revision)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::LeaseId;

    fn put(value: &'static [u8]) -> Op {
        Op::Put {
            key: Bytes::from_static(b"k"),
            value: Bytes::from_static(value),
            lease: LeaseId(7),
            create_revision: Revision(2),
            version: 3,
            sub: 0,
        }
    }

    fn numbered(records: Vec<Record>) -> Vec<(Sequence, Record)> {
        records.into_iter().enumerate().map(|(i, r)| (Sequence(10 + i as u64), r)).collect()
    }

    #[test]
    fn a_value_over_the_limit_comes_back_whole() {
        let ops = vec![put(b"0123456789"), put(b""), Op::Delete { key: Bytes::from_static(b"d"), sub: 2 }];
        let entry = Entry { revision: Revision(4), ops };
        let records = split(&entry, 4);
        assert_eq!(records.len(), 3 + 1 + 1);
        let (joined, at) = join(numbered(records)).unwrap();
        assert_eq!(joined, entry);
        assert_eq!(at, [Sequence(10), Sequence(13), Sequence(14)]);
    }

    #[test]
    fn a_value_that_lost_a_chunk_to_a_purge_makes_no_op() {
        let entry = Entry { revision: Revision(4), ops: vec![put(b"0123456789")] };
        let mut records = numbered(split(&entry, 4));
        records.remove(0);
        assert_eq!(join(records), None);
    }
}
