//! Watching: one [`WatchStream`] for each gRPC stream, with any number of watchers on one queue.
//!
//! The [`Hub`] hands each revision's events to the watchers that are *synced*. A watcher that starts in the past, or whose stream
//! is not read fast enough, is not synced: its stream reads the history for it, at the client's pace, until it has
//! caught up. So a slow client costs only itself.

mod hub;
mod index;
mod queue;
mod stream;

use std::sync::Arc;

pub use hub::Hub;
pub use stream::WatchStream;

use crate::state::{Event, EventKind, KeyRange, Revision};

/// As etcd's WatchCreateRequest.
#[derive(Clone, Debug)]
pub struct WatchRequest {
    /// A client's own id, or None: the next free one of the stream, from 0.
    pub id: Option<i64>,
    pub range: KeyRange,
    /// 0: from now on. In the past: history first. In the future: nothing before it.
    pub start: Revision,
    pub no_put: bool,
    pub no_delete: bool,
    /// Tell the revision now and then when there are no events.
    pub progress_notify: bool,
}

/// What happens on the stream, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum WatchOutput {
    /// `revision`: the store's when it was created.
    Created { id: i64, revision: Revision },
    /// The client's own id is taken: answered as created and canceled at once, with id -1.
    Refused { revision: Revision },
    /// All events of one revision that the watcher wants; never empty. Revisions rise. Watchers of the same
    /// range share one list. `current` is the store's revision if they come from the history, for a watcher that catches up,
    /// and theirs if they are new; etcd says the same in its headers.
    Events { id: i64, revision: Revision, current: Revision, events: Arc<[Arc<Event>]> },
    /// The client asked for it.
    Canceled { id: i64, revision: Revision },
    /// The start, or where a slow watcher stands, is compacted.
    Compacted { id: i64, compact_revision: Revision, revision: Revision },
    /// For one watcher (periodic) or, with id -1, all of the stream (requested): every event up to `revision` was delivered
    /// before, and none at or below it comes after.
    Progress { id: i64, revision: Revision },
}

/// Which events of its range a watcher wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Filter {
    no_put: bool,
    no_delete: bool,
}

impl Filter {
    fn passes(self, event: &Event) -> bool {
        match event.kind {
            EventKind::Put => !self.no_put,
            EventKind::Delete => !self.no_delete,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::stream::{Shared, Watcher};
    use super::*;

    pub(super) fn watcher(id: i64, range: KeyRange) -> Arc<Watcher> {
        let request = WatchRequest {
            id: None,
            range,
            start: Revision(0),
            no_put: false,
            no_delete: false,
            progress_notify: false,
        };
        Arc::new(Watcher::new(id, request, Revision(1), Arc::new(Shared::default())))
    }
}
