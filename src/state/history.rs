//! What watchers that start in the past are given.

use std::sync::Arc;

use super::error::Error;
use super::key_value::RevisionEvents;
use super::machine::State;
use super::revision::Revision;

impl State {
    /// The events of `start` and later revisions, oldest first, at most `max_revisions` of them. As in etcd a start at just
    /// the compacted revision works (after a replay its events may lack `prev`).
    ///
    /// Errors: [`Error::Compacted`] below that.
    pub fn events_from(&self, start: Revision, max_revisions: usize) -> Result<Vec<Arc<RevisionEvents>>, Error> {
        if start < self.compacted {
            return Err(Error::Compacted(self.compacted));
        }
        let first = self.history.partition_point(|changed| changed.revision < start);
        Ok(self.history.range(first..).take(max_revisions).cloned().collect())
    }
}
