//! etcd's own client, as people use it.

use std::process::Command;

use super::tool;

/// Whether it succeeded, and all that it has printed.
pub(crate) fn etcdctl(address: &str, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(tool("etcdctl")).args(["--endpoints", address]).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// The same where it must succeed.
pub(crate) fn etcdctl_ok(address: &str, arguments: &[&str]) -> String {
    let (success, text) = etcdctl(address, arguments);
    assert!(success, "etcdctl {arguments:?}: {text}");
    text
}
