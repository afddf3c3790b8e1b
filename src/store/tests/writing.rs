//! Rules 3, 4, 5 and 6: one group in flight, what became of it, and trying again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::fake::{Fault, Stream, Timing};
use super::support::*;
use crate::store::log::{Content, Record};
use crate::store::{Error, Store};

#[tokio::test(start_paused = true)]
async fn revisions_are_dense_and_answers_come_in_order() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    assert_eq!(a.revision(), 1);
    let puts: Vec<_> = (0..100).map(|n| a.spawn_put(&format!("k{n}"), "v")).collect();
    let mut revisions = Vec::new();
    for put in puts {
        revisions.push(put.await.unwrap().unwrap());
    }
    assert_eq!(revisions, (2..102).collect::<Vec<_>>());
    // The first went alone; those that came meanwhile travelled together.
    assert!(a.log.appended().len() <= 3, "{} groups", a.log.appended().len());
    assert_eq!(a.get("k99").await, Ok(Some("v".into())));
}

/// Where batches are dear, few writes go one by one; many share one batch all the same.
#[tokio::test(start_paused = true)]
async fn what_waits_goes_the_quicker_way() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.log.set_timing(Timing { batch: Duration::from_millis(20), ..Timing::default() });
    let sizes_of_a_burst = async |writes: usize| {
        // The clients of the burst before are not waited for any more.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let before = a.log.appended().len();
        let puts: Vec<_> = (0..writes).map(|n| a.spawn_put(&format!("k{n}"), "v")).collect();
        for put in puts {
            put.await.unwrap().unwrap();
        }
        a.log.appended()[before..].iter().map(Vec::len).collect::<Vec<_>>()
    };
    // What takes how long is not known before each was tried.
    assert_eq!(sizes_of_a_burst(6).await, [1, 5]);
    assert_eq!(sizes_of_a_burst(6).await, [1; 6]);
    assert_eq!(sizes_of_a_burst(100).await, [100]);
    assert_eq!(sizes_of_a_burst(7).await, [1; 7]);
    a.log.set_timing(Timing::default());
    assert_eq!(sizes_of_a_burst(100).await, [100]);
}

/// Clients that write one thing after the other travel together, and do not part into groups that take turns.
#[tokio::test(start_paused = true)]
async fn those_who_come_back_share_a_group() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.log.set_timing(Timing { append: Duration::from_millis(5), ..Timing::default() });
    let client = async |client: u64| {
        for n in 0..100 {
            a.put(&format!("k{client}"), &format!("{n}")).await.unwrap();
            // Not all are as quick.
            tokio::time::sleep(Duration::from_millis(1 + client % 3)).await;
        }
    };
    futures_util::future::join_all((0..16).map(client)).await;
    let groups = a.log.appended().len();
    assert!(groups < 120, "1600 writes of 16 clients in {groups} groups");
}

/// Without it (two groups in flight, B planned on A) a refused A leaves a B that was planned on a state that never was.
#[tokio::test(start_paused = true)]
async fn a_foreign_message_between_plan_and_append_harms_nothing() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.log.foretell(Fault::foreign(1));
    let first = a.spawn_put("a", "1");
    let on_first = a.store.clone();
    let second = tokio::spawn(async move {
        on_first.txn(put_if_version("a", 1, &[("b", "2")]), crate::store::Consistency::Linearizable).await
    });
    assert_eq!(first.await.unwrap(), Ok(2));
    assert!(second.await.unwrap().unwrap().succeeded);
    let fresh = open(&stream, 11).await;
    assert_eq!(fresh.all().await, a.all().await);
    assert_eq!(fresh.revision(), 3);
}

/// A retry for another place while the first may still be stored would execute it twice.
#[tokio::test(start_paused = true)]
async fn a_stored_write_whose_answer_is_lost_is_executed_once() {
    for fault in [Fault::ack_lost(), Fault::ack_lost().and_disconnect()] {
        let stream = Stream::new();
        let a = open(&stream, 10).await;
        a.log.foretell(fault);
        assert_eq!(a.put("a", "1").await, Ok(2));
        assert_eq!(a.put("a", "2").await, Ok(3));
        let fresh = open(&stream, 11).await;
        assert_eq!(fresh.revision(), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_was_swallowed_is_tried_again() {
    for fault in [Fault::swallowed(), Fault::swallowed().and_disconnect()] {
        let stream = Stream::new();
        let a = open(&stream, 10).await;
        a.log.foretell(fault);
        assert_eq!(a.put("a", "1").await, Ok(2));
        let fresh = open(&stream, 11).await;
        assert_eq!((fresh.revision(), fresh.get("a").await), (2, Ok(Some("1".into()))));
    }
}

/// Rules 2 and 4: the first attempt comes out of a socket long after its retry was stored, fenced or not.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_arrives_late_counts_for_nobody() {
    for fenced in [true, false] {
        let stream = Stream::new();
        let (a, b) = (open(&stream, 10).await, open(&stream, 11).await);
        a.log.foretell(Fault::late().and_disconnect());
        assert_eq!(a.put("a", "1").await, Ok(2));
        assert_eq!(a.put("a", "2").await, Ok(3));
        assert_eq!(stream.release_late(fenced), usize::from(!fenced));
        assert_eq!(b.get("a").await, Ok(Some("2".into())));
        assert_eq!(a.get("a").await, Ok(Some("2".into())));
        assert_eq!(a.put("a", "3").await, Ok(4));
        let fresh = open(&stream, 12).await;
        assert_eq!(fresh.revision(), 4);
        assert_eq!(b.all().await, a.all().await);
    }
}

/// The fence record goes to the place of what is not known, not behind it. The late attempt arrives after its author has
/// taken note of the lost answer and before it has closed the place.
#[tokio::test(start_paused = true)]
async fn an_attempt_that_arrives_before_its_fence_is_found() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.log.foretell(Fault::late().and_disconnect());
    a.log.refuse_reconnects(3);
    let put = a.spawn_put("a", "1");
    for_ms(300).await;
    assert_eq!(stream.release_late(true), 1);
    assert_eq!(put.await.unwrap(), Ok(2));
    assert_eq!(open(&stream, 11).await.revision(), 2);
    assert!(stream.messages().iter().all(|m| !matches!(m.content, Content::Ours(_, Record::Fence))));
}

/// What stands where it was meant to counts, the rest is planned again, and the server's next start changes nothing.
#[tokio::test(start_paused = true)]
async fn a_half_stored_batch_is_settled_entry_by_entry() {
    for finish in [false, true] {
        for stored in 0..=5 {
            let stream = Stream::new();
            let (a, b) = (open(&stream, 10).await, open(&stream, 11).await);
            // One goes alone; the others gather: a put, a transaction of two, a put.
            let first = a.spawn_put("first", "1");
            tokio::task::yield_now().await;
            for_ms(0).await;
            a.log.foretell(Fault::NONE);
            a.log.foretell(Fault::prefix(stored).and_disconnect());
            let (x, store) = (a.spawn_put("x", "1"), a.store.clone());
            let yz = tokio::spawn(async move {
                store
                    .txn(put_if_version("x", 1, &[("y", "1"), ("z", "1")]), crate::store::Consistency::Linearizable)
                    .await
            });
            tokio::task::yield_now().await;
            let last = a.spawn_put("last", "1");
            assert_eq!(first.await.unwrap(), Ok(2));
            assert_eq!(x.await.unwrap(), Ok(3));
            assert!(yz.await.unwrap().unwrap().succeeded);
            assert_eq!(last.await.unwrap(), Ok(5));
            if finish {
                stream.finish_batches();
            }
            assert_eq!(a.put("more", "1").await, Ok(6));
            assert_eq!(b.all().await, a.all().await, "{stored} stored");
            assert_eq!(a.all().await.unwrap().len(), 6);
            let fresh = open(&stream, 12).await;
            assert_eq!(fresh.all().await, a.all().await, "{stored} stored");
            assert_eq!(fresh.revision(), 6);
        }
    }
}

/// An acknowledgement for another place proves nothing.
#[tokio::test(start_paused = true)]
async fn a_wrong_acknowledgement_is_not_believed() {
    for place in [1, 7] {
        let stream = Stream::new();
        let a = open(&stream, 10).await;
        a.log.foretell(Fault::acknowledged_at(place));
        assert_eq!(a.put("a", "1").await, Ok(2), "{place}");
        assert_eq!(open(&stream, 11).await.get("a").await, Ok(Some("1".into())), "{place}");
    }
}

/// Two servers on one directory acknowledge a place that another message stands at. The own echo tells.
#[tokio::test(start_paused = true)]
async fn a_lying_acknowledgement_stops_the_store() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.log.foretell(Fault { foreign_before: 1, ..Fault::acknowledged_at(2) });
    assert_eq!(a.put("a", "1").await, Ok(2));
    let fatal = a.ended.await.unwrap().unwrap_err();
    assert!(fatal.0.contains("another message at sequence 2"), "{fatal}");
}

/// A value over the limit of a message comes back whole, here and after a replay, also where its entry was torn at first.
#[tokio::test(start_paused = true)]
async fn a_value_in_pieces_is_whole_or_not_there() {
    for stored in [0, 1, 2, 3] {
        let stream = Stream::new().with_limits(10, 4);
        let (a, b) = (open(&stream, 10).await, open(&stream, 11).await);
        a.log.foretell(Fault::prefix(stored).and_disconnect());
        let put = a.spawn_put("a", "0123456789");
        if stored < 3 {
            for_ms(1).await;
            assert_eq!(b.peek("a").await, Ok(None), "{stored}");
        }
        assert_eq!(put.await.unwrap(), Ok(2));
        for node in [&a, &b, &open(&stream, 12).await] {
            assert_eq!(node.get("a").await, Ok(Some("0123456789".into())));
        }
    }
}

/// Two jine want the same thing at once: one gets it, and both know.
#[tokio::test(start_paused = true)]
async fn of_two_that_compare_and_swap_one_wins() {
    for stream in [Stream::new(), Stream::replicated()] {
        let (a, b) = (open(&stream, 10).await, open(&stream, 11).await);
        for round in 0..20 {
            let swap = |store: Store, who: &'static str| {
                let txn = put_if_version("lock", round, &[("lock", who)]);
                tokio::spawn(async move { store.txn(txn, crate::store::Consistency::Linearizable).await })
            };
            let (x, y) = (swap(a.store.clone(), "a"), swap(b.store.clone(), "b"));
            let (x, y) = (x.await.unwrap().unwrap(), y.await.unwrap().unwrap());
            assert!(x.succeeded != y.succeeded, "round {round}");
            assert_eq!(a.get("lock").await, b.get("lock").await);
        }
        assert_eq!(a.revision(), 21);
    }
}

/// Nothing is published between the loss of a connection and the check of the new one.
#[tokio::test(start_paused = true)]
async fn an_outage_loses_and_repeats_nothing() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.put("a", "1").await.unwrap();
    a.log.refuse_reconnects(100);
    a.log.lose();
    let patient = a.spawn_put("a", "2");
    for_ms(1000).await;
    // Within the grace period requests wait.
    assert!(!patient.is_finished());
    for_ms(4000).await;
    assert_eq!(patient.await.unwrap(), Err(Error::NoLeader));
    let before = tokio::time::Instant::now();
    assert_eq!(a.put("a", "3").await, Err(Error::NoLeader));
    assert_eq!(a.get("a").await, Err(Error::NoLeader));
    assert_eq!(before.elapsed().as_millis(), 0);
    assert_eq!(a.peek("a").await, Ok(Some("1".into())));
    a.log.refuse_reconnects(0);
    eventually("the log is back", || a.store.unavailable().is_none()).await;
    assert_eq!(a.put("a", "4").await, Ok(3));
    assert_eq!(a.store.inner.shared.counters.outages.load(Ordering::Relaxed), 1);
}
