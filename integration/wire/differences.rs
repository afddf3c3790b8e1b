//! What is meant to differ from etcd, so that it is asked of jine alone. Much of it makes an etcd fall over.

use jine::pb::etcdserverpb::request_op::Request as Op;
use jine::pb::etcdserverpb::*;
use prost::Message;
use tonic::Code;

use super::client::*;
use super::http;
use super::target::Target;

/// Which is no range to etcd's check for keys that are written twice.
fn delete_from(key: &'static str) -> RequestOp {
    op(Op::RequestDeleteRange(DeleteRangeRequest { key: key.into(), range_end: b"\0"[..].into(), prev_kv: false }))
}

#[tokio::test]
async fn a_compaction_at_zero_is_accepted_every_time() {
    let target = Target::jine();
    let mut client = target.client().await;
    client.put("a", "1").await;
    for _ in 0..2 {
        client.compact(0).await;
        let hash = client.maintenance.hash_kv(HashKvRequest { revision: 0 }).await.unwrap().into_inner();
        assert_eq!((hash.hash_revision, hash.compact_revision), (2, -1));
    }
}

#[tokio::test]
async fn a_value_or_lease_that_the_same_transaction_deletes_cannot_be_kept() {
    let target = Target::jine();
    let mut client = target.client().await;
    client.put("b", "1").await;
    for (ignore_value, ignore_lease) in [(true, false), (false, true)] {
        let keeping = PutRequest { key: "b".into(), ignore_value, ignore_lease, ..Default::default() };
        let success = vec![delete_from("a"), op(Op::RequestPut(keeping))];
        let answer = client.kv.txn(TxnRequest { success, ..Default::default() }).await;
        assert_eq!(said(answer), (Code::InvalidArgument, "etcdserver: key not found".to_owned()));
    }
    assert_eq!(client.get("b").await.unwrap().mod_revision, 2);
}

#[tokio::test]
async fn a_key_deleted_and_put_at_one_revision_outlives_its_compaction() {
    let target = Target::jine();
    let mut client = target.client().await;
    client.put("b", "1").await;
    let success = vec![delete_from("a"), put_op("b", "2")];
    client.txn(TxnRequest { success, ..Default::default() }).await;
    client.put("c", "1").await;
    client.compact(3).await;
    let kv = client.get("b").await.unwrap();
    assert_eq!((&kv.value[..], kv.create_revision, kv.mod_revision, kv.version), (&b"2"[..], 3, 3, 1));
    assert_eq!(client.range(RangeRequest { revision: 3, ..one("b") }).await.kvs, [kv]);
}

#[tokio::test]
async fn an_unknown_alarm_action_is_answered_with_nothing() {
    let target = Target::jine();
    let mut client = target.client().await;
    let unknown = AlarmRequest { action: 7, member_id: 0, alarm: AlarmType::Nospace as i32 };
    assert_eq!(client.maintenance.alarm(unknown).await.unwrap().into_inner().alarms, []);
    client.put("a", "1").await;
}

#[tokio::test]
async fn a_watch_that_begins_too_early_is_canceled_at_a_revision() {
    let target = Target::jine();
    let mut client = target.client().await;
    for value in ["a", "b", "c"] {
        client.put("k", value).await;
    }
    client.compact(4).await;
    let mut watch = client.watch().await;
    watch.create(WatchCreateRequest { start_revision: 2, ..watch_one("k") }).await;
    let canceled = watch.next().await;
    assert_eq!((canceled.canceled, revision(&canceled.header)), (true, 4));
}

#[tokio::test]
async fn nested_transactions_put_a_thousand_keys_at_most() {
    let target = Target::jine();
    let mut client = target.client().await;
    let nested = |keys: usize| {
        let puts = (0..keys).map(|key| put_op(format!("k{key}"), "v")).collect::<Vec<_>>();
        let nested = puts.chunks(100).map(|part| txn_op(TxnRequest { success: part.to_vec(), ..Default::default() }));
        TxnRequest { success: nested.collect(), ..Default::default() }
    };
    let refused = (Code::InvalidArgument, "etcdserver: too many operations in txn request".to_owned());
    assert_eq!(said(client.kv.txn(nested(1001)).await), refused);
    assert_eq!(client.txn(nested(1000)).await.header.unwrap().revision, 2);
}

#[tokio::test]
async fn a_key_has_32_kib_at_most() {
    let target = Target::jine();
    let mut client = target.client().await;
    let longest = vec![b'k'; 32 * 1024];
    let longer = vec![b'k'; 32 * 1024 + 1];
    let refused = (Code::InvalidArgument, "etcdserver: request is too large".to_owned());
    let put = PutRequest { key: longer.clone().into(), ..Default::default() };
    assert_eq!(said(client.kv.put(put).await), refused);
    let both = vec![put_op("a", "1"), put_op(longer.clone(), "1")];
    assert_eq!(said(client.kv.txn(TxnRequest { success: both, ..Default::default() }).await), refused);
    assert_eq!(client.put(longest.clone(), "1").await, 2);
    assert_eq!(client.range(one(longest.clone())).await.kvs[0].key, longest);
    // What cannot be there can be asked for.
    assert_eq!(client.range(one(longer.clone())).await.count, 0);
    let delete = client.kv.delete_range(DeleteRangeRequest { key: longer.into(), ..Default::default() }).await;
    assert_eq!(delete.unwrap().into_inner().deleted, 0);
}

#[tokio::test]
async fn transactions_are_nested_49_deep_at_most() {
    let target = Target::jine();
    let mut client = target.client().await;
    let nested = |depth: usize| {
        let innermost = TxnRequest { success: vec![put_op("k", "v")], ..Default::default() };
        (0..depth).fold(innermost, |inner, _| TxnRequest { success: vec![txn_op(inner)], ..Default::default() })
    };
    // The answer is nested more deeply than a client of our own would read.
    let mut ask = async |depth| client.raw("/etcdserverpb.KV/Txn", nested(depth).encode_to_vec().into()).await;
    let (code, text) = said(ask(50).await);
    assert!(code == Code::Internal && text.contains("recursion limit reached"), "{code:?} {text}");
    ask(49).await.unwrap();
    assert_eq!(client.get("k").await.unwrap().mod_revision, 2);
}

#[tokio::test]
async fn progress_is_told_to_who_watches_from_the_next_revision_on() {
    let target = Target::jine();
    let mut client = target.client().await;
    client.put("k", "v").await;
    let mut watch = client.watch().await;
    watch.create(WatchCreateRequest { start_revision: 3, ..watch_one("k") }).await;
    watch.request_progress().await;
    let told = watch.next().await;
    assert_eq!((told.watch_id, told.events.len(), revision(&told.header)), (-1, 0, 2));
}

#[tokio::test]
async fn there_is_no_json_gateway() {
    let target = Target::jine();
    for path in ["/v3/kv/range", "/v3/watch", "/v3/lease/grant"] {
        assert_eq!(http::get(&target, path).await.0, 404);
        assert_eq!(http::ask(&target, "POST", path).await.0, 404);
    }
}
