//! Rules 7 to 12, but for leases: what is removed, what is served when, and when to refuse.

use std::time::Duration;

use super::fake::{Fault, Stream, Timing, put_record};
use super::support::*;
use crate::state::{KeyRange, LeaseId, Revision, Sequence};
use crate::store::log::{EntryId, Outgoing, SessionId, Stamp};
use crate::store::{Consistency, Error, WatchOutput};

/// Another jine's next message, as it would write it.
fn next_message(stream: &Stream, entry: u64, revision: i64) -> Outgoing {
    let place = Sequence(stream.last() + 1);
    let stamp = Stamp {
        id: EntryId { session: SessionId(77), counter: entry },
        cluster: super::fake::CLUSTER,
        entry,
        part: 1,
        parts: 1,
        meant_for: place,
        group: place,
    };
    Outgoing { stamp, record: put_record("unsynced", revision, "v") }
}

/// Without it B serves, and sends to watchers, what a power cut takes back.
#[tokio::test(start_paused = true)]
async fn what_is_not_synced_is_neither_served_nor_sent() {
    let stream = Stream::new();
    let b = open(&stream, 11).await;
    let watch = b.watch(0);
    stream.put_unsynced(vec![next_message(&stream, 1, 2)]);
    for_ms(2000).await;
    assert_eq!(b.peek("unsynced").await, Ok(None));
    assert!(tokio::time::timeout(Duration::from_secs(1), next_revision(&watch)).await.is_err());
    stream.sync();
    assert_eq!(next_revision(&watch).await, Some(2));
    assert_eq!(b.get("unsynced").await, Ok(Some("v".into())));
}

/// The fence's answer comes before the message that it covers.
#[tokio::test(start_paused = true)]
async fn a_read_waits_for_a_follower_that_is_slower_than_its_fence() {
    let stream = Stream::new();
    let (a, b) = (open(&stream, 10).await, b_slow(&stream).await);
    for n in 0..20 {
        let revision = a.put("a", &n.to_string()).await.unwrap();
        assert_eq!(b.get("a").await, Ok(Some(n.to_string())));
        assert!(b.revision() >= revision);
        // Writes of both get on as well.
        b.put("b", "x").await.unwrap();
    }
}

async fn b_slow(stream: &Stream) -> Node {
    let log = stream.connect();
    log.set_timing(Timing { deliver: Duration::from_millis(30), ..Timing::default() });
    open_on(log, 11).await
}

/// Rules 9 and 10: the fence names a place whose message is removed before the follower gets there.
#[tokio::test(start_paused = true)]
async fn a_fence_at_a_place_that_is_removed_is_passed() {
    let stream = Stream::new();
    let (a, b) = (open(&stream, 10).await, b_slow(&stream).await);
    a.put("a", "1").await.unwrap();
    b.get("a").await.unwrap();
    stream.put_foreign();
    let read = {
        let store = b.store.clone();
        tokio::spawn(async move { store.fence().await })
    };
    for_ms(10).await;
    stream.remove(stream.last());
    a.put("a", "2").await.unwrap();
    assert_eq!(read.await.unwrap(), Ok(()));
    assert_eq!(b.get("a").await, Ok(Some("2".into())));
}

/// What was planned while others' messages waited for a fence is planned again after them.
#[tokio::test(start_paused = true)]
async fn a_write_planned_while_others_wait_for_a_fence_is_planned_again() {
    let stream = Stream::new();
    let (a, b) = (open(&stream, 10).await, open(&stream, 11).await);
    b.log.set_timing(Timing { read: Duration::from_millis(40), ..Timing::default() });
    assert_eq!(a.put("k", "a").await, Ok(2));
    for_ms(5).await;
    // B has the message and not yet the fence.
    assert_eq!(b.revision(), 1);
    assert_eq!(b.put("k", "b").await, Ok(3));
    let all = a.all().await.unwrap();
    assert_eq!((all[0].version, all[0].create_revision), (2, Revision(2)));
}

/// What is checked when the log is taken up again, one trap each.
#[tokio::test(start_paused = true)]
async fn a_log_that_is_not_the_one_that_was_read_is_refused() {
    type Trap = fn(&Stream);
    let cut_and_grown: Trap = |stream| {
        stream.cut(stream.last());
        (0..5).for_each(|_| stream.put_foreign());
    };
    let cut: Trap = |stream| stream.cut(stream.last());
    for (trap, says) in
        [(cut_and_grown, "another message at sequence 3"), (cut, "went backwards"), (Stream::recreate, "made anew")]
    {
        let stream = Stream::new();
        let a = open(&stream, 10).await;
        a.put("a", "1").await.unwrap();
        a.put("a", "2").await.unwrap();
        let watch = a.watch(0);
        a.log.refuse_reconnects(1);
        a.log.lose();
        trap(&stream);
        let fatal = a.ended.await.unwrap().unwrap_err();
        assert!(fatal.0.contains(says), "{fatal}");
        assert_eq!(a.store.put(put_request("a", "3")).await.unwrap_err(), Error::Stopped);
        assert_eq!(next_revision(&watch).await, None);
    }
}

/// The last message received is gone: a new state, and no watch goes on as if nothing had been. And nothing is
/// served, nor a watch begun, while it is read.
#[tokio::test(start_paused = true)]
async fn a_mark_that_is_gone_drops_the_state_and_the_watches() {
    for stream in [Stream::new(), Stream::replicated(), Stream::exclusive()] {
        let a = open(&stream, 10).await;
        a.put("a", "1").await.unwrap();
        a.put("b", "1").await.unwrap();
        let watch = a.watch(0);
        stream.remove(stream.last());
        a.log.set_timing(Timing {
            deliver: Duration::from_millis(500),
            read: Duration::from_millis(50),
            ..Timing::default()
        });
        a.log.lose();
        assert_eq!(next_revision(&watch).await, None);
        let mut refused = 0;
        eventually("it serves again", || {
            refused += 1;
            a.store.unavailable().is_none()
        })
        .await;
        assert!(refused > 10);
        assert_eq!((a.get("a").await, a.get("b").await), (Ok(Some("1".into())), Ok(None)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_half_read_state_is_not_served() {
    let stream = Stream::exclusive();
    let a = open(&stream, 10).await;
    a.put("a", "1").await.unwrap();
    a.put("b", "1").await.unwrap();
    stream.remove(stream.last());
    a.log.set_timing(Timing { deliver: Duration::from_millis(500), ..Timing::default() });
    a.log.lose();
    let mut half_read = false;
    for _ in 0..400 {
        for_ms(5).await;
        half_read |= a.revision() == 1;
        for consistency in [Consistency::Serializable, Consistency::Linearizable] {
            let range = range_request(KeyRange::Single(bytes("a")));
            if let Ok(found) = a.store.range(range, consistency).await {
                assert_eq!(found.kvs.len(), 1, "a state without what was acknowledged was served");
            }
        }
    }
    assert!(half_read);
}

/// A crash at any step of a compaction leaves a log that reads the same, and the next one finishes it.
#[tokio::test(start_paused = true)]
async fn a_compaction_may_end_at_any_step() {
    for purges in 1..30 {
        let stream = Stream::new().with_limits(100, 4);
        let a = open(&stream, 10).await;
        a.store.lease_grant(LeaseId(5), 1000).await.unwrap();
        a.put_attached("leased", 5).await.unwrap();
        for n in 0..4 {
            a.put_all(&[("a", &format!("a value in pieces {n}")), ("b", "x")]).await.unwrap();
            a.put("c", "x").await.unwrap();
        }
        a.delete("c").await.unwrap();
        a.store.lease_revoke(LeaseId(5)).await.unwrap();
        let before = a.all().await.unwrap();
        let revision = a.revision();
        a.log.lose_after_purges(purges);
        a.store.compact(Revision(revision), false).await.unwrap();
        for_ms(20_000).await;
        a.store.stop().await;
        let b = open(&stream, 11).await;
        assert_eq!(b.all().await.unwrap(), before, "{purges} purges");
        assert_eq!(b.revision(), revision);
        b.put("d", "x").await.unwrap();
        b.store.compact(Revision(revision + 1), true).await.unwrap();
        let c = open(&stream, 12).await;
        assert_eq!(c.all().await, b.all().await, "{purges} purges");
        assert_eq!(c.revision(), revision + 1);
    }
}

/// A follower that lags behind a purge takes the checkpoint's state over, and its watches end.
#[tokio::test(start_paused = true)]
async fn a_follower_behind_a_purge_begins_anew() {
    let stream = Stream::new();
    let (a, b) = (open(&stream, 10).await, open(&stream, 11).await);
    a.put("a", "0").await.unwrap();
    assert_eq!(b.get("a").await, Ok(Some("0".into())));
    let watch = b.watch(0);
    b.log.freeze(true);
    for n in 1..20 {
        a.put("a", &n.to_string()).await.unwrap();
    }
    a.store.compact(Revision(a.revision()), false).await.unwrap();
    eventually("it is purged", || {
        stream.purges().iter().any(|(target, _)| *target == crate::store::log::Target::Key(bytes("a")))
    })
    .await;
    for_ms(10_000).await;
    b.log.freeze(false);
    assert_eq!(next_revision(&watch).await, None);
    eventually("it serves again", || b.store.unavailable().is_none()).await;
    assert_eq!(b.get("a").await, Ok(Some("19".into())));
    assert_eq!((b.revision(), b.fingerprint()), (a.revision(), a.fingerprint()));
    let old = b.watch(3);
    loop {
        match old.next().await.unwrap() {
            WatchOutput::Created { .. } => {}
            WatchOutput::Compacted { compact_revision, .. } => break assert_eq!(compact_revision.0, a.revision()),
            other => panic!("{other:?}"),
        }
    }
}

/// Where what was stored is removed before its author hears of it: its outcome cannot be known any more, and trying again could
/// execute it twice.
#[tokio::test(start_paused = true)]
async fn a_stored_write_that_was_purged_before_its_author_came_back_is_not_repeated() {
    let stream = Stream::new();
    let (a, b) = (open(&stream, 10).await, open(&stream, 11).await);
    a.log.foretell(Fault::ack_lost().and_disconnect());
    a.log.refuse_reconnects(15);
    let put = a.spawn_put("k", "a");
    for_ms(100).await;
    assert_eq!(b.put("k", "b").await, Ok(3));
    b.store.lease_grant(LeaseId(5), 1000).await.unwrap();
    eventually("b is the lessor", || b.store.inner.shared.claim() == Some(SessionId(11))).await;
    b.store.compact(Revision(3), true).await.unwrap();
    assert_eq!(put.await.unwrap(), Err(Error::TimedOut));
    eventually("it serves again", || a.store.unavailable().is_none()).await;
    assert_eq!(a.get("k").await, Ok(Some("b".into())));
    assert_eq!(a.revision(), 3);
}

/// Entries that are missing with no checkpoint beyond are damage: stop and say where.
#[tokio::test(start_paused = true)]
async fn missing_entries_without_a_checkpoint_are_damage() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    for n in 0..3 {
        a.put("a", &n.to_string()).await.unwrap();
    }
    stream.remove(3);
    let fatal = try_open(stream.connect(), 11).await.err().unwrap();
    assert!(fatal.0.contains("damaged") && fatal.0.contains("sequence 4"), "{fatal}");
}

/// A full log with a group of unknown outcome neither answers wrongly nor spins.
#[tokio::test(start_paused = true)]
async fn a_full_log_and_a_lost_answer() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.log.foretell(Fault::swallowed().and_disconnect());
    let put = a.spawn_put("a", "1");
    for_ms(1).await;
    stream.set_full(true);
    assert_eq!(put.await.unwrap(), Err(Error::TimedOut));
    assert_eq!(a.put("a", "2").await, Err(Error::NoLeader));
    assert!(a.log.appended().len() < 100, "{} attempts", a.log.appended().len());
    stream.set_full(false);
    eventually("it serves again", || a.store.unavailable().is_none()).await;
    a.put("a", "3").await.unwrap();
    assert_eq!(a.outages(), 1);
}

/// That is an outage and no reason to end: a server that is being shut down may say it of any stream.
#[tokio::test(start_paused = true)]
async fn a_stream_that_is_said_to_be_missing_is_waited_for() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.put("a", "1").await.unwrap();
    a.log.say_missing(1000);
    a.log.lose();
    for_ms(60_000).await;
    assert!(a.store.unavailable().unwrap().contains("the stream does not exist"), "{:?}", a.store.unavailable());
    assert_eq!(a.put("a", "2").await, Err(Error::NoLeader));
    a.log.say_missing(0);
    eventually("it serves again", || a.store.unavailable().is_none()).await;
    assert_eq!(a.get("a").await, Ok(Some("1".into())));
    assert_eq!(a.outages(), 1);
}

/// A log that ends where this jine has read it to, and yet refuses what is meant to follow.
#[tokio::test(start_paused = true)]
async fn a_log_that_refuses_without_end_is_an_outage() {
    for stream in [Stream::new(), Stream::replicated()] {
        let a = open(&stream, 10).await;
        a.log.set_chaos(|_| Fault::refused());
        let put = a.spawn_put("a", "1");
        eventually("an outage", || a.store.unavailable().is_some_and(|why| why.contains("refuses"))).await;
        assert_eq!(put.await.unwrap(), Err(Error::TimedOut));
        assert!(a.log.appended().len() < 1000, "{} attempts", a.log.appended().len());
        a.log.end_chaos();
        eventually("it serves again", || a.store.unavailable().is_none()).await;
        a.put("a", "2").await.unwrap();
        assert_eq!(a.outages(), 1);
    }
}

/// However long the outage was before.
#[tokio::test(start_paused = true)]
async fn a_replica_that_lags_after_a_long_outage_is_not_believed_at_once() {
    let stream = Stream::replicated();
    let a = open(&stream, 10).await;
    a.put("a", "1").await.unwrap();
    a.log.refuse_reconnects(1000);
    a.log.lose();
    for_ms(60_000).await;
    a.log.lag(3);
    a.log.refuse_reconnects(0);
    eventually("it serves again", || a.store.unavailable().is_none()).await;
    assert_eq!(a.get("a").await, Ok(Some("1".into())));
    // For good it is.
    a.log.lag(usize::MAX);
    a.log.lose();
    assert!(a.ended.await.unwrap().unwrap_err().0.contains("went backwards"));
}

/// SIGTERM in an outage.
#[tokio::test(start_paused = true)]
async fn stopping_does_not_wait_for_a_log_that_is_away() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.log.refuse_reconnects(usize::MAX);
    a.log.lose();
    for_ms(100).await;
    a.store.stop().await;
    assert_eq!(a.ended.await.unwrap(), Ok(()));
}

/// No server should, but one that counts wrongly what is still to come may.
#[tokio::test(start_paused = true)]
async fn a_message_that_comes_after_the_end_was_told_is_not_lost() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.put("a", "1").await.unwrap();
    a.put("a", "2").await.unwrap();
    let log = stream.connect();
    log.tell_the_end_early(1);
    let b = open_on(log, 11).await;
    eventually("the last message counts", || b.revision() == 3 && b.store.unavailable().is_none()).await;
    assert_eq!(b.all().await, a.all().await);
}

/// It sends its heartbeats, so neither silence nor a gap shows that it is behind the leader.
#[tokio::test(start_paused = true)]
async fn a_replica_that_has_stopped_is_left_for_another() {
    let soon = Duration::from_secs(60);
    let stream = Stream::replicated();
    let a = open(&stream, 10).await;
    a.put("a", "1").await.unwrap();
    let log = stream.connect();
    log.stop_replica_at(1);
    let b = tokio::time::timeout(soon, open_on(log, 11)).await.expect("the log is read elsewhere");
    assert_eq!(b.get("a").await, Ok(Some("1".into())));

    a.log.stop_replica_at(stream.last());
    a.log.lose();
    eventually("it is taken up on the stopped replica", || a.store.unavailable().is_some()).await;
    eventually("it serves again", || a.store.unavailable().is_none()).await;
    b.put("b", "1").await.unwrap();
    let put = tokio::time::timeout(soon, a.put("a", "2")).await;
    assert_eq!(put.expect("what others have written is read elsewhere"), Ok(4));
    assert_eq!(a.get("b").await, Ok(Some("1".into())));
}
