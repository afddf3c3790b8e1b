//! Compaction: forgetting what only reads of older revisions would need.
//!
//! What can be read changes at once. Freeing what can be read no more takes a look at every key that changed since the last
//! compaction, so that is done piece by piece: a little with every entry, and the rest by whoever calls
//! [`State::find_garbage`]. It walks the events, not the index.

use super::garbage::GarbageTarget;
use super::hash::HashScope;
use super::key_value::{Event, EventKind};
use super::machine::State;
use super::revision::{Revision, Sequence};

impl State {
    /// From here on nothing below `revision` can be read: by an entry at `at`, or before it.
    pub(super) fn compact(&mut self, revision: Revision, at: Sequence) {
        if revision <= self.compacted {
            return;
        }
        if self.holds_compactions {
            self.unhashed.push_back(HashScope { compacted: self.compacted, revision, compaction: true });
        }
        self.compacted = revision;
        self.compacted_by = at;
        let below = self.history.partition_point(|changed| changed.revision < revision);
        self.unsettled.extend(self.history.drain(..below));
        // It stays history, and supersedes what was before it.
        self.unsettled.extend(self.history.front().filter(|changed| changed.revision == revision).cloned());
    }

    /// Frees what compaction made unreadable and notes it as garbage: of some keys only, about `max_events` of them.
    /// Whether there is more to do; nothing can be done while a compaction is [`State::unhashed`].
    pub fn find_garbage(&mut self, max_events: usize) -> bool {
        if !self.unhashed.is_empty() {
            return true;
        }
        let mut settled = 0;
        while settled < max_events {
            let Some(changed) = self.unsettled.pop_front() else { return false };
            changed.events.iter().filter(|event| supersedes(event)).for_each(|event| self.settle_key(&event.kv.key));
            settled += changed.events.len();
        }
        !self.unsettled.is_empty()
    }

    /// Drops the versions of a key that nobody can read.
    pub(super) fn settle_key(&mut self, key: &[u8]) {
        let Some(history) = self.index.get_mut(key) else { return };
        let Some(superseded) = history.compact(self.compacted) else { return };
        let Some(last) = superseded.dropped.last() else { return };
        let messages = superseded.dropped.iter().filter(|kv| kv.is_tombstone()).map(|kv| kv.sequence);
        let awaited_by: Vec<_> = messages.filter(|at| self.garbage.is_tombstones_message(*at)).collect();
        let (below, then) = match superseded.by {
            Some(by) => (by, None),
            // A tombstones message stands elsewhere and is not removed key by key.
            None if awaited_by.last() == Some(&last.sequence) => (last.sequence, None),
            None => (last.sequence, Some(last.sequence.next())),
        };
        let made = self.compacted_by.max(below);
        self.garbage.add(GarbageTarget::Key(last.key.clone()), below, then, made, awaited_by);
        self.held -= superseded.dropped.len() as u64;
        self.live_bytes -= superseded.dropped.iter().map(|kv| kv.size()).sum::<u64>();
        if history.is_empty() {
            self.index.remove(key);
        }
    }
}

/// Whether something may have become superfluous by it. Where a put created its key, a delete before it has seen to that. (An
/// event's `prev` is of an earlier revision, and says nothing of a put of the same revision; the version does.)
fn supersedes(event: &Event) -> bool {
    event.kind == EventKind::Delete || event.prev.is_some() || event.kv.version > 1
}
