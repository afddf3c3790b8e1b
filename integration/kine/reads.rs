//! Points 5 and 6: where reads come from, and what they cost.

use std::time::Duration;

use super::Point;
use super::history::right;
use super::server::{Kind, Server, asked, nats_server};

/// kine answers from what it has read of the log so far.
pub(super) async fn a_write_is_seen_through_every_server(kind: Kind) -> Point {
    const WRITES: usize = 500;
    let nats = nats_server().await;
    let (mut one, mut two) = (Server::start(kind, &nats).await, Server::start(kind, &nats).await);
    let (writer, reader) = (one.client(), two.client());
    let mut stale = 0;
    for number in 0..WRITES {
        let value = format!("{number} {}", "x".repeat(20_000));
        writer.put("/k", value.clone()).await.unwrap();
        let seen = reader.get("/k").await.unwrap();
        stale += usize::from(seen.is_none_or(|kv| kv.value != value));
    }
    right(stale == 0, || {
        format!("{stale} of {WRITES} linearizable reads by another server did not see the write before them")
    })
}

/// In kine a delete takes two places in the log, and no watch ever gets as far as the second one.
pub(super) async fn progress_is_told_after_a_delete(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    let revision = client.put("/k", "x").await.unwrap();
    let mut watch = client.watch(revision).await.unwrap();
    client.delete_at("/k", revision).await.unwrap();
    let mut events = 0;
    while events < 2 {
        events += watch.next().await.unwrap().events.len();
    }
    for _ in 0..50 {
        watch.request_progress().await;
        let answer = tokio::time::timeout(Duration::from_millis(200), watch.next()).await;
        if answer.is_ok_and(|answer| answer.unwrap().header.unwrap().revision > revision) {
            return Ok(());
        }
    }
    Err("a watch that has seen all is not told of its progress, asked 50 times in 10 s".into())
}

/// kine lists keys from memory, and asks NATS for the value of each, one after the other.
pub(super) async fn a_list_is_not_a_request_to_nats_for_each_key(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    for number in 0..300 {
        client.put(format!("/keys/{number}"), "x").await.unwrap();
    }
    let before = asked(&nats);
    assert!(client.all().await.unwrap().0.len() >= 300);
    let requests = asked(&nats) - before;
    right(requests < 30, || format!("a list of 300 keys was {requests} requests to NATS"))
}

/// Nor has kine the values before an event.
pub(super) async fn an_old_watch_is_not_a_request_to_nats_for_each_event(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    let first = client.put("/keys/0", "x").await.unwrap();
    for number in 0..300 {
        client.put(format!("/keys/{}", number % 40), "x").await.unwrap();
    }
    let before = asked(&nats);
    let events = client.watch(first).await.unwrap().events(301).await.unwrap();
    let requests = asked(&nats) - before;
    assert_eq!(events.len(), 301);
    right(requests < 30, || format!("a watch of 301 events of the past was {requests} requests to NATS"))
}

/// Older releases made a consumer for each.
pub(super) async fn many_watches_are_not_as_many_consumers(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    let mut watches = Vec::new();
    for _ in 0..30 {
        watches.push(client.watch(0).await.unwrap());
    }
    client.put("/k", "x").await.unwrap();
    for watch in &mut watches {
        assert_eq!(watch.events(1).await.unwrap().len(), 1);
    }
    let consumers = nats.stream().await["state"]["consumer_count"].as_u64().unwrap();
    right(consumers < 10, || format!("30 watches are {consumers} consumers"))
}
