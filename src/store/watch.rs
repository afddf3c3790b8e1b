//! Watching: one [`WatchStream`] for each gRPC stream, with any number of watchers on one ordered queue.

use std::sync::Arc;

use crate::state::{Event, KeyRange, Revision};

#[derive(Clone, Debug)]
pub struct WatchRequest {
    /// A client's own id, or None: the lowest free one of the stream, from 0.
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
#[derive(Clone, Debug)]
pub enum WatchOutput {
    /// `revision`: the store's when it was created.
    Created { id: i64, revision: Revision },
    /// The id is taken (`duplicate`): answered as created and canceled at once, with id -1.
    Refused { revision: Revision },
    /// All events of one revision that the watcher wants; never empty. Revisions rise. Watchers of the same
    /// range share one list.
    Events { id: i64, revision: Revision, events: Arc<[Arc<Event>]> },
    /// The client asked for it.
    Canceled { id: i64, revision: Revision },
    /// The start, or where a slow watcher stands, is compacted.
    Compacted { id: i64, compact_revision: Revision, revision: Revision },
    /// For one watcher (periodic) or, with id -1, all of the stream (requested): every event up to `revision` was delivered
    /// before, and none at or below it comes after.
    Progress { id: i64, revision: Revision },
}

/// The watchers of one client stream. Dropping it removes them.
pub struct WatchStream {}

#[allow(unused_variables, clippy::todo)]
impl WatchStream {
    /// Answers in the stream: Created or Refused, before any event of the watcher. These answers come in the order of the
    /// calls: the caller tells by it which request an id belongs to.
    pub fn create(&self, request: WatchRequest) {
        todo!()
    }

    /// Answers in the stream: Canceled; nothing if there is no such watcher.
    pub fn cancel(&self, id: i64) {
        todo!()
    }

    /// Answers in the stream: Progress with id -1, once every watcher is synced.
    pub fn request_progress(&self) {
        todo!()
    }

    /// The next thing to send. None: the store is stopping or cannot go on; end the stream with Unavailable. May be called while
    /// `create`, `cancel` and `request_progress` are called from another task. Cancel safe: a call that was dropped before it
    /// resolved has taken nothing.
    pub async fn next(&self) -> Option<WatchOutput> {
        todo!()
    }
}
