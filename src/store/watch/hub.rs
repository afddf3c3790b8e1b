//! Hands events to the watchers that are synced.
//!
//! Invariant, whenever the hub is not locked: the state is applied exactly up to `revision`, and every synced watcher has all
//! events up to it in its queue. Whoever applies entries holds the hub's lock meanwhile ([`Hub::publish`]).
//! Locks are taken in the order hub, stream, state.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, Weak};

use super::Filter;
use super::index::Index;
use super::stream::{Shared, WatchStream, Watcher};
use crate::state::{Event, Revision, RevisionEvents, State};

/// Where the engine hands in what it has applied, and the watchers find it.
pub struct Hub {
    state: Arc<RwLock<State>>,
    live: Mutex<Live>,
}

#[derive(Default)]
pub(super) struct Live {
    revision: Revision,
    /// The synced ones.
    watchers: Index,
    /// By their addresses.
    streams: HashMap<usize, Weak<Shared>>,
    ended: bool,
}

impl Hub {
    pub fn new(state: Arc<RwLock<State>>) -> Arc<Hub> {
        let revision = read(&state).revision();
        let live = Live { revision, ..Live::default() };
        Arc::new(Hub { state, live: Mutex::new(live) })
    }

    pub fn stream(self: &Arc<Self>) -> WatchStream {
        WatchStream::new(self.clone())
    }

    /// Changes the state by `apply` and hands the events it returns (in order) to the synced watchers.
    pub fn publish<T>(&self, apply: impl FnOnce(&mut State) -> (Vec<Arc<RevisionEvents>>, T)) -> T {
        let mut live = self.lock();
        let (events, result) = {
            let mut state = self.state.write().unwrap_or_else(|poisoned| poisoned.into_inner());
            let result = apply(&mut state);
            live.revision = state.revision();
            result
        };
        for revision in &events {
            live.dispatch(revision);
        }
        result
    }

    /// Tells the current revision to the synced watchers that asked for it and got nothing since the last call.
    pub fn progress(&self) {
        let live = self.lock();
        let revision = live.revision;
        for watcher in live.watchers.iter().filter(|w| w.progress_notify && w.start <= revision.next()) {
            if !watcher.active.swap(false, Ordering::Relaxed) {
                watcher.stream.lock().progress(watcher.id, revision);
                watcher.stream.wake();
            }
        }
    }

    /// Ends every stream, and until `open` all that come: their clients must go elsewhere or come again.
    pub fn close(&self) {
        let streams = {
            let mut live = self.lock();
            live.ended = true;
            live.watchers = Index::default();
            std::mem::take(&mut live.streams)
        };
        for stream in streams.values().filter_map(Weak::upgrade) {
            stream.end();
        }
    }

    /// Takes streams again.
    pub fn open(&self) {
        self.lock().ended = false;
    }

    /// How many watchers are synced.
    pub fn synced(&self) -> usize {
        self.lock().watchers.iter().count()
    }

    /// Up to `limit` revisions of history from `next` on, the last revision they cover, and the current one; or the compacted
    /// revision if `next` is not above it.
    pub(super) fn history(
        &self,
        next: Revision,
        limit: usize,
    ) -> Result<(Vec<Arc<RevisionEvents>>, Revision, Revision), Revision> {
        let state = read(&self.state);
        let events = state.events_from(next, limit).map_err(|_| state.compacted())?;
        let reached = match events.last() {
            Some(last) if events.len() == limit => last.revision,
            _ => state.revision(),
        };
        Ok((events, reached, state.revision()))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn read(state: &RwLock<State>) -> std::sync::RwLockReadGuard<'_, State> {
    state.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

impl Live {
    pub(super) fn revision(&self) -> Revision {
        self.revision
    }

    pub(super) fn register(&mut self, stream: &Arc<Shared>) {
        self.streams.insert(Arc::as_ptr(stream).addr(), Arc::downgrade(stream));
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    pub(super) fn forget(&mut self, stream: &Arc<Shared>) {
        self.streams.remove(&Arc::as_ptr(stream).addr());
    }

    pub(super) fn add(&mut self, watcher: Arc<Watcher>) {
        self.watchers.add(watcher);
    }

    pub(super) fn remove(&mut self, watcher: &Arc<Watcher>) {
        self.watchers.remove(watcher);
    }

    fn dispatch(&mut self, changed: &RevisionEvents) {
        let mut behind = Vec::new();
        self.watchers.matching(changed, |watchers, events| deliver(watchers, changed.revision, events, &mut behind));
        for watcher in &behind {
            self.watchers.remove(watcher);
        }
    }
}

/// Gives one list of events to all watchers that want all of it, and to the others what they want of it.
fn deliver(watchers: &[Arc<Watcher>], revision: Revision, all: Arc<[Arc<Event>]>, behind: &mut Vec<Arc<Watcher>>) {
    const EVERYTHING: Filter = Filter { no_put: false, no_delete: false };
    for watcher in watchers.iter().filter(|w| w.start <= revision) {
        let events: Arc<[Arc<Event>]> = match watcher.filter {
            EVERYTHING => all.clone(),
            filter => all.iter().filter(|event| filter.passes(event)).cloned().collect(),
        };
        if events.is_empty() {
            continue;
        }
        if !watcher.stream.lock().deliver_live(watcher, revision, events) {
            behind.push(watcher.clone());
        }
        watcher.stream.wake();
    }
}
