//! Two jine on one bucket.

use std::time::Duration;

use super::{Tally, assert_counted, history, keep_incrementing};
use crate::support::client::{Client, until, until_ok};
use crate::support::jine::{Jine, external};
use crate::support::nats::{NatsCluster, NatsServer};

async fn no_increment_is_lost(endpoint: &str, each: u64) {
    let (mut one, mut two) = (Jine::start(external(endpoint)), Jine::start(external(endpoint)));
    let (first, second) = (one.client(), two.client());
    let workers = (0..6).map(|i| {
        let client = if i % 2 == 0 { first.clone() } else { second.clone() };
        tokio::spawn(keep_incrementing(client, "/counter", move |tally| tally.acknowledged >= each))
    });
    let mut total = Tally::default();
    for worker in workers.collect::<Vec<_>>() {
        total += worker.await.unwrap();
    }
    println!("{total:?}");
    assert_counted(&first, "/counter", total).await;
    assert_counted(&second, "/counter", total).await;
    // Each reads at once what the other was told to be written.
    for i in 0..40 {
        let (writer, reader) = if i % 2 == 0 { (&first, &second) } else { (&second, &first) };
        let revision = writer.put("/pingpong", format!("{i}")).await.unwrap();
        assert_eq!(reader.get("/pingpong").await.unwrap().unwrap().mod_revision, revision, "{i}");
    }
    assert!(history(&first, 2).await == history(&second, 2).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jine_on_one_replica_lose_no_increment_and_read_what_the_other_wrote() {
    let server = NatsServer::start().await;
    no_increment_is_lost(&server.url(), 40).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_jine_on_three_replicas_lose_no_increment_and_read_what_the_other_wrote() {
    let cluster = NatsCluster::start().await;
    no_increment_is_lost(&format!("{}?replicas=3", cluster.urls().join(",")), 15).await;
}

/// Keeps a lease alive until it is aborted; panics where the lease is gone.
async fn keep_alive(client: Client, lease: i64) {
    loop {
        if let Ok(ttl) = client.keep_alive(lease).await {
            assert!(ttl > 0, "the lease {lease} expired while it was kept alive");
        }
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
}

/// Two jine, a lease kept alive on each, one abandoned on each; then the lessor is killed.
async fn leases_live_and_end(endpoint: &str) {
    let (mut one, mut two) = (Jine::start(external(endpoint)), Jine::start(external(endpoint)));
    let clients = [one.client(), two.client()];
    let mut watch = clients[0].watch(0).await.unwrap();
    let mut keeping = Vec::new();
    for (i, client) in clients.iter().enumerate() {
        let (kept, abandoned) = (client.grant(3).await.unwrap(), client.grant(2).await.unwrap());
        client.put_leased(format!("/kept/{i}"), "x", kept).await.unwrap();
        client.put_leased(format!("/abandoned/{i}"), "x", abandoned).await.unwrap();
        // Kept alive by way of the other one, so that one of the two is not the lessor.
        keeping.push((i, tokio::spawn(keep_alive(clients[1 - i].clone(), kept))));
    }
    let mut expired = Vec::new();
    while expired.len() < 2 {
        for event in watch.events(1).await.unwrap() {
            if event.r#type() == jine::pb::mvccpb::event::EventType::Delete {
                expired.push(event.kv.unwrap().key);
            }
        }
    }
    expired.sort();
    assert_eq!(expired, ["/abandoned/0", "/abandoned/1"]);
    for client in &clients {
        let keys: Vec<_> = client.all().await.unwrap().0.into_iter().map(|kv| kv.key).collect();
        assert_eq!(keys, ["/kept/0", "/kept/1"]);
    }
    drop(watch);

    // Whoever was the lessor: one of the two kills hits it.
    one.stop("KILL");
    keeping.retain(|(i, task)| {
        // That one was kept alive by way of the killed jine.
        if *i == 1 {
            task.abort();
        }
        *i == 0
    });
    let second = &clients[1];
    until("the end of a lease nobody keeps alive", || async {
        second.get("/kept/1").await.is_ok_and(|kv| kv.is_none())
    })
    .await;
    assert!(second.get("/kept/0").await.unwrap().is_some());
    let mut three = Jine::start(external(endpoint));
    let third = three.client();
    let lease = second.get("/kept/0").await.unwrap().unwrap().lease;
    let task = tokio::spawn(keep_alive(third.clone(), lease));
    until_ok("a keepalive by the third", || third.keep_alive(lease)).await;
    two.stop("KILL");
    for (_, task) in &keeping {
        task.abort();
    }
    let short = until_ok("a grant", || third.grant(2)).await;
    third.put_leased("/short", "x", short).await.unwrap();
    until("an expiry by the third", || async { third.get("/short").await.is_ok_and(|kv| kv.is_none()) }).await;
    assert!(third.get("/kept/0").await.unwrap().is_some());
    assert!(!task.is_finished());
    task.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_on_two_jine_live_while_kept_alive_and_end_once_when_not() {
    let server = NatsServer::start().await;
    leases_live_and_end(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_on_two_jine_with_three_replicas() {
    let cluster = NatsCluster::start().await;
    leases_live_and_end(&format!("{}?replicas=3", cluster.urls().join(","))).await;
}
