//! Following changes: refusals, compaction, large events, slow clients.

use jine::pb::etcdserverpb::*;
use prost::Message;

use super::client::*;
use super::target::{Target, behaviours};

behaviours! {
    a_compacted_start_is_created_then_canceled
    the_first_revision_left_by_a_compaction_can_be_watched
    an_id_can_be_taken_once
    an_empty_range_is_refused
    a_start_below_zero_is_refused
    creates_are_answered_in_their_order
    canceling_what_is_not_there_is_passed_over
    a_request_that_asks_for_nothing_is_passed_over
    large_revisions_are_fragmented_if_asked_for
    a_slow_client_loses_nothing
    a_busy_stream_hears_its_client
    a_stream_outlives_the_requests
}

async fn a_compacted_start_is_created_then_canceled(target: &Target) {
    let mut client = target.client().await;
    for value in ["a", "b", "c"] {
        client.put("k", value).await;
    }
    client.compact(4).await;
    let mut watch = client.watch().await;
    let created = watch.create(WatchCreateRequest { start_revision: 2, ..watch_one("k") }).await;
    assert_eq!((created.watch_id, created.created, created.canceled, created.compact_revision), (0, true, false, 0));
    let canceled = watch.next().await;
    assert_eq!(
        (canceled.watch_id, canceled.created, canceled.canceled, canceled.compact_revision),
        (0, false, true, 4)
    );
    assert_eq!(canceled.cancel_reason, "");
    // The others go on.
    watch.create(WatchCreateRequest { watch_id: 5, ..watch_one("k") }).await;
    client.put("k", "d").await;
    assert_eq!(watch.next().await.watch_id, 5);
}

async fn the_first_revision_left_by_a_compaction_can_be_watched(target: &Target) {
    let mut client = target.client().await;
    for value in ["a", "b", "c"] {
        client.put("k", value).await;
    }
    client.compact(3).await;
    let mut watch = client.watch().await;
    watch.create(WatchCreateRequest { start_revision: 3, ..watch_one("k") }).await;
    assert_eq!(watch.events(2).await.iter().map(shape).collect::<Vec<_>>(), ["PUT k@3", "PUT k@4"]);
}

fn refused(response: &WatchResponse, reason: &str) {
    assert_eq!(
        (response.watch_id, response.created, response.canceled, response.compact_revision),
        (-1, true, true, 0)
    );
    assert_eq!((response.cancel_reason.as_str(), revision(&response.header)), (reason, 1));
}

async fn an_id_can_be_taken_once(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    let with_id = |watch_id| WatchCreateRequest { watch_id, ..watch_one("k") };
    assert_eq!(watch.create(with_id(2)).await.watch_id, 2);
    refused(&watch.create(with_id(2)).await, "mvcc: duplicate watch ID provided on the WatchStream");
    // The ids given out pass over those that are taken.
    for expected in [0, 1, 3] {
        assert_eq!(watch.create(with_id(0)).await.watch_id, expected);
    }
    watch.cancel(2).await;
    assert!(watch.next().await.canceled);
    assert_eq!(watch.create(with_id(2)).await.watch_id, 2);
    watch.cancel(1).await;
    assert!(watch.next().await.canceled);
    // An id is not given out twice.
    assert_eq!(watch.create(with_id(0)).await.watch_id, 4);
}

async fn an_empty_range_is_refused(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    for end in ["a", "b"] {
        let created = watch.create(WatchCreateRequest { range_end: end.into(), ..watch_one("b") }).await;
        refused(&created, "mvcc: watcher range is empty");
    }
}

async fn a_start_below_zero_is_refused(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    let created = watch.create(WatchCreateRequest { start_revision: -1, ..watch_one("k") }).await;
    refused(&created, "etcdserver: mvcc: required revision has been compacted");
}

async fn canceling_what_is_not_there_is_passed_over(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.cancel(9).await;
    assert_eq!(watch.create(watch_one("k")).await.watch_id, 0);
}

async fn a_request_that_asks_for_nothing_is_passed_over(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.ask_nothing().await;
    assert_eq!(watch.create(watch_one("k")).await.watch_id, 0);
}

async fn large_revisions_are_fragmented_if_asked_for(target: &Target) {
    let mut client = target.client().await;
    let lease = client.grant(1000).await;
    for i in 0..30 {
        let key = format!("k{i:02}").into();
        let put = PutRequest { key, value: vec![b'v'; 100_000].into(), lease, ..Default::default() };
        client.kv.put(put).await.unwrap();
    }
    let mut watch = client.watch().await;
    let both = WatchCreateRequest { prev_kv: true, ..watch_all() };
    watch.create(WatchCreateRequest { fragment: true, watch_id: 1, ..both.clone() }).await;
    watch.create(WatchCreateRequest { watch_id: 2, ..both }).await;
    // 3 MB of previous values in one revision.
    client.lease.lease_revoke(LeaseRevokeRequest { id: lease }).await.unwrap();
    let (mut whole, mut parts) = (None, Vec::new());
    while whole.is_none() || parts.last().is_none_or(|part: &WatchResponse| part.fragment) {
        let response = watch.next().await;
        match response.watch_id {
            1 => parts.push(response),
            _ => whole = Some(response),
        }
    }
    let whole = whole.unwrap();
    assert_eq!((whole.events.len(), whole.fragment), (30, false));
    assert_eq!(parts.len(), 2);
    assert!(parts.iter().all(|part| part.encoded_len() < 2 * 1024 * 1024 && revision(&part.header) == 32));
    let events: Vec<_> = parts.into_iter().flat_map(|part| part.events).collect();
    assert_eq!(events, whole.events);
}

async fn a_slow_client_loses_nothing(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.create(watch_one("k")).await;
    for i in 0..200 {
        client.put("k", format!("{i}:{}", "v".repeat(100_000))).await;
    }
    // 20 MB are more than the transport keeps.
    let mut seen = 1;
    while seen < 201 {
        for event in watch.next().await.events {
            let kv = event.kv.unwrap();
            assert_eq!(kv.mod_revision, seen + 1);
            assert!(kv.value.starts_with(format!("{}:", seen - 1).as_bytes()));
            seen += 1;
        }
    }
}

/// As long as there are more events than the client takes, there is always one to send.
async fn a_busy_stream_hears_its_client(target: &Target) {
    let mut watch = target.client().await.watch().await;
    for _ in 0..200 {
        watch.create(watch_one("k")).await;
    }
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let mut client = target.client().await;
        writers.spawn(async move {
            loop {
                client.put("k", "v").await;
            }
        });
    }
    for _ in 0..2000 {
        assert!(!watch.next().await.canceled);
    }
    watch.cancel(7).await;
    let canceled = async {
        loop {
            let response = watch.next().await;
            if response.canceled {
                return response;
            }
        }
    };
    let canceled = tokio::time::timeout(PATIENCE, canceled).await.expect("the watcher is canceled while events go on");
    assert_eq!((canceled.watch_id, canceled.created), (7, false));
}

async fn creates_are_answered_in_their_order(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    for round in 0..20 {
        for start_revision in [0, -1, 0] {
            let create = WatchCreateRequest { start_revision, ..watch_one("k") };
            watch.ask(watch_request::RequestUnion::CreateRequest(create)).await;
        }
        let mut canceled = Vec::new();
        for _ in 0..3 {
            let answer = watch.next().await;
            assert!(answer.created);
            canceled.push(answer.canceled);
        }
        assert_eq!(canceled, [false, true, false], "round {round}");
    }
}

async fn a_stream_outlives_the_requests(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.create(watch_one("k")).await;
    watch.close_requests();
    client.put("k", "").await;
    assert_eq!(watch.events(1).await.len(), 1);
}
