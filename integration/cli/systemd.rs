//! What systemd is told.

use std::collections::HashSet;
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use crate::support::jine::{Jine, embedded, nats_server_pid};
use crate::support::kill;

/// Reads notifications until one of them is `wanted`; all that came.
fn until(socket: &UnixDatagram, wanted: &str) -> HashSet<String> {
    let mut seen = HashSet::new();
    let mut buffer = [0; 4096];
    while !seen.contains(wanted) {
        let n = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("no {wanted} among {seen:?}: {error}"));
        seen.extend(String::from_utf8_lossy(&buffer[..n]).lines().map(str::to_owned));
    }
    seen
}

#[test]
fn ready_status_signs_of_life_and_stopping_are_told() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut command = embedded(&data.path().join("data"));
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let mut jine = Jine::start(command);

    let before = until(&socket, "READY=1");
    assert!(before.contains("STATUS=starting nats-server"), "{before:?}");
    assert!(!before.contains("STATUS=serving"), "{before:?}");
    jine.address();
    until(&socket, "STATUS=serving");
    until(&socket, "WATCHDOG=1");

    // None of this is for the child.
    let nats = nats_server_pid(&data.path().join("data")).unwrap();
    let environment = std::fs::read(format!("/proc/{nats}/environ")).unwrap();
    assert!(!String::from_utf8_lossy(&environment).contains("NOTIFY_SOCKET"));

    kill(jine.pid(), "TERM");
    until(&socket, "STOPPING=1");
    assert_eq!(jine.end(), Some(0));
}
