//! Puts, deletes and compactions.

use bytes::Bytes;
use jine::pb::etcdserverpb::*;

use super::client::*;
use super::target::{Target, behaviours};

behaviours! {
    an_empty_store_is_at_revision_one
    each_write_is_one_revision
    a_header_says_who_answers
    the_previous_value_comes_back_if_asked_for
    value_and_lease_can_be_kept
    a_delete_that_finds_nothing_takes_no_revision
    a_key_that_was_deleted_begins_anew
    a_range_is_deleted_in_one_revision
    keys_may_be_any_bytes
    what_is_compacted_cannot_be_read
}

async fn an_empty_store_is_at_revision_one(target: &Target) {
    let mut client = target.client().await;
    let response = client.range(one("nothing")).await;
    assert_eq!((revision(&response.header), response.count, response.more), (1, 0, false));
    assert_eq!(client.put("k", "v").await, 2);
}

async fn each_write_is_one_revision(target: &Target) {
    let mut client = target.client().await;
    assert_eq!((client.put("k", "a").await, client.put("k", "a").await, client.put("l", "").await), (2, 3, 4));
    let kv = client.get("k").await.unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version, kv.lease), (2, 3, 2, 0));
    assert_eq!((kv.key, kv.value), (Bytes::from("k"), Bytes::from("a")));
}

async fn a_header_says_who_answers(target: &Target) {
    let mut client = target.client().await;
    let header = client.range(one("k")).await.header.unwrap();
    assert!(header.cluster_id != 0 && header.member_id != 0 && header.raft_term != 0, "{header:?}");
    let again = client.kv.put(PutRequest { key: "k".into(), ..Default::default() }).await.unwrap().into_inner();
    assert_eq!(again.header.unwrap(), ResponseHeader { revision: 2, ..header });
}

async fn the_previous_value_comes_back_if_asked_for(target: &Target) {
    let mut client = target.client().await;
    let put = |value: &'static str, prev_kv| PutRequest {
        key: "k".into(),
        value: value.into(),
        prev_kv,
        ..Default::default()
    };
    assert_eq!(client.kv.put(put("a", true)).await.unwrap().into_inner().prev_kv, None);
    let prev = client.kv.put(put("b", true)).await.unwrap().into_inner().prev_kv.unwrap();
    assert_eq!((prev.value, prev.version), (Bytes::from("a"), 1));
    assert_eq!(client.kv.put(put("c", false)).await.unwrap().into_inner().prev_kv, None);
}

async fn value_and_lease_can_be_kept(target: &Target) {
    let mut client = target.client().await;
    let lease = client.grant(100).await;
    let put = PutRequest { key: "k".into(), value: "v".into(), lease, ..Default::default() };
    client.kv.put(put).await.unwrap();
    let keep_value = PutRequest { key: "k".into(), ignore_value: true, ..Default::default() };
    client.kv.put(keep_value).await.unwrap();
    let kv = client.get("k").await.unwrap();
    assert_eq!((kv.value, kv.lease, kv.version), (Bytes::from("v"), 0, 2));

    let attach = PutRequest { key: "k".into(), ignore_value: true, lease, ..Default::default() };
    client.kv.put(attach).await.unwrap();
    let keep_lease = PutRequest { key: "k".into(), value: "w".into(), ignore_lease: true, ..Default::default() };
    client.kv.put(keep_lease).await.unwrap();
    let kv = client.get("k").await.unwrap();
    assert_eq!((kv.value, kv.lease, kv.version), (Bytes::from("w"), lease, 4));
}

async fn a_delete_that_finds_nothing_takes_no_revision(target: &Target) {
    let mut client = target.client().await;
    client.put("k", "v").await;
    assert_eq!(client.delete("other").await, 2);
    assert_eq!(client.delete("k").await, 3);
    assert_eq!(client.delete("k").await, 3);
}

async fn a_key_that_was_deleted_begins_anew(target: &Target) {
    let mut client = target.client().await;
    client.put("k", "a").await;
    client.put("k", "b").await;
    client.delete("k").await;
    client.put("k", "c").await;
    let kv = client.get("k").await.unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (5, 5, 1));
}

async fn a_range_is_deleted_in_one_revision(target: &Target) {
    let mut client = target.client().await;
    for key in ["a", "b", "c", "d"] {
        client.put(key, key).await;
    }
    let request = DeleteRangeRequest { key: "b".into(), range_end: "d".into(), prev_kv: true };
    let response = client.kv.delete_range(request).await.unwrap().into_inner();
    assert_eq!((revision(&response.header), response.deleted), (6, 2));
    let prev: Vec<_> = response.prev_kvs.iter().map(|kv| (&kv.key[..], &kv.value[..], kv.mod_revision)).collect();
    assert_eq!(prev, [(&b"b"[..], &b"b"[..], 3), (b"c", b"c", 4)]);

    let all = DeleteRangeRequest { key: b"\0"[..].into(), range_end: b"\0"[..].into(), prev_kv: false };
    let response = client.kv.delete_range(all).await.unwrap().into_inner();
    assert_eq!((revision(&response.header), response.deleted, response.prev_kvs.len()), (7, 2, 0));
}

async fn keys_may_be_any_bytes(target: &Target) {
    let mut client = target.client().await;
    let long = vec![b'k'; 3000];
    let all: [&[u8]; 12] =
        [b"\0", b"\0\0", b" ", b"*", b".", b"..", b"/", b"//a//", b">", b"a.b\0=\xff", &long, b"\xff\xff"];
    for key in all {
        client.put(Bytes::copy_from_slice(key), Bytes::copy_from_slice(key)).await;
    }
    let response = client.range(between(&b"\0"[..], &b"\0"[..])).await;
    let mut sorted = all.to_vec();
    sorted.sort();
    assert_eq!(response.kvs.iter().map(|kv| &kv.key[..]).collect::<Vec<_>>(), sorted);
    assert!(response.kvs.iter().all(|kv| kv.key == kv.value));
}

async fn what_is_compacted_cannot_be_read(target: &Target) {
    let mut client = target.client().await;
    for value in ["a", "b", "c"] {
        client.put("k", value).await;
    }
    let response = client.kv.compact(CompactionRequest { revision: 3, physical: false }).await.unwrap().into_inner();
    assert_eq!(revision(&response.header), 4);
    let at = |revision| RangeRequest { revision, ..one("k") };
    assert_eq!(client.range(at(3)).await.kvs[0].value, "b");
    let (_, text) = said(client.kv.range(at(2)).await);
    assert_eq!(text, "etcdserver: mvcc: required revision has been compacted");
    client.compact(4).await;
    assert_eq!(client.range(at(4)).await.kvs[0].value, "c");
}
