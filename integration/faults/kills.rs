//! Processes that are killed or suspended while they work.

use std::time::Duration;

use super::account::Account;
use super::hash_of;
use super::load::{CLIENTS, Load};
use crate::support::client::{until, until_ok};
use crate::support::jine::{Jine, embedded, external, nats_server_pid};
use crate::support::nats::{NatsCluster, NatsServer};
use crate::support::{eventually, kill, kill_at_once};

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_when_nats_server_is_killed_five_times_under_load() {
    let data = tempfile::tempdir().unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    let client = jine.client();
    let load = Load::start(&jine.address(), 0, CLIENTS, rand::random());
    for _ in 0..5 {
        // In the middle of the load, each time.
        let goal = load.acknowledged() + 100;
        until("writes", || async { load.acknowledged() >= goal }).await;
        let pid = nats_server_pid(data.path()).unwrap();
        kill(pid, "KILL");
        eventually("another nats-server", || nats_server_pid(data.path()).filter(|next| *next != pid));
    }
    let mut account = Account::new();
    account.add(load.stop().await);
    assert_eq!(account.check(&client).await, 0);
    say!("nats-server killed 5 times under load: {:?}", account.count());
    let hash = client.hash_kv().await.unwrap();
    jine.stop("KILL");
    let mut jine = Jine::start(embedded(data.path()));
    assert_eq!(account.check(&jine.client()).await, 0);
    assert_eq!(hash_of(&jine.client().hash_kv().await.unwrap()), hash_of(&hash));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_when_all_three_servers_are_killed_at_once() {
    let mut cluster = NatsCluster::start().await;
    let mut jine = Jine::start(external(&format!("{}?replicas=3", cluster.urls().join(","))));
    let client = jine.client();
    let mut account = Account::new();
    for round in 0..2 {
        let load = Load::start(&jine.address(), round, CLIENTS, rand::random());
        until("writes", || async { load.acknowledged() >= 300 }).await;
        kill_at_once(&cluster.servers.iter().map(NatsServer::pid).collect::<Vec<_>>());
        for server in &mut cluster.servers {
            server.restart().await;
        }
        until_ok("a write", || client.grant(36_000)).await;
        account.add(load.stop().await);
        assert_eq!(account.check(&client).await, 0);
    }
    say!("three nats-servers killed at once, twice: {:?}", account.count());
    let hash = client.hash_kv().await.unwrap();
    jine.stop("KILL");
    let mut jine = Jine::start(external(&format!("{}?replicas=3", cluster.urls().join(","))));
    assert_eq!(account.check(&jine.client()).await, 0);
    assert_eq!(hash_of(&jine.client().hash_kv().await.unwrap()), hash_of(&hash));
}

#[tokio::test(flavor = "multi_thread")]
async fn leases_kept_alive_outlive_a_suspension_of_jine() {
    let data = tempfile::tempdir().unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    let client = jine.client();
    let kept = client.grant(4).await.unwrap();
    client.put_leased("/kept", "x", kept).await.unwrap();
    let keeping = {
        let client = client.clone();
        tokio::spawn(async move {
            loop {
                if let Ok(ttl) = client.keep_alive(kept).await {
                    assert!(ttl > 0, "it expired while it was kept alive");
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        })
    };
    until("a keepalive", || async { client.time_to_live(kept).await.is_ok_and(|ttl| ttl > 0) }).await;
    kill(jine.pid(), "STOP");
    // Longer than the lease lives.
    tokio::time::sleep(Duration::from_secs(5)).await;
    kill(jine.pid(), "CONT");
    let short = until_ok("a grant", || client.grant(2)).await;
    client.put_leased("/short", "x", short).await.unwrap();
    until("an expiry", || async { client.get("/short").await.is_ok_and(|kv| kv.is_none()) }).await;
    assert!(client.get("/kept").await.unwrap().is_some());
    assert!(!keeping.is_finished());
    keeping.abort();
    until("the end of what nobody keeps alive", || async { client.get("/kept").await.is_ok_and(|kv| kv.is_none()) })
        .await;
}

/// The other way round: jine runs and its server stands still.
#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_nats_server_is_waited_for_and_reads_go_on() {
    let data = tempfile::tempdir().unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    let client = jine.client();
    client.put("/a", "1").await.unwrap();
    let pid = nats_server_pid(data.path()).unwrap();
    kill(pid, "STOP");
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.put("/b", "1").await }
    });
    assert_eq!(client.get_how("/a", true).await.unwrap().unwrap().value, "1");
    tokio::time::sleep(Duration::from_secs(1)).await;
    kill(pid, "CONT");
    assert_eq!(waiting.await.unwrap().unwrap(), 3);
}
