//! The synced watchers by what they watch, so that who wants an event is found without asking each of them.
//!
//! Nearly every watcher is of one key or of a prefix. Both are looked up: a key's prefixes among those that are watched, by the lengths that
//! these have, which are few. Only other ranges are asked one by one. Watchers of the same keys are matched once and share one list of events.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use super::stream::Watcher;
use crate::state::{Event, KeyRange, RevisionEvents};

#[derive(Default)]
pub(super) struct Index {
    keys: HashMap<Bytes, Group>,
    prefixes: HashMap<Bytes, Group>,
    /// How many prefixes there are of each length.
    lengths: BTreeMap<usize, usize>,
    others: HashMap<KeyRange, Group>,
}

/// Watchers of the same keys, in no order.
#[derive(Default)]
struct Group(Vec<Arc<Watcher>>);

/// Where in its group a watcher is. Changed under the hub's lock alone.
#[derive(Default)]
pub(super) struct Slot(AtomicUsize);

impl Index {
    pub(super) fn add(&mut self, watcher: Arc<Watcher>) {
        let group = match (&watcher.range, prefix(&watcher.range)) {
            (KeyRange::Single(key), _) => self.keys.entry(key.clone()).or_default(),
            (_, Some(prefix)) => {
                let group = self.prefixes.entry(prefix.clone()).or_default();
                if group.0.is_empty() {
                    *self.lengths.entry(prefix.len()).or_default() += 1;
                }
                group
            }
            (range, None) => self.others.entry(range.clone()).or_default(),
        };
        group.add(watcher);
    }

    /// Nothing happens where it is not in here.
    pub(super) fn remove(&mut self, watcher: &Arc<Watcher>) {
        match (&watcher.range, prefix(&watcher.range)) {
            (KeyRange::Single(key), _) => _ = remove(&mut self.keys, key, watcher),
            (_, Some(prefix)) => {
                if remove(&mut self.prefixes, prefix, watcher)
                    && let Some(count) = self.lengths.get_mut(&prefix.len())
                {
                    *count -= 1;
                    if *count == 0 {
                        self.lengths.remove(&prefix.len());
                    }
                }
            }
            (range, None) => _ = remove(&mut self.others, range, watcher),
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Watcher>> {
        let groups = self.keys.values().chain(self.prefixes.values()).chain(self.others.values());
        groups.flat_map(|group| &group.0)
    }

    /// Tells all watchers that watch any of a revision's events, those of the same keys at once, which of them.
    pub(super) fn matching(&self, changed: &RevisionEvents, mut found: impl FnMut(&[Arc<Watcher>], Arc<[Arc<Event>]>)) {
        if let [event] = &changed.events[..] {
            let events: Arc<[Arc<Event>]> = Arc::new([event.clone()]);
            return self.of_key(&event.kv.key, |group| found(&group.0, events.clone()));
        }
        // A transaction may change a key more than once: what it puts, a delete of a range may take away again. All of it comes together.
        let mut wanted: Vec<(&Group, Vec<Arc<Event>>)> = Vec::new();
        let mut places: HashMap<*const Group, usize> = HashMap::new();
        for event in &changed.events {
            self.of_key(&event.kv.key, |group| {
                let place = *places.entry(group).or_insert(wanted.len());
                if place == wanted.len() {
                    wanted.push((group, Vec::new()));
                }
                wanted[place].1.push(event.clone());
            });
        }
        for (group, events) in wanted {
            found(&group.0, events.into());
        }
    }

    fn of_key<'a>(&'a self, key: &[u8], mut found: impl FnMut(&'a Group)) {
        self.keys.get(key).into_iter().for_each(&mut found);
        for length in self.lengths.range(..=key.len()).map(|(length, _)| *length) {
            self.prefixes.get(&key[..length]).into_iter().for_each(&mut found);
        }
        self.others.iter().filter(|(range, _)| range.contains(key)).for_each(|(_, group)| found(group));
    }
}

impl Group {
    fn add(&mut self, watcher: Arc<Watcher>) {
        watcher.slot.0.store(self.0.len(), Ordering::Relaxed);
        self.0.push(watcher);
    }

    fn remove(&mut self, watcher: &Arc<Watcher>) {
        let slot = watcher.slot.0.load(Ordering::Relaxed);
        if self.0.get(slot).is_some_and(|there| Arc::ptr_eq(there, watcher)) {
            self.0.swap_remove(slot);
            if let Some(moved) = self.0.get(slot) {
                moved.slot.0.store(slot, Ordering::Relaxed);
            }
        }
    }
}

/// True: the group is gone with it.
fn remove<K, Q>(groups: &mut HashMap<K, Group>, key: &Q, watcher: &Arc<Watcher>) -> bool
where
    K: Eq + std::hash::Hash + std::borrow::Borrow<Q>,
    Q: Eq + std::hash::Hash + ?Sized,
{
    let Some(group) = groups.get_mut(key) else { return false };
    group.remove(watcher);
    let is_empty = group.0.is_empty();
    if is_empty {
        groups.remove(key);
    }
    is_empty
}

/// The prefix that all keys of a range have, and no others: its end is the prefix with a last byte one higher.
fn prefix(range: &KeyRange) -> Option<&Bytes> {
    let KeyRange::Between(from, to) = range else { return None };
    let ((last, head), (end, end_head)) = (from.split_last()?, to.split_last()?);
    (head == end_head && last.checked_add(1) == Some(*end)).then_some(from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{EventKind, KeyValue, Revision};
    use crate::store::watch::tests::watcher;

    fn between(from: &'static str, to: &'static str) -> KeyRange {
        KeyRange::Between(from.into(), to.into())
    }

    fn changed(keys: &[&'static str]) -> RevisionEvents {
        let event = |key: &&'static str| {
            let kv = Arc::new(KeyValue { key: (*key).into(), ..Default::default() });
            Arc::new(Event { kind: EventKind::Put, kv, prev: None })
        };
        RevisionEvents { revision: Revision(2), events: keys.iter().map(event).collect() }
    }

    /// The ids of those who want any of it, each with the keys.
    fn who(index: &Index, keys: &[&'static str]) -> Vec<(i64, String)> {
        let mut found = Vec::new();
        index.matching(&changed(keys), |watchers, events| {
            let keys: Vec<_> = events.iter().map(|event| String::from_utf8_lossy(&event.kv.key).into_owned()).collect();
            found.extend(watchers.iter().map(|watcher| (watcher.id, keys.join(" "))));
        });
        found.sort();
        found
    }

    fn all() -> Vec<KeyRange> {
        vec![
            KeyRange::Single("/a/b".into()),
            between("/a/", "/a0"),
            between("/a/", "/a0"),
            between("/", "0"),
            between("/a/a", "/a/c"),
            KeyRange::From("/b".into()),
            KeyRange::From(Bytes::from_static(b"\0")),
            between("b", "a"),
        ]
    }

    #[test]
    fn who_wants_a_key_is_who_has_it_in_its_range() {
        let mut index = Index::default();
        let ranges = all();
        let watchers: Vec<_> = (0..).zip(&ranges).map(|(id, range)| watcher(id, range.clone())).collect();
        watchers.iter().for_each(|watcher| index.add(watcher.clone()));
        for gone in 0..=watchers.len() {
            for key in ["", "/", "/a", "/a/", "/a/b", "/a/b/c", "/a0", "/b", "0", "zzz", "b"] {
                let wanted: Vec<_> = (0i64..)
                    .zip(&ranges)
                    .skip(gone)
                    .filter(|(_, range)| range.contains(key.as_bytes()))
                    .map(|(id, _)| (id, key.to_owned()))
                    .collect();
                assert_eq!(who(&index, &[key]), wanted, "{key} without {gone}");
            }
            if let Some(watcher) = watchers.get(gone) {
                index.remove(watcher);
                index.remove(watcher);
            }
            assert_eq!(index.iter().count(), watchers.len().saturating_sub(gone + 1));
        }
        assert!(index.lengths.is_empty() && index.keys.is_empty() && index.prefixes.is_empty());
    }

    #[test]
    fn all_of_a_revision_comes_together_and_in_order() {
        let mut index = Index::default();
        for (id, range) in (0..).zip(all()) {
            index.add(watcher(id, range));
        }
        let found = who(&index, &["/a/b", "/x", "/a/b", "/a/z"]);
        let of = |id: i64| found.iter().find(|(its, _)| *its == id).map(|(_, keys)| keys.as_str());
        assert_eq!(of(0), Some("/a/b /a/b"));
        assert_eq!((of(1), of(2)), (Some("/a/b /a/b /a/z"), Some("/a/b /a/b /a/z")));
        assert_eq!((of(3), of(6)), (Some("/a/b /x /a/b /a/z"), Some("/a/b /x /a/b /a/z")));
        assert_eq!((of(4), of(5), of(7)), (Some("/a/b /a/b"), Some("/x"), None));
    }

    #[test]
    fn any_of_a_group_can_go() {
        let mut index = Index::default();
        let watchers: Vec<_> = (0..5).map(|id| watcher(id, KeyRange::Single("k".into()))).collect();
        watchers.iter().for_each(|watcher| index.add(watcher.clone()));
        for (i, left) in [(1, vec![0, 2, 3, 4]), (4, vec![0, 2, 3]), (0, vec![2, 3])] {
            index.remove(&watchers[i]);
            assert_eq!(who(&index, &["k"]).into_iter().map(|(id, _)| id).collect::<Vec<_>>(), left);
        }
    }

    #[test]
    fn only_a_prefix_is_a_prefix() {
        assert_eq!(prefix(&between("/a/", "/a0")), Some(&"/a/".into()));
        for range in [between("/a", "/c"), between("/a/", "/a1"), between("a", "bb"), KeyRange::From("a".into())] {
            assert_eq!(prefix(&range), None, "{range:?}");
        }
        let end = KeyRange::Between(Bytes::from_static(b"a\xff"), Bytes::from_static(b"a\x00"));
        assert_eq!(prefix(&end), None);
    }
}
