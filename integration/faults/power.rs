//! Power cuts: the servers' files on a file system of their own that forgets at once whatever was not synced.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tempfile::TempDir;

use crate::support::client::{Client, put_op, until, until_ok};
use crate::support::jine::{Jine, embedded, external, nats_server_pid};
use crate::support::nats::NatsServer;
use crate::support::{eventually, is_alive};

/// An ext4 in a file, mounted.
struct Disk {
    folder: TempDir,
}

impl Disk {
    /// Why not: mounting takes root, and a kernel that lets it.
    fn make() -> Result<Disk, String> {
        let disk = Disk { folder: tempfile::tempdir().unwrap() };
        std::fs::create_dir(disk.root()).unwrap();
        let image = std::fs::File::create(disk.image()).unwrap();
        image.set_len(512 << 20).unwrap();
        run(Command::new("mkfs.ext4").arg("-q").arg(disk.image()))?;
        disk.mount()?;
        std::fs::write(disk.root().join("here"), "").unwrap();
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    fn mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.root()))
    }

    /// From here on nothing reaches the disk any more, and what is only in memory is gone: FS_IOC_SHUTDOWN without a flush.
    fn cut(&self) {
        let shutdown = r#"open(F, "<", $ARGV[0]) or die; $how = pack("L", 2); ioctl(F, 0x8004587d, $how) or die $!"#;
        run(Command::new("perl").args(["-e", shutdown]).arg(self.root().join("here"))).unwrap();
    }

    /// The power is back: what was on the disk is there.
    fn mend(&self) {
        eventually("the disk is free", || run(Command::new("umount").arg(self.root())).ok());
        self.mount().unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = run(Command::new("umount").arg("-l").arg(self.root()));
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    if output.status.success() { Ok(()) } else { Err(format!("{command:?}: {said}")) }
}

/// What memory held of batches under way is gone too.
fn empty_staging(data: &Path) {
    for file in crate::support::jine::files(data).into_iter().filter(|file| file.ends_with("batches")) {
        if let Ok(area) = std::fs::read_link(file) {
            let _ = std::fs::remove_dir_all(area);
        }
    }
}

/// What clients know, kept outside of the disk.
#[derive(Default)]
struct Known {
    acknowledged: BTreeMap<String, i64>,
    unknown: Vec<String>,
}

impl Known {
    fn take(&mut self, other: Known) {
        self.acknowledged.extend(other.acknowledged);
        self.unknown.extend(other.unknown);
    }
}

struct Load {
    /// An answer that is seen after this was set may have been given without power.
    cut: AtomicBool,
    acknowledged: AtomicUsize,
}

/// Transactions of two keys, whole or absent, until the power is cut.
async fn write(client: Client, name: String, load: Arc<Load>) -> Known {
    let mut known = Known::default();
    for n in 0.. {
        if load.cut.load(Ordering::SeqCst) {
            break;
        }
        let name = format!("{name}/{n:06}");
        let puts = ["a", "b"].map(|part| put_op(format!("{name}/{part}"), name.clone()));
        match client.txn(vec![], puts.to_vec()).await {
            Ok(response) if !load.cut.load(Ordering::SeqCst) => {
                known.acknowledged.insert(name, response.header.unwrap().revision);
                load.acknowledged.fetch_add(1, Ordering::SeqCst);
            }
            _ => known.unknown.push(name),
        }
    }
    known
}

async fn compact(client: Client, load: Arc<Load>) {
    while !load.cut.load(Ordering::SeqCst) {
        let Ok(status) = client.status().await else { return };
        let _ = client.compact(status.header.unwrap().revision - 5, true).await;
        // Something to compact.
        let _ = client.put("/rewritten", "x").await;
    }
}

/// Loads a server and cuts the power after `acknowledgements` of them.
async fn load_and_cut(client: &Client, disk: &Disk, round: usize, acknowledgements: usize) -> Known {
    let load = Arc::new(Load { cut: AtomicBool::new(false), acknowledged: AtomicUsize::new(0) });
    let writers: Vec<_> =
        (0..16).map(|i| tokio::spawn(write(client.clone(), format!("/w/{round}/{i:02}"), load.clone()))).collect();
    let compacting = (round % 2 == 1).then(|| tokio::spawn(compact(client.clone(), load.clone())));
    until("writes", || async { load.acknowledged.load(Ordering::SeqCst) >= acknowledgements }).await;
    load.cut.store(true, Ordering::SeqCst);
    disk.cut();
    if let Some(compacting) = compacting {
        compacting.abort();
    }
    let mut known = Known::default();
    for writer in writers {
        known.take(writer.await.unwrap());
    }
    known
}

/// How many acknowledged transactions are missing; none is there in part or at another revision.
async fn lost(client: &Client, known: &Known) -> usize {
    let (kvs, _) = client.all().await.unwrap();
    let found: BTreeMap<_, _> =
        kvs.into_iter().map(|kv| (String::from_utf8(kv.key.to_vec()).unwrap(), kv.mod_revision)).collect();
    let parts = |name: &String| ["a", "b"].map(|part| found.get(&format!("{name}/{part}")).copied());
    for name in known.unknown.iter().chain(known.acknowledged.keys()) {
        assert_eq!(parts(name)[0], parts(name)[1], "{name} is there in part");
    }
    let missing = |(name, revision): &(&String, &i64)| match parts(name)[0] {
        Some(found) => {
            assert_eq!(found, **revision, "{name}");
            false
        }
        None => true,
    };
    known.acknowledged.iter().filter(missing).count()
}

async fn survives(cuts: usize) {
    let disk = match Disk::make() {
        Ok(disk) => disk,
        Err(why) => return println!("skipped: a power cut: loop mounts are not allowed here: {why}"),
    };
    let data = disk.root().join("data");
    let mut known = Known::default();
    for round in 0..cuts {
        let mut jine = Jine::start(embedded(&data));
        let client = jine.client();
        let server = nats_server_pid(&data).unwrap();
        known.take(load_and_cut(&client, &disk, round, 40 + round * 37 % 200).await);
        jine.stop("KILL");
        eventually("the end of nats-server", || (!is_alive(server)).then_some(()));
        empty_staging(&data);
        disk.mend();
        let mut jine = Jine::start(embedded(&data));
        let client = jine.client();
        assert_eq!(lost(&client, &known).await, 0, "after cut {round}");
        let before = client.all().await.unwrap();
        jine.stop("TERM");
        let mut jine = Jine::start(embedded(&data));
        assert_eq!(jine.client().all().await.unwrap(), before, "after another start");
        jine.stop("TERM");
    }
    println!(
        "{cuts} power cuts: all of {} acknowledged transactions are there, of {} unknown ones none in part",
        known.acknowledged.len(),
        known.unknown.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_acknowledged_write_is_lost_when_the_power_is_cut() {
    survives(4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes; run with --long"]
async fn no_acknowledged_write_is_lost_when_the_power_is_cut_thirty_times() {
    survives(30).await;
}

/// That the cuts are real: a server that syncs every two minutes loses what it has acknowledged.
#[tokio::test(flavor = "multi_thread")]
async fn a_power_cut_takes_what_is_not_synced() {
    let disk = match Disk::make() {
        Ok(disk) => disk,
        Err(why) => return println!("skipped: a power cut: loop mounts are not allowed here: {why}"),
    };
    let store = disk.root().join("store");
    let mut server = NatsServer::start_with(&format!("jetstream {{ store_dir: '{}' }}\n", store.display())).await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    until_ok("a write", || client.put("/first", "x")).await;
    let known = load_and_cut(&client, &disk, 0, 200).await;
    jine.stop("KILL");
    server.kill();
    disk.mend();
    server.restart().await;
    let mut jine = Jine::start(external(&server.url()));
    assert!(lost(&jine.client(), &known).await > 0);
}
