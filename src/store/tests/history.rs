//! What really happened: the valid entries of everything that ever stood in a stream.

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::time::Instant;

use super::fake::{CLUSTER, Stream};
use crate::state::{Entry, LeaseId, Op, Revision, Sequence, State};
use crate::store::reader::{Reader, Written};

pub struct History {
    /// The entries that write keys, by revision.
    pub entries: BTreeMap<i64, Entry>,
    /// How often each value was put.
    pub puts: BTreeMap<Bytes, Vec<i64>>,
    pub revoked: BTreeMap<LeaseId, Vec<Instant>>,
    /// After all of it, nothing compacted.
    pub state: State,
}

impl History {
    /// Fails if an entry does not follow from the state before it: then it was planned on another.
    pub fn of(stream: &Stream) -> History {
        let mut history = History {
            entries: BTreeMap::new(),
            puts: BTreeMap::new(),
            revoked: BTreeMap::new(),
            state: State::new(Revision::FIRST, Revision::ZERO),
        };
        let mut reader = Reader::new(CLUSTER, Sequence::ZERO, None);
        for (message, stored) in stream.archive() {
            for decided in reader.receive(message).expect("the log is sound") {
                if let Written::Entry(entry, at) = decided.content {
                    history.add(entry, &at, stored);
                }
            }
        }
        history
    }

    fn add(&mut self, entry: Entry, at: &[Sequence], stored: Instant) {
        let before = self.state.revision();
        let mut written: BTreeMap<&Bytes, i64> = BTreeMap::new();
        for op in &entry.ops {
            match op {
                Op::Put { key, value, version, .. } => {
                    let prev = written.get(key).copied();
                    let prev = prev.unwrap_or_else(|| self.state.get(key).map_or(0, |kv| kv.version));
                    assert_eq!(*version, prev + 1, "{key:?} at revision {}", entry.revision);
                    written.insert(key, *version);
                    self.puts.entry(value.clone()).or_default().push(entry.revision.0);
                }
                Op::Delete { key, .. } => {
                    assert!(self.state.get(key).is_some(), "{key:?} at revision {}", entry.revision);
                    written.insert(key, 0);
                }
                Op::LeaseGrant { id, .. } => assert!(self.state.lease(*id).is_none(), "{id} granted twice"),
                Op::LeaseRevoke { id } => {
                    assert!(self.state.lease(*id).is_some(), "{id} revoked twice");
                    self.revoked.entry(*id).or_default().push(stored);
                }
                _ => {}
            }
        }
        if entry.ops.iter().any(Op::writes_keys) {
            assert_eq!(entry.revision, before.next(), "revisions are dense");
            self.entries.insert(entry.revision.0, entry.clone());
        }
        let ops = entry.ops.into_iter().filter(|op| !matches!(op, Op::Compact { .. })).collect();
        self.state.apply(&Entry { revision: entry.revision, ops }, at);
    }
}
