//! What a behaviour is asked of: a server of its own, with an empty store.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::client::Client;
use crate::support::{jine, tool};

/// Stopped and removed when dropped.
pub(crate) struct Target {
    endpoint: String,
    process: Process,
    command: Command,
    ready: Ready,
    _data: TempDir,
}

/// The line of its log that says that it serves, and what stands before the address there.
#[derive(Clone, Copy)]
struct Ready(&'static str, &'static str);

const JINE: Ready = Ready("serving etcd clients", "address=");
const ETCD: Ready = Ready("serving client traffic insecurely", "\"address\":\"");

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
        Target::start(jine, data, JINE)
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
        Target::start(etcd, data, ETCD)
    }

    /// A jine of whatever program, with its own defaults but for these flags.
    pub(crate) fn plain_jine(program: &Path, flags: &[&str]) -> Target {
        let data = folder();
        let mut jine = jine::embedded_of(program, data.path());
        jine.args(flags);
        Target::start(jine, data, JINE)
    }

    fn start(mut command: Command, data: TempDir, ready: Ready) -> Target {
        let (process, endpoint) = start(&mut command, ready);
        Target { endpoint, process, command, ready, _data: data }
    }

    /// Kills it with SIGKILL and starts it again on its data; it listens elsewhere then.
    pub(crate) fn restart(&mut self) {
        let _ = self.process.0.kill();
        let _ = self.process.0.wait();
        (self.process, self.endpoint) = start(&mut self.command, self.ready);
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

/// Runs a server until it logs that it serves; returns its address with it. A port that was free may be taken when it listens there.
fn start(command: &mut Command, ready: Ready) -> (Process, String) {
    for _ in 0..10 {
        match try_start(command, ready) {
            Ok(started) => return started,
            Err(log) if log.contains("address already in use") => {}
            Err(log) => panic!("{command:?} has ended:\n{log}"),
        }
    }
    panic!("no port is free for {command:?}");
}

/// The error is its log.
fn try_start(command: &mut Command, ready: Ready) -> Result<(Process, String), String> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let process = Process(child);
    let mut log = String::new();
    let endpoint = loop {
        let Some(Ok(line)) = lines.next() else { return Err(log) };
        if line.contains(ready.0) {
            let address = line.split_once(ready.1).unwrap_or_else(|| panic!("no address in {line}")).1;
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
    Ok((process, endpoint))
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
