//! Differences that were found, each as a program on which jine and etcd must agree.

use jine::pb::etcdserverpb::request_op::Request;
use jine::pb::etcdserverpb::*;

use super::pair::Pair;
use super::program::Step;

async fn same(program: &[Step]) {
    if let Err(difference) = Pair::start(&super::program_under_test()).await.compare(program).await {
        panic!("{}", difference.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_is_told() {
    let put = |key: &'static str, lease| Step::Put(PutRequest { key: key.into(), lease, ..Default::default() });
    let all = || bytes::Bytes::from_static(b"\0");
    same(&[
        Step::Watch(0, WatchCreateRequest { key: all(), range_end: all(), prev_kv: true, ..Default::default() }),
        Step::Grant(LeaseGrantRequest { id: 11, ttl: 1 }),
        put("b", 11),
        put("a", 11),
        put("c", 11),
        put("c", 0),
        Step::AwaitExpiry,
        Step::Range(RangeRequest { key: all(), range_end: all(), ..Default::default() }),
        Step::Revoke(11),
        Step::KeepAlive(11),
        Step::TimeToLive(11, true),
    ])
    .await;
}

/// Seed 25: etcd counts what its log adds to a request.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_request_is_as_large_as_etcd_s() {
    let put =
        |len: usize| Step::Put(PutRequest { key: "a".into(), value: vec![b'v'; len].into(), ..Default::default() });
    same(&[put(65_511), put(65_512), put(65_513), put(65_514)]).await;
}

/// Seed 131: an alarm is looked at before the TTL is.
#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_comes_before_a_ttl_that_is_too_long() {
    let alarm = |action, alarm| Step::Alarm(AlarmRequest { action, alarm, ..Default::default() });
    let grant = |id| Step::Grant(LeaseGrantRequest { ttl: i64::MAX, id });
    let granted = Step::Grant(LeaseGrantRequest { ttl: 1000, id: 11 });
    same(&[granted, alarm(1, 2), grant(0), alarm(2, 2), alarm(1, 1), grant(0), alarm(2, 1), grant(11)]).await;
}

/// Seed 5001270: a transaction that only reads is no read for etcd if another one is in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_corrupt_store_refuses_nested_transactions() {
    let corrupt = Step::Alarm(AlarmRequest { action: 1, alarm: 2, ..Default::default() });
    let op = |request| RequestOp { request: Some(request) };
    let range = op(Request::RequestRange(RangeRequest { key: "a".into(), ..Default::default() }));
    let nested = op(Request::RequestTxn(TxnRequest { success: vec![range.clone()], ..Default::default() }));
    let txn = |op| Step::Txn(TxnRequest { success: vec![op], ..Default::default() });
    same(&[corrupt, txn(range), txn(nested), Step::Txn(TxnRequest::default())]).await;
}

/// Seed 7000420: a transaction may put a key and take it away again; a watcher of that key is told of both together.
#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_changes_a_key_twice_is_told_in_one_piece() {
    let op = |request| RequestOp { request: Some(request) };
    let put = op(Request::RequestPut(PutRequest { key: "d".into(), ..Default::default() }));
    let from = DeleteRangeRequest { key: "a".into(), range_end: b"\0".as_slice().into(), prev_kv: true };
    let txn = TxnRequest { success: vec![put, op(Request::RequestDeleteRange(from))], ..Default::default() };
    let watch = WatchCreateRequest { key: "d".into(), prev_kv: true, ..Default::default() };
    let mut program = vec![Step::Watch(0, watch)];
    program.extend((0..20).map(|_| Step::Txn(txn.clone())));
    same(&program).await;
}
