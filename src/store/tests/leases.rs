//! Who counts the seconds, and what is not held against those who could renew nothing.

use std::time::Duration;

use super::fake::{Fault, Stream, Timing};
use super::support::*;
use crate::state::LeaseId;
use crate::store::log::SessionId;

/// The lessor dies, another takes its place, and the lease ends once, not before a full TTL from then.
#[tokio::test(start_paused = true)]
async fn another_takes_the_place_of_a_dead_lessor() {
    let stream = Stream::new();
    let (a, b) = (open(&stream, 10).await, open(&stream, 11).await);
    a.store.lease_grant(LeaseId(5), 10).await.unwrap();
    a.put_attached("k", 5).await.unwrap();
    eventually("there is a lessor", || a.store.inner.shared.claim().is_some()).await;
    for _ in 0..10 {
        for_ms(5_000).await;
        // Whoever is asked.
        assert_eq!(b.store.lease_keep_alive(LeaseId(5)).await, Ok(Some(10)));
        assert_eq!(a.store.lease_keep_alive(LeaseId(5)).await, Ok(Some(10)));
    }
    let (first, second) = if a.store.inner.shared.claim() == Some(SessionId(10)) { (&a, &b) } else { (&b, &a) };
    first.log.freeze(true);
    first.log.refuse_reconnects(usize::MAX);
    first.log.lose();
    let died = tokio::time::Instant::now();
    eventually("the lease ends", || second.store.inner.shared.state().lease(LeaseId(5)).is_none()).await;
    assert!(died.elapsed() >= Duration::from_secs(10));
    assert_eq!(second.get("k").await, Ok(None));
    assert_eq!(second.store.lease_keep_alive(LeaseId(5)).await, Ok(None));
}

/// A keepalive that waits for a lessor that does not answer is answered by the next one: the client would come again too late.
#[tokio::test(start_paused = true)]
async fn a_keepalive_outlives_the_lessor_that_it_waits_for() {
    for after in 0..20 {
        let stream = Stream::new();
        let (a, b) = (open(&stream, 10).await, open(&stream, 11).await);
        a.store.lease_grant(LeaseId(5), 2).await.unwrap();
        eventually("there is a lessor", || a.store.inner.shared.claim().is_some()).await;
        let (first, second) = if a.store.inner.shared.claim() == Some(SessionId(10)) { (&a, &b) } else { (&b, &a) };
        // It is there, and says nothing.
        first.log.freeze(true);
        for_ms(100 * after).await;
        assert_eq!(
            second.store.lease_keep_alive(LeaseId(5)).await,
            Ok(Some(2)),
            "begun {after} tenths of a second later"
        );
    }
}

/// An expiry that another's claim overtook is not tried again.
#[tokio::test(start_paused = true)]
async fn a_deposed_lessor_expires_nothing() {
    let stream = Stream::new();
    let (a, b) = (open(&stream, 10).await, open(&stream, 11).await);
    a.store.lease_grant(LeaseId(5), 10).await.unwrap();
    eventually("there is a lessor", || a.store.inner.shared.claim().is_some()).await;
    let (old, new) = if a.store.inner.shared.claim() == Some(SessionId(10)) { (&a, &b) } else { (&b, &a) };
    // The revocation takes long to arrive; meanwhile the other claims.
    old.log.set_timing(Timing { append: Duration::from_millis(400), ..Timing::default() });
    eventually("it is expiring", || old.store.inner.shared.lessor().is_expiring(LeaseId(5))).await;
    let over = old.store.inner.shared.claim();
    new.store.inner.engine.send(crate::store::engine::Command::Claim { over }).unwrap();
    eventually("it is deposed", || !old.store.inner.shared.lessor().is_mine()).await;
    for_ms(5_000).await;
    assert!(new.store.inner.shared.state().lease(LeaseId(5)).is_some());
    assert_eq!(old.store.lease_keep_alive(LeaseId(5)).await, Ok(Some(10)));
}

/// A process that stood still heard no keepalive: it must not expire what its clients had no way to renew.
#[tokio::test(start_paused = true)]
async fn standing_still_puts_leases_off() {
    let stream = Stream::exclusive();
    let a = open(&stream, 10).await;
    a.store.lease_grant(LeaseId(5), 10).await.unwrap();
    eventually("there is a lessor", || a.store.inner.shared.claim().is_some()).await;
    tokio::time::advance(Duration::from_secs(60)).await;
    for_ms(1000).await;
    assert_eq!(a.store.lease_keep_alive(LeaseId(5)).await, Ok(Some(10)));
}

/// A log that stood still let no keepalive pass: those that wait count before anything expires, here and at others.
#[tokio::test(start_paused = true)]
async fn a_log_that_stands_still_expires_nothing() {
    for stream in [Stream::new(), Stream::replicated()] {
        let (a, b) = (open(&stream, 10).await, open(&stream, 11).await);
        a.store.lease_grant(LeaseId(5), 5).await.unwrap();
        eventually("there is a lessor", || b.store.inner.shared.claim().is_some()).await;
        [&a, &b].iter().for_each(|node| node.log.freeze(true));
        for_ms(17_000).await;
        let waiting = [&a, &b].map(|node| {
            let store = node.store.clone();
            tokio::spawn(async move { store.lease_keep_alive(LeaseId(5)).await })
        });
        for_ms(3_000).await;
        [&a, &b].iter().for_each(|node| node.log.freeze(false));
        let thawed = tokio::time::Instant::now();
        for keepalive in waiting {
            assert_eq!(keepalive.await.unwrap(), Ok(Some(5)));
        }
        eventually("the lease ends", || a.store.inner.shared.state().lease(LeaseId(5)).is_none()).await;
        assert!(thawed.elapsed() >= Duration::from_secs(5));
    }
}

/// The time it took to read the log anew is not held against clients, who could renew nothing meanwhile.
#[tokio::test(start_paused = true)]
async fn a_lease_has_its_full_time_after_the_log_was_read_anew() {
    let stream = Stream::exclusive();
    let a = open(&stream, 10).await;
    a.store.lease_grant(LeaseId(5), 5).await.unwrap();
    eventually("it is the lessor", || a.store.inner.shared.lessor().is_mine()).await;
    for n in 0..20 {
        a.put("a", &n.to_string()).await.unwrap();
    }
    stream.remove(stream.last());
    a.log.set_timing(Timing { deliver: Duration::from_millis(500), ..Timing::default() });
    a.log.lose();
    eventually("it is read anew", || a.store.unavailable().is_some()).await;
    eventually("it serves again", || a.store.unavailable().is_none()).await;
    for_ms(4_000).await;
    assert_eq!(a.store.lease_keep_alive(LeaseId(5)).await, Ok(Some(5)));
    for_ms(4_000).await;
    assert_eq!(a.store.leases().await, Ok(vec![LeaseId(5)]));
}

/// Its expiry was planned behind what was in flight, and what was in flight turns out to be in the log.
#[tokio::test(start_paused = true)]
async fn an_expiry_planned_before_an_outage_is_off_after_it() {
    let stream = Stream::exclusive();
    let a = open(&stream, 10).await;
    a.store.lease_grant(LeaseId(5), 5).await.unwrap();
    eventually("it is the lessor", || a.store.inner.shared.lessor().is_mine()).await;
    for_ms(4_500).await;
    a.log.set_timing(Timing { append: Duration::from_millis(2000), ..Timing::default() });
    a.log.foretell(Fault::ack_lost().and_disconnect());
    let put = a.spawn_put("a", "1");
    eventually("it is expiring", || a.store.inner.shared.lessor().is_expiring(LeaseId(5))).await;
    eventually("an outage", || a.outages() == 1).await;
    eventually("it serves again", || a.store.unavailable().is_none()).await;
    assert_eq!(a.store.lease_keep_alive(LeaseId(5)).await, Ok(Some(5)));
    assert_eq!(put.await.unwrap(), Ok(2));
    for_ms(4_000).await;
    assert_eq!(a.store.leases().await, Ok(vec![LeaseId(5)]));
}

/// The other way round: what is on its way cannot be taken back, whatever happens meanwhile.
#[tokio::test(start_paused = true)]
async fn nothing_is_promised_while_a_revocation_is_on_its_way_through_a_slow_log() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.store.lease_grant(LeaseId(5), 5).await.unwrap();
    a.store.lease_grant(LeaseId(6), 6).await.unwrap();
    eventually("it is the lessor", || a.store.inner.shared.lessor().is_mine()).await;
    let slow = Timing { append: Duration::from_millis(10_000), ..Timing::default() };
    a.log.set_timing(slow);
    eventually("it is expiring", || a.store.inner.shared.lessor().is_expiring(LeaseId(5))).await;
    a.log.set_timing(Timing { read: Duration::from_millis(1500), ..slow });
    let remaining = |id| a.store.inner.shared.lessor().remaining(id, tokio::time::Instant::now());
    eventually("the other one is overdue", || remaining(LeaseId(6)) == Some(0)).await;
    eventually("the log stood still", || remaining(LeaseId(6)) >= Some(5)).await;
    assert_eq!(a.store.lease_keep_alive(LeaseId(5)).await, Ok(None));
    assert_eq!(a.store.leases().await, Ok(vec![LeaseId(6)]));
}

/// From the moment on that clients are sent away nobody can keep a lease alive here, however long the stopping takes.
#[tokio::test(start_paused = true)]
async fn nothing_expires_while_clients_are_sent_away() {
    let stream = Stream::exclusive();
    let a = open(&stream, 10).await;
    a.store.lease_grant(LeaseId(5), 5).await.unwrap();
    eventually("there is a lessor", || a.store.inner.shared.claim().is_some()).await;
    a.store.retire();
    for_ms(60_000).await;
    a.store.stop().await;
    let b = open(&stream, 11).await;
    assert_eq!(b.store.leases().await, Ok(vec![LeaseId(5)]));
}
