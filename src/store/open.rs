//! Starting and stopping a store.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

use super::claim::{Answerer, Claimer};
use super::compactor::Compactor;
use super::engine::{Engine, EngineOptions, Fatal, Progress, Service, Shared};
use super::fence::Fence;
use super::log::{Log, LogError, LogInfo, PeerError, Peers, SessionId, Traits};
use super::{Aside, Inner, Store, hash, room, status};
use crate::state::Values;

/// How a store behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of this run of the process: random.
    pub session: SessionId,
    /// Never 0; the same after a restart.
    pub member_id: u64,
    /// How often idle watchers that asked for it are told the revision.
    pub progress_notify_interval: Duration,
    /// After how long a request that got no answer from the log is given up.
    pub request_timeout: Duration,
    /// How long requests wait for a log that is out of reach; after that they are told at once.
    pub outage_grace: Duration,
    /// Bytes of the log beyond which the store may not grow.
    pub quota: Option<u64>,
    pub largest: Largest,
    /// Where the state's values are kept. None: in memory.
    pub values: Option<Arc<dyn Values>>,
}

/// The largest transaction that is let in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Largest {
    /// Operations, those of nested transactions included.
    pub ops: usize,
    /// Of the whole request.
    pub bytes: usize,
}

impl Largest {
    /// How many messages of a group it leaves at least. None: it may need more than a group has. (Each operation takes one; each
    /// further piece of a large value fills one.)
    pub(super) fn leaves(self, traits: &Traits) -> Option<usize> {
        traits.max_group_messages.checked_sub(self.ops + self.bytes / traits.max_record_bytes.max(1))
    }

    fn check(self, traits: &Traits) -> Result<(), Fatal> {
        if self.leaves(traits).is_some() {
            return Ok(());
        }
        let fit = traits.max_group_messages.saturating_sub(self.bytes / traits.max_record_bytes.max(1));
        Err(Fatal(format!(
            "--max-txn-ops: a transaction of {} operations and {} bytes may not fit an atomic batch of {} messages with {} bytes each; \
             give at most {fit}",
            self.ops, self.bytes, traits.max_group_messages, traits.max_record_bytes
        )))
    }
}

impl Options {
    /// What etcd gives a request: five seconds, and two elections of a second.
    pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(7);

    /// Enough for a nats-server to be started again, or another to become the stream's leader, in the usual case.
    pub const OUTAGE_GRACE: Duration = Duration::from_secs(3);
}

/// An open store. `ended` resolves when it has stopped: with an error if it had to.
pub struct Running {
    pub store: Store,
    pub ended: JoinHandle<Result<(), Fatal>>,
}

/// What the handle needs of the log, whichever log it is.
pub(super) trait Backend: Send + Sync {
    fn info(&self) -> BoxFuture<'_, Result<LogInfo, LogError>>;
    fn ask(&self, peer: SessionId, question: Bytes, patience: Duration) -> BoxFuture<'_, Result<Bytes, PeerError>>;
    fn exclusive(&self) -> bool;
}

struct Handle<L>(Arc<L>);

impl<L: Log + Peers> Backend for Handle<L> {
    fn info(&self) -> BoxFuture<'_, Result<LogInfo, LogError>> {
        Box::pin(self.0.info())
    }

    fn ask(&self, peer: SessionId, question: Bytes, patience: Duration) -> BoxFuture<'_, Result<Bytes, PeerError>> {
        Box::pin(self.0.ask(peer, question, patience))
    }

    fn exclusive(&self) -> bool {
        self.0.traits().exclusive
    }
}

impl Store {
    /// Reads the whole log and then serves. Tries without limit while the log cannot be reached; `progress` tells how far the reading is.
    pub async fn open<L: Log + Peers>(
        log: Arc<L>,
        options: Options,
        progress: watch::Sender<Progress>,
    ) -> Result<Running, Fatal> {
        options.largest.check(&log.traits())?;
        let (shared, writes) = Shared::new(&options, disk_of(&log), progress);
        let engine_options = EngineOptions { session: options.session, largest: options.largest };
        let (commands, receiver) = mpsc::unbounded_channel();
        let fence = Fence::start(log.clone(), shared.clone(), commands.clone());
        let engine = Engine::open(log.clone(), shared.clone(), engine_options, fence.clone(), writes).await?;
        let ended = tokio::spawn(engine.run(receiver));

        let session = options.session;
        let (log, engine) = (log.clone(), commands.clone());
        tokio::spawn(Compactor { log: log.clone(), shared: shared.clone(), engine: engine.clone(), session }.run());
        tokio::spawn(Claimer { log: log.clone(), shared: shared.clone(), engine: engine.clone(), session }.run());
        let answerer = Answerer { log: log.clone(), shared: shared.clone(), fence: fence.clone(), engine, session };
        tokio::spawn(answerer.run());
        tokio::spawn(hash::hash_compactions(shared.clone()));
        tokio::spawn(room::look(log.clone(), shared.clone(), options.member_id));
        tokio::spawn(tell_progress(shared.clone(), options.progress_notify_interval));

        let inner = Inner {
            options,
            shared,
            fence,
            engine: commands,
            backend: Box::new(Handle(log)),
            status: status::Cache::default(),
            aside: Aside::default(),
        };
        Ok(Running { store: Store { inner: Arc::new(inner) }, ended })
    }

    /// To be told when clients are about to be sent away: what they cannot keep alive any more does not expire here.
    pub fn retire(&self) {
        self.inner.shared.retiring.store(true, Ordering::Relaxed);
    }

    /// Takes no more requests, finishes those under way, ends the watches. Returns when all of it is done.
    pub async fn stop(&self) {
        self.inner.shared.stopping.store(true, Ordering::Relaxed);
        let (reply, stopped) = oneshot::channel();
        if self.inner.engine.send(super::Command::Stop(reply)).is_ok() {
            // An engine that ended by itself drops the sender.
            let _ = stopped.await;
        }
    }
}

fn disk_of<L: Log>(log: &Arc<L>) -> room::DiskLeft {
    let log = log.clone();
    Box::new(move || log.disk_left())
}

async fn tell_progress(shared: Arc<Shared>, every: Duration) {
    let mut interval = tokio::time::interval(every.max(Duration::from_millis(10)));
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        let service = shared.service.borrow().clone();
        match service {
            Service::Up => shared.hub.progress(),
            Service::Stopped(_) => return,
            Service::Starting | Service::Outage { .. } => {}
        }
    }
}
