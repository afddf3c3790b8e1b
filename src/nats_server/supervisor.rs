//! Keeps one nats-server running until it is told to stop.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, interval, sleep};

use super::child::Run;
use super::directory::Directory;
use super::settings::Settings;
use super::spawner::Spawner;
use super::staging::Staging;
use super::{Error, about_file, disk};

/// Between two attempts to start it, doubled up to the second.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A server that ran this long is not the one that cannot run.
const STABLE: Duration = Duration::from_secs(60);

/// How often the room on the disk is looked at.
const DISK_INTERVAL: Duration = Duration::from_secs(10);

pub(super) enum Order {
    Stage(oneshot::Sender<()>),
    Stop,
}

pub(super) struct Supervisor {
    program: PathBuf,
    directory: Directory,
    settings: Settings,
    spawner: Spawner,
    staging: Staging,
    /// Where the server listens, when it is ready.
    up: watch::Sender<Option<String>>,
    /// The running server writes no more.
    stuck: Arc<AtomicBool>,
    /// The limit on storage that the running server was told.
    limit: u64,
}

/// Why a run is over.
enum End {
    Died(String),
    /// A write has failed, after which it writes no more; and there is room on the disk now.
    CannotWrite,
    /// The area in memory where batches are staged is full, or was removed.
    CannotStage,
    Stop,
}

impl Supervisor {
    pub(super) fn new(
        program: PathBuf,
        directory: Directory,
        settings: Settings,
        stream: String,
        up: watch::Sender<Option<String>>,
        stuck: Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let spawner = Spawner::new().map_err(about_file("run", &program))?;
        let staging = Staging::new(settings.streams().join(stream));
        Ok(Supervisor { program, directory, settings, spawner, staging, up, stuck, limit: 0 })
    }

    pub(super) fn url(&self) -> String {
        self.settings.url()
    }

    /// Starts the server once and waits until it serves.
    pub(super) async fn start(&mut self) -> Result<Run, Error> {
        self.limit = disk::limit(&self.directory.nats());
        self.settings.write(self.limit)?;
        let mut run = Run::spawn(&self.spawner, &self.program, &self.settings, &mut self.directory).await?;
        run.ready(&self.settings.ports()).await?;
        // What is read from now on is answered as if it had been acknowledged.
        if let Err(error) = sync(self.directory.nats()).await {
            // Two on one store would each undo what the other does.
            run.stop().await;
            return Err(error);
        }
        self.staging.lay();
        self.stuck.store(false, Ordering::Relaxed);
        self.up.send_replace(Some(self.url()));
        Ok(run)
    }

    /// Until told to stop; then the server is gone and the directory free.
    pub(super) async fn run(mut self, mut run: Run, mut orders: mpsc::Receiver<Order>) {
        loop {
            let started = Instant::now();
            let end = self.watch(&mut run, &mut orders).await;
            self.up.send_replace(None);
            match end {
                End::Stop => {
                    run.stop().await;
                    break;
                }
                End::CannotWrite => {
                    tracing::warn!("nats-server could not write, and there is room on the disk now: restarting it");
                    run.stop().await;
                }
                End::CannotStage => {
                    tracing::warn!("there is no room in memory to stage batches any more: restarting nats-server");
                    run.stop().await;
                }
                End::Died(status) => {
                    tracing::error!(status, pid = run.pid(), "nats-server has died; starting it again");
                }
            }
            let backoff = if started.elapsed() > STABLE { Duration::ZERO } else { BACKOFF.0 };
            match self.start_again(backoff, &mut orders).await {
                Some(next) => run = next,
                None => break,
            }
        }
        let _ = self.directory.record(None);
    }

    async fn watch(&mut self, run: &mut Run, orders: &mut mpsc::Receiver<Order>) -> End {
        let mut look = interval(DISK_INTERVAL);
        look.tick().await;
        let mut cannot_write = run.told.cannot_write.subscribe();
        loop {
            tokio::select! {
                status = run.ended() => return End::Died(status),
                order = orders.recv() => match order {
                    Some(Order::Stage(done)) => {
                        self.staging.lay();
                        let _ = done.send(());
                    }
                    Some(Order::Stop) | None => return End::Stop,
                },
                // At once, and then as often as the disk is looked at.
                Ok(()) = cannot_write.changed() => {
                    // It may have been the area in memory that was full; then the disk is not to blame.
                    self.stuck.store(!disk::has_room(&self.directory.nats()), Ordering::Relaxed);
                    look.reset_immediately();
                }
                _ = look.tick() => {
                    if !self.staging.is_sound() {
                        return End::CannotStage;
                    } else if !*cannot_write.borrow() {
                        self.adjust_limit(run);
                    } else if disk::has_room(&self.directory.nats()) {
                        return End::CannotWrite;
                    }
                }
            }
        }
    }

    /// The disk is not ours alone: follows what is free on it.
    fn adjust_limit(&mut self, run: &Run) {
        let limit = disk::limit(&self.directory.nats());
        // Small changes are not worth a reload, unless little is left.
        let little = limit.min(self.limit) / 20;
        if limit.abs_diff(self.limit) <= little {
            return;
        }
        match self.settings.write_limit(limit) {
            Ok(()) => {
                self.limit = limit;
                run.reload();
            }
            Err(error) => tracing::warn!(%error, "the limit on storage stays as it is"),
        }
    }

    /// None: told to stop meanwhile.
    async fn start_again(&mut self, mut backoff: Duration, orders: &mut mpsc::Receiver<Order>) -> Option<Run> {
        loop {
            let attempt = async {
                sleep(backoff).await;
                self.start().await
            };
            let result = tokio::select! {
                result = attempt => result,
                stop = stop_order(orders) => { let () = stop; return None }
            };
            match result {
                Ok(run) => {
                    tracing::info!(pid = run.pid(), "nats-server runs again");
                    return Some(run);
                }
                Err(error) => {
                    backoff = (backoff * 2).clamp(BACKOFF.0, BACKOFF.1);
                    tracing::error!(%error, next_attempt = ?backoff, "nats-server could not be started again");
                }
            }
        }
    }
}

async fn sync(dir: PathBuf) -> Result<(), Error> {
    let stored = dir.clone();
    let synced = spawn_blocking(move || disk::sync(&stored)).await.unwrap_or_else(|panicked| Err(panicked.into()));
    synced.map_err(about_file("synced", &dir))
}

/// Waits for the order to stop; staging is done by every start anyway.
async fn stop_order(orders: &mut mpsc::Receiver<Order>) {
    while let Some(Order::Stage(done)) = orders.recv().await {
        let _ = done.send(());
    }
}
