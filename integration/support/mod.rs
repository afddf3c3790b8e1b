//! What the tests share.

pub(crate) mod bucket;
pub(crate) mod client;
pub(crate) mod etcdctl;
pub(crate) mod jine;
pub(crate) mod nats;
pub(crate) mod proxy;

use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A program that scripts/setup has installed: in `JINE_TOOLS`, else in the repository's target/tools/bin.
pub(crate) fn tool(name: &str) -> PathBuf {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/tools/bin");
    let dir = std::env::var_os("JINE_TOOLS").map_or_else(default, PathBuf::from);
    let path = dir.join(name);
    assert!(path.exists(), "there is no {}: run scripts/setup, or set JINE_TOOLS", path.display());
    path
}

/// Waits for something that must come true; the limit is only there for a test that has failed.
pub(crate) fn eventually<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
    eventually_within(Duration::from_secs(60), what, check)
}

/// The same for what takes its time.
pub(crate) fn eventually_within<T>(limit: Duration, what: &str, mut check: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < deadline, "never came true: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Neither gone nor a zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.starts_with(" Z") && !rest.starts_with(" X"))
}

pub(crate) fn kill(pid: u32, signal: &str) {
    let status = std::process::Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status();
    assert!(status.unwrap().success(), "kill -{signal} {pid}");
    // The signal is sent, but its threads on other processors may still run for a moment.
    while signal == "STOP" && !is_stopped(pid) {
        std::thread::yield_now();
    }
}

/// kill -9 of several by one command.
pub(crate) fn kill_at_once(pids: &[u32]) {
    let status = std::process::Command::new("kill").arg("-KILL").args(pids.iter().map(u32::to_string)).status();
    assert!(status.unwrap().success(), "kill -KILL {pids:?}");
}

fn is_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let mut stats = threads.flatten().filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    stats.all(|stat| stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" T")))
}

/// A plain HTTP request; the answer's status and body.
pub(crate) fn http_get(address: &str, path: &str) -> std::io::Result<(u16, String)> {
    use std::io::{Error, Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| Error::other("no answer"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or_else(|| Error::other("no status"))?, body.to_owned()))
}
