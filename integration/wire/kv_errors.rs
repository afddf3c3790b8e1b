//! Codes and texts: clients tell errors apart by them.

use jine::pb::etcdserverpb::compare::{CompareResult, TargetUnion};
use jine::pb::etcdserverpb::request_op::Request as Op;
use jine::pb::etcdserverpb::*;
use tonic::Code;

use super::client::*;
use super::target::{Target, behaviours};

behaviours! {
    a_key_is_needed
    unknown_sort_options_are_refused
    what_is_kept_must_not_be_given
    what_is_kept_must_be_there
    a_lease_must_exist
    revisions_must_be_in_the_store
    compactions_only_go_forward
    transactions_are_checked_before_they_run
    a_transaction_writes_a_key_once
    a_transaction_has_a_limit_of_operations
    requests_have_a_limit_of_size
    messages_have_a_limit_of_size
}

fn invalid(text: &str) -> (Code, String) {
    (Code::InvalidArgument, format!("etcdserver: {text}"))
}

async fn a_key_is_needed(target: &Target) {
    let mut client = target.client().await;
    let expected = invalid("key is not provided");
    assert_eq!(said(client.kv.range(RangeRequest::default()).await), expected);
    assert_eq!(said(client.kv.put(PutRequest::default()).await), expected);
    assert_eq!(said(client.kv.delete_range(DeleteRangeRequest::default()).await), expected);
    let compare = Compare::default();
    assert_eq!(said(client.kv.txn(TxnRequest { compare: vec![compare], ..Default::default() }).await), expected);
    for op in [put_op("", "v"), range_op(""), delete_op("", "")] {
        assert_eq!(said(client.kv.txn(TxnRequest { failure: vec![op], ..Default::default() }).await), expected);
    }
}

async fn unknown_sort_options_are_refused(target: &Target) {
    let mut client = target.client().await;
    let expected = invalid("invalid sort option");
    assert_eq!(said(client.kv.range(RangeRequest { sort_order: 3, ..one("k") }).await), expected);
    assert_eq!(said(client.kv.range(RangeRequest { sort_target: 5, ..one("k") }).await), expected);
    assert_eq!(said(client.kv.range(RangeRequest { sort_target: -1, ..one("k") }).await), expected);
}

async fn what_is_kept_must_not_be_given(target: &Target) {
    let mut client = target.client().await;
    let put = PutRequest { key: "k".into(), value: "v".into(), ignore_value: true, ..Default::default() };
    assert_eq!(said(client.kv.put(put).await), invalid("value is provided"));
    let put = PutRequest { key: "k".into(), lease: 1, ignore_lease: true, ..Default::default() };
    assert_eq!(said(client.kv.put(put).await), invalid("lease is provided"));
}

async fn what_is_kept_must_be_there(target: &Target) {
    let mut client = target.client().await;
    let puts = [
        PutRequest { key: "k".into(), ignore_value: true, ..Default::default() },
        PutRequest { key: "k".into(), ignore_lease: true, ..Default::default() },
    ];
    for put in puts {
        assert_eq!(said(client.kv.put(put.clone()).await), invalid("key not found"));
        // All of a transaction is checked before any of it runs.
        let request = TxnRequest { success: vec![put_op("other", "v"), op(Op::RequestPut(put))], ..Default::default() };
        assert_eq!(said(client.kv.txn(request).await), invalid("key not found"));
    }
    assert_eq!(revision(&client.range(one("k")).await.header), 1);
}

async fn a_lease_must_exist(target: &Target) {
    let mut client = target.client().await;
    let expected = (Code::NotFound, "etcdserver: requested lease not found".to_owned());
    let put = PutRequest { key: "k".into(), lease: 77, ..Default::default() };
    assert_eq!(said(client.kv.put(put.clone()).await), expected);
    let request = TxnRequest { success: vec![op(Op::RequestPut(put))], ..Default::default() };
    assert_eq!(said(client.kv.txn(request).await), expected);
    assert_eq!(said(client.lease.lease_revoke(LeaseRevokeRequest { id: 77 }).await), expected);
}

async fn revisions_must_be_in_the_store(target: &Target) {
    let mut client = target.client().await;
    client.put("k", "a").await;
    client.put("k", "b").await;
    client.compact(3).await;
    let future = (Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision".to_owned());
    let compacted = (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted".to_owned());
    for (at, expected) in [(4, future), (2, compacted)] {
        let range = RangeRequest { revision: at, ..one("k") };
        assert_eq!(said(client.kv.range(range.clone()).await), expected);
        let read = TxnRequest { success: vec![op(Op::RequestRange(range.clone()))], ..Default::default() };
        assert_eq!(said(client.kv.txn(read).await), expected);
        let write = TxnRequest { success: vec![put_op("k", "c"), op(Op::RequestRange(range))], ..Default::default() };
        assert_eq!(said(client.kv.txn(write).await), expected);
    }
    assert_eq!(client.get("k").await.unwrap().value, "b");
}

async fn compactions_only_go_forward(target: &Target) {
    let mut client = target.client().await;
    for value in ["a", "b", "c"] {
        client.put("k", value).await;
    }
    client.compact(3).await;
    let compact = |revision| CompactionRequest { revision, physical: false };
    let compacted = (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted".to_owned());
    assert_eq!(said(client.kv.compact(compact(3)).await), compacted);
    assert_eq!(said(client.kv.compact(compact(2)).await), compacted);
    let future = (Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision".to_owned());
    assert_eq!(said(client.kv.compact(compact(5)).await), future);
}

async fn transactions_are_checked_before_they_run(target: &Target) {
    let mut client = target.client().await;
    let request = TxnRequest { success: vec![RequestOp::default()], ..Default::default() };
    assert_eq!(said(client.kv.txn(request).await), invalid("key not found"));
    // A branch that is not taken is checked for its form, but not against the store.
    let absent = PutRequest { key: "k".into(), ignore_value: true, ..Default::default() };
    let never = compare("k", CompareResult::Equal, TargetUnion::Version(9));
    let request = TxnRequest { compare: vec![never], success: vec![op(Op::RequestPut(absent))], ..Default::default() };
    assert!(!client.txn(request).await.succeeded);
}

async fn a_transaction_writes_a_key_once(target: &Target) {
    let mut client = target.client().await;
    let nested = |success, failure| txn_op(TxnRequest { compare: vec![], success, failure });
    let refused = [
        vec![put_op("a", ""), put_op("a", "")],
        vec![put_op("b", ""), delete_op("a", "c")],
        vec![delete_op("a", ""), put_op("a", "")],
        vec![nested(vec![put_op("a", "")], vec![]), put_op("a", "")],
        vec![nested(vec![], vec![put_op("a", "")]), put_op("a", "")],
        vec![nested(vec![delete_op("a", "b")], vec![]), put_op("a", "")],
        vec![delete_op("a", "b"), nested(vec![], vec![put_op("a", "")])],
        vec![nested(vec![put_op("a", "")], vec![]), nested(vec![], vec![put_op("a", "")])],
        vec![nested(vec![delete_op("a", "")], vec![]), nested(vec![put_op("a", "")], vec![])],
    ];
    for success in refused {
        let request = TxnRequest { success, ..Default::default() };
        assert_eq!(
            said(client.kv.txn(request.clone()).await),
            invalid("duplicate key given in txn request"),
            "{request:?}"
        );
    }
    let taken = [
        vec![put_op("a", ""), put_op("b", "")],
        vec![put_op("c", ""), delete_op("a", "c")],
        vec![delete_op("a", "c"), delete_op("a", "c")],
        vec![nested(vec![put_op("a", "")], vec![put_op("a", "")])],
        vec![nested(vec![put_op("a", "")], vec![]), nested(vec![delete_op("a", "")], vec![])],
        // etcd takes the end "\0" for what it is not here: a key.
        vec![put_op("b", ""), delete_op("a", &b"\0"[..])],
    ];
    for success in taken {
        client.txn(TxnRequest { success, ..Default::default() }).await;
    }
}

async fn a_transaction_has_a_limit_of_operations(target: &Target) {
    let mut client = target.client().await;
    let ops = |n: usize| (0..n).map(|i| put_op(format!("k{i}"), "")).collect::<Vec<_>>();
    assert_eq!(
        client.txn(TxnRequest { success: ops(128), failure: ops(128), ..Default::default() }).await.responses.len(),
        128
    );
    let expected = invalid("too many operations in txn request");
    assert_eq!(said(client.kv.txn(TxnRequest { success: ops(129), ..Default::default() }).await), expected);
    assert_eq!(said(client.kv.txn(TxnRequest { failure: ops(129), ..Default::default() }).await), expected);
    let compares = vec![compare("k", CompareResult::Equal, TargetUnion::Version(0)); 129];
    assert_eq!(said(client.kv.txn(TxnRequest { compare: compares, ..Default::default() }).await), expected);
    let nested = |n| txn_op(TxnRequest { success: ops(n), ..Default::default() });
    client.txn(TxnRequest { success: vec![nested(127)], ..Default::default() }).await;
    assert_eq!(said(client.kv.txn(TxnRequest { success: vec![nested(128)], ..Default::default() }).await), expected);
}

async fn requests_have_a_limit_of_size(target: &Target) {
    let mut client = target.client().await;
    let put = |size: usize| PutRequest { key: "k".into(), value: vec![b'v'; size].into(), ..Default::default() };
    const LIMIT: usize = 1536 * 1024;
    client.kv.put(put(LIMIT - 64)).await.unwrap();
    assert_eq!(client.get("k").await.unwrap().value.len(), LIMIT - 64);
    assert_eq!(said(client.kv.put(put(LIMIT)).await), invalid("request is too large"));
    let request = TxnRequest { success: vec![op(Op::RequestPut(put(LIMIT)))], ..Default::default() };
    assert_eq!(said(client.kv.txn(request).await), invalid("request is too large"));
    // The form is checked first.
    let keyless = PutRequest { key: "".into(), ..put(LIMIT) };
    assert_eq!(said(client.kv.put(keyless).await), invalid("key is not provided"));
}

async fn messages_have_a_limit_of_size(target: &Target) {
    let mut client = target.client().await;
    let put = PutRequest { key: "k".into(), value: vec![b'v'; 2 * 1024 * 1024].into(), ..Default::default() };
    let (code, text) = said(client.kv.put(put).await);
    assert_eq!(
        (code, text.as_str()),
        (Code::ResourceExhausted, "grpc: received message larger than max (2097160 vs. 2097152)")
    );
    assert_eq!(client.put("k", "v").await, 2);
}
