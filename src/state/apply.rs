//! What an entry does to the state.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::entry::{Entry, Op};
use super::fingerprint::hash_key;
use super::key_history::KeyHistory;
use super::key_value::{Event, EventKind, KeyValue, RevisionEvents};
use super::machine::State;
use super::revision::{LeaseId, Revision, Sequence};

/// What an entry changed, for those who watch the state.
#[derive(Clone, Debug, Default)]
pub struct Applied {
    /// None if no key changed, or below the compacted revision.
    pub events: Option<Arc<RevisionEvents>>,
    /// With their TTL in seconds.
    pub granted: Vec<(LeaseId, i64)>,
    pub revoked: Vec<LeaseId>,
    /// The compacted revision, if it rose.
    pub compacted: Option<Revision>,
    pub alarms_changed: bool,
    /// Events that are history no more: freeing many takes a while, better done without a lock.
    pub dropped: VecDeque<Arc<RevisionEvents>>,
}

impl State {
    /// Applies one entry; `at` says for each op where in the log it begins.
    ///
    /// Never fails: whether an entry counts was decided by those who read the log. A log from which compaction has removed
    /// messages is welcome if [`State::raise`] has told how far: revisions may jump, a deleted key or a named lease
    /// may be missing.
    pub fn apply(&mut self, entry: &Entry, at: &[Sequence]) -> Applied {
        let mut applied = Applied::default();
        let mut events = Vec::new();
        let mut compact = Revision::ZERO;
        self.revision = self.revision.max(entry.revision);
        for (n, op) in entry.ops.iter().enumerate() {
            let at = at.get(n).copied().unwrap_or_default();
            match op {
                Op::Put { .. } => events.push(self.put(op, entry.revision, at)),
                Op::Delete { key } => events.push(self.delete(key, entry.revision, at)),
                Op::Tombstones { keys } => {
                    self.garbage.tombstones_message(at, keys.len());
                    events.extend(keys.iter().map(|key| self.delete(key, entry.revision, at)));
                }
                Op::LeaseGrant { id, ttl } => {
                    self.grant(*id, *ttl, at);
                    applied.granted.push((*id, *ttl));
                }
                Op::LeaseRevoke { id } => {
                    self.revoke(*id, at);
                    applied.revoked.push(*id);
                }
                Op::Compact { revision } => compact = compact.max(*revision),
                Op::AlarmRaise(alarm) => applied.alarms_changed |= self.alarms.insert(*alarm),
                Op::AlarmDisarm(alarm) => applied.alarms_changed |= self.alarms.remove(alarm),
            }
        }
        applied.events = self.remember(entry.revision, events.into_iter().flatten().collect());
        // After the entry's own events, whatever the order of the ops: compacting walks the history.
        if compact > self.compacted {
            self.revision = self.revision.max(compact);
            applied.dropped = self.compact(compact);
            applied.compacted = Some(compact);
        }
        applied
    }

    fn put(&mut self, op: &Op, revision: Revision, at: Sequence) -> Option<Arc<Event>> {
        let Op::Put { key, value, lease, create_revision, version } = op else { return None };
        let (key, value) = self.own(key, value);
        let kv = KeyValue {
            key,
            value,
            create_revision: *create_revision,
            mod_revision: revision,
            // Zero would say tombstone.
            version: (*version).max(1),
            lease: *lease,
            sequence: at,
        };
        self.write(EventKind::Put, kv)
    }

    fn delete(&mut self, key: &Bytes, revision: Revision, at: Sequence) -> Option<Arc<Event>> {
        let (key, _) = self.own(key, &Bytes::new());
        self.write(EventKind::Delete, KeyValue { key, mod_revision: revision, sequence: at, ..KeyValue::default() })
    }

    /// Key and value in memory of their own: what comes in is often a slice of a large buffer, which would live as long.
    /// A key that is known is shared, and so is a value that was taken from the version before.
    fn own(&self, key: &Bytes, value: &Bytes) -> (Bytes, Bytes) {
        let Some(newest) = self.index.get(key).and_then(KeyHistory::newest) else {
            return (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        };
        let same = newest.value.as_ptr() == value.as_ptr() && newest.value.len() == value.len();
        let value = if same { newest.value.clone() } else { Bytes::copy_from_slice(value) };
        (newest.key.clone(), value)
    }

    /// Makes `kv`, a version or a tombstone, the key's newest.
    fn write(&mut self, kind: EventKind, kv: KeyValue) -> Option<Arc<Event>> {
        let kv = Arc::new(kv);
        let prev = self.index.get(&kv.key).and_then(KeyHistory::latest).cloned();
        self.attach(prev.as_deref(), &kv);
        let hash = hash_key(&kv.key);
        if let Some(prev) = &prev {
            self.fingerprint.remove_key(hash, prev.mod_revision);
        }
        if kind == EventKind::Put {
            self.fingerprint.add_key(hash, kv.mod_revision);
        }
        self.live_bytes += kv.size();
        match self.index.get_mut(&kv.key) {
            Some(history) => history.push(kv.clone()),
            None => drop(self.index.insert(kv.key.clone(), KeyHistory::new(kv.clone()))),
        }
        if kv.mod_revision <= self.compacted {
            self.settle(&kv.key);
        }
        (kv.mod_revision >= self.compacted).then(|| Arc::new(Event { kind, kv, prev }))
    }

    fn remember(&mut self, revision: Revision, events: Vec<Arc<Event>>) -> Option<Arc<RevisionEvents>> {
        if events.is_empty() {
            return None;
        }
        let events = Arc::new(RevisionEvents { revision, events });
        self.history.push_back(events.clone());
        Some(events)
    }
}
