//! Requests of their own for keys.

use bytes::Bytes;
use jine::pb::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest};
use prost::Message;

use super::{CHOSEN, ENVELOPE, MISSING, Make, OUT_OF_RANGE};
use crate::oracle::pair::MAX_REQUEST_BYTES;
use crate::oracle::program::{COMPACTED, CURRENT, at};

impl Make {
    pub(super) fn range(&mut self) -> RangeRequest {
        let mut range = self.sound_range();
        if self.rng.one_in(6) {
            self.flaw_in_range(&mut range);
            if self.rng.one_in(4) {
                self.flaw_in_range(&mut range);
            }
        }
        range
    }

    /// That of a range is asked for which there is an answer, as far as can be known.
    pub(super) fn sound_range(&mut self) -> RangeRequest {
        let (key, range_end) = self.key_and_end();
        let revision = match self.rng.below(10) {
            0..5 => 0,
            5 => self.rng.pick(&[-1, i64::MIN]),
            6 => CURRENT,
            7 => COMPACTED,
            _ => at(self.rng.within(0, 10)),
        };
        let filtered = if self.rng.one_in(3) { self.rng.pick(&[1, 2, 4, 8, 3, 12, 15]) } else { 0 };
        RangeRequest {
            key,
            range_end,
            limit: if self.rng.one_in(2) { self.rng.pick(&[-1, 1, 1, 2, 3, 5]) } else { 0 },
            revision,
            sort_order: self.enumerated(2),
            sort_target: self.enumerated(4),
            serializable: self.rng.one_in(4),
            keys_only: self.rng.one_in(4),
            count_only: self.rng.one_in(6),
            min_mod_revision: if filtered & 1 != 0 { self.least() } else { 0 },
            max_mod_revision: if filtered & 2 != 0 { self.most() } else { 0 },
            min_create_revision: if filtered & 4 != 0 { self.least() } else { 0 },
            max_create_revision: if filtered & 8 != 0 { self.most() } else { 0 },
        }
    }

    fn least(&mut self) -> i64 {
        if self.rng.one_in(2) { at(self.rng.within(-5, 5)) } else { self.revision() }
    }

    fn most(&mut self) -> i64 {
        if self.rng.one_in(2) { at(self.rng.within(5, 40)) } else { self.revision() }
    }

    pub(super) fn flaw_in_range(&mut self, range: &mut RangeRequest) {
        match self.rng.below(7) {
            0 | 5 => range.key = Bytes::new(),
            1 => range.sort_order = self.rng.pick(&[OUT_OF_RANGE, -1]),
            2 => range.sort_target = self.rng.pick(&[OUT_OF_RANGE, -1]),
            3 => range.revision = self.rng.pick(&[CURRENT + 1, i64::MAX, at(90)]),
            _ => range.revision = self.rng.pick(&[1, 1, COMPACTED - 1, at(0), at(1)]),
        }
    }

    /// Most often one that can be streamed.
    pub(super) fn streamed_range(&mut self) -> RangeRequest {
        let mut range = self.range();
        // With a target and no order etcd loses keys or sends them twice.
        if range.sort_order == 0 && range.sort_target > 0 && range.sort_target != OUT_OF_RANGE {
            range.sort_target = 0;
        }
        match self.rng.below(5) {
            0 => {
                if self.rng.one_in(4) {
                    range.key = Bytes::new();
                }
                return range;
            }
            1 => {
                let filter = self.rng.pick(&[1, 0]);
                (range.min_mod_revision, range.max_mod_revision) = (filter, self.rng.pick(&[0, 1]));
                (range.min_create_revision, range.max_create_revision) = (1 - filter, self.rng.pick(&[0, 1]));
                (range.sort_target, range.sort_order) = (0, self.rng.pick(&[0, 0, 0, 1, 1, 1, OUT_OF_RANGE]));
                return range;
            }
            _ => {}
        }
        let known = |value: i32| (0..=4).contains(&value);
        RangeRequest {
            sort_target: if known(range.sort_target) { 0 } else { range.sort_target },
            sort_order: if known(range.sort_order) { range.sort_order % 2 } else { range.sort_order },
            min_mod_revision: 0,
            max_mod_revision: 0,
            min_create_revision: 0,
            max_create_revision: 0,
            ..range
        }
    }

    pub(super) fn put(&mut self) -> PutRequest {
        let key = self.key();
        let mut put = self.sound_put(key);
        if self.rng.one_in(50) {
            self.size(&mut put);
        } else if self.rng.one_in(12) {
            self.flaw_in_put(&mut put);
        }
        put
    }

    pub(super) fn sound_put(&mut self, key: Bytes) -> PutRequest {
        let ignore_value = self.keeps && self.rng.one_in(12);
        let ignore_lease = self.keeps && self.rng.one_in(if ignore_value { 4 } else { 12 });
        PutRequest {
            key,
            value: if ignore_value { Bytes::new() } else { self.value() },
            lease: if !ignore_lease && self.rng.one_in(4) { self.put_lease() } else { 0 },
            prev_kv: self.rng.one_in(2),
            ignore_value,
            ignore_lease,
        }
    }

    fn put_lease(&mut self) -> i64 {
        let known: Vec<i64> = self.leases.iter().copied().filter(|id| !self.hashing || *id != CHOSEN).collect();
        if known.is_empty() { 0 } else { self.rng.pick(&known) }
    }

    pub(super) fn flaw_in_put(&mut self, put: &mut PutRequest) {
        match self.rng.below(if self.keeps { 5 } else { 2 }) {
            0 => {
                put.key = Bytes::new();
                if self.keeps && self.rng.one_in(3) {
                    (put.ignore_value, put.value, put.ignore_lease, put.lease) = (true, Bytes::new(), true, 0);
                }
            }
            1 => (put.lease, put.ignore_lease) = (MISSING, false),
            2 => (put.ignore_value, put.value) = (true, "given".into()),
            3 => (put.ignore_lease, put.lease) = (true, 11),
            _ => {
                put.key = "missing".into();
                match self.rng.below(3) {
                    0 => (put.ignore_value, put.value) = (true, Bytes::new()),
                    1 => (put.ignore_lease, put.lease) = (true, 0),
                    _ => (put.ignore_value, put.value, put.ignore_lease, put.lease) = (true, Bytes::new(), true, 0),
                }
            }
        }
    }

    /// As large as may be, or by one byte or much more too large; some of these with another flaw.
    pub(super) fn size(&mut self, put: &mut PutRequest) {
        (put.ignore_value, put.ignore_lease) = (false, false);
        if put.lease == CHOSEN {
            // How many bytes that takes is the server's choice.
            put.lease = 0;
        }
        match self.rng.below(8) {
            0 => put.lease = MISSING,
            1 if self.keeps => (put.ignore_lease, put.lease) = (true, 0),
            2 if self.keeps => put.ignore_value = true,
            3 if self.keeps => (put.ignore_lease, put.lease) = (true, 11),
            4 if self.keeps => {
                (put.ignore_lease, put.lease, put.ignore_value) = (true, 0, true);
            }
            _ => {}
        }
        let too_large = self.rng.below(2);
        if self.rng.one_in(4) {
            put.value = Bytes::from(vec![b'v'; MAX_REQUEST_BYTES + 513 * 1024]);
        } else {
            *put = fill(put.clone(), MAX_REQUEST_BYTES - ENVELOPE + too_large);
        }
    }

    pub(super) fn delete(&mut self) -> DeleteRangeRequest {
        let (key, range_end) = self.key_and_end();
        // A wide one is rare: there should be something to read.
        let range_end = if self.rng.one_in(2) { Bytes::new() } else { range_end };
        let key = match self.rng.below(240) {
            0..8 => Bytes::new(),
            8..11 => Bytes::from(vec![b'k'; MAX_REQUEST_BYTES]),
            _ => key,
        };
        DeleteRangeRequest { key, range_end, prev_kv: self.rng.one_in(2) }
    }
}

/// The put with a value that makes its encoding so long, in bytes.
pub(super) fn fill(put: PutRequest, len: usize) -> PutRequest {
    let with = |size: usize| PutRequest { value: Bytes::from(vec![b'v'; size]), ..put.clone() };
    let over = with(len).encoded_len() - len;
    with(len - over)
}
