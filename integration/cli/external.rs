//! A NATS that others run: out of reach, unwilling, unfit.

use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::etcdctl::etcdctl_ok;
use crate::support::jine::{Jine, command, finish};
use crate::support::{eventually, http_get, tool};

/// A nats-server with a configuration of the test's; killed when dropped.
struct Nats {
    child: Child,
    port: u16,
}

impl Nats {
    fn start(dir: &Path, port: u16, configuration: &str) -> Self {
        let file = dir.join("nats.conf");
        let mut out = std::fs::File::create(&file).unwrap();
        let store = dir.join("store");
        writeln!(out, "listen: \"127.0.0.1:{port}\"\n{}", configuration.replace("STORE", store.to_str().unwrap()))
            .unwrap();
        let child = Command::new(tool("nats-server")).arg("-c").arg(&file).stderr(Stdio::null()).spawn().unwrap();
        eventually("nats-server", || std::net::TcpStream::connect(("127.0.0.1", port)).ok());
        Nats { child, port }
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const JETSTREAM: &str = "jetstream { store_dir: \"STORE\" }\n";

fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

fn jine(endpoint: &str) -> Command {
    let mut command = command();
    command.args(["--endpoint", endpoint, "--listen-address", "127.0.0.1:0", "--metrics-bind-address", "0"]);
    command
}

#[test]
fn an_unreachable_nats_is_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut jine = Jine::start(jine(&format!("nats://127.0.0.1:{port}")));
    jine.wait_for("trying again until it works");
    assert!(jine.log().contains(&format!("127.0.0.1:{port}")), "{}", jine.log());
    let _nats = Nats::start(dir.path(), port, JETSTREAM);
    let address = jine.address();
    etcdctl_ok(&address, &["put", "/a", "1"]);
    assert_eq!(jine.stop("TERM"), Some(0));
}

#[test]
fn the_port_for_metrics_tells_what_the_start_waits_for() {
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut command = command();
    command.args(["--endpoint", &format!("nats://127.0.0.1:{port}")]);
    command.args(["--listen-address", "127.0.0.1:0", "--metrics-bind-address", "127.0.0.1:0"]);
    let mut jine = Jine::start(command);
    let metrics = jine.metrics_address();
    jine.wait_for("trying again until it works");
    let (status, text) = http_get(&metrics, "/readyz").unwrap();
    assert_eq!(status, 503);
    assert!(text.starts_with("starting: waiting for NATS"), "{text}");
    assert_eq!(http_get(&metrics, "/livez").unwrap().0, 200);
    let _nats = Nats::start(dir.path(), port, JETSTREAM);
    eventually("ready", || http_get(&metrics, "/readyz").is_ok_and(|(status, _)| status == 200).then_some(()));
    assert!(http_get(&metrics, "/metrics").unwrap().1.contains("etcd_server_has_leader 1"));
    assert_eq!(jine.stop("TERM"), Some(0));
}

#[test]
fn waiting_for_nats_ends_at_sigterm() {
    let mut jine = Jine::start(jine(&format!("nats://127.0.0.1:{}", free_port())));
    jine.wait_for("trying again until it works");
    assert_eq!(jine.stop("TERM"), Some(0));
}

/// Credentials that are renewed, or checked by a service that comes up later, must not keep a machine down.
#[test]
fn refused_credentials_are_told_without_the_password_and_read_again() {
    let dir = tempfile::tempdir().unwrap();
    for (check, flags) in [
        ("user: me, password: right", &["--nats-user=me", "--nats-password-file"][..]),
        ("token: right", &["--nats-token-file"][..]),
    ] {
        let nats = Nats::start(dir.path(), free_port(), &format!("{JETSTREAM}authorization {{ {check} }}"));
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "hunter2\n").unwrap();
        let mut command = jine(&format!("nats://127.0.0.1:{}", nats.port));
        command.args(flags).arg(&secret);
        let mut jine = Jine::start(command);
        jine.wait_for("refused the credentials");
        std::fs::write(&secret, "right\n").unwrap();
        jine.address();
        assert!(!jine.log().contains("hunter2"), "{}", jine.log());
        assert_eq!(jine.stop("TERM"), Some(0));
    }
}

#[test]
fn credentials_of_the_environment_are_used() {
    let dir = tempfile::tempdir().unwrap();
    let users = format!("{JETSTREAM}authorization {{ user: me, password: right }}");
    let nats = Nats::start(dir.path(), free_port(), &users);
    let mut command = jine(&format!("nats://127.0.0.1:{}", nats.port));
    command.args(["--nats-user", "me"]).env("JINE_NATS_PASSWORD", "right");
    let mut jine = Jine::start(command);
    jine.address();
    assert_eq!(jine.stop("TERM"), Some(0));
}

#[test]
fn nats_without_jetstream_is_told_and_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let nats = Nats::start(dir.path(), free_port(), "");
    let port = nats.port;
    let mut jine = Jine::start(jine(&format!("nats://127.0.0.1:{port}")));
    jine.wait_for("JetStream is not enabled");
    drop(nats);
    let _nats = Nats::start(dir.path(), port, JETSTREAM);
    jine.address();
    assert_eq!(jine.stop("TERM"), Some(0));
}

#[test]
fn the_bucket_and_parameters_of_the_endpoint_are_used() {
    let dir = tempfile::tempdir().unwrap();
    let nats = Nats::start(dir.path(), free_port(), JETSTREAM);
    let endpoint = format!("nats://127.0.0.1:{}?bucket=prod&revHistory=10", nats.port);
    let mut jine = Jine::start(jine(&endpoint));
    jine.address();
    assert!(jine.log().contains("revHistory means nothing here"), "{}", jine.log());
    let url = format!("nats://127.0.0.1:{}", nats.port);
    let list = Command::new(tool("nats")).args(["--server", &url, "kv", "ls"]).output().unwrap();
    assert!(String::from_utf8_lossy(&list.stdout).contains("prod"), "{list:?}");
    assert_eq!(jine.stop("TERM"), Some(0));
}

#[test]
fn operations_that_may_not_fit_a_batch_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let nats = Nats::start(dir.path(), free_port(), JETSTREAM);
    let mut jine = jine(&format!("nats://127.0.0.1:{}", nats.port));
    // A value of two megabytes takes two messages more than its operation.
    let (code, text) = finish(jine.args(["--max-txn-ops", "999", "--max-request-bytes", "2MiB"]));
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("--max-txn-ops: a transaction of 999 operations") && text.contains("at most 998"), "{text}");
}

fn nats_command(url: &str, arguments: &[&str]) {
    let output = Command::new(tool("nats")).args(["--server", url]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Taken while jine writes; what is put back is the store as of some moment between begin and end of the backup.
#[test]
fn a_backup_by_the_nats_command_can_be_restored() {
    let dir = tempfile::tempdir().unwrap();
    let nats = Nats::start(dir.path(), free_port(), JETSTREAM);
    let url = format!("nats://127.0.0.1:{}", nats.port);
    let tool = |arguments: &[&str]| nats_command(&url, arguments);
    let mut jine = Jine::start(self::jine(&url));
    let address = jine.address();
    let put = |address: &str, n: usize| etcdctl_ok(address, &["put", &format!("/k{n}"), &n.to_string()]);
    (0..20).for_each(|n| _ = put(&address, n));
    let backup = dir.path().join("backup");
    let backup = backup.to_str().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| (20..40).for_each(|n| _ = put(&address, n)));
        tool(&["stream", "backup", "KV_jine", backup, "--no-progress"]);
    });
    assert_eq!(jine.stop("TERM"), Some(0));
    tool(&["stream", "rm", "KV_jine", "--force"]);
    tool(&["stream", "restore", backup, "--no-progress"]);

    let mut jine = Jine::start(self::jine(&url));
    let address = jine.address();
    let found = etcdctl_ok(&address, &["get", "/k", "--prefix", "--keys-only", "--sort-by", "CREATE"]);
    let found: Vec<&str> = found.lines().filter(|line| !line.is_empty()).collect();
    let all: Vec<String> = (0..40).map(|n| format!("/k{n}")).collect();
    assert!((20..=40).contains(&found.len()) && found == all[..found.len()], "{found:?}");
    put(&address, 40);
    assert_eq!(jine.stop("TERM"), Some(0));
}

/// As docs/operations.md tells it.
#[test]
fn a_message_that_stops_jine_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let nats = Nats::start(dir.path(), free_port(), JETSTREAM);
    let url = format!("nats://127.0.0.1:{}", nats.port);
    let tool = |arguments: &[&str]| nats_command(&url, arguments);
    let mut first = Jine::start(jine(&url));
    let address = first.address();
    etcdctl_ok(&address, &["put", "/k", "1"]);
    tool(&["pub", "$KV.jine.k", "forged", "-H", "Jine:9 put"]);
    assert_eq!(first.end(), Some(78), "{}", first.log());
    let told = first.log();
    let sequence =
        told.lines().find_map(|line| line.split_once("sequence ")?.1.split_once(" holds")).map(|found| found.0);
    tool(&["request", "$JS.API.STREAM.MSG.DELETE.KV_jine", &format!("{{\"seq\": {}}}", sequence.expect(&told))]);

    let mut second = Jine::start(jine(&url));
    let address = second.address();
    etcdctl_ok(&address, &["put", "/k2", "2"]);
    assert_eq!(etcdctl_ok(&address, &["get", "/k", "--prefix", "--print-value-only"]), "1\n2\n");
    assert_eq!(second.stop("TERM"), Some(0));
}
