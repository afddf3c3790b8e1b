//! What an entry does to the state.

use std::collections::btree_map;
use std::sync::Arc;

use bytes::Bytes;

use super::entry::{Entry, Op};
use super::fingerprint::hash_key;
use super::key_history::KeyHistory;
use super::key_value::{Event, EventKind, KeyValue, RevisionEvents};
use super::machine::State;
use super::revision::{LeaseId, Revision, Sequence};

/// How many events of a compaction are settled with each entry: enough to be done long before the next compaction, and too few
/// to be felt by those who wait for the entry.
const SETTLED_WITH_EACH: usize = 16;

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
        let mut compact = (Revision::ZERO, Sequence::ZERO);
        self.revision = self.revision.max(entry.revision);
        for (n, op) in entry.ops.iter().enumerate() {
            let at = at.get(n).copied().unwrap_or_default();
            match op {
                Op::Put { .. } => events.push(self.put(op, entry.revision, at)),
                Op::Delete { key, sub } => events.push(self.delete(key, entry.revision, *sub, at)),
                Op::Tombstones { keys, sub } => {
                    self.garbage.tombstones_message(at, keys.len());
                    events.extend((*sub..).zip(keys).map(|(sub, key)| self.delete(key, entry.revision, sub, at)));
                }
                Op::LeaseGrant { id, ttl } => {
                    self.grant(*id, *ttl, at);
                    applied.granted.push((*id, *ttl));
                }
                Op::LeaseRevoke { id } => {
                    self.revoke(*id, at);
                    applied.revoked.push(*id);
                }
                Op::Compact { revision } => compact = compact.max((*revision, at)),
                Op::AlarmRaise(alarm) => {
                    self.alarms.insert(*alarm);
                }
                Op::AlarmDisarm(alarm) => {
                    self.alarms.remove(alarm);
                }
            }
        }
        applied.events = self.remember(entry.revision, events.into_iter().flatten().collect());
        // After the entry's own events, whatever the order of the ops: compacting walks the history.
        let (compacted, at) = compact;
        if compacted > self.compacted {
            self.revision = self.revision.max(compacted);
            self.compact(compacted, at);
            applied.compacted = Some(compacted);
        }
        self.find_garbage(SETTLED_WITH_EACH);
        applied
    }

    fn put(&mut self, op: &Op, revision: Revision, at: Sequence) -> Option<Arc<Event>> {
        let Op::Put { key, value, lease, create_revision, version, sub } = op else { return None };
        let kv = KeyValue {
            key: key.clone(),
            value: value.clone().into(),
            create_revision: *create_revision,
            mod_revision: revision,
            // Zero would say tombstone.
            version: (*version).max(1),
            lease: *lease,
            sub: *sub,
            sequence: at,
        };
        self.write(EventKind::Put, kv)
    }

    fn delete(&mut self, key: &Bytes, revision: Revision, sub: u32, at: Sequence) -> Option<Arc<Event>> {
        let kv = KeyValue { key: key.clone(), mod_revision: revision, sub, sequence: at, ..KeyValue::default() };
        self.write(EventKind::Delete, kv)
    }

    /// Makes `kv`, a version or a tombstone, the key's newest.
    fn write(&mut self, kind: EventKind, kv: KeyValue) -> Option<Arc<Event>> {
        let (kv, prev) = self.insert(kv);
        self.attach(prev.as_deref(), &kv);
        let hash = hash_key(&kv.key);
        if let Some(prev) = &prev {
            self.fingerprint.remove_key(hash, prev.mod_revision);
        }
        if kind == EventKind::Put {
            self.fingerprint.add_key(hash, kv.mod_revision);
        }
        self.live_bytes += kv.size();
        self.held += 1;
        if kv.mod_revision <= self.compacted {
            self.settle_key(&kv.key);
        }
        if kv.mod_revision < self.compacted {
            return None;
        }
        let prev = self.before_revision(&kv, prev);
        Some(Arc::new(Event { kind, kv, prev }))
    }

    /// What stood there at the revision before, for a key that was not created now. That is `prev`, unless the transaction
    /// changes the key more than once.
    ///
    /// A key that was created now, and yet stands there from before, was deleted by a message that compaction has removed. What stands there
    /// is told of all the same: compaction has to free it again, and no client asks about revisions that it covers.
    fn before_revision(&self, kv: &KeyValue, prev: Option<Arc<KeyValue>>) -> Option<Arc<KeyValue>> {
        match prev {
            Some(prev) if prev.mod_revision == kv.mod_revision => {
                let before = Revision(kv.mod_revision.0 - 1);
                self.index.get(&kv.key)?.at(before).filter(|_| kv.create_revision != kv.mod_revision).cloned()
            }
            prev => prev,
        }
    }

    /// Puts it into the index, and returns it with what was the current version before.
    ///
    /// Key and value come to memory of their own: what comes in is often a slice of a large buffer, which would live as
    /// long. A key that is known is shared, and so is a value that was taken from the version before (where that is in memory).
    fn insert(&mut self, mut kv: KeyValue) -> (Arc<KeyValue>, Option<Arc<KeyValue>>) {
        // One search for both, as each takes long in a large index.
        let entry = self.index.entry(Bytes::copy_from_slice(&kv.key));
        let newest = match &entry {
            btree_map::Entry::Occupied(known) => known.get().newest(),
            btree_map::Entry::Vacant(_) => None,
        };
        let taken = newest.map(|newest| &newest.value).filter(|value| value.is_same(&kv.value));
        kv.value = match (taken, &self.values) {
            (Some(value), _) => value.clone(),
            (None, Some(values)) => values.keep(&kv.value.bytes()),
            (None, None) => Bytes::copy_from_slice(&kv.value.bytes()).into(),
        };
        kv.key = entry.key().clone();
        let kv = Arc::new(kv);
        match entry {
            btree_map::Entry::Occupied(mut known) => {
                let prev = known.get().latest().cloned();
                known.get_mut().push(kv.clone());
                (kv, prev)
            }
            btree_map::Entry::Vacant(new) => {
                new.insert(KeyHistory::new(kv.clone()));
                (kv, None)
            }
        }
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
