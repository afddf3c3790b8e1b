//! Messages that arrive after their sender has died.

use super::{Tally, assert_counted, history, keep_incrementing};
use crate::support::client::{Client, until_ok};
use crate::support::jine::{Jine, external};
use crate::support::nats::NatsServer;

/// The server stands still while two jine have groups in their sockets; one of them is killed and the other goes on.
#[tokio::test(flavor = "multi_thread")]
async fn the_late_message_of_a_dead_jine_counts_whole_or_not_at_all() {
    let server = NatsServer::start().await;
    let mut survivor = Jine::start(external(&server.url()));
    let survivor_client = survivor.client();
    let mut total = Tally::default();
    for round in 0..5 {
        let mut doomed = Jine::start(external(&server.url()));
        let client = doomed.client();
        let before = total.acknowledged;
        total += keep_incrementing(client.clone(), "/counter", |tally| tally.acknowledged >= 3).await;
        server.signal("STOP");
        let late: Vec<_> = (0..4).map(|_| tokio::spawn(once(client.clone()))).collect();
        let alive: Vec<_> = (0..4).map(|_| tokio::spawn(once(survivor_client.clone()))).collect();
        tokio::time::sleep(std::time::Duration::from_millis(100 * round)).await;
        doomed.stop("KILL");
        server.signal("CONT");
        for one in late.into_iter().chain(alive) {
            total += one.await.unwrap();
        }
        total += keep_incrementing(survivor_client.clone(), "/counter", |tally| tally.acknowledged >= 3).await;
        assert!(total.acknowledged > before);
        assert_counted(&survivor_client, "/counter", total).await;
    }
    println!("{total:?}");
    let mut fresh = Jine::start(external(&server.url()));
    assert!(history(&fresh.client(), 2).await == history(&survivor_client, 2).await);
}

/// One increment: blind, so that it is in the socket before anything is read.
async fn once(client: Client) -> Tally {
    match super::increment(&client, "/counter").await {
        Ok(true) => Tally { acknowledged: 1, unknown: 0 },
        Ok(false) => Tally::default(),
        Err(_) => Tally { acknowledged: 0, unknown: 1 },
    }
}

/// The connection is frozen, not closed: a suspended jine wakes up and finds that others have gone on.
#[tokio::test(flavor = "multi_thread")]
async fn a_jine_that_was_suspended_finds_its_place_again() {
    let server = NatsServer::start().await;
    let (mut one, mut two) = (Jine::start(external(&server.url())), Jine::start(external(&server.url())));
    let (first, second) = (one.client(), two.client());
    let mut total = Tally::default();
    for _ in 0..5 {
        let writers: Vec<_> = (0..4)
            .map(|_| tokio::spawn(keep_incrementing(first.clone(), "/counter", |tally| tally.acknowledged >= 10)))
            .collect();
        crate::support::kill(one.pid(), "STOP");
        total += keep_incrementing(second.clone(), "/counter", |tally| tally.acknowledged >= 20).await;
        crate::support::kill(one.pid(), "CONT");
        for writer in writers {
            total += writer.await.unwrap();
        }
        let revision = until_ok("a read", || first.all()).await.1;
        assert_eq!(second.all().await.unwrap().1, revision);
    }
    println!("{total:?}");
    assert_counted(&first, "/counter", total).await;
    assert_counted(&second, "/counter", total).await;
    assert!(history(&first, 2).await == history(&second, 2).await);
}
