//! What watchers that start in the past are given.

use std::sync::Arc;

use super::error::Error;
use super::key_value::{Event, RevisionEvents};
use super::machine::State;
use super::revision::Revision;

impl State {
    /// The events of `start` and later revisions, oldest first, at most `max_revisions` of them. As in etcd a start at just
    /// the compacted revision works, but those events have no `prev`: it belongs to a revision that cannot be read any more.
    /// Kubernetes takes that for the sign that it watches from too far back, so it must not depend on what memory still holds.
    ///
    /// Errors: [`Error::Compacted`] below that.
    pub fn events_from(&self, start: Revision, max_revisions: usize) -> Result<Vec<Arc<RevisionEvents>>, Error> {
        if start < self.compacted {
            return Err(Error::Compacted(self.compacted));
        }
        let first = self.history.partition_point(|changed| changed.revision < start);
        let mut events: Vec<_> = self.history.range(first..).take(max_revisions).cloned().collect();
        if let Some(changed) = events.first_mut().filter(|changed| changed.revision == self.compacted) {
            *changed = Arc::new(without_prev(changed));
        }
        Ok(events)
    }
}

fn without_prev(changed: &RevisionEvents) -> RevisionEvents {
    let events = changed.events.iter().map(|event| Arc::new(Event { prev: None, ..Event::clone(event) })).collect();
    RevisionEvents { revision: changed.revision, events }
}
