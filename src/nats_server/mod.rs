//! A nats-server of our own: found, configured, started as a child, watched and stopped.
//!
//! ```text
//! DATA/                       0700
//!   jine.lock                 held by jine and its nats-server; says which processes those are
//!   nats/nats-server.conf     written at every start
//!   nats/ports/               where nats-server says that it listens
//!   nats/jetstream/           the data
//!   reader/                   a configuration directory for the nats command line, to look at the data
//! ```
//!
//! The port and the keys are chosen when jine starts and stay the same until it ends, however often the server is
//! restarted in between; only a port that somebody else has taken meanwhile is given up for another.

mod child;
mod directory;
mod disk;
mod keys;
mod log_lines;
mod process;
mod program;
mod reader;
mod settings;
mod spawner;
mod staging;
mod supervisor;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use directory::Directory;
use keys::Keys;
use settings::Settings;
use supervisor::{Order, Supervisor};

/// How long nats-server gets to end by itself; it only has to close files.
const STOP_DEADLINE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub struct Options {
    pub data_dir: PathBuf,
    /// The program; None: look on PATH and beside jine.
    pub program: Option<PathBuf>,
    /// The stream whose batches are staged in memory.
    pub stream: String,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Starting again will not help before somebody has changed something.
    #[error("{0}")]
    Setup(String),
    /// Starting again may help.
    #[error("{0}")]
    Failed(String),
}

/// A nats-server that runs until [`NatsServer::stop`]. If it dies it is started again. Dropping this kills it.
pub struct NatsServer {
    seed: String,
    up: watch::Receiver<Option<String>>,
    disk: PathBuf,
    stuck: Arc<AtomicBool>,
    orders: mpsc::Sender<Order>,
    /// Taken by whoever stops it.
    task: Mutex<Option<JoinHandle<()>>>,
}

impl NatsServer {
    /// Returns when the server takes connections, which may take as long as its data is large.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let program = program::find(options.program.as_deref()).await?;
        let directory = Directory::take(&options.data_dir).await?;
        let keys = Keys::new()?;
        let seed = keys.writer_seed.clone();
        let settings = Settings::new(&directory, keys)?;
        let (orders, inbox) = mpsc::channel(1);
        let (up, is_up) = watch::channel(None);
        let (disk, stuck) = (directory.nats(), Arc::new(AtomicBool::new(false)));
        let mut supervisor = Supervisor::new(program, directory, settings, options.stream, up, stuck.clone())?;
        let child = supervisor.start().await?;
        tracing::info!(url = supervisor.url(), pid = child.pid(), data = %options.data_dir.display(), "nats-server is running");
        let task = tokio::spawn(supervisor.run(child, inbox));
        let task = Mutex::new(Some(task));
        Ok(NatsServer { seed, up: is_up, disk, stuck, orders, task })
    }

    /// The seed of the only nkey that may write. Never on disk, never in a log.
    pub fn nkey_seed(&self) -> &str {
        &self.seed
    }

    /// `nats://127.0.0.1:PORT`, or None while it is being started again: what a start has to do before the first batch is not done then.
    /// A start may lead to another port.
    pub fn up(&self) -> watch::Receiver<Option<String>> {
        self.up.clone()
    }

    /// Tells what is free on the disk, in bytes: nothing, if the server has run into its end and writes no more.
    pub fn disk_left(&self) -> impl Fn() -> Option<u64> + Send + Sync + use<> {
        let (disk, stuck) = (self.disk.clone(), self.stuck.clone());
        move || if stuck.load(Ordering::Relaxed) { Some(0) } else { disk::free(&disk) }
    }

    /// Lays the stream's staging area into memory. To be called once the stream exists and while nothing is being
    /// written; every restart does it by itself.
    pub async fn stage(&self) {
        let (done, answer) = tokio::sync::oneshot::channel();
        if self.orders.send(Order::Stage(done)).await.is_ok() {
            let _ = answer.await;
        }
    }

    /// Ends the server: asks it to, and kills it if it takes too long.
    pub async fn stop(&self) {
        let _ = self.orders.send(Order::Stop).await;
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the supervisor of nats-server failed");
        }
    }
}

/// An error about a file.
fn about_file<'a>(what: &'a str, path: &'a std::path::Path) -> impl Fn(io::Error) -> Error + 'a {
    use io::ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    move |error| {
        let text = format!("{} cannot be {what}: {error}", path.display());
        match error.kind() {
            NotADirectory | PermissionDenied | ReadOnlyFilesystem => Error::Setup(text),
            _ => Error::Failed(text),
        }
    }
}
