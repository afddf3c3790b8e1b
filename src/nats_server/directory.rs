//! The data directory and who may use it: one jine and one nats-server.
//!
//! Two nats-servers on one store both acknowledge, and one's writes are gone later; the server takes no lock. So jine
//! holds one, and the server inherits its descriptor: the directory is free only when both are gone.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use super::process::Process;
use super::{Error, about_file};

/// A process that was killed may need a moment to vanish, and with it its lock.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Directory {
    root: PathBuf,
    /// Kept open: the lock ends with it.
    lock: File,
}

/// What the lock file says.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Record {
    jine: Option<Process>,
    nats_server: Option<Process>,
}

impl Directory {
    /// Makes the directory if there is none, locks it, and ends a nats-server that an earlier jine has left.
    pub(super) async fn take(root: &Path) -> Result<Self, Error> {
        make_private(root)?;
        let root = root.canonicalize().map_err(about_file("resolved", root))?;
        let path = root.join("jine.lock");
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(about_file("opened", &path))?;
        let mut directory = Directory { root, lock };
        directory.lock().await?;
        if let Some(orphan) = directory.read().nats_server.filter(Process::is_alive) {
            directory.end_orphan(&orphan).await?;
        }
        directory.write(&Record { jine: Process::me(), nats_server: None })?;
        make_private(&directory.nats())?;
        Ok(directory)
    }

    async fn lock(&mut self) -> Result<(), Error> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match flock(&self.lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(()),
                Err(rustix::io::Errno::WOULDBLOCK) => self.make_way(deadline).await?,
                Err(error) => {
                    let root = self.root.display();
                    return Err(Error::Setup(format!("the data directory {root} cannot be locked: {error}")));
                }
            }
        }
    }

    /// Somebody holds the lock: a jine that lives, a server that one has left, or a process that is just ending.
    async fn make_way(&mut self, deadline: Instant) -> Result<(), Error> {
        let record = self.read();
        let root = self.root.display();
        if let Some(other) = record.jine.filter(Process::is_alive) {
            let pid = other.pid;
            return Err(Error::Failed(format!(
                "another jine (process {pid}) uses the data directory {root}: stop it, or give this one a --data-dir of its own"
            )));
        }
        if let Some(orphan) = record.nats_server.filter(Process::is_alive) {
            return self.end_orphan(&orphan).await;
        }
        if Instant::now() > deadline {
            return Err(Error::Failed(format!(
                "the data directory {root} is locked by a process that cannot be seen from here"
            )));
        }
        sleep(Duration::from_millis(20)).await;
        Ok(())
    }

    async fn end_orphan(&self, orphan: &Process) -> Result<(), Error> {
        tracing::warn!(pid = orphan.pid, "ending the nats-server that an earlier jine has left");
        if orphan.end(PATIENCE).await {
            return Ok(());
        }
        Err(Error::Failed(format!("a nats-server (process {}) that an earlier jine has left does not end", orphan.pid)))
    }

    /// Writes down which process the server is, for whoever comes after a crash.
    pub(super) fn record(&mut self, nats_server: Option<Process>) -> Result<(), Error> {
        self.write(&Record { jine: Process::me(), nats_server })
    }

    /// What cannot be read says nothing.
    fn read(&mut self) -> Record {
        let mut text = String::new();
        let read = self.lock.rewind().and_then(|()| self.lock.read_to_string(&mut text));
        read.ok().and_then(|_| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    fn write(&mut self, record: &Record) -> Result<(), Error> {
        let text = serde_json::to_vec(record).map_err(|error| Error::Failed(error.to_string()))?;
        let done = self.lock.set_len(0).and_then(|()| self.lock.rewind()).and_then(|()| self.lock.write_all(&text));
        done.map_err(about_file("written", &self.root.join("jine.lock")))
    }

    /// What the server inherits.
    pub(super) fn lock_file(&self) -> &File {
        &self.lock
    }

    pub(super) fn nats(&self) -> PathBuf {
        self.root.join("nats")
    }

    pub(super) fn reader(&self) -> PathBuf {
        self.root.join("reader")
    }
}

/// A directory for us alone.
pub(super) fn make_private(path: &Path) -> Result<(), Error> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(about_file("made", path))?;
    // It may have been there before: systemd's StateDirectory is open to all.
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(about_file("made private", path))
}

/// Replaces a file by one for us alone; a reader sees the old one or the new one.
pub(super) fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    let new = path.with_extension("new");
    let _ = fs::remove_file(&new);
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&new)
        .and_then(|mut file| file.write_all(content.as_bytes()))
        .and_then(|()| fs::rename(&new, path));
    written.map_err(about_file("written", path))
}
