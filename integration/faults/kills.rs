//! Processes that are killed or suspended while they work.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::client::{Client, put_op, until, until_ok};
use crate::support::jine::{Jine, embedded, nats_server_pid};
use crate::support::{eventually, kill};

/// One writer's transactions: `/w/<writer>/<n>/a` and `/b`, whole or absent.
#[derive(Default)]
struct Written {
    acknowledged: BTreeMap<String, i64>,
    unknown: Vec<String>,
}

async fn write(client: Client, writer: usize, stop: tokio_util::sync::CancellationToken) -> Written {
    let mut written = Written::default();
    for n in 0.. {
        if stop.is_cancelled() {
            break;
        }
        let name = format!("/w/{writer:02}/{n:06}");
        let puts = ["a", "b"].map(|part| put_op(format!("{name}/{part}"), name.clone()));
        match client.txn(vec![], puts.to_vec()).await {
            Ok(response) => {
                written.acknowledged.insert(name, response.header.unwrap().revision);
            }
            Err(_) => {
                written.unknown.push(name);
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    }
    written
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_when_nats_server_is_killed_five_times_under_load() {
    let data = tempfile::tempdir().unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    let client = jine.client();
    let stop = tokio_util::sync::CancellationToken::new();
    let writers: Vec<_> = (0..16).map(|i| tokio::spawn(write(client.clone(), i, stop.clone()))).collect();
    let mut revision = 1;
    for _ in 0..5 {
        // In the middle of the load, each time.
        let goal = revision + 100;
        until("writes", || async { client.get_how("/", true).await.is_ok() && current(&client).await > goal }).await;
        let pid = nats_server_pid(data.path()).unwrap();
        kill(pid, "KILL");
        eventually("another nats-server", || nats_server_pid(data.path()).filter(|next| *next != pid));
        revision = until_ok("a write", || client.put("/between", "x")).await;
    }
    stop.cancel();
    let mut acknowledged = BTreeMap::new();
    let mut unknown = Vec::new();
    for writer in writers {
        let written = writer.await.unwrap();
        acknowledged.extend(written.acknowledged);
        unknown.extend(written.unknown);
    }
    let check = async |client: &Client| {
        let (kvs, revision) = client.all().await.unwrap();
        let found: BTreeMap<_, _> = kvs.into_iter().map(|kv| (text(&kv.key), kv)).collect();
        for (name, revision) in &acknowledged {
            for part in ["a", "b"] {
                let kv = found.get(&format!("{name}/{part}")).unwrap_or_else(|| panic!("{name}/{part} is lost"));
                assert_eq!((kv.mod_revision, kv.version), (*revision, 1), "{name}");
            }
        }
        let mut stored = 0;
        for name in &unknown {
            let parts = ["a", "b"].map(|part| found.get(&format!("{name}/{part}")).map(|kv| kv.mod_revision));
            assert_eq!(parts[0], parts[1], "{name} is there in part");
            stored += usize::from(parts[0].is_some());
        }
        assert_eq!(found.len(), 2 * (acknowledged.len() + stored) + 1);
        (stored, revision)
    };
    let (stored, revision) = check(&client).await;
    println!("{} acknowledged and there; {stored} of {} unknown ones are there", acknowledged.len(), unknown.len());
    jine.stop("KILL");
    let mut jine = Jine::start(embedded(data.path()));
    assert_eq!(check(&jine.client()).await, (stored, revision));
}

async fn current(client: &Client) -> i64 {
    client.status().await.map_or(0, |status| status.header.unwrap().revision)
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

fn text(key: &[u8]) -> String {
    String::from_utf8(key.to_vec()).unwrap()
}
