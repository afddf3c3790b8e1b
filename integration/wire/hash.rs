//! HashKV: the same number as etcd's for the same keys, before and after compactions. (The lease ids and so on that go into it are equal,
//! as the tests choose them.)

use std::fmt::Write;

use jine::pb::etcdserverpb::*;
use tonic::Code;

use super::client::*;
use super::target::{Target, behaviours};

behaviours! {
    an_empty_store_has_a_hash
    revisions_that_cannot_be_read_have_no_hash
    defragment_succeeds
}

/// Hash, compacted revision, revision; or what went wrong.
async fn hash(client: &mut Client, revision: i64) -> Result<(u32, i64, i64), String> {
    match client.maintenance.hash_kv(HashKvRequest { revision }).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            assert!(answer.header.is_some_and(|header| header.member_id != 0));
            Ok((answer.hash, answer.compact_revision, answer.hash_revision))
        }
        Err(status) => Err(format!("{:?} {}", status.code(), status.message())),
    }
}

async fn an_empty_store_has_a_hash(target: &Target) {
    let mut client = target.client().await;
    // CRC-32C of the bucket's name.
    assert_eq!(hash(&mut client, 0).await, Ok((1_084_519_789, -1, 1)));
    assert_eq!(hash(&mut client, -5).await, Ok((1_084_519_789, -1, -5)));
}

async fn revisions_that_cannot_be_read_have_no_hash(target: &Target) {
    let mut client = target.client().await;
    for value in ["1", "2", "3"] {
        client.put("k", value).await;
    }
    client.compact(3).await;
    let compacted = "OutOfRange etcdserver: mvcc: required revision has been compacted";
    assert_eq!(hash(&mut client, 2).await, Err(compacted.into()));
    let future = "OutOfRange etcdserver: mvcc: required revision is a future revision";
    assert_eq!(hash(&mut client, 5).await, Err(future.into()));
    assert!(hash(&mut client, 4).await.is_ok());
}

async fn defragment_succeeds(target: &Target) {
    let mut client = target.client().await;
    client.put("k", "v").await;
    let before = client.get("k").await;
    client.maintenance.defragment(DefragmentRequest {}).await.unwrap();
    assert_eq!(client.get("k").await, before);
    client.maintenance.hash(HashRequest {}).await.unwrap();
}

async fn txn(client: &mut Client, success: Vec<RequestOp>) {
    client.kv.txn(TxnRequest { success, ..Default::default() }).await.unwrap();
}

/// The hash at every revision from below the first to past the last.
async fn all(client: &mut Client, seen: &mut String) {
    let last = hash(client, 0).await.unwrap();
    writeln!(seen, "{last:?}").unwrap();
    for revision in 1..=last.2 + 1 {
        let hash = hash(client, revision).await;
        writeln!(seen, "at {revision}: {hash:?}").unwrap();
    }
}

/// Sub-revisions, leases, tombstones, large values, and what compactions keep.
async fn a_life(client: &mut Client) -> String {
    let mut seen = String::new();
    client.lease.lease_grant(LeaseGrantRequest { id: 7, ttl: 1000 }).await.unwrap();
    for key in ["a", "b", "c", "d", "e"] {
        client.put(key, "1").await;
    }
    txn(client, vec![put_op("x", "1"), delete_op("b", "d"), put_op("y", ""), put_op("a", "2")]).await;
    for key in ["l1", "l2", "a"] {
        let put = PutRequest { key: key.into(), value: "leased".into(), lease: 7, ..Default::default() };
        client.kv.put(put).await.unwrap();
    }
    // More than one message of the log holds, and something behind it.
    let large = put_op("large", vec![b'v'; 1_200_000]);
    txn(client, vec![put_op("before", "1"), large, put_op("behind", "1"), delete_op("x", "z")]).await;
    all(client, &mut seen).await;
    client.compact(6).await;
    all(client, &mut seen).await;
    client.lease.lease_revoke(LeaseRevokeRequest { id: 7 }).await.unwrap();
    client.put("b", "again").await;
    all(client, &mut seen).await;
    let last = hash(client, 0).await.unwrap().2;
    // At a tombstone: it is kept and does not count.
    client.compact(last - 1).await;
    all(client, &mut seen).await;
    // Nothing is left that could be read.
    txn(client, vec![delete_op("\0", "\u{7f}")]).await;
    all(client, &mut seen).await;
    client.compact(last + 1).await;
    all(client, &mut seen).await;
    client.put("a", "3").await;
    all(client, &mut seen).await;
    seen
}

#[tokio::test]
async fn the_hash_of_the_keys_is_etcds() {
    let (etcd, jine) = (Target::etcd(), Target::jine());
    let (mut etcd, mut jine) = (etcd.client().await, jine.client().await);
    let (expected, seen) = (a_life(&mut etcd).await, a_life(&mut jine).await);
    println!("{expected}");
    assert_eq!(seen, expected);
}

/// More keys than a batch of the log holds are deleted by one message with a list.
#[tokio::test]
async fn the_hash_of_many_deleted_keys_is_etcds() {
    let (etcd, jine) = (Target::etcd(), Target::jine());
    let mut seen = Vec::new();
    for target in [&etcd, &jine] {
        let (mut client, mut hashes) = (target.client().await, String::new());
        for start in (0..1500).step_by(100) {
            let puts = (start..start + 100).map(|n| put_op(format!("k{n:04}"), "v"));
            txn(&mut client, puts.collect()).await;
        }
        txn(&mut client, vec![delete_op("k0", "k1"), put_op("a", "1"), delete_op("k", "l")]).await;
        client.put("a", "2").await;
        all(&mut client, &mut hashes).await;
        client.compact(16).await;
        all(&mut client, &mut hashes).await;
        seen.push(hashes);
    }
    assert!(seen[0].contains("at 18: Ok"), "{}", seen[0]);
    assert_eq!(seen[1], seen[0]);
}

#[tokio::test]
async fn a_stored_hash_outlives_ten_compactions_and_no_more() {
    let (etcd, jine) = (Target::etcd(), Target::jine());
    let mut seen = Vec::new();
    for target in [&etcd, &jine] {
        let (mut client, mut hashes) = (target.client().await, String::new());
        for n in 0..12 {
            client.put("k", n.to_string()).await;
            client.delete("k").await;
            client.compact(2 * n + 2 + n % 2).await;
            all(&mut client, &mut hashes).await;
        }
        seen.push(hashes);
    }
    let refused = format!("{:?}", Code::OutOfRange);
    assert!(seen[0].contains(&refused) && seen[0].contains("Ok"), "{}", seen[0]);
    assert_eq!(seen[1], seen[0]);
}
