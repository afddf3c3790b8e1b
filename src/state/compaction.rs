//! Compaction: forgetting what only reads of older revisions would need.

use std::collections::VecDeque;
use std::sync::Arc;

use super::garbage::GarbageTarget;
use super::key_value::RevisionEvents;
use super::machine::State;
use super::revision::Revision;

impl State {
    /// Forgets what no read at or above `revision` sees. Walks the events since the last compaction, not the index.
    /// Returns the events that are history no more, so that the caller chooses when to free them.
    pub(super) fn compact(&mut self, revision: Revision) -> VecDeque<Arc<RevisionEvents>> {
        if revision <= self.compacted {
            return VecDeque::new();
        }
        self.compacted = revision;
        let mut history = std::mem::take(&mut self.history);
        for changed in history.iter().take_while(|changed| changed.revision <= revision) {
            for event in &changed.events {
                self.settle(&event.kv.key);
            }
        }
        let kept = history.partition_point(|changed| changed.revision < revision);
        self.history = history.split_off(kept);
        history
    }

    /// Drops the versions of a key that compaction has made unreadable, and notes their messages as garbage.
    pub(super) fn settle(&mut self, key: &[u8]) {
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
        self.garbage.add(GarbageTarget::Key(last.key.clone()), below, then, awaited_by);
        self.live_bytes -= superseded.dropped.iter().map(|kv| kv.size()).sum::<u64>();
        if history.is_empty() {
            self.index.remove(key);
        }
    }
}
