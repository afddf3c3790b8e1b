//! One run of nats-server: from its start to its end.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, sleep, timeout};

use super::directory::Directory;
use super::log_lines::{self, Told};
use super::process::Process;
use super::settings::Settings;
use super::spawner::Spawner;
use super::{Error, STOP_DEADLINE};

pub(super) struct Run {
    child: Child,
    pid: u32,
    pub(super) told: Told,
}

impl Run {
    /// Starts the process; it does not serve yet.
    pub(super) async fn spawn(
        spawner: &Spawner,
        program: &Path,
        settings: &Settings,
        directory: &mut Directory,
    ) -> Result<Self, Error> {
        let failed = |why: String| Error::Failed(format!("{} cannot be started: {why}", program.display()));
        let command = command(program, settings);
        let mut child =
            spawner.spawn(command, directory.lock_file()).await.map_err(|error| failed(error.to_string()))?;
        let pid = child.id().ok_or_else(|| failed("it ended at once".to_owned()))?;
        directory.record(Process::of(pid))?;
        let told = Told::default();
        if let Some(pipe) = child.stderr.take() {
            tokio::spawn(log_lines::forward(pipe, told.clone()));
        }
        Ok(Run { child, pid, told })
    }

    /// Returns when it takes connections.
    pub(super) async fn ready(&mut self, ports: &Path) -> Result<(), Error> {
        let start = Instant::now();
        let mut patience = interval(Duration::from_secs(10));
        patience.tick().await;
        loop {
            tokio::select! {
                status = self.child.wait() => return Err(self.ended_early(status.ok()).await),
                _ = patience.tick() => {
                    tracing::info!(seconds = start.elapsed().as_secs(), "nats-server is still starting");
                }
                () = sleep(Duration::from_millis(5)) => {
                    if announced(ports, self.pid) {
                        tracing::debug!(pid = self.pid, took = ?start.elapsed(), "nats-server is ready");
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn ended_early(&self, status: Option<ExitStatus>) -> Error {
        // Its last words may still be in the pipe.
        sleep(Duration::from_millis(50)).await;
        let why = self.told.last_error().unwrap_or_else(|| "it did not say why".to_owned());
        Error::Failed(format!("nats-server does not start ({}): {why}", show(status)))
    }

    /// Returns when it has ended.
    pub(super) async fn ended(&mut self) -> String {
        show(self.child.wait().await.ok())
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Tells it to read its configuration again.
    pub(super) fn reload(&self) {
        self.signal(Signal::HUP);
    }

    /// Asks it to end, then kills it.
    pub(super) async fn stop(mut self) {
        self.signal(Signal::TERM);
        if timeout(STOP_DEADLINE, self.child.wait()).await.is_err() {
            tracing::warn!(pid = self.pid, "nats-server does not end in {STOP_DEADLINE:?}; killing it");
            let _ = self.child.kill().await;
        }
    }

    fn signal(&self, signal: Signal) {
        // As long as nobody has waited for it, its id is not used again.
        let pid = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        if let Some(pid) = pid {
            let _ = kill_process(pid, signal);
        }
    }
}

fn command(program: &Path, settings: &Settings) -> Command {
    let mut command = Command::new(program);
    command.arg("--config").arg(settings.file());
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    // A Ctrl-C at the terminal is for jine, which stops the server last.
    command.process_group(0).kill_on_drop(true);
    if std::env::var_os("GOMAXPROCS").is_none() {
        command.env("GOMAXPROCS", processors().to_string());
    }
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("JINE_") || ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"].contains(&&*name_text) {
            command.env_remove(&name);
        }
    }
    command
}

/// How many threads run the server's code at a time: half of the machine's. It does jine's writes one after the other, so that more of
/// them mostly wake each other, and take the processors that jine needs itself (docs/performance.md).
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, |all| (all.get() / 2).max(1))
}

/// The server writes `<program>_<pid>.ports` when it listens.
fn announced(ports: &Path, pid: u32) -> bool {
    let Ok(entries) = std::fs::read_dir(ports) else { return false };
    let suffix = format!("_{pid}.ports");
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().ends_with(&suffix))
}

fn show(status: Option<ExitStatus>) -> String {
    status.map_or_else(|| "unknown".to_owned(), |status| status.to_string())
}
