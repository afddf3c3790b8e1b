//! Hands events to the watchers that are synced.
//!
//! Invariant, whenever the hub is not locked: the state is applied exactly up to `revision`, and every synced watcher has all
//! events up to it in its queue. Whoever applies entries holds the hub's lock meanwhile ([`Hub::publish`]).
//! Locks are taken in the order hub, stream, state.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, RwLock, Weak};

use bytes::Bytes;

use super::Filter;
use super::stream::{Shared, WatchStream, Watcher};
use crate::state::{Event, KeyRange, Revision, RevisionEvents, State};

pub struct Hub {
    state: Arc<RwLock<State>>,
    live: Mutex<Live>,
}

/// The synced watchers, by what they watch, so that watchers of the same range are matched once.
pub(super) struct Live {
    revision: Revision,
    single: HashMap<Bytes, Vec<Arc<Watcher>>>,
    ranges: HashMap<KeyRange, Vec<Arc<Watcher>>>,
    streams: Vec<Weak<Shared>>,
    ended: bool,
}

impl Hub {
    pub fn new(state: Arc<RwLock<State>>) -> Arc<Hub> {
        let revision = read(&state).revision();
        let live = Live { revision, single: HashMap::new(), ranges: HashMap::new(), streams: Vec::new(), ended: false };
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
        for watcher in live.watchers().filter(|w| w.progress_notify && w.start <= revision.next()) {
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
            live.single.clear();
            live.ranges.clear();
            std::mem::take(&mut live.streams)
        };
        for stream in streams.iter().filter_map(Weak::upgrade) {
            stream.end();
        }
    }

    /// Takes streams again.
    pub fn open(&self) {
        self.lock().ended = false;
    }

    /// How many watchers are synced.
    pub fn synced(&self) -> usize {
        self.lock().watchers().count()
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
        self.streams.push(Arc::downgrade(stream));
    }

    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    pub(super) fn forget(&mut self, stream: &Arc<Shared>) {
        self.streams.retain(|s| s.as_ptr() != Arc::as_ptr(stream));
    }

    pub(super) fn add(&mut self, watcher: Arc<Watcher>) {
        match &watcher.range {
            KeyRange::Single(key) => self.single.entry(key.clone()).or_default().push(watcher),
            range => self.ranges.entry(range.clone()).or_default().push(watcher),
        }
    }

    pub(super) fn remove(&mut self, watcher: &Arc<Watcher>) {
        match &watcher.range {
            KeyRange::Single(key) => remove_from(&mut self.single, key, watcher),
            range => remove_from(&mut self.ranges, range, watcher),
        }
    }

    fn watchers(&self) -> impl Iterator<Item = &Arc<Watcher>> {
        self.single.values().chain(self.ranges.values()).flatten()
    }

    fn dispatch(&mut self, revision: &RevisionEvents) {
        let mut behind = Vec::new();
        if !self.single.is_empty() {
            self.dispatch_single(revision, &mut behind);
        }
        for (range, watchers) in &self.ranges {
            let matching = |event: &&Arc<Event>| range.contains(&event.kv.key);
            if revision.events.iter().any(|event| matching(&event)) {
                let events = revision.events.iter().filter(matching).cloned().collect();
                deliver(watchers, revision.revision, events, &mut behind);
            }
        }
        for watcher in &behind {
            self.remove(watcher);
        }
    }

    fn dispatch_single(&self, revision: &RevisionEvents, behind: &mut Vec<Arc<Watcher>>) {
        if let [event] = &revision.events[..] {
            if let Some(watchers) = self.single.get(&event.kv.key) {
                deliver(watchers, revision.revision, Arc::new([event.clone()]), behind);
            }
            return;
        }
        // A transaction may change a key more than once: what it puts, a delete of a range may take away again. All of it comes together.
        let mut watched: HashMap<&Bytes, Vec<Arc<Event>>> = HashMap::new();
        for event in revision.events.iter().filter(|event| self.single.contains_key(&event.kv.key)) {
            watched.entry(&event.kv.key).or_default().push(event.clone());
        }
        for (key, events) in watched {
            if let Some(watchers) = self.single.get(key) {
                deliver(watchers, revision.revision, events.into(), behind);
            }
        }
    }
}

fn remove_from<K: Eq + Hash>(map: &mut HashMap<K, Vec<Arc<Watcher>>>, key: &K, watcher: &Arc<Watcher>) {
    if let Some(watchers) = map.get_mut(key) {
        watchers.retain(|w| !Arc::ptr_eq(w, watcher));
        if watchers.is_empty() {
            map.remove(key);
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
