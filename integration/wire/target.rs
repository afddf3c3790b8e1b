//! What a behaviour is asked of: a server of its own, with an empty store.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::client::Client;
use crate::support::{jine, tool};

/// Stopped and removed when dropped.
pub(crate) struct Target {
    endpoint: String,
    process: Process,
    _data: TempDir,
}

/// Killed when dropped.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Target {
    pub(super) fn etcd() -> Target {
        Target::etcd_with(&[
            "--watch-progress-notify-interval",
            "200ms",
            "--heartbeat-interval",
            "10",
            "--election-timeout",
            "100",
        ])
    }

    pub(super) fn jine() -> Target {
        Target::jine_with(|jine| {
            jine.args(["--listen-address", "127.0.0.1:0"]);
        })
    }

    /// With an address to listen on, and whatever else.
    pub(crate) fn jine_with(arguments: impl FnOnce(&mut Command)) -> Target {
        let data = folder();
        let mut jine = jine::command();
        jine.arg("--data-dir").arg(data.path()).arg("--nats-server").arg(tool("nats-server"));
        jine.args(["--metrics-bind-address", "0", "--watch-progress-notify-interval", "200ms"]);
        arguments(&mut jine);
        start(jine, data, "serving etcd clients", "address=")
    }

    /// With whatever flags.
    pub(crate) fn etcd_with(flags: &[&str]) -> Target {
        let data = folder();
        let mut etcd = Command::new(tool("etcd"));
        etcd.arg("--data-dir").arg(data.path()).arg("--unsafe-no-fsync");
        for flag in ["--listen-client-urls", "--advertise-client-urls", "--listen-peer-urls"] {
            etcd.args([flag, "http://127.0.0.1:0"]);
        }
        etcd.args(flags);
        start(etcd, data, "serving client traffic insecurely", "\"address\":\"")
    }

    /// With its own defaults.
    pub(crate) fn plain_etcd() -> Target {
        Target::etcd_with(&[])
    }

    /// With its own defaults.
    pub(crate) fn plain_jine() -> Target {
        let data = folder();
        let jine = jine::embedded(data.path());
        start(jine, data, "serving etcd clients", "address=")
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.0.id()
    }

    pub(super) async fn client(&self) -> Client {
        Client::connect(&format!("http://{}", self.endpoint)).await
    }
}

/// In memory where there is such a place: what is asked here does not depend on the disk.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// Runs a server until it logs a line with `ready`; the address stands behind `before` in it.
fn start(mut command: Command, data: TempDir, ready: &str, before: &str) -> Target {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let process = Process(child);
    let mut log = String::new();
    let endpoint = loop {
        let Some(Ok(line)) = lines.next() else { panic!("{command:?} has ended:\n{log}") };
        if line.contains(ready) {
            let address = line.split_once(before).unwrap_or_else(|| panic!("no address in {line}")).1;
            break address.chars().take_while(|c| c.is_ascii_digit() || ".:".contains(*c)).collect();
        }
        log.push_str(&line);
        log.push('\n');
    };
    // The pipe must not fill up.
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok).filter(|line| line.starts_with("panic: ")) {
            eprintln!("{line}");
        }
    });
    Target { endpoint, process, _data: data }
}

/// Makes a test of each function for each target.
macro_rules! behaviours {
    ($($name:ident)*) => {
        mod on_etcd {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&crate::wire::target::Target::etcd()).await;
            })*
        }
        mod on_jine {
            $(#[tokio::test]
            async fn $name() {
                super::$name(&crate::wire::target::Target::jine()).await;
            })*
        }
    };
}
pub(super) use behaviours;
