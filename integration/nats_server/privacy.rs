//! Who can read what, and write.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use jine::nats_server::{NatsServer, Options};

use crate::support::bucket::{Bucket, url};
use crate::support::jine::{Jine, embedded, files, nats_server_pid};
use crate::support::tool;

/// The `nats` command line with the context that jine leaves.
fn nats(data: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(tool("nats"))
        .env("XDG_CONFIG_HOME", data.join("reader"))
        .args(["--timeout", "2s"])
        .args(arguments)
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reader_reads_and_does_not_write() {
    let data = tempfile::tempdir().unwrap();
    let options =
        Options { data_dir: data.path().into(), program: Some(tool("nats-server")), stream: "KV_jine".into() };
    let server = NatsServer::start(options).await.unwrap();
    let bucket = Bucket::open(&server, "jine").await;
    bucket.put("registry.pods.default.web-0", "one").await;
    bucket.put("registry.pods.default.web-0", "two").await;

    let run = |arguments: &'static [&'static str]| nats(data.path(), arguments);
    for (arguments, expected) in [
        (&["kv", "ls"][..], "jine"),
        (&["kv", "ls", "jine"], "registry.pods.default.web-0"),
        (&["kv", "get", "jine", "registry.pods.default.web-0", "--raw"], "two"),
        (&["kv", "history", "jine", "registry.pods.default.web-0"], "one"),
        (&["str", "report"], "KV_jine"),
    ] {
        let (success, text) = run(arguments);
        assert!(success && text.contains(expected), "{arguments:?}: {text}");
    }
    for arguments in [
        &["kv", "put", "jine", "registry.pods.default.web-0", "three"][..],
        &["kv", "del", "jine", "registry.pods.default.web-0", "--force"],
        &["kv", "purge", "jine", "registry.pods.default.web-0", "--force"],
        &["kv", "add", "other"],
        &["kv", "del", "jine", "--force"],
        &["str", "purge", "KV_jine", "--force"],
        &["str", "rm", "KV_jine", "--force"],
    ] {
        let (success, text) = run(arguments);
        assert!(!success, "{arguments:?}: {text}");
    }
    assert_eq!(bucket.get("registry.pods.default.web-0").await, "two");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_in_without_a_key() {
    let data = tempfile::tempdir().unwrap();
    let options =
        Options { data_dir: data.path().into(), program: Some(tool("nats-server")), stream: "KV_jine".into() };
    let server = NatsServer::start(options).await.unwrap();
    assert!(async_nats::connect(url(&server)).await.is_err());
    server.stop().await;
}

#[test]
fn files_are_for_the_owner_alone() {
    let data = tempfile::tempdir().unwrap();
    std::fs::set_permissions(data.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    jine.wait_for("nats-server is running");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    for dir in ["", "nats", "nats/ports", "reader", "reader/nats", "reader/nats/context"] {
        assert_eq!(mode(&data.path().join(dir)), 0o700, "{dir}");
    }
    for file in [
        "jine.lock",
        "nats/nats-server.conf",
        "reader/reader.nk",
        "reader/nats/context/jine.json",
        "reader/nats/context.txt",
    ] {
        assert_eq!(mode(&data.path().join(file)), 0o600, "{file}");
    }
    jine.stop("TERM");
}

/// Seeds of users' nkeys begin with SU.
fn seeds(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric());
    words.filter(|word| word.len() == 58 && word.starts_with("SU")).collect()
}

#[test]
fn no_secret_is_in_logs_arguments_or_files() {
    let data = tempfile::tempdir().unwrap();
    let mut command = embedded(data.path());
    command.args(["--log-level", "trace"]);
    let mut jine = Jine::start(command);
    jine.wait_for("nats-server is running");
    for pid in [jine.pid(), nats_server_pid(data.path()).unwrap()] {
        for file in ["cmdline", "environ"] {
            let text = std::fs::read(format!("/proc/{pid}/{file}")).unwrap();
            assert_eq!(seeds(&String::from_utf8_lossy(&text)), [""; 0], "{file} of {pid}");
        }
    }
    jine.stop("TERM");
    assert_eq!(seeds(&jine.log()), [""; 0]);
    for file in files(data.path()) {
        let text = std::fs::read(&file).unwrap();
        let expected = usize::from(file.ends_with("reader.nk"));
        assert_eq!(seeds(&String::from_utf8_lossy(&text)).len(), expected, "{}", file.display());
    }
}
