//! Random requests over few keys, revisions and leases, so that they meet often.

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::range;

/// One step of a program.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Write(Request),
    Read(RangeRequest),
    /// Of watchers: the events from a revision on.
    Events(i64),
}

pub(super) fn program(length: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => request().prop_map(Step::Write),
        2 => range_request().prop_map(Step::Read),
        1 => revision().prop_map(|revision| Step::Events(revision.0)),
    ];
    vec(step, 1..length)
}

pub(super) fn requests(length: usize) -> impl Strategy<Value = Vec<Request>> {
    vec(request(), 1..length)
}

pub(super) fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        5 => put().prop_map(Request::Put),
        2 => delete().prop_map(Request::DeleteRange),
        6 => txn().prop_map(each_key_once).prop_map(Request::Txn),
        2 => (lease(), 1..100i64).prop_map(|(id, ttl)| Request::LeaseGrant { id, ttl }),
        1 => lease().prop_map(|id| Request::LeaseRevoke { id }),
        2 => revision().prop_map(|revision| Request::Compact { revision }),
        1 => alarm().prop_map(Request::AlarmRaise),
        1 => alarm().prop_map(Request::AlarmDisarm),
    ]
}

fn alarm() -> impl Strategy<Value = Alarm> {
    (0..2u64, select(vec![AlarmKind::NoSpace, AlarmKind::Corrupt])).prop_map(|(member, kind)| Alarm { member, kind })
}

fn key() -> impl Strategy<Value = Bytes> {
    select(vec![&b"a"[..], b"a\0", b"aa", b"ab", b"b", b"ba", b"c", b"\0", b"\xff", b"\xff\xff"])
        .prop_map(Bytes::from_static)
}

fn value() -> impl Strategy<Value = Bytes> {
    select(vec![&b""[..], b"1", b"2", b"22"]).prop_map(Bytes::from_static)
}

fn lease() -> impl Strategy<Value = LeaseId> {
    (1..4i64).prop_map(LeaseId)
}

fn revision() -> impl Strategy<Value = Revision> {
    (-2..30i64).prop_map(Revision)
}

pub(super) fn key_range() -> impl Strategy<Value = KeyRange> {
    prop_oneof![
        3 => key().prop_map(KeyRange::Single),
        3 => (key(), key()).prop_map(|(from, to)| KeyRange::Between(from, to)),
        1 => key().prop_map(KeyRange::From),
        1 => Just(super::all()),
    ]
}

fn put() -> impl Strategy<Value = PutRequest> {
    let lease = prop_oneof![3 => Just(LeaseId::NONE), 2 => lease()];
    let ignore = || proptest::bool::weighted(0.1);
    (key(), value(), lease, any::<bool>(), ignore(), ignore()).prop_map(
        |(key, value, lease, prev_kv, ignore_value, ignore_lease)| PutRequest {
            key,
            value,
            lease: if ignore_lease { LeaseId::NONE } else { lease },
            prev_kv,
            ignore_value,
            ignore_lease,
        },
    )
}

fn delete() -> impl Strategy<Value = DeleteRangeRequest> {
    (key_range(), any::<bool>()).prop_map(|(range, prev_kv)| DeleteRangeRequest { range, prev_kv })
}

pub(super) fn range_request() -> impl Strategy<Value = RangeRequest> {
    let targets = vec![SortTarget::Key, SortTarget::Version, SortTarget::Create, SortTarget::Mod, SortTarget::Value];
    let orders = vec![SortOrder::None, SortOrder::Ascend, SortOrder::Descend];
    let bound = || prop_oneof![4 => Just(Revision::ZERO), 1 => revision()];
    let old = prop_oneof![3 => Just(Revision::ZERO), 2 => revision()];
    let flags = (any::<bool>(), proptest::bool::weighted(0.2));
    let bounds = (bound(), bound(), bound(), bound());
    (key_range(), -1..6i64, old, (select(targets), select(orders)), flags, bounds).prop_map(
        |(keys, limit, revision, (sort_target, sort_order), (keys_only, count_only), bounds)| RangeRequest {
            limit,
            revision,
            sort_target,
            sort_order,
            keys_only,
            count_only,
            min_mod_revision: bounds.0,
            max_mod_revision: bounds.1,
            min_create_revision: bounds.2,
            max_create_revision: bounds.3,
            ..range(keys)
        },
    )
}

fn compare() -> impl Strategy<Value = Compare> {
    let target = prop_oneof![
        (0..4i64).prop_map(CompareTarget::Version),
        (0..20i64).prop_map(|n| CompareTarget::Create(Revision(n))),
        (0..20i64).prop_map(|n| CompareTarget::Mod(Revision(n))),
        value().prop_map(CompareTarget::Value),
        (0..4i64).prop_map(|n| CompareTarget::Lease(LeaseId(n))),
    ];
    let results = vec![CompareResult::Equal, CompareResult::NotEqual, CompareResult::Greater, CompareResult::Less];
    (key_range(), select(results), target).prop_map(|(range, result, target)| Compare { range, result, target })
}

pub(super) fn txn() -> impl Strategy<Value = TxnRequest> {
    let op = prop_oneof![
        2 => range_request().prop_map(RequestOp::Range),
        3 => put().prop_map(RequestOp::Put),
        1 => delete().prop_map(RequestOp::DeleteRange),
    ];
    let flat = (vec(compare(), 0..2), vec(op.clone(), 0..4), vec(op, 0..4));
    let flat = flat.prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure });
    flat.prop_recursive(2, 12, 3, |inner| {
        let op = prop_oneof![
            1 => range_request().prop_map(RequestOp::Range),
            2 => put().prop_map(RequestOp::Put),
            1 => delete().prop_map(RequestOp::DeleteRange),
            2 => inner.prop_map(RequestOp::Txn),
        ];
        (vec(compare(), 0..2), vec(op.clone(), 0..4), vec(op, 0..3))
            .prop_map(|(compare, success, failure)| TxnRequest { compare, success, failure })
    })
}

/// Without the puts of keys that the same path has put or deleted already: etcd refuses such requests before they are
/// planned. What a nested transaction deletes may have been put before.
fn each_key_once(mut txn: TxnRequest) -> TxnRequest {
    for branch in [&mut txn.success, &mut txn.failure] {
        write_once(branch, &mut Written::default());
    }
    txn
}

#[derive(Clone, Default)]
struct Written {
    puts: BTreeSet<Bytes>,
    deletes: Vec<KeyRange>,
}

fn write_once(ops: &mut Vec<RequestOp>, written: &mut Written) {
    ops.retain_mut(|op| match op {
        RequestOp::Range(_) => true,
        RequestOp::Put(put) => {
            !written.deletes.iter().any(|range| range.contains(&put.key)) && written.puts.insert(put.key.clone())
        }
        RequestOp::DeleteRange(delete) => {
            written.deletes.push(delete.range.clone());
            true
        }
        RequestOp::Txn(nested) => {
            let mut other = written.clone();
            write_once(&mut nested.success, written);
            write_once(&mut nested.failure, &mut other);
            written.puts.append(&mut other.puts);
            written.deletes.append(&mut other.deletes);
            true
        }
    });
}
