use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::jine::{Jine, command, embedded, finish};
use crate::support::tool;

/// A program that says it is nats-server of that version, and does nothing else.
fn stub(dir: &Path, version: &str) -> std::path::PathBuf {
    let path = dir.join("nats-server");
    fs::write(&path, format!("#!/bin/sh\necho 'nats-server: v{version}'\n")).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

#[test]
fn a_busy_port_is_told_before_anything_is_started() {
    let data = tempfile::tempdir().unwrap();
    let busy = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let mut command = command();
    command.arg("--data-dir").arg(data.path().join("x")).args(["--listen-address", &address]);
    let (code, text) = finish(&mut command);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains(&format!("the address {address} is in use")), "{text}");
    assert!(!data.path().join("x").exists());
}

#[test]
fn a_wrong_file_for_tls_is_told_before_anything_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (certificate, key, wrong) =
        (dir.path().join("cert.pem"), dir.path().join("key.pem"), dir.path().join("wrong.pem"));
    fs::write(&certificate, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::write(&wrong, "half a key").unwrap();
    let data = dir.path().join("data");
    for (certificate, key, client_ca) in
        [(&certificate, &wrong, None), (&wrong, &key, None), (&certificate, &key, Some(&wrong))]
    {
        let mut command = embedded(&data);
        command.arg("--server-cert-file").arg(certificate).arg("--server-key-file").arg(key);
        if let Some(client_ca) = client_ca {
            command.arg("--client-cert-auth").arg("--trusted-ca-file").arg(client_ca);
        }
        let (code, text) = finish(&mut command);
        assert_eq!(code, 78, "{text}");
        assert!(text.contains(&format!("clients cannot be served with TLS: {}", wrong.display())), "{text}");
        assert!(!data.exists(), "{text}");
    }
}

#[test]
fn an_old_nats_server_that_was_asked_for_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = command();
    command.arg("--data-dir").arg(dir.path().join("data")).arg("--nats-server").arg(stub(dir.path(), "2.10.29"));
    let (code, text) = finish(command.args(["--listen-address", "127.0.0.1:0", "--metrics-bind-address", "0"]));
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("is version 2.10.29, and jine needs 2.15.1 or newer"), "{text}");
}

#[test]
fn what_is_no_nats_server_is_refused() {
    for (program, part) in [("/bin/true", "does not tell its version"), ("/nonexistent/nats-server", "cannot be run")] {
        let data = tempfile::tempdir().unwrap();
        let mut command = command();
        command.arg("--data-dir").arg(data.path()).args(["--nats-server", program]);
        let (code, text) = finish(command.args(["--listen-address", "127.0.0.1:0", "--metrics-bind-address", "0"]));
        assert_eq!(code, 78, "{text}");
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn an_old_nats_server_on_the_path_is_passed_over() {
    let (old, new, data) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    stub(old.path(), "2.9.0");
    std::os::unix::fs::symlink(tool("nats-server"), new.path().join("nats-server")).unwrap();
    let mut command = command();
    command.env("PATH", std::env::join_paths([old.path(), new.path()]).unwrap());
    command.arg("--data-dir").arg(data.path());
    command.args(["--listen-address", "127.0.0.1:0", "--metrics-bind-address", "0"]);
    let mut jine = Jine::start(command);
    jine.wait_for("this nats-server is too old").wait_for("nats-server is running");
    assert_eq!(jine.stop("TERM"), Some(0));
}

#[test]
fn the_same_port_is_free_for_the_next_start() {
    let data = tempfile::tempdir().unwrap();
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    for _ in 0..2 {
        let mut command = command();
        command.arg("--data-dir").arg(data.path()).arg("--nats-server").arg(tool("nats-server"));
        command.args(["--listen-address", &format!("127.0.0.1:{port}"), "--metrics-bind-address", "0"]);
        let mut jine = Jine::start(command);
        jine.wait_for("nats-server is running");
        assert_eq!(jine.stop("TERM"), Some(0));
    }
}

#[test]
fn the_log_can_be_json() {
    let data = tempfile::tempdir().unwrap();
    let mut command = embedded(data.path());
    command.args(["--log-format", "json"]);
    let mut jine = Jine::start(command);
    jine.wait_for("nats-server is running");
    jine.stop("TERM");
    for line in jine.log().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["message"].is_string() && line["level"].is_string(), "{line}");
    }
}
