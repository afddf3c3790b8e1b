//! One jine, one nats-server, one directory.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::support::jine::{Jine, embedded, finish, nats_server_pid};
use crate::support::{eventually, is_alive, kill};

const RUNNING: &str = "nats-server is running";

fn running(data: &Path) -> (Jine, u32) {
    let mut jine = Jine::start(embedded(data));
    jine.wait_for(RUNNING);
    let nats = nats_server_pid(data).unwrap();
    assert!(is_alive(nats));
    (jine, nats)
}

#[test]
fn no_nats_server_outlives_a_jine_that_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let (mut jine, nats) = running(data.path());
    jine.stop("KILL");
    eventually("the end of nats-server", || (!is_alive(nats)).then_some(()));
}

/// The signal comes when the thread ends that has started the server, and idle threads end.
#[test]
#[ignore = "takes over a minute"]
fn long_idle_does_not_end_the_server_and_a_kill_still_does() {
    let data = tempfile::tempdir().unwrap();
    let (mut jine, nats) = running(data.path());
    std::thread::sleep(Duration::from_secs(70));
    assert!(is_alive(nats), "{}", jine.log());
    assert_eq!(nats_server_pid(data.path()), Some(nats));
    jine.stop("KILL");
    eventually("the end of nats-server", || (!is_alive(nats)).then_some(()));
}

#[test]
fn a_second_jine_is_refused() {
    let data = tempfile::tempdir().unwrap();
    let (mut first, nats) = running(data.path());
    let (code, text) = finish(&mut embedded(data.path()));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("another jine (process ") && text.contains("--data-dir"), "{text}");
    assert!(is_alive(nats));
    assert_eq!(first.stop("TERM"), Some(0));
}

#[test]
fn sigterm_ends_both_and_the_directory_is_free_at_once() {
    let data = tempfile::tempdir().unwrap();
    for signal in ["TERM", "INT"] {
        let (mut jine, nats) = running(data.path());
        assert_eq!(jine.stop(signal), Some(0));
        assert!(!is_alive(nats));
        assert_eq!(nats_server_pid(data.path()), None);
    }
}

/// What is left when the kernel did not kill the server: a process that holds the lock, written down.
fn orphan(data: &Path, script: &str) -> Child {
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(data.join("jine.lock")).unwrap();
    let mut command = Command::new("sh");
    // As jine's own child has it: the descriptor is inherited.
    command.args(["-c", &format!("flock -xn 0 || exit 9; echo locked; {script}")]);
    let mut child = command.stdin(lock).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = [0];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).expect("the lock is taken");
    child
}

fn record(data: &Path, pid: u32, start: u64) {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let process = |pid: u32, start: u64| serde_json::json!({"pid": pid, "start": start, "boot": boot.trim()});
    // No process has started that late: the jine of this record is gone.
    let record = serde_json::json!({"jine": process(1, u64::MAX), "nats_server": process(pid, start)});
    std::fs::write(data.join("jine.lock"), record.to_string()).unwrap();
}

fn start_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(')').unwrap().1.split_whitespace().nth(19).unwrap().parse().unwrap()
}

#[test]
fn an_orphan_is_ended_first() {
    let data = tempfile::tempdir().unwrap();
    let mut left = orphan(data.path(), "while :; do sleep 0.1; done");
    record(data.path(), left.id(), start_time(left.id()));
    let (mut jine, _) = running(data.path());
    assert!(!is_alive(left.id()));
    left.wait().unwrap();
    assert!(jine.log().contains("ending the nats-server that an earlier jine has left"));
    jine.stop("TERM");
}

#[test]
fn a_process_that_only_has_the_orphans_id_is_left_alone() {
    let data = tempfile::tempdir().unwrap();
    let mut other = Command::new("sleep").arg("600").spawn().unwrap();
    record(data.path(), other.id(), start_time(other.id()) + 1);
    let (mut jine, _) = running(data.path());
    assert!(is_alive(other.id()));
    jine.stop("TERM");
    kill(other.id(), "KILL");
    other.wait().unwrap();
}

#[test]
fn a_lock_held_by_nobody_known_is_not_broken() {
    let data = tempfile::tempdir().unwrap();
    let mut holder = orphan(data.path(), "while :; do sleep 0.1; done");
    let (code, text) = finish(&mut embedded(data.path()));
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("cannot be seen from here"), "{text}");
    assert!(is_alive(holder.id()));
    holder.kill().unwrap();
    holder.wait().unwrap();
}

#[test]
fn a_directory_that_cannot_be_made_is_told() {
    let data = tempfile::tempdir().unwrap();
    let file = data.path().join("file");
    File::create(&file).unwrap().as_raw_fd();
    let (code, text) = finish(&mut embedded(&file.join("below")));
    assert_eq!(code, 78);
    assert!(text.contains("cannot be made"), "{text}");
}
