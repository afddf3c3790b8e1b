//! Watchers.

use bytes::Bytes;
use jine::pb::etcdserverpb::WatchCreateRequest;

use super::{Make, OUT_OF_RANGE};
use crate::oracle::program::{COMPACTED, CURRENT, at};

impl Make {
    pub(super) fn watch(&mut self) -> WatchCreateRequest {
        let (key, range_end) = self.key_and_end();
        let filters = match self.rng.below(12) {
            0..2 => vec![0],
            2..4 => vec![1],
            4 => vec![0, 1],
            5 => vec![OUT_OF_RANGE],
            _ => Vec::new(),
        };
        let start_revision = match self.rng.below(12) {
            0..4 => 0,
            4..8 => at(self.rng.within(0, 10)),
            8 => self.rng.pick(&[CURRENT, CURRENT - 1, COMPACTED, COMPACTED + 1]),
            9 => self.rng.pick(&[CURRENT + 1, CURRENT + 2, at(30)]),
            10 => self.rng.pick(&[1, COMPACTED - 1, COMPACTED - 1]),
            _ => self.rng.pick(&[-1, i64::MIN]),
        };
        let watch_id = match self.rng.below(3) {
            0 => self.rng.within(1, 3),
            1 if self.rng.one_in(2) => -1,
            _ => 0,
        };
        // The first events of a watcher of the id -1 may come before its creation is told, in etcd 3.7.3: it is not to have a past.
        let past = start_revision > 0 && start_revision != CURRENT + 1 && start_revision != CURRENT + 2;
        let start_revision = if watch_id == -1 && past { 0 } else { start_revision };
        WatchCreateRequest {
            key: if self.rng.one_in(12) { Bytes::new() } else { key },
            range_end,
            start_revision,
            progress_notify: self.rng.one_in(4),
            filters,
            prev_kv: self.rng.one_in(2),
            watch_id,
            fragment: self.rng.one_in(4),
        }
    }
}
