//! What the index holds for one key: its versions and tombstones that can still be read.

use std::collections::VecDeque;
use std::sync::Arc;

use super::key_value::KeyValue;
use super::revision::{Revision, Sequence};

/// The versions of one key, oldest first, never empty while it is in the index.
///
/// Nearly every key has one version, so that case costs no allocation of its own. `modified` (the newest version's
/// mod_revision) is kept here so that counting does not follow the pointers.
#[derive(Clone, Debug)]
#[expect(clippy::box_collection, reason = "keeps the common case at three words")]
pub(super) enum KeyHistory {
    /// One version, and it is not a tombstone.
    One { modified: Revision, kv: Arc<KeyValue> },
    /// `live`: the newest is not a tombstone.
    Many { modified: Revision, live: bool, versions: Box<VecDeque<Arc<KeyValue>>> },
}

/// What a compaction took from a key.
pub(super) struct Superseded {
    /// Oldest first, never empty.
    pub(super) dropped: Vec<Arc<KeyValue>>,
    /// Where the version begins that makes the dropped ones superfluous; None: the last of them is a tombstone.
    pub(super) by: Option<Sequence>,
}

impl KeyHistory {
    pub(super) fn new(kv: Arc<KeyValue>) -> KeyHistory {
        let modified = kv.mod_revision;
        if kv.is_tombstone() {
            KeyHistory::Many { modified, live: false, versions: Box::new(VecDeque::from([kv])) }
        } else {
            KeyHistory::One { modified, kv }
        }
    }

    pub(super) fn push(&mut self, kv: Arc<KeyValue>) {
        match self {
            KeyHistory::One { kv: first, .. } => {
                *self = KeyHistory::Many {
                    modified: kv.mod_revision,
                    live: !kv.is_tombstone(),
                    versions: Box::new(VecDeque::from([first.clone(), kv])),
                };
            }
            KeyHistory::Many { modified, live, versions } => {
                *modified = kv.mod_revision;
                *live = !kv.is_tombstone();
                versions.push_back(kv);
            }
        }
    }

    /// The newest, tombstone or not.
    pub(super) fn newest(&self) -> Option<&Arc<KeyValue>> {
        match self {
            KeyHistory::One { kv, .. } => Some(kv),
            KeyHistory::Many { versions, .. } => versions.back(),
        }
    }

    /// The current version, if the key exists.
    pub(super) fn latest(&self) -> Option<&Arc<KeyValue>> {
        match self {
            KeyHistory::One { kv, .. } => Some(kv),
            KeyHistory::Many { live: true, versions, .. } => versions.back(),
            KeyHistory::Many { live: false, .. } => None,
        }
    }

    /// The version a read at `revision` sees.
    pub(super) fn at(&self, revision: Revision) -> Option<&Arc<KeyValue>> {
        match self {
            KeyHistory::One { modified, kv } => (*modified <= revision).then_some(kv),
            KeyHistory::Many { modified, .. } if *modified <= revision => self.latest(),
            KeyHistory::Many { versions, .. } => {
                let after = versions.partition_point(|kv| kv.mod_revision <= revision);
                versions.get(after.checked_sub(1)?).filter(|kv| !kv.is_tombstone())
            }
        }
    }

    pub(super) fn exists_at(&self, revision: Revision) -> bool {
        match self {
            KeyHistory::One { modified, .. } => *modified <= revision,
            KeyHistory::Many { modified, live, .. } if *modified <= revision => *live,
            KeyHistory::Many { .. } => self.at(revision).is_some(),
        }
    }

    /// Drops what no read at or above `revision` sees, save a tombstone at just this revision: a watcher may still
    /// start there. None if there is nothing to drop.
    pub(super) fn compact(&mut self, revision: Revision) -> Option<Superseded> {
        let KeyHistory::Many { versions, .. } = self else { return None };
        let after = versions.partition_point(|kv| kv.mod_revision <= revision);
        let seen = versions.get(after.checked_sub(1)?)?;
        let ended = seen.is_tombstone() && seen.mod_revision < revision;
        let by = (!ended).then_some(seen.sequence);
        let count = if ended { after } else { after - 1 };
        if count == 0 {
            return None;
        }
        let dropped = versions.drain(..count).collect();
        self.shrink();
        Some(Superseded { dropped, by })
    }

    /// Every version and tombstone that is held, oldest first.
    pub(super) fn versions(&self) -> impl Iterator<Item = &Arc<KeyValue>> {
        let (one, many) = match self {
            KeyHistory::One { kv, .. } => (Some(kv), None),
            KeyHistory::Many { versions, .. } => (None, Some(versions.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, KeyHistory::Many { versions, .. } if versions.is_empty())
    }

    fn shrink(&mut self) {
        let KeyHistory::Many { modified, live, versions } = self else { return };
        if *live && versions.len() == 1 {
            if let Some(kv) = versions.pop_front() {
                *self = KeyHistory::One { modified: *modified, kv };
            }
        } else if versions.capacity() > 16 && versions.len() < versions.capacity() / 4 {
            versions.shrink_to_fit();
        }
    }
}
