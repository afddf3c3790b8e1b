//! Points 2 and 3: what a compaction is for, and what the history is.

use super::Point;
use super::server::{Kind, Server, held, nats_server};
use crate::support::client::{Client, until};
use crate::support::nats::{NatsCluster, NatsServer};

const KEYS: u64 = 100;

/// kine compacts by forgetting what it may not tell any more; JetStream keeps it.
pub(super) async fn a_compaction_frees_what_it_covers(kind: Kind) -> Point {
    let cluster = NatsCluster::start().await;
    let nats = &cluster.servers[0];
    let mut server = Server::start_replicated(kind, &cluster).await;
    let client = server.client();
    for round in 0..5 {
        for key in 0..KEYS {
            client.put(format!("/keys/{key}"), format!("{round}")).await.unwrap();
        }
    }
    let (before, ..) = held(nats).await;
    assert!(before >= 5 * KEYS);
    let freed = compacted_until(&client, nats, |messages, _| messages < 2 * KEYS).await;
    let (after, ..) = held(nats).await;
    server.restart().await;
    let kept = server.client().all().await.unwrap().0.iter().filter(|kv| kv.key.starts_with(b"/keys/")).count();
    assert_eq!(kept as u64, KEYS);
    right(freed, || format!("the stream had {before} messages before compactions of all of it, and {after} after"))
}

/// kine leaves two messages of each key that there ever was.
pub(super) async fn deleted_keys_leave_nothing_behind(kind: Kind) -> Point {
    let cluster = NatsCluster::start().await;
    let nats = &cluster.servers[0];
    let mut server = Server::start_replicated(kind, &cluster).await;
    let client = server.client();
    for key in 0..KEYS {
        let revision = client.put(format!("/keys/{key}"), "x").await.unwrap();
        client.delete_at(format!("/keys/{key}"), revision).await.unwrap();
    }
    server.restart().await;
    let client = server.client();
    let freed = compacted_until(&client, nats, |_, subjects| subjects < KEYS / 4).await;
    let (messages, subjects, _) = held(nats).await;
    right(freed, || {
        format!("{subjects} subjects with {messages} messages stay of {KEYS} keys, all deleted and compacted")
    })
}

/// A revision that kine has no message of any more is one at which it has no key, and does not say so.
pub(super) async fn old_lists_have_every_key(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    let first = overwrite(&client).await;
    for restarted in [false, true] {
        if restarted {
            server.restart().await;
        }
        let (kvs, _) = server.client().all_at(first).await.unwrap();
        let value = kvs.iter().find(|kv| kv.key == "/often").map(|kv| kv.value.clone());
        if value.as_deref() != Some(b"0") {
            return Err(format!(
                "a list at the revision of the first of 20 writes has no such key ({value:?}), nor an error"
            ));
        }
    }
    Ok(())
}

/// The same of watches.
pub(super) async fn old_watches_have_every_event(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let first = overwrite(&server.client()).await;
    server.restart().await;
    let mut watch = server.client().watch(first).await.unwrap();
    let (mut often, mut ended) = (0, false);
    while !ended {
        for event in watch.next().await.unwrap().events {
            let kv = event.kv.unwrap();
            often += usize::from(kv.key == "/often");
            ended |= kv.key == "/end";
        }
    }
    right(often == 20, || format!("a watch from the first of 20 writes on tells {often} of them, and no error"))
}

/// Twenty writes of one key, and one of another; the revision of the first.
async fn overwrite(client: &Client) -> i64 {
    let first = client.put("/often", "0").await.unwrap();
    for number in 1..20 {
        client.put("/often", number.to_string()).await.unwrap();
    }
    client.put("/end", "x").await.unwrap();
    first
}

/// Compacts all that there is, again and again; whether the stream came to hold as much as is right.
async fn compacted_until(client: &Client, nats: &NatsServer, enough: impl Fn(u64, u64) -> bool) -> bool {
    for round in 0..20 {
        let revision = client.put("/round", round.to_string()).await.unwrap();
        client.compact(revision, true).await.unwrap();
        let (messages, subjects, _) = held(nats).await;
        if enough(messages, subjects) {
            return true;
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    false
}

pub(super) fn right(is: bool, did: impl FnOnce() -> String) -> Point {
    if is { Ok(()) } else { Err(did()) }
}

/// How long kine has to show that something never comes: several times what it takes on jine.
pub(super) async fn comes_true<F: Future<Output = bool>>(check: impl FnMut() -> F) -> bool {
    let limit = std::time::Duration::from_secs(25);
    tokio::time::timeout(limit, until("it", check)).await.is_ok()
}
