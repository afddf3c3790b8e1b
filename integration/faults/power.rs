//! Power cuts: the servers' files on a file system of their own that forgets at once whatever was not synced.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::account::Account;
use super::hash_of;
use super::load::{CLIENTS, Load, compact};
use crate::support::client::until;
use crate::support::jine::{Jine, embedded, external, nats_server_pid, staging};
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

    fn if_allowed() -> Option<Disk> {
        let made = Disk::make();
        made.inspect_err(|why| println!("skipped: a power cut: loop mounts are not allowed here: {why}")).ok()
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
    if let Some(area) = staging(data) {
        let _ = std::fs::remove_dir_all(area);
    }
}

/// Loads a server and cuts the power after `acknowledgements` of them; every second time while it compacts what was checked before.
async fn load_and_cut(jine: &mut Jine, disk: &Disk, account: &mut Account, round: u64, acknowledgements: usize) {
    let load = Load::start(&jine.address(), round, CLIENTS, rand::random());
    let compacting = (round % 2 == 1).then(|| tokio::spawn(compact(jine.client(), 1, account.revision)));
    until("writes", || async { load.acknowledged() >= acknowledgements }).await;
    load.cut();
    disk.cut();
    account.add(load.stop().await);
    if let Some(compacting) = compacting {
        compacting.abort();
    }
}

async fn survives(cuts: u64) {
    let Some(disk) = Disk::if_allowed() else { return };
    let data = disk.root().join("data");
    let mut account = Account::new();
    for round in 0..cuts {
        let mut jine = Jine::start(embedded(&data));
        jine.address();
        let server = nats_server_pid(&data).unwrap();
        load_and_cut(&mut jine, &disk, &mut account, round, 100 + round as usize * 137 % 1000).await;
        jine.stop("KILL");
        eventually("the end of nats-server", || (!is_alive(server)).then_some(()));
        empty_staging(&data);
        disk.mend();
        let mut jine = Jine::start(embedded(&data));
        let client = jine.client();
        assert_eq!(account.check(&client).await, 0, "after cut {round}");
        let hash = client.hash_kv().await.unwrap();
        jine.stop("TERM");
        let mut jine = Jine::start(embedded(&data));
        let client = jine.client();
        assert_eq!(hash_of(&client.hash_kv().await.unwrap()), hash_of(&hash), "after another start");
        assert_eq!(account.check(&client).await, 0, "after another start");
        jine.stop("TERM");
    }
    say!("power cut {cuts} times: {:?}", account.count());
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
    let Some(disk) = Disk::if_allowed() else { return };
    let store = disk.root().join("store");
    let mut server = NatsServer::start_with(&format!("jetstream {{ store_dir: '{}' }}\n", store.display())).await;
    let mut jine = Jine::start(external(&server.url()));
    jine.address();
    let mut account = Account::new();
    load_and_cut(&mut jine, &disk, &mut account, 0, 1000).await;
    jine.stop("KILL");
    server.kill();
    disk.mend();
    server.restart().await;
    let mut jine = Jine::start(external(&server.url()));
    let lost = account.check(&jine.client()).await;
    say!("not synced, the power cut once: {lost} lost of {:?}", account.count());
    assert!(lost > 0);
}

/// A server that is killed after it has written and before it has synced leaves what the next one reads, and jine tells clients. Here the
/// files are copied, so that none of them is synced.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_after_a_start_survives_a_power_cut() {
    let Some(disk) = Disk::if_allowed() else { return };
    let data = disk.root().join("data");
    let mut jine = Jine::start(embedded(&data));
    let client = jine.client();
    for i in 0..100 {
        client.put(format!("key-{i:03}"), "x").await.unwrap();
    }
    jine.stop("TERM");
    let (store, copy) = (data.join("nats/jetstream"), disk.folder.path().join("copy"));
    run(Command::new("cp").arg("-a").arg(&store).arg(&copy)).unwrap();
    std::fs::remove_dir_all(&store).unwrap();
    run(Command::new("sync").arg("--file-system").arg(disk.root())).unwrap();
    run(Command::new("cp").arg("-a").arg(&copy).arg(&store)).unwrap();

    let mut jine = Jine::start(embedded(&data));
    let before = jine.client().hash_kv().await.unwrap();
    let server = nats_server_pid(&data).unwrap();
    disk.cut();
    jine.stop("KILL");
    eventually("the end of nats-server", || (!is_alive(server)).then_some(()));
    disk.mend();
    let mut jine = Jine::start(embedded(&data));
    let after = jine.client().hash_kv().await.unwrap();
    assert_eq!(hash_of(&after), hash_of(&before));
    jine.stop("TERM");
}
