//! Batches are put together in memory.

use std::path::{Path, PathBuf};

use crate::support::etcdctl::{etcdctl, etcdctl_ok};
use crate::support::jine::{Jine, embedded, nats_server_pid};
use crate::support::{eventually, kill};

/// Where the stream's batches are put together.
fn area(data: &Path) -> Option<PathBuf> {
    std::fs::read_link(data.join("nats/jetstream/jine/streams/KV_jine/batches")).ok()
}

/// One atomic batch of two messages.
fn write_two(address: &str) -> bool {
    let txn = "\n\nput /a 1\nput /b 1\n\n\n";
    let mut child = std::process::Command::new(crate::support::tool("etcdctl"))
        .args(["--endpoints", address, "txn"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &txn.as_bytes()[1..]).unwrap();
    child.wait().unwrap().success()
}

/// None where there is no tmpfs.
fn start() -> Option<(tempfile::TempDir, Jine, String)> {
    if !Path::new("/dev/shm").is_dir() {
        println!("skipped: there is no /dev/shm here");
        return None;
    }
    let data = tempfile::tempdir().unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    let address = jine.address();
    Some((data, jine, address))
}

#[test]
fn the_area_is_laid_at_every_start_and_gone_afterwards() {
    let Some((data, mut jine, address)) = start() else { return };
    let first = area(data.path()).unwrap_or_else(|| panic!("no link: {}", jine.log()));
    assert!(first.starts_with("/dev/shm") && first.is_dir());
    assert!(write_two(&address));

    // The server removes the link when it starts.
    kill(nats_server_pid(data.path()).unwrap(), "KILL");
    eventually("a write after nats-server was killed", || write_two(&address).then_some(()));
    assert_eq!(area(data.path()), Some(first.clone()));

    // A killed jine leaves its area; the next one removes it and has its own.
    jine.stop("KILL");
    assert!(first.is_dir());
    let mut jine = Jine::start(embedded(data.path()));
    let address = jine.address();
    let second = area(data.path()).unwrap();
    assert!(second.is_dir() && !first.exists());
    assert_eq!(etcdctl_ok(&address, &["get", "/", "--prefix", "--print-value-only"]), "1\n1\n");
    assert!(etcdctl(&address, &["put", "/c", "1"]).0);
    assert_eq!(jine.stop("TERM"), Some(0));
    assert!(!second.exists());
}

/// Memory is shared with others: logind, for one, removes what was a user's when they leave.
#[test]
fn writes_go_on_when_the_area_is_removed() {
    let Some((data, mut jine, address)) = start() else { return };
    assert!(write_two(&address));
    let first = area(data.path()).unwrap();
    std::fs::remove_dir_all(&first).unwrap();
    eventually("a batch after the area was removed", || write_two(&address).then_some(()));
    assert!(area(data.path()).unwrap().is_dir());
    assert_eq!(etcdctl_ok(&address, &["get", "/", "--prefix", "--print-value-only"]), "1\n1\n");
    assert_eq!(jine.stop("TERM"), Some(0));
}
