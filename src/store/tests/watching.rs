//! Watchers: what a slow one gets, who takes turns, what comes together.

use super::fake::Stream;
use super::support::*;
use crate::state::{DeleteRangeRequest, EventKind, KeyRange, RequestOp, TxnRequest};
use crate::store::{Consistency, WatchOutput};

#[tokio::test(start_paused = true)]
async fn a_slow_client_catches_up_without_gap_or_duplicate() {
    let stream = Stream::exclusive();
    let a = open(&stream, 10).await;
    let watch = a.watch(0);
    for n in 0..1500 {
        a.put(&format!("k{}", n % 7), "v").await.unwrap();
    }
    watch.request_progress();
    let (mut next, mut progress) = (2, None);
    while progress.is_none() {
        match watch.next().await.unwrap() {
            WatchOutput::Events { revision, .. } => {
                assert_eq!(revision.0, next);
                next += 1;
            }
            WatchOutput::Progress { id, revision } => progress = Some((id, revision.0)),
            other => assert!(matches!(other, WatchOutput::Created { .. })),
        }
    }
    assert_eq!((next - 1, progress), (1501, Some((-1, 1501))));
}

#[tokio::test(start_paused = true)]
async fn canceling_the_watcher_that_is_behind_answers_a_progress_request() {
    let stream = Stream::exclusive();
    let a = open(&stream, 10).await;
    a.put("a", "1").await.unwrap();
    let watch = a.store.watch_stream();
    watch.create(watch_request(everything(), 0));
    watch.create(watch_request(everything(), 1));
    watch.request_progress();
    watch.cancel(1);
    for expected in ["Created", "Created", "Canceled", "Progress"] {
        let output = format!("{:?}", watch.next().await.unwrap());
        assert!(output.starts_with(expected), "{output}");
    }
}

/// Nobody who catches up waits until another one of the stream has.
#[tokio::test(start_paused = true)]
async fn those_who_are_behind_take_turns() {
    let a = open(&Stream::exclusive(), 10).await;
    for n in 0..1500 {
        a.put(&format!("k{}", n % 7), "v").await.unwrap();
    }
    let watch = a.store.watch_stream();
    watch.create(watch_request(everything(), 1));
    watch.create(watch_request(everything(), 1));
    let mut turns: Vec<(i64, usize)> = Vec::new();
    while turns.iter().map(|(_, revisions)| revisions).sum::<usize>() < 3000 {
        let WatchOutput::Events { id, .. } = watch.next().await.unwrap() else { continue };
        match turns.last_mut() {
            Some((its, revisions)) if *its == id => *revisions += 1,
            _ => turns.push((id, 1)),
        }
    }
    assert_eq!(turns.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 0, 1, 0]);
}

/// Nor until those who are not behind have got everything, which may never be.
#[tokio::test(start_paused = true)]
async fn who_is_behind_catches_up_while_others_have_events() {
    let a = open(&Stream::exclusive(), 10).await;
    a.put("old", "v").await.unwrap();
    let watch = a.store.watch_stream();
    watch.create(watch_request(KeyRange::Single(bytes("live")), 0));
    assert!(matches!(watch.next().await, Some(WatchOutput::Created { .. })));
    a.put("live", "v").await.unwrap();
    a.put("live", "v").await.unwrap();
    watch.create(watch_request(KeyRange::Single(bytes("old")), 1));
    for _ in 0..10 {
        // One more for each that is taken: the queue is never empty.
        a.put("live", "v").await.unwrap();
        if let Some(WatchOutput::Events { id: 1, revision, .. }) = watch.next().await {
            return assert_eq!(revision.0, 2);
        }
    }
    panic!("it waits for ever");
}

/// Each revision of a key goes to all its watchers: they do not fall behind for being many.
#[tokio::test(start_paused = true)]
async fn many_watchers_of_a_key_get_what_waits_for_each_together() {
    let a = open(&Stream::exclusive(), 10).await;
    let watch = a.store.watch_stream();
    for _ in 0..500 {
        watch.create(watch_request(KeyRange::Single(bytes("k")), 0));
    }
    for n in 0..20 {
        a.put("k", &n.to_string()).await.unwrap();
    }
    for _ in 0..500 {
        assert!(matches!(watch.next().await, Some(WatchOutput::Created { .. })));
    }
    for watcher in 0..500 {
        for put in 0..20 {
            let Some(WatchOutput::Events { id, revision, .. }) = watch.next().await else { panic!("no events") };
            assert_eq!((id, revision.0), (watcher, 2 + put));
        }
    }
}

/// A delete of a range takes away what the same transaction has put: two events of one key and one revision, in one piece.
#[tokio::test(start_paused = true)]
async fn a_watcher_of_one_key_gets_all_of_a_revision_together() {
    let a = open(&Stream::exclusive(), 1).await;
    let stream = a.store.watch_stream();
    stream.create(watch_request(KeyRange::Single(bytes("k")), 0));
    assert!(matches!(stream.next().await, Some(WatchOutput::Created { .. })));
    let delete = DeleteRangeRequest { range: KeyRange::From(bytes("a")), prev_kv: false };
    let success = vec![RequestOp::Put(put_request("k", "v")), RequestOp::DeleteRange(delete)];
    a.store.txn(TxnRequest { compare: vec![], success, failure: vec![] }, Consistency::Linearizable).await.unwrap();
    let Some(WatchOutput::Events { events, .. }) = stream.next().await else { panic!("no events") };
    assert_eq!(events.iter().map(|event| event.kind).collect::<Vec<_>>(), [EventKind::Put, EventKind::Delete]);
}
