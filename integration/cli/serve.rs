//! Serving, and what it survives.

use crate::support::etcdctl::{etcdctl, etcdctl_ok};
use crate::support::jine::{Jine, embedded, nats_server_pid};
use crate::support::{eventually, kill};

#[test]
fn what_was_written_is_there_after_any_process_was_killed() {
    let data = tempfile::tempdir().unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    let address = jine.address();
    etcdctl_ok(&address, &["put", "/a", "1"]);

    kill(nats_server_pid(data.path()).unwrap(), "KILL");
    eventually("a write after nats-server was killed", || etcdctl(&address, &["put", "/b", "2"]).0.then_some(()));
    assert_eq!(etcdctl_ok(&address, &["get", "/", "--prefix", "--print-value-only"]), "1\n2\n");

    jine.stop("KILL");
    let mut jine = Jine::start(embedded(data.path()));
    let address = jine.address();
    assert_eq!(etcdctl_ok(&address, &["get", "/", "--prefix", "--print-value-only"]), "1\n2\n");
    assert_eq!(jine.stop("TERM"), Some(0));
}

#[test]
fn the_smoke_of_etcdctl() {
    let data = tempfile::tempdir().unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    let address = jine.address();
    let run = |arguments: &[&str]| etcdctl_ok(&address, arguments);
    assert_eq!(run(&["put", "/a", "1"]), "OK\n");
    assert_eq!(run(&["get", "/a"]), "/a\n1\n");
    let lease = run(&["lease", "grant", "100"]);
    let lease = lease.split_whitespace().nth(1).unwrap();
    run(&["put", "/leased", "x", "--lease", lease]);
    assert!(run(&["lease", "timetolive", lease, "--keys"]).contains("/leased"));
    run(&["lease", "revoke", lease]);
    assert_eq!(run(&["get", "/leased"]), "");
    assert_eq!(run(&["del", "/a"]), "1\n");
    run(&["compaction", "4"]);
    run(&["endpoint", "health"]);
    assert!(run(&["endpoint", "status"]).contains("3.7.3"));
    assert!(run(&["member", "list"]).contains(&format!("http://{address}")));
    assert_eq!(jine.stop("TERM"), Some(0));
}

#[test]
fn sigterm_ends_it_with_watches_open() {
    let data = tempfile::tempdir().unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    let address = jine.address();
    let mut watch = std::process::Command::new(crate::support::tool("etcdctl"))
        .args(["--endpoints", &address, "watch", "--prefix", "/"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    // The watch is there once it has told of something.
    let mut out = watch.stdout.take().unwrap();
    let told = std::thread::spawn(move || std::io::Read::read_exact(&mut out, &mut [0; 3]).map(|()| out));
    eventually("an event", || {
        etcdctl_ok(&address, &["put", "/a", "1"]);
        told.is_finished().then_some(())
    });
    assert_eq!(jine.stop("TERM"), Some(0));
    watch.kill().unwrap();
    watch.wait().unwrap();
}
