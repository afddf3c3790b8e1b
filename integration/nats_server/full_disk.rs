//! A disk that is full, and is not any more.

use std::path::Path;
use std::process::Command;

use crate::support::etcdctl::{etcdctl, etcdctl_ok};
use crate::support::eventually;
use crate::support::jine::{Jine, embedded};

/// A small file system of its own; unmounted when dropped.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    /// None where mounting is not permitted.
    fn mount(at: &'a Path, options: &str) -> Option<Self> {
        let output = Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at).output();
        output.is_ok_and(|output| output.status.success()).then_some(Disk(at))
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
    }
}

/// Fills the rest of it.
fn fill(path: &Path) {
    let zeros = vec![0; 1 << 20];
    let mut file = std::fs::File::create(path).unwrap();
    while std::io::Write::write_all(&mut file, &zeros).is_ok() {}
}

#[test]
#[ignore = "takes half a minute, and needs the right to mount"]
fn long_full_disk_is_survived_without_a_hand() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_disk) = Disk::mount(dir.path(), "size=200M") else {
        println!("skipped: mounting is not permitted here");
        return;
    };
    let mut jine = Jine::start(embedded(&dir.path().join("data")));
    let address = jine.address();
    let value = "x".repeat(1_000_000);
    let put = |key: &str| {
        std::fs::write(dir.path().with_extension("value"), &value).unwrap();
        let input = std::fs::File::open(dir.path().with_extension("value")).unwrap();
        let mut command = Command::new(crate::support::tool("etcdctl"));
        command.args(["--endpoints", &address, "--command-timeout", "10s", "put", key]).stdin(input);
        let output = command.output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    for i in 0..20 {
        assert!(put(&format!("/before/{i}")).0);
    }
    fill(&dir.path().join("other"));
    // What is in memory is served on, whatever happens to writes.
    let (success, text) = put("/full");
    assert!(!success, "a write into a full disk");
    assert!(text.contains("etcdserver: mvcc: database space exceeded"), "{text}");
    etcdctl_ok(&address, &["get", "/before/0", "--keys-only"]);

    std::fs::remove_file(dir.path().join("other")).unwrap();
    eventually("lifting the alarm", || etcdctl(&address, &["alarm", "disarm"]).0.then_some(()));
    eventually("a write after there is room again", || put("/after").0.then_some(()));
    assert_eq!(jine.stop("KILL"), None);
    let mut jine = Jine::start(embedded(&dir.path().join("data")));
    let (success, keys) = etcdctl(&jine.address(), &["get", "/before/", "--prefix", "--keys-only"]);
    assert!(success);
    assert_eq!(keys.lines().filter(|line| !line.is_empty()).count(), 20);
    let _ = std::fs::remove_file(dir.path().with_extension("value"));
}
