//! The program itself, as a process.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use super::client::Client;
use super::{eventually, tool};

/// Runs until it is told to stop; killed when dropped.
pub(crate) struct Jine {
    child: Child,
    log: Arc<Mutex<String>>,
    logged: Option<JoinHandle<()>>,
}

/// The program that is tested.
pub(crate) fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_jine"))
}

/// The program with nothing of the environment's configuration.
pub(crate) fn command() -> Command {
    command_of(program())
}

fn command_of(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("JINE_") {
            command.env_remove(name);
        }
    }
    command
}

/// With a nats-server of its own, on ports that the system picks.
pub(crate) fn embedded(data: &Path) -> Command {
    embedded_of(program(), data)
}

/// The same of another build.
pub(crate) fn embedded_of(program: &Path, data: &Path) -> Command {
    let mut command = command_of(program);
    command.arg("--data-dir").arg(data).arg("--nats-server").arg(tool("nats-server"));
    command.args(["--listen-address", "127.0.0.1:0", "--metrics-bind-address", "0"]);
    command
}

/// On a NATS that others run.
pub(crate) fn external(endpoint: &str) -> Command {
    let mut command = command();
    command.args(["--endpoint", endpoint, "--listen-address", "127.0.0.1:0", "--metrics-bind-address", "0"]);
    command
}

/// Runs to its end; the exit code and what it has printed, errors first.
pub(crate) fn finish(command: &mut Command) -> (i32, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    let text = [output.stderr, output.stdout].concat();
    (output.status.code().expect("ended by a signal"), String::from_utf8(text).unwrap())
}

impl Jine {
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (pipe, shared) = (child.stderr.take().unwrap(), log.clone());
        let logged = std::thread::spawn(move || {
            for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                let mut log = shared.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Jine { child, log, logged: Some(logged) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits for a text in its log.
    pub(crate) fn wait_for(&mut self, text: &str) -> &mut Self {
        eventually(&format!("'{text}' in the log"), || {
            if self.log().contains(text) {
                return Some(());
            }
            let ended = self.child.try_wait().unwrap();
            assert!(ended.is_none() || self.log().contains(text), "jine has ended ({ended:?}):\n{}", self.log());
            None
        });
        self
    }

    /// A client of it, once it serves.
    pub(crate) fn client(&mut self) -> Client {
        Client::new(&self.address())
    }

    /// Where it serves etcd clients, once it does.
    pub(crate) fn address(&mut self) -> String {
        self.address_in("serving etcd clients")
    }

    /// Where it serves metrics and health.
    pub(crate) fn metrics_address(&mut self) -> String {
        self.address_in("serving metrics and health")
    }

    fn address_in(&mut self, text: &str) -> String {
        let log = self.wait_for(text).log();
        let line = log.lines().find(|line| line.contains(text)).unwrap();
        let address = line.split_whitespace().find_map(|word| word.strip_prefix("address="));
        address.expect("an address in the log").to_owned()
    }

    /// Sends a signal and waits for the end; the exit code.
    pub(crate) fn stop(&mut self, signal: &str) -> Option<i32> {
        super::kill(self.pid(), signal);
        self.end()
    }

    /// The exit code, if it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }

    pub(crate) fn end(&mut self) -> Option<i32> {
        let status = eventually("the end of jine", || self.child.try_wait().unwrap());
        if let Some(logged) = self.logged.take() {
            eventually("the end of its log", || logged.is_finished().then_some(()));
        }
        status.code()
    }
}

impl Drop for Jine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let log = self.log();
        if std::thread::panicking() {
            eprintln!("the log of jine:\n{log}");
        } else {
            assert!(!log.contains("panicked"), "jine panicked:\n{log}");
        }
    }
}

/// The process that jine has written down as its nats-server.
pub(crate) fn nats_server_pid(data: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(data.join("jine.lock")).ok()?;
    let record: serde_json::Value = serde_json::from_str(&text).ok()?;
    u32::try_from(record["nats_server"]["pid"].as_u64()?).ok()
}

/// Where its nats-server puts batches together: on a tmpfs, or None where there is none.
pub(crate) fn staging(data: &Path) -> Option<PathBuf> {
    let batches = files(data).into_iter().find(|file| file.ends_with("batches"))?;
    std::fs::read_link(batches).ok()
}

/// All files beneath a directory.
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}
