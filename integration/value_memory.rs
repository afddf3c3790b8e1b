//! `--value-memory`: values that memory has no room for are in a file.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use jine::pb::mvccpb::KeyValue;

use crate::support::client::{Client, put_op};
use crate::support::jine::{Jine, embedded, external, finish};
use crate::support::{http_get, nats};

const KEYS: usize = 2048;
const VALUE: usize = 64 << 10;
const ALL: u64 = (KEYS * VALUE) as u64;
/// Values in one transaction: as many as a request may have.
const TOGETHER: usize = 16;
/// What a jine needs besides values: the program, groups on their way to the log, and, while it reads the log, the 32 MiB that NATS lets be
/// on their way, with what they are read into.
const BESIDES: u64 = 92 << 20;

fn with_file(mut command: Command, bytes: &str) -> Command {
    command.args(["--value-memory", bytes]);
    command
}

/// Another in each round, and for each key.
fn value(key: usize, round: usize) -> Vec<u8> {
    let mark = (key * 4 + round) as u64;
    mark.to_le_bytes().repeat(VALUE / 8)
}

fn name(key: usize) -> String {
    format!("/key/{key:04}")
}

async fn write(client: &Client, round: usize) {
    for first in (0..KEYS).step_by(TOGETHER) {
        let puts = (first..first + TOGETHER).map(|key| put_op(name(key), value(key, round)));
        client.txn(vec![], puts.collect()).await.unwrap();
    }
}

async fn check(client: &Client, round: usize) {
    for key in 0..KEYS {
        let found: KeyValue = client.get(name(key)).await.unwrap().unwrap();
        assert!(found.value == value(key, round), "{}", name(key));
    }
}

/// Its resident memory, in bytes.
fn rss(jine: &Jine) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", jine.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// A figure in its metrics.
fn figure(jine: &mut Jine, name: &str) -> u64 {
    let (_, text) = http_get(&jine.address(), "/metrics").unwrap();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
}

/// The file that values are in, which has no name any more, as a path by which it can be opened.
fn file(jine: &Jine) -> PathBuf {
    let open = fs::read_dir(format!("/proc/{}/fd", jine.pid())).unwrap().flatten().map(|entry| entry.path());
    let is_it = |path: &PathBuf| {
        let target = fs::read_link(path).unwrap_or_default().display().to_string();
        target.contains("/values-") && target.ends_with(" (deleted)")
    };
    open.into_iter().find(is_it).expect("an open file for values")
}

fn check_sizes(jine: &mut Jine, when: &str) {
    let (resident, memory) = (rss(jine), figure(jine, "jine_values_memory_bytes"));
    assert!(memory <= 1 << 20, "{when}: {memory} bytes of values in memory");
    assert!(resident < BESIDES, "{when}: {resident} bytes of memory");
    let (size, used) = (figure(jine, "jine_values_file_bytes"), figure(jine, "jine_values_file_used_bytes"));
    // What is overwritten has its place until it is compacted: twice all the values, and no more however often that is done.
    assert!(size <= ALL * 9 / 4, "{when}: the file has {size} bytes");
    assert!(used >= ALL - (2 << 20), "{when}: {used} bytes are in use");
    let real = fs::metadata(file(jine)).unwrap().len();
    assert!(real <= size, "{when}: {real} bytes, and {size} are known");
    assert_eq!(figure(jine, "jine_values_unwritten_total"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_beyond_the_bound_take_no_memory_and_their_places_are_used_again() {
    let data = tempfile::tempdir().unwrap();
    let start = || Jine::start(with_file(embedded(data.path()), "1048576"));
    let mut jine = start();
    let client = jine.client();
    for round in 0..3 {
        write(&client, round).await;
        check_sizes(&mut jine, &format!("after round {round}"));
        let revision = client.status().await.unwrap().header.unwrap().revision;
        client.compact(revision, true).await.unwrap();
    }
    check(&client, 2).await;
    let hash = client.hash_kv().await.unwrap();
    check_sizes(&mut jine, "after reading");
    assert_eq!(jine.stop("TERM"), Some(0));

    let mut jine = start();
    let client = jine.client();
    check_sizes(&mut jine, "after a restart");
    check(&client, 2).await;
    assert_eq!(client.hash_kv().await.unwrap().hash, hash.hash);
    check_sizes(&mut jine, "after reading what was restarted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_cannot_be_read_ends_jine_and_is_there_after_the_next_start() {
    let data = tempfile::tempdir().unwrap();
    let start = || Jine::start(with_file(embedded(data.path()), "0"));
    let mut jine = start();
    let client = jine.client();
    for key in ["/a", "/b"] {
        client.put(key, key.repeat(1000)).await.unwrap();
    }
    // Half of the second value is gone.
    File::options().write(true).open(file(&jine)).unwrap().set_len(3000).unwrap();
    assert_eq!(client.get("/a").await.unwrap().unwrap().value, "/a".repeat(1000));
    client.get("/b").await.expect_err("nothing true can be said");
    assert_eq!(jine.end(), Some(1));
    assert!(jine.log().contains("a value cannot be read from the file of --value-memory"), "{}", jine.log());

    let mut jine = start();
    let client = jine.client();
    for key in ["/a", "/b"] {
        assert_eq!(client.get(key).await.unwrap().unwrap().value, key.repeat(1000));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn on_an_external_nats_the_data_directory_is_for_the_file() {
    let server = nats::NatsServer::start().await;
    let data = tempfile::tempdir().unwrap();
    let on = |directory: &Path| {
        let mut command = with_file(external(&server.url()), "0");
        command.arg("--data-dir").arg(directory);
        command
    };
    let directory = data.path().join("made/here");
    let mut jine = Jine::start(on(&directory));
    let client = jine.client();
    client.put("/a", vec![b'a'; 4096]).await.unwrap();
    assert_eq!(client.get("/a").await.unwrap().unwrap().value, vec![b'a'; 4096]);
    assert_eq!(figure(&mut jine, "jine_values_file_used_bytes"), 4096);
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "the file has no name");
    let (code, text) = finish(&mut on(Path::new("/proc/nothing")));
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("--value-memory: no file can be made in /proc/nothing"), "{text}");
}
