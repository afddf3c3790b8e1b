//! What compaction removes, and what a loss in the middle of it leaves.

use std::path::Path;

use serde_json::Value;

use super::history;
use crate::support::client::{Client, until, until_ok};
use crate::support::jine::{Jine, embedded, external, nats_server_pid};
use crate::support::nats::{NatsCluster, NatsServer};
use crate::support::{eventually, kill};

const KEYS: usize = 200;

/// So that what is superseded fills whole blocks of the server's (8 MiB): those it removes at once, others after minutes.
const VALUE: usize = 25_000;

/// Every key five times, every tenth deleted.
async fn overwrite(client: &Client) -> i64 {
    let mut revision = 0;
    for round in 0..5 {
        let puts = (0..KEYS).map(|key| {
            let client = client.clone();
            tokio::spawn(async move { client.put(format!("/key/{key}"), vec![round; VALUE]).await.unwrap() })
        });
        for put in puts.collect::<Vec<_>>() {
            revision = revision.max(put.await.unwrap());
        }
    }
    for key in (0..KEYS).step_by(10) {
        client.delete(format!("/key/{key}")).await.unwrap();
        revision += 1;
    }
    revision
}

fn blocks(data: &Path) -> u64 {
    let dir = data.join("nats/jetstream/jine/streams/KV_jine/msgs");
    crate::support::jine::files(&dir).iter().filter_map(|file| file.metadata().ok()).map(|meta| meta.len()).sum()
}

/// Kills one of the two over and over while a compaction removes, until it is through.
async fn killed_during_a_compaction(what: &str) {
    let data = tempfile::tempdir().unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    let mut client = jine.client();
    let revision = overwrite(&client).await;
    let before = client.all().await.unwrap();
    let (used, disk) = (client.status().await.unwrap().db_size, blocks(data.path()));
    client.compact(revision, false).await.unwrap();
    for _ in 0..4 {
        // In the middle: some of it is gone.
        let target = client.clone();
        let shrunk = move || {
            let target = target.clone();
            async move { target.status().await.is_ok_and(|status| status.db_size < used - 20 * VALUE as i64) }
        };
        until("a removal", shrunk).await;
        match what {
            "jine" => {
                jine.stop("KILL");
                jine = Jine::start(embedded(data.path()));
                client = jine.client();
            }
            _ => {
                let pid = nats_server_pid(data.path()).unwrap();
                kill(pid, "KILL");
                eventually("another nats-server", || nats_server_pid(data.path()).filter(|next| *next != pid));
            }
        }
        assert!(until_ok("a read", || client.all()).await == before);
    }
    // Four versions of five are superseded.
    until("all of it removed", || async { client.status().await.is_ok_and(|status| status.db_size * 4 < used) }).await;
    assert!(client.all().await.unwrap() == before);
    assert!(client.all_at(revision - 1).await.unwrap_err().message().contains("compacted"));
    client.put("/after", "1").await.unwrap();
    client.compact(revision + 1, true).await.unwrap();
    let after = client.all().await.unwrap();
    assert_eq!(jine.stop("TERM"), Some(0));
    let mut jine = Jine::start(embedded(data.path()));
    assert!(jine.client().all().await.unwrap() == after);
    println!("{what}: {disk} bytes of blocks before, {} afterwards", blocks(data.path()));
    assert!(blocks(data.path()) + (8 << 20) < disk, "the disk did not shrink");
}

#[tokio::test(flavor = "multi_thread")]
async fn jine_killed_during_a_compaction_loses_nothing_and_finishes_it() {
    killed_during_a_compaction("jine").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_server_killed_during_a_compaction_loses_nothing_and_finishes_it() {
    killed_during_a_compaction("nats-server").await;
}

/// A server of three was away while the others removed; jine connects to it alone when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_jine_on_a_replica_that_is_behind_a_purge_serves_the_same() {
    let mut cluster = NatsCluster::start().await;
    let endpoint = format!("{}?replicas=3", cluster.urls().join(","));
    let mut jine = Jine::start(external(&endpoint));
    let client = jine.client();
    client.put("/first", "1").await.unwrap();
    let leader = leader(&cluster).await;
    let behind = ["one", "two", "three"].into_iter().find(|name| *name != leader).unwrap();
    overwrite(&client).await;
    cluster.named(behind).kill();
    let revision = until_ok("a write", || client.put("/key/0", "x")).await;
    client.compact(revision, true).await.unwrap();
    for i in 0..50 {
        client.put("/after", format!("{i}")).await.unwrap();
    }
    let expected = history(&client, revision).await;
    cluster.named(behind).restart().await;
    let mut late = Jine::start(external(&format!("{}?replicas=3", cluster.named(behind).url())));
    let late = late.client();
    assert!(history(&late, revision).await == expected);
    until_ok("a write by it", || late.put("/late", "1")).await;
    assert_eq!(client.get("/late").await.unwrap().unwrap().value, "1");
}

async fn leader(cluster: &NatsCluster) -> String {
    let info = cluster.servers[0].stream().await;
    match &info["cluster"]["leader"] {
        Value::String(name) => name.clone(),
        other => panic!("no leader: {other}"),
    }
}

/// jine cannot find out that its server syncs always. Without being told, this would take four minutes, longer than a client waits.
#[tokio::test]
async fn a_physical_compaction_does_not_wait_for_a_server_that_syncs_always() {
    let server = NatsServer::start_with("jetstream { store_dir: \"{folder}/store\", sync_interval: always }\n").await;
    let mut command = external(&server.url());
    command.args(["--nats-sync-interval", "always"]);
    let mut jine = Jine::start(command);
    let client = jine.client();
    for i in 0..50 {
        client.put("/a", format!("{i}")).await.unwrap();
    }
    let before = server.stream().await["state"]["messages"].as_u64().unwrap();
    client.compact(51, true).await.unwrap();
    let after = server.stream().await["state"]["messages"].as_u64().unwrap();
    assert!(after + 40 < before, "{before} messages, and {after} afterwards");
    assert_eq!(client.get("/a").await.unwrap().unwrap().value, "49");
}
