//! A key at one revision, and what changed it.

use std::sync::Arc;

use bytes::Bytes;

use super::revision::{LeaseId, Revision, Sequence};
use super::value::Value;

/// One version of a key. Shared by the index, the history and every response that carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyValue {
    pub key: Bytes,
    pub value: Value,
    /// The revision that made the key exist; a delete and a new put begin anew.
    pub create_revision: Revision,
    /// The revision that wrote this version.
    pub mod_revision: Revision,
    /// 1 for the put that created the key, plus one for each put since.
    pub version: i64,
    pub lease: LeaseId,
    /// etcd's sub-revision: which of the changes of `mod_revision` this is, from 0.
    pub sub: u32,
    /// Where in the log this version begins (the first message of its value).
    pub sequence: Sequence,
}

impl KeyValue {
    /// Not a version but the mark that the key ended here: only key, mod_revision, sub and sequence are set.
    pub fn is_tombstone(&self) -> bool {
        self.version == 0
    }

    /// Bytes of key and value: what the version counts for in [`State::live_bytes`](super::State::live_bytes).
    pub(super) fn size(&self) -> u64 {
        (self.key.len() + self.value.len()) as u64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Put,
    Delete,
}

/// One change of one key, as watchers get it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    /// After a put: the new version. After a delete: only key and mod_revision (and sub and sequence) are set.
    pub kv: Arc<KeyValue>,
    /// What stood there before, if the key existed; held by the event, so compaction cannot take it away.
    pub prev: Option<Arc<KeyValue>>,
}

/// All events of one revision, in the order in which the transaction made them. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionEvents {
    pub revision: Revision,
    pub events: Vec<Arc<Event>>,
}
