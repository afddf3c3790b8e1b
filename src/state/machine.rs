//! The state itself: what is held, and the simple questions about it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use bytes::Bytes;

use super::fingerprint::Fingerprint;
use super::garbage::GarbageBook;
use super::hash::HashScope;
use super::key_history::KeyHistory;
use super::key_value::{KeyValue, RevisionEvents};
use super::lease::Lease;
use super::request::Alarm;
use super::revision::{LeaseId, Revision, Sequence};
use super::value::Values;

/// Everything that the entries applied so far come to.
///
/// ```text
/// put a=1 (rev 2)   put b=1 (rev 3)   put a=2 (rev 4)   delete b (rev 5)
///
/// index    a: [2, 4]   b: [3, tombstone 5]       reads at 2, 3, 4 and 5 are possible
/// history  2, 3, 4, 5                            a watcher may start at any of them
///
/// after compact(4), and settle
/// index    a: [4]      b: [3, tombstone 5]       3 is what a read at 4 must see of b
/// history  4, 5
/// ```
#[derive(Clone, Debug)]
pub struct State {
    pub(super) revision: Revision,
    /// The oldest revision that can be read, or zero.
    pub(super) compacted: Revision,
    /// Where in the log that was said, or after it.
    pub(super) compacted_by: Sequence,
    /// Every key that some readable revision has, and those whose tombstone is at or above `compacted`.
    pub(super) index: BTreeMap<Bytes, KeyHistory>,
    /// The events of `compacted` and of what came after it, by revision.
    pub(super) history: VecDeque<Arc<RevisionEvents>>,
    /// Events at or below `compacted` whose keys may still hold versions that nobody can read.
    pub(super) unsettled: VecDeque<Arc<RevisionEvents>>,
    pub(super) holds_compactions: bool,
    /// Compactions, oldest first, that wait to be hashed: until then nothing is settled.
    pub(super) unhashed: VecDeque<HashScope>,
    pub(super) leases: BTreeMap<LeaseId, Lease>,
    pub(super) alarms: BTreeSet<Alarm>,
    pub(super) garbage: GarbageBook,
    pub(super) fingerprint: Fingerprint,
    pub(super) live_bytes: u64,
    pub(super) held: u64,
    /// None: values are in memory.
    pub(super) values: Option<Arc<dyn Values>>,
}

impl State {
    /// A state without keys: [`Revision::FIRST`] and [`Revision::ZERO`] for an empty store, the genesis record's or a
    /// checkpoint's figures for one whose log starts there.
    pub fn new(revision: Revision, compacted: Revision) -> State {
        State {
            revision: revision.max(compacted),
            compacted,
            compacted_by: Sequence::ZERO,
            index: BTreeMap::new(),
            history: VecDeque::new(),
            unsettled: VecDeque::new(),
            holds_compactions: false,
            unhashed: VecDeque::new(),
            leases: BTreeMap::new(),
            alarms: BTreeSet::new(),
            garbage: GarbageBook::default(),
            fingerprint: Fingerprint::default(),
            live_bytes: 0,
            held: 0,
            values: None,
        }
    }

    /// The same with its values where `values` puts them; None: in memory.
    pub fn keeping(self, values: Option<Arc<dyn Values>>) -> State {
        State { values, ..self }
    }

    /// Lifts the floors to the figures of a checkpoint that describes the log up to `at`, before or after a replay up to that checkpoint of a log from which
    /// compaction has removed messages. Never lowers anything.
    ///
    /// No way to catch up for a state that fell behind a removal: a key may have ended whose tombstone is gone too. Such a
    /// state begins anew.
    pub fn raise(&mut self, at: Sequence, revision: Revision, compacted: Revision) {
        self.revision = self.revision.max(revision).max(compacted);
        self.compact(compacted, at);
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// The oldest revision that can be read; zero: never compacted.
    pub fn compacted(&self) -> Revision {
        self.compacted
    }

    /// The key's current version.
    pub fn get(&self, key: &[u8]) -> Option<&Arc<KeyValue>> {
        self.index.get(key)?.latest()
    }

    pub fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.get(&id)
    }

    /// By id.
    pub fn leases(&self) -> impl ExactSizeIterator<Item = (LeaseId, &Lease)> {
        self.leases.iter().map(|(id, lease)| (*id, lease))
    }

    pub fn alarms(&self) -> &BTreeSet<Alarm> {
        &self.alarms
    }

    /// What a checkpoint says about the state, to be compared after a replay.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Bytes of the keys and values of every version that is held.
    pub fn live_bytes(&self) -> u64 {
        self.live_bytes
    }

    /// How many versions and tombstones are held.
    pub fn held(&self) -> u64 {
        self.held
    }
}
