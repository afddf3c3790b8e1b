//! Point 8: what of etcd's API there is.

use jine::pb::etcdserverpb::range_request::{SortOrder, SortTarget};
use jine::pb::etcdserverpb::{DeleteRangeRequest, LeaseRevokeRequest, RangeRequest};

use super::Point;
use super::history::right;
use super::server::{Kind, Server, nats_server};
use crate::support::client::put_op;

/// kine knows four forms of a transaction, by which Kubernetes creates, updates, deletes and compacts.
pub(super) async fn any_transaction_is_taken(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    let answer = client.txn(Vec::new(), vec![put_op("/a", "1"), put_op("/b", "2")]).await;
    let revision = answer.map_err(|status| status.message().to_owned())?.header.unwrap().revision;
    for key in ["/a", "/b"] {
        let written = client.get(key).await.unwrap().unwrap().mod_revision;
        assert_eq!(written, revision, "{key}");
    }
    Ok(())
}

pub(super) async fn ranges_are_deleted(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    for number in 0..5 {
        client.put(format!("/keys/{number}"), "x").await.unwrap();
    }
    let request = DeleteRangeRequest { key: "/keys/".into(), range_end: "/keys0".into(), prev_kv: true };
    let answer = client.kv.clone().delete_range(request).await.map_err(|status| status.message().to_owned())?;
    let answer = answer.into_inner();
    right(answer.deleted == 5 && answer.prev_kvs.len() == 5, || format!("{} keys were deleted", answer.deleted))
}

pub(super) async fn a_range_is_sorted_and_filtered(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    let mut revisions = Vec::new();
    for value in ["c", "a", "b"] {
        revisions.push(client.put(format!("/keys/{value}"), value).await.unwrap());
    }
    let all = RangeRequest { key: "/keys/".into(), range_end: "/keys0".into(), ..Default::default() };
    let newest = RangeRequest {
        sort_order: SortOrder::Descend as i32,
        sort_target: SortTarget::Mod as i32,
        limit: 1,
        ..all.clone()
    };
    let later = RangeRequest { min_mod_revision: revisions[1], ..all.clone() };
    let nearby = RangeRequest { serializable: true, ..all };
    let mut refused = Vec::new();
    for (what, request, expected) in [
        ("the newest", newest, vec!["b"]),
        ("those written since", later, vec!["a", "b"]),
        ("serializable", nearby, vec!["a", "b", "c"]),
    ] {
        match client.kv.clone().range(request).await {
            Ok(answer) => {
                let values: Vec<_> = answer.into_inner().kvs.into_iter().map(|kv| kv.value).collect();
                assert_eq!(values, expected, "{what}");
            }
            Err(status) => refused.push(format!("{what}: {}", status.message())),
        }
    }
    right(refused.is_empty(), || refused.join("; "))
}

/// In kine the id of a lease is its TTL.
pub(super) async fn leases_have_ids_of_their_own(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    let (one, two) = (client.grant(1000).await.unwrap(), client.grant(1000).await.unwrap());
    right(one != two, || format!("two leases of 1000 s are both lease {one}"))
}

pub(super) async fn leases_are_kept_alive_and_revoked(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    let lease = client.grant(1000).await.unwrap();
    client.put_leased("/leased", "x", lease).await.unwrap();
    let mut refused = Vec::new();
    let alive = client.keep_alive(lease).await;
    let left = client.time_to_live(lease).await;
    let revoked = client.lease.clone().lease_revoke(LeaseRevokeRequest { id: lease }).await;
    let answers = [alive.map(drop), left.map(drop), revoked.map(drop)];
    for status in answers.into_iter().filter_map(Result::err) {
        refused.push(status.message().to_owned());
    }
    if !refused.is_empty() {
        return Err(refused.join("; "));
    }
    let left = client.get("/leased").await.unwrap();
    right(left.is_none(), || "a key outlived its lease".into())
}
