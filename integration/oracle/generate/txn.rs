//! Transactions, nested up to a depth of three.

use bytes::Bytes;
use jine::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use jine::pb::etcdserverpb::request_op::Request;
use jine::pb::etcdserverpb::{Compare, DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};

use super::{CHOSEN, KEYS, MAX_TXN_OPS, MISSING, Make, OUT_OF_RANGE};
use crate::oracle::pair::MAX_REQUEST_BYTES;
use crate::oracle::program::CURRENT;

const DEPTH: usize = 3;

impl Make {
    pub(super) fn outer_txn(&mut self) -> TxnRequest {
        self.deletes = self.rng.one_in(2);
        self.keeps = !self.deletes;
        let sound = !self.rng.one_in(5);
        self.unused = KEYS.to_vec();
        self.wide = self.deletes && self.rng.one_in(4);
        let mut txn = self.txn(DEPTH, sound);
        let flawed = self.rng.one_in(4);
        if flawed {
            self.compare_more(&mut txn);
            self.flaw_in_txn(&mut txn);
        }
        if self.rng.below(40) < if flawed { 16 } else { 1 } {
            self.limit(&mut txn);
        }
        (self.deletes, self.keeps) = (true, true);
        txn
    }

    /// One that is sound puts no key twice, nor deletes what it puts.
    fn txn(&mut self, depth: usize, sound: bool) -> TxnRequest {
        let compares = self.rng.pick(&[0, 1, 1, 2]);
        let compare = (0..compares).map(|_| self.compare()).collect();
        let (success, failure) = (self.ops(depth, sound), self.ops(depth, sound));
        TxnRequest { compare, success, failure }
    }

    fn ops(&mut self, depth: usize, sound: bool) -> Vec<RequestOp> {
        let count = self.rng.pick(&[0, 1, 1, 2, 2, 3]);
        (0..count).map(|_| self.op(depth, sound)).collect()
    }

    fn op(&mut self, depth: usize, sound: bool) -> RequestOp {
        let request = match self.rng.below(if depth > 1 { 13 } else { 10 }) {
            10.. => Request::RequestTxn(self.txn(depth - 1, sound)),
            0..6 if sound && self.wide => Request::RequestDeleteRange(self.wide_delete()),
            0..6 if sound && !self.unused.is_empty() => self.sound_write(),
            _ if sound => Request::RequestRange(self.sound_range_inside()),
            ..5 => Request::RequestPut(self.put_inside()),
            5 | 6 if self.deletes => Request::RequestDeleteRange(self.bounded_delete()),
            _ => Request::RequestRange(self.range()),
        };
        RequestOp { request: Some(request) }
    }

    /// Of a key that nothing else in the transaction writes.
    fn sound_write(&mut self) -> Request {
        let key = Bytes::from_static(self.unused.swap_remove(self.rng.below(self.unused.len())));
        if self.deletes && self.rng.one_in(3) {
            let range_end = if self.rng.one_in(2) { Bytes::new() } else { [&key[..], b"\0"].concat().into() };
            return Request::RequestDeleteRange(DeleteRangeRequest { key, range_end, prev_kv: self.rng.one_in(2) });
        }
        Request::RequestPut(self.sound_put(key))
    }

    /// Not from a key on: what that deletes the same transaction may put again, and who reads such a key after a compaction of its revision
    /// ends etcd 3.7.3.
    fn bounded_delete(&mut self) -> DeleteRangeRequest {
        let delete = self.delete();
        let open = delete.range_end.as_ref() == [0];
        DeleteRangeRequest {
            range_end: if open { Bytes::from_static(b"\xff\xff") } else { delete.range_end },
            ..delete
        }
    }

    fn wide_delete(&mut self) -> DeleteRangeRequest {
        let (key, range_end) = self.key_and_end();
        DeleteRangeRequest { key, range_end, prev_kv: self.rng.one_in(2) }
    }

    fn put_inside(&mut self) -> PutRequest {
        let key = self.key();
        self.sound_put(key)
    }

    /// Below zero is refused inside a transaction.
    fn sound_range_inside(&mut self) -> RangeRequest {
        let range = self.sound_range();
        RangeRequest { revision: if self.rng.one_in(2) { range.revision.max(0) } else { 0 }, ..range }
    }

    /// Something wrong in one operation, which is executed whatever the compares say.
    fn flaw_in_txn(&mut self, txn: &mut TxnRequest) {
        let sound_put = |key: &'static str| PutRequest { key: key.into(), ..Default::default() };
        let put = |put: PutRequest| Some(Request::RequestPut(put));
        let range =
            |make: &mut Make, revision| Some(Request::RequestRange(RangeRequest { revision, ..make.sound_range() }));
        let flaw = match self.rng.below(12) {
            0 => return self.flaw_in_compare(txn),
            1 => put(sound_put("")),
            2 => None,
            3 if self.keeps => put(PutRequest { ignore_value: true, ..sound_put("missing") }),
            3 | 4 => put(PutRequest { ignore_value: true, value: "given".into(), ..sound_put("e") }),
            5 => put(PutRequest { ignore_lease: true, lease: 11, ..sound_put("e") }),
            6 => put(PutRequest { lease: MISSING, ..sound_put("e") }),
            7 => {
                let sort_order = self.rng.pick(&[OUT_OF_RANGE, -1]);
                Some(Request::RequestRange(RangeRequest { sort_order, ..self.sound_range() }))
            }
            8 => range(self, 1),
            9 => range(self, i64::MAX),
            10 => return self.duplicate(txn),
            _ => {
                let value = Bytes::from(vec![b'v'; MAX_REQUEST_BYTES]);
                if !self.rng.one_in(3) {
                    put(PutRequest { value, ..sound_put("e") })
                } else {
                    return self.too_many(txn);
                }
            }
        };
        let nested = self.rng.pick(&[0, 0, 1, 2]);
        let mut op = RequestOp { request: flaw };
        for _ in 0..nested {
            let around = TxnRequest { success: vec![op], ..Default::default() };
            op = RequestOp { request: Some(Request::RequestTxn(around)) };
        }
        txn.success.push(op.clone());
        txn.failure.push(op);
    }

    fn flaw_in_compare(&mut self, txn: &mut TxnRequest) {
        let compare = self.compare();
        txn.compare.push(Compare { key: Bytes::new(), ..compare });
        if self.rng.one_in(4) {
            (txn.success, txn.failure) = (Vec::new(), Vec::new());
        }
    }

    fn duplicate(&mut self, txn: &mut TxnRequest) {
        let op = |request| RequestOp { request: Some(request) };
        let put = || op(Request::RequestPut(PutRequest { key: "e".into(), ..Default::default() }));
        let branch = if self.rng.one_in(2) { &mut txn.success } else { &mut txn.failure };
        let nested = op(Request::RequestTxn(TxnRequest { failure: vec![put()], ..Default::default() }));
        let delete = DeleteRangeRequest { key: "e".into(), ..Default::default() };
        branch.push(put());
        branch.push(self.rng.pick(&[put(), nested, op(Request::RequestDeleteRange(delete))]));
    }

    fn too_many(&mut self, txn: &mut TxnRequest) {
        let mut pad = TxnRequest::default();
        self.pad(&mut pad, MAX_TXN_OPS + 1);
        match self.rng.below(4) {
            0 => {
                txn.compare.extend(pad.compare);
                if self.rng.one_in(3) {
                    (txn.success, txn.failure) = (Vec::new(), Vec::new());
                }
            }
            1 => txn.success.extend(pad.success),
            2 => txn.failure.extend(pad.failure),
            // What the outer one has is taken off what the inner one may have.
            _ => {
                pad.success.truncate(MAX_TXN_OPS);
                let nested = TxnRequest { success: pad.success, ..Default::default() };
                txn.success.push(RequestOp { request: Some(Request::RequestTxn(nested)) });
            }
        }
    }

    /// Several compares, or none: what comes of them does not matter where the transaction is refused.
    pub(super) fn compare_more(&mut self, txn: &mut TxnRequest) {
        match self.rng.below(6) {
            0 => txn.compare.clear(),
            1 => {}
            count => txn.compare.extend((1..count).map(|_| self.compare())),
        }
    }

    /// As much as may be.
    pub(super) fn limit(&mut self, txn: &mut TxnRequest) {
        let mut pad = TxnRequest::default();
        self.pad(&mut pad, MAX_TXN_OPS);
        let nests = txn.success.iter().chain(&txn.failure).any(|op| matches!(op.request, Some(Request::RequestTxn(_))));
        match self.rng.below(5) {
            0 => txn.compare.extend(pad.compare.into_iter().skip(txn.compare.len())),
            1 | 2 => {
                let compare = self.compare();
                txn.compare.extend(pad.compare.into_iter().chain([compare]).skip(txn.compare.len() + 1));
            }
            _ if nests => {}
            3 => txn.success.extend(pad.success.into_iter().skip(txn.success.len())),
            _ => txn.failure.extend(pad.failure.into_iter().skip(txn.failure.len())),
        }
    }

    fn pad(&mut self, txn: &mut TxnRequest, count: usize) {
        let compare =
            Compare { result: CompareResult::NotEqual as i32, target: CompareTarget::Version as i32, ..self.compare() };
        let compare = Compare { target_union: Some(TargetUnion::Version(-1)), ..compare };
        let range = RangeRequest { range_end: Bytes::new(), ..self.sound_range_inside() };
        let op = RequestOp { request: Some(Request::RequestRange(range)) };
        (txn.compare, txn.success, txn.failure) = (vec![compare; count], vec![op.clone(); count], vec![op; count]);
    }

    pub(super) fn compare(&mut self) -> Compare {
        let (key, range_end) = self.key_and_end();
        let mut target = self.enumerated(4);
        let mut result = self.enumerated(3);
        let operand = if self.rng.one_in(25) { self.rng.below(5) } else { usize::try_from(target).unwrap_or(0) };
        let target_union = match operand {
            0 => TargetUnion::Version(self.rng.within(-1, 3)),
            // What is not there.
            1 if self.rng.one_in(4) => TargetUnion::CreateRevision(0),
            2 if self.rng.one_in(6) => TargetUnion::ModRevision(0),
            1 => TargetUnion::CreateRevision(self.revision()),
            2 if self.rng.one_in(3) => TargetUnion::ModRevision(CURRENT),
            2 => TargetUnion::ModRevision(self.revision()),
            3 => TargetUnion::Value(self.value()),
            // Of the ids that a server has chosen nobody knows which is greater.
            _ if result == CompareResult::Greater as i32 || result == CompareResult::Less as i32 => {
                TargetUnion::Lease(self.rng.pick(&[11, 12, 13, 0, -6]))
            }
            _ => TargetUnion::Lease(self.rng.pick(&[11, 12, 13, 0, CHOSEN])),
        };
        match self.rng.below(25) {
            0 => target = self.rng.pick(&[OUT_OF_RANGE, -1]),
            1 => result = self.rng.pick(&[OUT_OF_RANGE, -1]),
            _ => {}
        }
        let target_union = (!self.rng.one_in(30)).then_some(target_union);
        let range_end = if self.rng.one_in(2) { Bytes::new() } else { range_end };
        Compare { result, target, key, range_end, target_union }
    }
}
