//! One client stream: its watchers, its queue, and the catching up of those that are behind.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::Notify;

use super::hub::Hub;
use super::index::Slot;
use super::queue::{Delivery, Place, Queue};
use super::{Filter, WatchOutput, WatchRequest};
use crate::state::{Event, KeyRange, Revision, RevisionEvents};

/// Outputs that may wait for a client before its watchers are taken off the live events and read the history instead. Large
/// enough for a client that stalls for some milliseconds under load, small enough that a dead one holds little …
const QUEUE_LIMIT: usize = 1024;
/// … and for each watcher so many, where that is more: whose watchers are all of one key is told each revision as often as there are watchers.
const QUEUE_LIMIT_EACH: usize = 64;

/// Revisions of history read at once for a watcher that catches up, as many as etcd reads; bounds how long the state is
/// locked.
const CATCH_UP_REVISIONS: usize = 1000;

/// The id of outputs that concern all watchers of a stream.
pub(super) const ALL_WATCHERS: i64 = -1;

/// The watchers of one client stream. Dropping it removes them.
pub struct WatchStream {
    hub: Arc<Hub>,
    shared: Arc<Shared>,
}

/// What the hub and the stream's reader share. Locked after the hub, never before it.
#[derive(Default)]
pub(super) struct Shared {
    watching: Mutex<Watching>,
    changed: Notify,
}

#[derive(Default)]
pub(super) struct Watching {
    outputs: Queue,
    watchers: BTreeMap<i64, Arc<Watcher>>,
    /// Ids below it are not given out again, so that a client does not take one watcher's events for another's.
    next_id: i64,
    /// Those of `watchers` that are not synced, with the first revision they have not got.
    behind: BTreeMap<i64, Revision>,
    /// The one of them whose turn was last.
    last_turn: i64,
    /// Nothing was taken out of the queue since.
    had_turn: bool,
    /// Progress was requested while a watcher was behind.
    progress_wanted: bool,
    ended: bool,
}

pub(super) struct Watcher {
    pub(super) id: i64,
    pub(super) range: KeyRange,
    pub(super) filter: Filter,
    pub(super) progress_notify: bool,
    /// Nothing before it is delivered.
    pub(super) start: Revision,
    /// Something was delivered since the last periodic progress.
    pub(super) active: AtomicBool,
    pub(super) slot: Slot,
    queued: Place,
    pub(super) stream: Arc<Shared>,
}

impl Watcher {
    pub(super) fn new(id: i64, request: WatchRequest, start: Revision, stream: Arc<Shared>) -> Watcher {
        Watcher {
            id,
            range: request.range,
            filter: Filter { no_put: request.no_put, no_delete: request.no_delete },
            progress_notify: request.progress_notify,
            start,
            active: AtomicBool::new(true),
            slot: Slot::default(),
            queued: Place::default(),
            stream,
        }
    }
}

impl WatchStream {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        let shared = Arc::new(Shared::default());
        hub.lock().register(&shared);
        WatchStream { hub, shared }
    }

    /// Answers in the stream: Created or Refused, before any event.
    pub fn create(&self, request: WatchRequest) {
        let mut hub = self.hub.lock();
        let revision = hub.revision();
        let mut watching = self.shared.lock();
        let id = match request.id {
            Some(id) if watching.watchers.contains_key(&id) => {
                watching.outputs.push(WatchOutput::Refused { revision });
                drop(watching);
                self.shared.changed.notify_one();
                return;
            }
            Some(id) => id,
            None => watching.free_id(),
        };
        let start = if request.start <= Revision::ZERO { revision.next() } else { request.start };
        let watcher = Arc::new(Watcher::new(id, request, start, self.shared.clone()));
        watching.outputs.push(WatchOutput::Created { id, revision });
        watching.watchers.insert(id, watcher.clone());
        if start > revision {
            hub.add(watcher);
        } else {
            watching.behind.insert(id, start);
        }
        watching.ended |= hub.ended();
        drop(watching);
        self.shared.changed.notify_one();
    }

    /// Answers in the stream: Canceled; nothing if there is no such watcher.
    pub fn cancel(&self, id: i64) {
        let mut hub = self.hub.lock();
        let mut watching = self.shared.lock();
        let Some(watcher) = watching.remove(id) else { return };
        hub.remove(&watcher);
        let revision = hub.revision();
        watching.outputs.push(WatchOutput::Canceled { id, revision });
        watching.answer_progress(revision);
        drop(watching);
        self.shared.changed.notify_one();
    }

    /// Answers in the stream: Progress with id -1, once every watcher is synced. Like etcd, says nothing where there is no
    /// watcher, or one that waits for a revision of the future.
    pub fn request_progress(&self) {
        let hub = self.hub.lock();
        let mut watching = self.shared.lock();
        watching.progress_wanted = true;
        watching.answer_progress(hub.revision());
        drop(watching);
        self.shared.changed.notify_one();
    }

    /// The next revision's events of watcher `id`, if they come next and `takes` says so, with the revision for the header. Does not wait.
    pub fn more_of(&self, id: i64, takes: impl FnOnce(&[Arc<Event>]) -> bool) -> Option<(Revision, Arc<[Arc<Event>]>)> {
        match self.shared.lock().outputs.pop_more(id, takes)? {
            WatchOutput::Events { current, events, .. } => Some((current, events)),
            _ => None,
        }
    }

    /// The next thing to send. None: the store is stopping or cannot go on; end the stream with Unavailable. May be called while
    /// `create`, `cancel` and `request_progress` are called from another task.
    pub async fn next(&self) -> Option<WatchOutput> {
        loop {
            // Registered before looking, so that no wake-up is lost in between.
            let changed = self.shared.changed.notified();
            match self.step() {
                Step::Output(output) => return Some(output),
                Step::Ended => return None,
                Step::Again => tokio::task::yield_now().await,
                Step::Wait => changed.await,
            }
        }
    }

    fn step(&self) -> Step {
        let behind = {
            let mut watching = self.shared.lock();
            if watching.ended {
                return Step::Ended;
            }
            match watching.next_behind() {
                Some(behind) => behind,
                None => return watching.outputs.pop().map_or(Step::Wait, Step::Output),
            }
        };
        self.catch_up(&behind.0, behind.1);
        Step::Again
    }

    /// Reads one piece of history for a watcher; makes it synced when that reaches the present.
    fn catch_up(&self, watcher: &Arc<Watcher>, next: Revision) {
        let (history, reached, current) = match self.hub.history(next, CATCH_UP_REVISIONS) {
            Ok(piece) => piece,
            Err(compact_revision) => return self.compacted(watcher.id, compact_revision),
        };
        let mut live = self.hub.lock();
        let mut watching = self.shared.lock();
        if !watching.watchers.get(&watcher.id).is_some_and(|w| Arc::ptr_eq(w, watcher)) {
            return;
        }
        for revision in &history {
            watching.deliver(watcher, revision, current);
        }
        if reached >= live.revision() {
            watching.behind.remove(&watcher.id);
            live.add(watcher.clone());
            watching.answer_progress(live.revision());
        } else {
            watching.behind.insert(watcher.id, reached.next());
        }
    }

    fn compacted(&self, id: i64, compact_revision: Revision) {
        let hub = self.hub.lock();
        let mut watching = self.shared.lock();
        if watching.remove(id).is_some() {
            let revision = hub.revision();
            watching.outputs.push(WatchOutput::Compacted { id, compact_revision, revision });
            watching.answer_progress(revision);
        }
    }
}

enum Step {
    Output(WatchOutput),
    /// Nothing to send yet, but there may be at the next look.
    Again,
    Wait,
    Ended,
}

impl Drop for WatchStream {
    fn drop(&mut self) {
        let mut hub = self.hub.lock();
        let watchers = std::mem::take(&mut self.shared.lock().watchers);
        for watcher in watchers.values() {
            hub.remove(watcher);
        }
        hub.forget(&self.shared);
    }
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, Watching> {
        self.watching.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Ends the stream; what still waits in it is not sent.
    pub(super) fn end(&self) {
        self.lock().ended = true;
        self.wake();
    }
}

impl Watching {
    fn queue_limit(&self) -> usize {
        QUEUE_LIMIT.max(self.watchers.len() * QUEUE_LIMIT_EACH)
    }

    fn free_id(&mut self) -> i64 {
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        self.next_id += 1;
        self.next_id - 1
    }

    /// Whose turn it is to catch up, if it is anybody's now: what is in the queue already takes turns with them.
    /// One after the other: who is behind again and again must not keep the others so.
    fn next_behind(&mut self) -> Option<(Arc<Watcher>, Revision)> {
        let had_turn = std::mem::take(&mut self.had_turn);
        if !self.outputs.is_empty() && (had_turn || self.outputs.len() > self.queue_limit() / 2) {
            return None;
        }
        let after = (Bound::Excluded(self.last_turn), Bound::Unbounded);
        let (id, next) = self.behind.range(after).next().or_else(|| self.behind.first_key_value())?;
        (self.last_turn, self.had_turn) = (*id, true);
        self.watchers.get(id).map(|watcher| (watcher.clone(), *next))
    }

    fn remove(&mut self, id: i64) -> Option<Arc<Watcher>> {
        self.behind.remove(&id);
        self.watchers.remove(&id)
    }

    /// A live revision for a synced watcher. False: the queue is full, and the watcher now behind.
    pub(super) fn deliver_live(&mut self, watcher: &Watcher, revision: Revision, events: Arc<[Arc<Event>]>) -> bool {
        if self.outputs.len() >= self.queue_limit() {
            self.behind.insert(watcher.id, revision);
            return false;
        }
        watcher.active.store(true, Ordering::Relaxed);
        self.outputs.push_events(watcher.id, &watcher.queued, Delivery { revision, current: revision, events });
        true
    }

    fn deliver(&mut self, watcher: &Watcher, revision: &RevisionEvents, current: Revision) {
        let events: Arc<[Arc<Event>]> = revision
            .events
            .iter()
            .filter(|event| watcher.range.contains(&event.kv.key) && watcher.filter.passes(event))
            .cloned()
            .collect();
        if !events.is_empty() {
            watcher.active.store(true, Ordering::Relaxed);
            let revision = revision.revision;
            self.outputs.push_events(watcher.id, &watcher.queued, Delivery { revision, current, events });
        }
    }

    /// Periodic progress; left out where the client does not even take events.
    pub(super) fn progress(&mut self, id: i64, revision: Revision) {
        if self.outputs.len() < self.queue_limit() {
            self.outputs.push(WatchOutput::Progress { id, revision });
        }
    }

    fn requested_progress(&mut self, id: i64, revision: Revision) {
        self.outputs.push(WatchOutput::Progress { id, revision });
    }

    fn answer_progress(&mut self, revision: Revision) {
        if !self.progress_wanted || !self.behind.is_empty() {
            return;
        }
        self.progress_wanted = false;
        let all_started = self.watchers.values().all(|w| w.start <= revision.next());
        if !self.watchers.is_empty() && all_started {
            self.requested_progress(ALL_WATCHERS, revision);
        }
    }
}
