//! Random programs over few keys, so that what they do collides.

use bytes::Bytes;
use jine::pb::etcdserverpb::{
    Compare, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    WatchCreateRequest, compare::TargetUnion, request_op::Request,
};

use super::program::{CHOSEN, STREAMS, Step, at};
use super::rng::Rng;

const KEYS: &[&[u8]] = &[b"a", b"a\0", b"aa", b"b", b"b\xff", b"c", b"\0", b"\xff\xfe", b"d"];
const ENDS: &[&[u8]] = &[b"b", b"c", b"aa", b"\0", b"\0\0", b"z", b"\xff\xff", b"a"];
const VALUES: &[&[u8]] = &[b"", b"1", b"2", b"10", b"\0\xff\x80", b"a longer value"];
/// Fixed ids, one that never exists, none, and the one that the server has chosen.
const LEASES: &[i64] = &[11, 12, 13, 0, CHOSEN, 404];
const TARGET_OUT_OF_RANGE: i32 = 9;
/// etcd's default for `--max-txn-ops`.
const MAX_TXN_OPS: usize = 128;

/// The program of a seed.
pub(crate) fn program(seed: u64) -> Vec<Step> {
    let mut make = Make { rng: Rng::new(seed), watching: false, hashing: false, deletes: true, keeps: true };
    make.watching = make.rng.one_in(3);
    let steps = make.rng.within(20, 60);
    (0..steps).map(|_| make.step()).collect()
}

/// One that asks for hashes, too: now and then, around compactions, and in the end.
pub(crate) fn hashing_program(seed: u64) -> Vec<Step> {
    let mut make = Make { rng: Rng::new(seed), watching: false, hashing: true, deletes: true, keeps: true };
    let steps = make.rng.within(20, 60);
    let mut program = Vec::new();
    for _ in 0..steps {
        match make.step() {
            Step::Compact(revision, physical) => {
                program.extend([Step::HashKv(0), Step::Compact(revision, physical)]);
                program.extend([Step::HashKv(0), Step::HashKv(revision), Step::HashKv(make.revision())]);
            }
            step => program.push(step),
        }
    }
    program.push(Step::HashKv(0));
    program
}

struct Make {
    rng: Rng,
    watching: bool,
    /// Leases go into the hash of what hangs on them, so that no key hangs on one whose id a server has chosen.
    hashing: bool,
    /// Whether a transaction may delete, and whether its puts may keep value or lease. Not both: a put that keeps what the
    /// same transaction has deleted ends etcd 3.7.3 (index out of range in its put); jine refuses it.
    deletes: bool,
    keeps: bool,
}

impl Make {
    fn step(&mut self) -> Step {
        match self.rng.below(if self.watching { 115 } else { 100 }) {
            0..27 => Step::Put(self.put()),
            27..43 => Step::Range(self.range()),
            43..46 => Step::RangeStream(self.streamed_range()),
            46..56 => Step::Delete(self.delete()),
            56..80 => Step::Txn(self.outer_txn()),
            80..84 => Step::Compact(self.compacted(), self.rng.one_in(3)),
            84..89 => Step::Grant(self.grant()),
            89..91 => Step::Revoke(self.rng.pick(LEASES)),
            91..93 => Step::KeepAlive(self.rng.pick(LEASES)),
            93..97 => Step::TimeToLive(self.rng.pick(LEASES), self.rng.one_in(2)),
            97 => Step::Leases,
            98 => Step::ShortLease(LeaseGrantRequest { ttl: self.rng.within(-2, 5), id: self.rng.pick(&[0, 21]) }),
            99 if self.hashing => Step::HashKv(self.revision()),
            99 => Step::Range(self.range()),
            100..108 => Step::Watch(self.rng.below(STREAMS), self.watch()),
            108..112 => Step::Cancel(self.rng.below(STREAMS), self.rng.within(-1, 7)),
            _ => Step::Progress(self.rng.below(STREAMS)),
        }
    }

    fn key(&mut self) -> Bytes {
        if self.rng.one_in(60) { Bytes::new() } else { Bytes::from_static(self.rng.pick(KEYS)) }
    }

    /// Of one key, all keys, from a key on, or between two: also the wrong way round.
    fn key_and_end(&mut self) -> (Bytes, Bytes) {
        match self.rng.below(8) {
            0..3 => (self.key(), Bytes::new()),
            3 => (Bytes::from_static(b"\0"), Bytes::from_static(b"\0")),
            4 => (self.key(), Bytes::from_static(b"\0")),
            _ => (self.key(), Bytes::from_static(self.rng.pick(ENDS))),
        }
    }

    fn value(&mut self) -> Bytes {
        Bytes::from_static(self.rng.pick(VALUES))
    }

    fn revision(&mut self) -> i64 {
        match self.rng.below(14) {
            0 => self.rng.pick(&[0, -1, 1, 2, i64::MAX, i64::MIN, at(1000)]),
            1 => 0,
            2 => at(self.rng.within(-5, 0)),
            3..5 => at(self.rng.within(0, 25)),
            _ => at(self.rng.within(0, 8)),
        }
    }

    /// Not 0: etcd takes that once, on a store that was never compacted, and jine as long as it was not.
    fn compacted(&mut self) -> i64 {
        match self.revision() {
            0 => at(0),
            revision => revision,
        }
    }

    /// Most often none.
    fn bound(&mut self) -> i64 {
        if self.rng.one_in(6) { self.revision() } else { 0 }
    }

    fn enumerated(&mut self, last: i64) -> i32 {
        if self.rng.one_in(80) {
            return self.rng.pick(&[TARGET_OUT_OF_RANGE, -1]);
        }
        i32::try_from(self.rng.within(0, last)).unwrap()
    }

    fn range(&mut self) -> RangeRequest {
        let (key, range_end) = self.key_and_end();
        let sorted = self.rng.one_in(2);
        RangeRequest {
            key,
            range_end,
            limit: if self.rng.one_in(2) { self.rng.within(-1, 5) } else { 0 },
            revision: if self.rng.one_in(2) { self.revision() } else { 0 },
            sort_order: if sorted { self.enumerated(2) } else { 0 },
            sort_target: if sorted { self.enumerated(4) } else { 0 },
            serializable: self.rng.one_in(4),
            keys_only: self.rng.one_in(4),
            count_only: self.rng.one_in(6),
            min_mod_revision: self.bound(),
            max_mod_revision: self.bound(),
            min_create_revision: self.bound(),
            max_create_revision: self.bound(),
        }
    }

    /// Most often one that can be streamed.
    fn streamed_range(&mut self) -> RangeRequest {
        let mut range = self.range();
        if self.rng.one_in(5) {
            // With a target and no order etcd loses keys or sends them twice.
            if range.sort_order == 0 {
                range.sort_target = 0;
            }
            return range;
        }
        RangeRequest {
            sort_target: 0,
            sort_order: self.rng.pick(&[0, 1]),
            min_mod_revision: 0,
            max_mod_revision: 0,
            min_create_revision: 0,
            max_create_revision: 0,
            ..range
        }
    }

    fn put(&mut self) -> PutRequest {
        let (ignore_value, ignore_lease) = (self.keeps && self.rng.one_in(10), self.keeps && self.rng.one_in(10));
        PutRequest {
            key: self.key(),
            value: if ignore_value && !self.rng.one_in(5) { Bytes::new() } else { self.value() },
            lease: if self.rng.one_in(4) && (!ignore_lease || self.rng.one_in(5)) { self.put_lease() } else { 0 },
            prev_kv: self.rng.one_in(2),
            ignore_value,
            ignore_lease,
        }
    }

    fn put_lease(&mut self) -> i64 {
        match self.rng.pick(LEASES) {
            CHOSEN if self.hashing => 11,
            lease => lease,
        }
    }

    fn delete(&mut self) -> DeleteRangeRequest {
        let (key, range_end) = self.key_and_end();
        // A wide one is rare: there should be something to read.
        let range_end = if self.rng.one_in(2) { Bytes::new() } else { range_end };
        DeleteRangeRequest { key, range_end, prev_kv: self.rng.one_in(2) }
    }

    fn outer_txn(&mut self) -> TxnRequest {
        self.deletes = self.rng.one_in(2);
        self.keeps = !self.deletes;
        let txn = self.txn(3);
        (self.deletes, self.keeps) = (true, true);
        txn
    }

    fn txn(&mut self, depth: usize) -> TxnRequest {
        let ops = |make: &mut Make| -> Vec<RequestOp> {
            let count = make.rng.pick(&[0, 1, 1, 2, 2, 3]);
            (0..count).map(|_| make.op(depth)).collect()
        };
        let (success, failure) = (ops(self), ops(self));
        let compare = (0..self.rng.pick(&[0, 1, 1, 1, 2])).map(|_| self.compare()).collect();
        let mut txn = TxnRequest { compare, success, failure };
        if depth == 3 && self.rng.one_in(100) {
            let count = MAX_TXN_OPS + self.rng.below(2);
            txn.success = vec![RequestOp { request: Some(Request::RequestRange(self.range())) }; count];
        }
        txn
    }

    fn op(&mut self, depth: usize) -> RequestOp {
        if self.rng.one_in(150) {
            return RequestOp { request: None };
        }
        let request = match self.rng.below(if depth > 1 { 13 } else { 10 }) {
            0..5 => Request::RequestPut(self.put()),
            5..7 if self.deletes => Request::RequestDeleteRange(self.delete()),
            5..10 => Request::RequestRange(self.range()),
            _ => Request::RequestTxn(self.txn(depth - 1)),
        };
        RequestOp { request: Some(request) }
    }

    fn compare(&mut self) -> Compare {
        let (key, range_end) = self.key_and_end();
        let target = self.enumerated(4);
        let operand = if self.rng.one_in(25) { self.rng.below(5) } else { usize::try_from(target).unwrap_or(0) };
        let target_union = match operand {
            0 => TargetUnion::Version(self.rng.within(-1, 3)),
            1 => TargetUnion::CreateRevision(self.revision()),
            2 => TargetUnion::ModRevision(self.revision()),
            3 => TargetUnion::Value(self.value()),
            _ => TargetUnion::Lease(self.rng.pick(LEASES)),
        };
        let target_union = (!self.rng.one_in(40)).then_some(target_union);
        let range_end = if self.rng.one_in(2) { Bytes::new() } else { range_end };
        Compare { result: self.enumerated(3), target, key, range_end, target_union }
    }

    fn grant(&mut self) -> LeaseGrantRequest {
        let ttl = match self.rng.below(12) {
            0 => self.rng.pick(&[9_000_000_001, i64::MAX, 9_000_000_000]),
            _ => self.rng.within(1000, 5000),
        };
        LeaseGrantRequest { ttl, id: self.rng.pick(&[11, 12, 13, 0, 0]) }
    }

    fn watch(&mut self) -> WatchCreateRequest {
        let (key, range_end) = self.key_and_end();
        let filters = (0..self.rng.pick(&[0, 0, 0, 1, 2])).map(|_| self.enumerated(1)).collect();
        WatchCreateRequest {
            key,
            range_end,
            start_revision: if self.rng.one_in(2) { self.revision() } else { 0 },
            progress_notify: self.rng.one_in(4),
            filters,
            prev_kv: self.rng.one_in(2),
            watch_id: if self.rng.one_in(3) { self.rng.within(-2, 6) } else { 0 },
            fragment: self.rng.one_in(4),
        }
    }
}
