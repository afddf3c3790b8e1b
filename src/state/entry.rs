//! What one transaction writes: the unit the log stores whole or not at all.

use bytes::Bytes;

use super::request::Alarm;
use super::revision::{LeaseId, Revision};

/// One effect on the state. Everything an effect needs is in it, so that replaying a compacted log
/// gives the same state as replaying all of it. `sub` is etcd's sub-revision: which change of a key in its
/// transaction it is, from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    Put {
        key: Bytes,
        value: Bytes,
        lease: LeaseId,
        create_revision: Revision,
        version: i64,
        sub: u32,
    },
    Delete {
        key: Bytes,
        sub: u32,
    },
    /// Many deletes in one: for ranges and leases with more keys than a batch has room for. `sub` is the first key's; the
    /// others follow.
    Tombstones {
        keys: Vec<Bytes>,
        sub: u32,
    },
    /// `ttl` in seconds.
    LeaseGrant {
        id: LeaseId,
        ttl: i64,
    },
    /// The lease alone; its keys are deleted by ops of their own in the same entry.
    LeaseRevoke {
        id: LeaseId,
    },
    Compact {
        revision: Revision,
    },
    AlarmRaise(Alarm),
    AlarmDisarm(Alarm),
}

/// The ops of one transaction, in order. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The store's revision after the entry: one more than before if it writes keys, else unchanged.
    pub revision: Revision,
    pub ops: Vec<Op>,
}

impl Op {
    /// Whether the op changes keys and so takes a revision.
    pub fn writes_keys(&self) -> bool {
        self.changes() > 0
    }

    /// How many changes of keys it is.
    pub fn changes(&self) -> usize {
        match self {
            Op::Put { .. } | Op::Delete { .. } => 1,
            Op::Tombstones { keys, .. } => keys.len(),
            _ => 0,
        }
    }
}
