//! No more room: the stream's `max_bytes`, the server's limit, a disk that is full.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tonic::{Code, Status};

use super::on_external;
use crate::support::client::{Client, until, until_ok};
use crate::support::jine::{Jine, embedded, external};
use crate::support::nats::NatsServer;

const NO_SPACE: &str = "etcdserver: mvcc: database space exceeded";

fn is_no_space(error: &Status) -> bool {
    error.code() == Code::ResourceExhausted && error.message() == NO_SPACE
}

/// Writes until there is no more room; returns how many writes were acknowledged. `/full/0` is written again and again, so that there
/// is something to compact.
async fn fill(client: &Client, size: usize) -> usize {
    for i in 0..10_000 {
        match client.put(format!("/full/{}", i % 3), vec![i as u8; size]).await {
            Ok(_) => {}
            Err(error) if is_no_space(&error) => return i,
            Err(error) => panic!("write {i}: {error:?}"),
        }
    }
    panic!("it is never full");
}

/// Reads of every kind go on, also after a while of refused writes.
async fn only_reads(client: &Client, revision: i64) {
    let mut watch = client.watch(2).await.unwrap();
    for round in 0..30 {
        let error = client.put("/full/x", vec![round; 100_000]).await.unwrap_err();
        assert!(is_no_space(&error), "{error:?}");
        assert_eq!(client.get("/full/0").await.unwrap().unwrap().value[0] % 3, 0);
        assert_eq!(client.all().await.unwrap().1, revision);
    }
    assert_eq!(watch.next().await.unwrap().events[0].kv.as_ref().unwrap().mod_revision, 2);
}

/// Everything acknowledged is there: the last three writes are the values, and all of them are the history.
async fn nothing_is_lost(client: &Client, writes: usize, first: i64) {
    for i in 0..writes {
        let (kvs, _) = client.all_at(first + i as i64).await.unwrap();
        let newest = kvs.iter().max_by_key(|kv| kv.mod_revision).unwrap();
        assert_eq!((newest.key.clone(), newest.value[0]), (format!("/full/{}", i % 3).into(), i as u8), "write {i}");
    }
}

#[tokio::test]
async fn a_full_stream_is_told_read_on_and_served_when_its_limit_is_raised() {
    let (server, mut jine, client) = on_external().await;
    server.edit(json!({"max_bytes": 3_000_000})).await;
    let writes = fill(&client, 100_000).await;
    let revision = 1 + writes as i64;
    only_reads(&client, revision).await;
    jine.stop("KILL");
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    only_reads(&client, revision).await;
    nothing_is_lost(&client, writes, 2).await;
    server.edit(json!({"max_bytes": -1})).await;
    // The alarm has outlived the restart, and the want of room as well.
    assert!(is_no_space(&client.put("/after", "").await.unwrap_err()));
    assert_eq!(client.disarm().await.unwrap().len(), 1);
    let again = until_ok("a write with room again", || async {
        client.disarm().await?;
        client.put("/after", vec![0; 100_000]).await
    });
    assert_eq!(again.await, revision + 1);
    nothing_is_lost(&client, writes, 2).await;
}

/// As in etcd: what fills the log must not keep anybody from emptying it.
#[tokio::test]
async fn a_full_stream_can_be_freed_by_deletes_and_compaction() {
    let (server, _jine, client) = on_external().await;
    // Nothing waits for the disk in a replicated or synced bucket; here the server says nothing, and jine would wait four minutes.
    server.edit(json!({"max_bytes": 3_000_000})).await;
    let mut writes = 0;
    for size in [100_000, 10_000, 1_000, 100, 0] {
        writes += fill(&client, size).await;
    }
    let revision = 1 + writes as i64;
    client.delete("/full/1").await.unwrap();
    client.compact(revision, false).await.unwrap();
    assert_eq!(client.all().await.unwrap().0.len(), 2);
    assert_eq!(client.disarm().await.unwrap().len(), 1);
}

#[tokio::test]
async fn batches_larger_than_what_is_left_are_refused_whole() {
    let (server, mut jine, client) = on_external().await;
    server.edit(json!({"max_bytes": 3_000_000})).await;
    // Together with others, so that batches are larger than what is left while each write of them is not.
    let mut acknowledged = Vec::new();
    for round in 0..100 {
        let writes = (0..16).map(|i| {
            let client = client.clone();
            tokio::spawn(async move { (i, client.put(format!("/batch/{round}/{i}"), vec![1; 10_000]).await) })
        });
        let mut full = false;
        for write in writes.collect::<Vec<_>>() {
            match write.await.unwrap() {
                (i, Ok(revision)) => acknowledged.push((format!("/batch/{round}/{i}"), revision)),
                (_, Err(error)) => {
                    assert!(is_no_space(&error), "{error:?}");
                    full = true;
                }
            }
        }
        if full {
            break;
        }
    }
    let (kvs, revision) = client.all().await.unwrap();
    for (key, revision) in &acknowledged {
        assert!(kvs.iter().any(|kv| kv.key == key.as_bytes() && kv.mod_revision == *revision), "{key}");
    }
    assert_eq!(kvs.len(), acknowledged.len());
    assert_eq!(revision as usize, 1 + kvs.len());
    jine.stop("KILL");
    server.edit(json!({"max_bytes": -1})).await;
    let mut jine = Jine::start(external(&server.url()));
    assert_eq!(jine.client().all().await.unwrap(), (kvs, revision));
}

#[tokio::test]
async fn a_servers_limit_raises_the_alarm_though_it_cannot_be_written() {
    let config = |limit: u64| format!("jetstream {{ store_dir: \"{{folder}}/store\", max_file_store: {limit} }}\n");
    let mut server = NatsServer::start_with(&config(3_000_000)).await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    let writes = fill(&client, 100_000).await;
    let revision = 1 + writes as i64;
    only_reads(&client, revision).await;
    nothing_is_lost(&client, writes, 2).await;
    // Lifted, it is raised again by the next write; the server takes nothing.
    assert_eq!(client.disarm().await.unwrap().len(), 1);
    assert!(is_no_space(&client.put("/full/x", "").await.unwrap_err()));
    server.restart_with(&config(30_000_000)).await;
    // With room again the alarm is written down, and stands until somebody lifts it.
    until("the alarm is in the log", || async {
        let mut other = Jine::start(external(&server.url()));
        other.client().disarm().await.is_ok_and(|alarms| alarms.len() == 1)
    })
    .await;
    assert_eq!(until_ok("a write with room again", || client.put("/after", "x")).await, revision + 1);
}

/// The account's limit can be found out, so some of it is kept for what makes room.
#[tokio::test]
async fn an_accounts_limit_leaves_room_to_make_room() {
    let accounts = "accounts { k { jetstream: { max_file: 3000000 }, users: [ { user: k, password: k } ] } }\n";
    let server = NatsServer::start_with(&format!("jetstream {{}}\n{accounts}no_auth_user: k\n")).await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    let mut writes = 0;
    for size in [100_000, 10_000, 1_000] {
        writes += fill(&client, size).await;
        client.disarm().await.unwrap();
    }
    assert!(is_no_space(&client.put("/full/x", vec![0; 100_000]).await.unwrap_err()));
    let revision = 1 + writes as i64;
    client.delete("/full/1").await.unwrap();
    client.compact(revision, false).await.unwrap();
    assert_eq!(client.all().await.unwrap().0.len(), 2);
    assert_eq!(client.disarm().await.unwrap().len(), 1);
}

/// A file system of its own, small; unmounted when dropped.
struct SmallDisk {
    at: tempfile::TempDir,
}

impl SmallDisk {
    /// None where mounting is not allowed.
    fn mount(size: &str) -> Option<SmallDisk> {
        let at = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "jine-test"]).arg(at.path());
        if mount.output().is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk { at });
        }
        println!("skipped: a full disk: mounting a tmpfs is not allowed here");
        None
    }

    fn data(&self) -> PathBuf {
        self.at.path().join("data")
    }

    fn path(&self) -> &Path {
        self.at.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.at.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_told_read_on_and_served_when_there_is_room_again() {
    let Some(disk) = SmallDisk::mount("96m") else { return };
    let ballast = disk.path().join("ballast");
    let mut jine = Jine::start(embedded(&disk.data()));
    let client = jine.client();
    client.put("/full/0", vec![0; 1000]).await.unwrap();
    // Somebody else takes the room: not what jine's server has been promised at its start.
    let left =
        String::from_utf8(Command::new("df").args(["--output=avail", "-B1"]).arg(disk.path()).output().unwrap().stdout);
    let left: usize = left.unwrap().lines().nth(1).unwrap().trim().parse().unwrap();
    std::fs::write(&ballast, vec![0; left - 2_000_000]).unwrap();
    // At once, and in etcd's words.
    let writes = fill(&client, 100_000).await;
    println!("full after {writes} writes");
    only_reads(&client, 2 + writes as i64).await;
    std::fs::remove_file(&ballast).unwrap();
    assert_eq!(until_ok("lifting the alarm", || client.disarm()).await.len(), 1);
    let revision = until_ok("a write with room again", || client.put("/after", "x")).await;
    assert_eq!(revision, 3 + writes as i64);
    nothing_is_lost(&client, writes, 3).await;
    let before = client.all().await.unwrap();
    jine.stop("KILL");
    let mut jine = Jine::start(embedded(&disk.data()));
    assert_eq!(jine.client().all().await.unwrap(), before);
}
