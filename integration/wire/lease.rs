//! Leases.

use jine::pb::etcdserverpb::*;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;

use super::client::*;
use super::target::{Target, behaviours};

behaviours! {
    leases_are_listed_as_they_will_expire
    a_lease_can_be_granted_once
    a_lease_is_no_revision
    a_time_to_live_that_is_too_long_is_refused
    a_short_time_to_live_is_raised
    what_a_lease_holds_goes_with_it_in_one_revision
    a_lease_that_is_not_kept_expires
    keeping_a_lease_that_is_gone_is_no_error
    the_time_to_live_tells_keys_if_asked_for
    a_put_without_the_lease_takes_the_key_away_from_it
    leases_are_listed
}

async fn a_lease_can_be_granted_once(target: &Target) {
    let mut client = target.client().await;
    let grant = LeaseGrantRequest { id: 77, ttl: 100 };
    let granted = client.lease.lease_grant(grant).await.unwrap().into_inner();
    assert_eq!((granted.id, granted.ttl, granted.error.as_str()), (77, 100, ""));
    let expected = (Code::FailedPrecondition, "etcdserver: lease already exists".to_owned());
    assert_eq!(said(client.lease.lease_grant(grant).await), expected);
    assert!(client.grant(100).await > 0);
}

async fn a_lease_is_no_revision(target: &Target) {
    let mut client = target.client().await;
    let id = client.grant(100).await;
    assert_eq!(client.put("k", "v").await, 2);
    let response = client.lease.lease_revoke(LeaseRevokeRequest { id }).await.unwrap().into_inner();
    assert_eq!(revision(&response.header), 2);
}

async fn a_time_to_live_that_is_too_long_is_refused(target: &Target) {
    let mut client = target.client().await;
    let grant = |ttl| LeaseGrantRequest { id: 0, ttl };
    let expected = (Code::OutOfRange, "etcdserver: too large lease TTL".to_owned());
    assert_eq!(said(client.lease.lease_grant(grant(9_000_000_001)).await), expected);
    client.lease.lease_grant(grant(9_000_000_000)).await.unwrap();
}

async fn a_short_time_to_live_is_raised(target: &Target) {
    let mut client = target.client().await;
    for ttl in [1, 0, -5] {
        let granted = client.lease.lease_grant(LeaseGrantRequest { id: 0, ttl }).await.unwrap().into_inner();
        assert!(granted.ttl >= 1, "{granted:?}");
        let asked = LeaseTimeToLiveRequest { id: granted.id, keys: false };
        assert_eq!(client.lease.lease_time_to_live(asked).await.unwrap().into_inner().granted_ttl, granted.ttl);
    }
}

async fn what_a_lease_holds_goes_with_it_in_one_revision(target: &Target) {
    let mut client = target.client().await;
    let lease = client.grant(100).await;
    for key in ["c", "a", "b"] {
        client.kv.put(PutRequest { key: key.into(), lease, ..Default::default() }).await.unwrap();
    }
    let mut watch = client.watch().await;
    watch.create(watch_all()).await;
    let response = client.lease.lease_revoke(LeaseRevokeRequest { id: lease }).await.unwrap().into_inner();
    assert_eq!(revision(&response.header), 5);
    let events = watch.next().await.events;
    assert_eq!(events.iter().map(shape).collect::<Vec<_>>(), ["DELETE a@5", "DELETE b@5", "DELETE c@5"]);
    assert_eq!(client.range(between("a", "z")).await.count, 0);
}

async fn a_lease_that_is_not_kept_expires(target: &Target) {
    let mut client = target.client().await;
    let lease = client.grant(1).await;
    client.kv.put(PutRequest { key: "k".into(), lease, ..Default::default() }).await.unwrap();
    let mut watch = client.watch().await;
    watch.create(watch_one("k")).await;
    assert_eq!(shape(&watch.events(1).await[0]), "DELETE k@3");
    let asked = LeaseTimeToLiveRequest { id: lease, keys: false };
    assert_eq!(client.lease.lease_time_to_live(asked).await.unwrap().into_inner().ttl, -1);
}

async fn keeping_a_lease_that_is_gone_is_no_error(target: &Target) {
    let mut client = target.client().await;
    let id = client.grant(100).await;
    let (requests, receiver) = tokio::sync::mpsc::channel(4);
    for id in [id, 404, id] {
        requests.send(LeaseKeepAliveRequest { id }).await.unwrap();
    }
    drop(requests);
    let mut answers = client.lease.lease_keep_alive(ReceiverStream::new(receiver)).await.unwrap().into_inner();
    for expected in [(id, 100), (404, 0), (id, 100)] {
        let answer = answers.message().await.unwrap().unwrap();
        assert_eq!((answer.id, answer.ttl, revision(&answer.header)), (expected.0, expected.1, 1));
    }
    assert_eq!(answers.message().await.unwrap(), None);
}

async fn the_time_to_live_tells_keys_if_asked_for(target: &Target) {
    let mut client = target.client().await;
    let lease = client.grant(100).await;
    for key in ["a", "b"] {
        client.kv.put(PutRequest { key: key.into(), lease, ..Default::default() }).await.unwrap();
    }
    let ask = |id, keys| LeaseTimeToLiveRequest { id, keys };
    let told = client.lease.lease_time_to_live(ask(lease, true)).await.unwrap().into_inner();
    let mut keys = told.keys.clone();
    keys.sort();
    assert_eq!((told.id, told.granted_ttl, keys), (lease, 100, vec!["a".into(), "b".into()]));
    assert!((90..=100).contains(&told.ttl), "{}", told.ttl);
    assert_eq!(client.lease.lease_time_to_live(ask(lease, false)).await.unwrap().into_inner().keys.len(), 0);
    let gone = client.lease.lease_time_to_live(ask(404, true)).await.unwrap().into_inner();
    assert_eq!((gone.id, gone.ttl, gone.granted_ttl, gone.keys.len(), revision(&gone.header)), (404, -1, 0, 0, 3));
}

async fn a_put_without_the_lease_takes_the_key_away_from_it(target: &Target) {
    let mut client = target.client().await;
    let lease = client.grant(100).await;
    client.kv.put(PutRequest { key: "k".into(), lease, ..Default::default() }).await.unwrap();
    client.put("k", "mine").await;
    client.lease.lease_revoke(LeaseRevokeRequest { id: lease }).await.unwrap();
    assert_eq!(client.get("k").await.unwrap().value, "mine");
}

async fn leases_are_listed(target: &Target) {
    let mut client = target.client().await;
    let list = async |client: &mut Client| {
        let listed = client.lease.lease_leases(LeaseLeasesRequest {}).await.unwrap().into_inner();
        let mut ids: Vec<_> = listed.leases.iter().map(|lease| lease.id).collect();
        ids.sort();
        (ids, revision(&listed.header))
    };
    assert_eq!(list(&mut client).await, (vec![], 1));
    for id in [5, 3] {
        client.lease.lease_grant(LeaseGrantRequest { id, ttl: 100 }).await.unwrap();
    }
    assert_eq!(list(&mut client).await, (vec![3, 5], 1));
}

async fn leases_are_listed_as_they_will_expire(target: &Target) {
    let mut client = target.client().await;
    for (id, ttl) in [(1, 300), (2, 100), (3, 200)] {
        client.lease.lease_grant(LeaseGrantRequest { id, ttl }).await.unwrap();
    }
    let listed = client.lease.lease_leases(LeaseLeasesRequest {}).await.unwrap().into_inner().leases;
    assert_eq!(listed.iter().map(|lease| lease.id).collect::<Vec<_>>(), [2, 3, 1]);
}
