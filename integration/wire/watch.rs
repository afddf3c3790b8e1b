//! Following changes.

use jine::pb::etcdserverpb::watch_create_request::FilterType;
use jine::pb::etcdserverpb::*;

use super::client::*;
use super::target::{Target, behaviours};

behaviours! {
    a_watch_begins_with_created
    events_come_in_order
    a_delete_has_the_key_and_the_revision_only
    the_previous_value_comes_if_asked_for
    a_watch_starts_in_the_past
    a_watch_waits_for_the_future
    the_events_of_a_revision_come_together
    filters_leave_events_out
    a_range_is_watched
    many_watchers_share_a_stream
    watchers_of_one_range_each_get_what_they_asked_for
    a_canceled_watcher_gets_no_more
    progress_is_told_now_and_then
    progress_is_told_on_request
    progress_never_overtakes_events
}

fn shapes(events: &[jine::pb::mvccpb::Event]) -> Vec<String> {
    events.iter().map(shape).collect()
}

async fn a_watch_begins_with_created(target: &Target) {
    let mut client = target.client().await;
    client.put("k", "v").await;
    let mut watch = client.watch().await;
    let created = watch.create(watch_one("k")).await;
    assert_eq!((created.watch_id, created.created, created.canceled, created.events.len()), (0, true, false, 0));
    let header = created.header.unwrap();
    assert_eq!(header.revision, 2);
    assert!(header.cluster_id != 0 && header.member_id != 0 && header.raft_term != 0);
}

async fn events_come_in_order(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.create(watch_one("k")).await;
    for i in 0..20 {
        client.put("k", format!("{i}")).await;
        client.put("other", "").await;
    }
    client.delete("k").await;
    let events = watch.events(21).await;
    let revisions: Vec<_> = events.iter().map(|event| event.kv.as_ref().unwrap().mod_revision).collect();
    assert_eq!(revisions, (0..21).map(|i| 2 + 2 * i).collect::<Vec<_>>());
    let last = events[19].kv.as_ref().unwrap();
    assert_eq!((last.create_revision, last.version, &last.value[..]), (2, 20, &b"19"[..]));
    assert!(events.iter().all(|event| event.prev_kv.is_none()));
}

async fn a_delete_has_the_key_and_the_revision_only(target: &Target) {
    let mut client = target.client().await;
    client.put("k", "v").await;
    client.delete("k").await;
    let mut watch = client.watch().await;
    watch.create(WatchCreateRequest { start_revision: 3, ..watch_one("k") }).await;
    let events = watch.events(1).await;
    let expected = jine::pb::mvccpb::KeyValue { key: "k".into(), mod_revision: 3, ..Default::default() };
    assert_eq!((shape(&events[0]), events[0].kv.clone().unwrap()), ("DELETE k@3".into(), expected));
}

async fn the_previous_value_comes_if_asked_for(target: &Target) {
    let mut client = target.client().await;
    for value in ["a", "b"] {
        client.put("k", value).await;
    }
    client.delete("k").await;
    let mut watch = client.watch().await;
    // Asked for later, of a key that is gone by now.
    watch.create(WatchCreateRequest { start_revision: 2, prev_kv: true, ..watch_one("k") }).await;
    let events = watch.events(3).await;
    let prev: Vec<_> =
        events.iter().map(|e| e.prev_kv.as_ref().map(|kv| (kv.value.clone(), kv.mod_revision))).collect();
    assert_eq!(prev, [None, Some(("a".into(), 2)), Some(("b".into(), 3))]);
}

async fn a_watch_starts_in_the_past(target: &Target) {
    let mut client = target.client().await;
    for value in ["a", "b", "c"] {
        client.put("k", value).await;
    }
    let mut watch = client.watch().await;
    let created = watch.create(WatchCreateRequest { start_revision: 3, ..watch_one("k") }).await;
    assert_eq!((created.created, revision(&created.header)), (true, 4));
    assert_eq!(shapes(&watch.events(2).await), ["PUT k@3", "PUT k@4"]);
    client.put("k", "d").await;
    assert_eq!(shapes(&watch.events(1).await), ["PUT k@5"]);
}

async fn a_watch_waits_for_the_future(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    let created = watch.create(WatchCreateRequest { start_revision: 4, ..watch_one("k") }).await;
    assert!(created.created && !created.canceled);
    for value in ["a", "b", "c"] {
        client.put("k", value).await;
    }
    assert_eq!(shapes(&watch.events(1).await), ["PUT k@4"]);
}

async fn the_events_of_a_revision_come_together(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.create(watch_all()).await;
    let success = (0..100).map(|i| put_op(format!("k{i:03}"), vec![b'v'; 10_000])).collect();
    client.txn(TxnRequest { success, ..Default::default() }).await;
    client.put("z", "").await;
    let response = watch.next().await;
    assert!(response.events.len() >= 100, "{}", response.events.len());
    assert!(!response.fragment);
    let keys: Vec<_> = response.events.iter().map(|e| e.kv.as_ref().unwrap().key.clone()).take(100).collect();
    assert_eq!(keys, (0..100).map(|i| format!("k{i:03}")).collect::<Vec<_>>());
}

async fn filters_leave_events_out(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    let filtered =
        |filter: FilterType, watch_id| WatchCreateRequest { filters: vec![filter as i32], watch_id, ..watch_one("k") };
    watch.create(filtered(FilterType::Noput, 1)).await;
    watch.create(filtered(FilterType::Nodelete, 2)).await;
    client.put("k", "a").await;
    client.delete("k").await;
    let mut told = Vec::new();
    for _ in 0..2 {
        let response = watch.next().await;
        told.push((response.watch_id, shapes(&response.events)));
    }
    told.sort();
    assert_eq!(told, [(1, vec!["DELETE k@3".into()]), (2, vec!["PUT k@2".into()])]);
}

async fn a_range_is_watched(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.create(WatchCreateRequest { range_end: "c".into(), ..watch_one("a") }).await;
    for key in ["A", "a", "b", "bzzz", "c", "d"] {
        client.put(key, "").await;
    }
    assert_eq!(shapes(&watch.events(3).await), ["PUT a@3", "PUT b@4", "PUT bzzz@5"]);

    let mut rest = client.watch().await;
    rest.create(WatchCreateRequest { range_end: b"\0"[..].into(), start_revision: 2, ..watch_one("bz") }).await;
    assert_eq!(shapes(&rest.events(3).await), ["PUT bzzz@5", "PUT c@6", "PUT d@7"]);

    let mut all = client.watch().await;
    all.create(WatchCreateRequest { range_end: b"\0"[..].into(), start_revision: 2, ..Default::default() }).await;
    assert_eq!(all.events(6).await.len(), 6);
}

async fn many_watchers_share_a_stream(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    for i in 0..50 {
        let created = watch.create(watch_one(if i % 2 == 0 { "even" } else { "odd" })).await;
        assert_eq!(created.watch_id, i);
    }
    client.put("even", "").await;
    client.put("odd", "").await;
    let mut told = Vec::new();
    for _ in 0..50 {
        let response = watch.next().await;
        assert_eq!(response.events.len(), 1);
        told.push((response.watch_id, shape(&response.events[0])));
    }
    told.sort();
    let expected = |i| (i, if i % 2 == 0 { "PUT even@2" } else { "PUT odd@3" }.to_owned());
    assert_eq!(told, (0..50).map(expected).collect::<Vec<_>>());
}

async fn watchers_of_one_range_each_get_what_they_asked_for(target: &Target) {
    let mut client = target.client().await;
    let prev_kv = WatchCreateRequest { prev_kv: true, ..watch_all() };
    let deletes = WatchCreateRequest { filters: vec![FilterType::Noput as i32], ..prev_kv.clone() };
    let wishes = [
        (watch_all(), 4),
        (prev_kv.clone(), 4),
        (WatchCreateRequest { watch_id: 7, ..watch_all() }, 4),
        (WatchCreateRequest { fragment: true, ..prev_kv }, 4),
        (WatchCreateRequest { start_revision: 3, ..watch_all() }, 3),
        (deletes, 1),
    ];
    let mut watches = Vec::new();
    for (create, count) in wishes {
        let mut watch = client.watch().await;
        let id = watch.create(create.clone()).await.watch_id;
        watches.push((watch, create, id, count));
    }
    for value in ["a", "b"] {
        client.put("k", value).await;
    }
    client.put("large", vec![b'v'; 100_000]).await;
    client.delete("k").await;

    for (mut watch, create, id, count) in watches {
        let mut events = Vec::new();
        while events.len() < count {
            let response = watch.next().await;
            assert_eq!((response.watch_id, response.fragment), (id, false));
            let last = response.events.last().unwrap().kv.as_ref().unwrap();
            assert_eq!(revision(&response.header), last.mod_revision);
            events.extend(response.events);
        }
        let all = ["PUT k@2", "PUT k@3", "PUT large@4", "DELETE k@5"];
        assert_eq!(shapes(&events), all[all.len() - count..]);
        let values: Vec<_> = events.iter().map(|event| event.kv.as_ref().unwrap().value.len()).collect();
        assert_eq!(values, [1, 1, 100_000, 0][all.len() - count..]);
        let prev: Vec<_> = events.iter().map(|event| event.prev_kv.as_ref().map(|kv| kv.value.clone())).collect();
        let expected = [None, Some("a".into()), None, Some("b".into())];
        let expected = expected.map(|value| value.filter(|_| create.prev_kv));
        assert_eq!(prev, expected[all.len() - count..]);
    }
}

async fn a_canceled_watcher_gets_no_more(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.create(watch_one("k")).await;
    watch.create(watch_one("l")).await;
    watch.cancel(0).await;
    let canceled = watch.next().await;
    assert_eq!(
        (canceled.watch_id, canceled.canceled, canceled.created, canceled.compact_revision),
        (0, true, false, 0)
    );
    assert_eq!((canceled.cancel_reason.as_str(), revision(&canceled.header)), ("", 1));
    client.put("k", "").await;
    client.put("l", "").await;
    let response = watch.next().await;
    assert_eq!((response.watch_id, shapes(&response.events)), (1, vec!["PUT l@3".to_owned()]));
}

async fn progress_is_told_now_and_then(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.create(WatchCreateRequest { progress_notify: true, ..watch_one("k") }).await;
    client.put("other", "").await;
    loop {
        let told = watch.next().await;
        assert_eq!((told.watch_id, told.events.len(), told.created, told.canceled), (0, 0, false, false));
        if revision(&told.header) == 2 {
            break;
        }
    }
}

async fn progress_is_told_on_request(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.create(watch_one("k")).await;
    watch.create(watch_one("l")).await;
    client.put("other", "").await;
    watch.request_progress().await;
    let told = watch.next().await;
    assert_eq!((told.watch_id, told.events.len(), revision(&told.header)), (-1, 0, 2));
}

async fn progress_never_overtakes_events(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.create(watch_one("k")).await;
    let mut writer = target.client().await;
    let writing = tokio::spawn(async move {
        for _ in 0..300 {
            writer.put("k", "").await;
        }
    });
    let (mut promised, mut seen) = (0, 1);
    while seen < 301 {
        watch.request_progress().await;
        let response = watch.next().await;
        for event in &response.events {
            let revision = event.kv.as_ref().unwrap().mod_revision;
            assert_eq!(revision, seen + 1);
            assert!(revision > promised, "{revision} after progress to {promised}");
            seen = revision;
        }
        if response.events.is_empty() {
            promised = revision(&response.header);
            assert_eq!(promised, seen);
        }
    }
    writing.await.unwrap();
}
