//! What the engine and those who ask it share.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock, RwLockReadGuard};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;

use super::command::Write;
use crate::state::{Revision, Sequence, State, Values};
use crate::store::durations::Durations;
use crate::store::error::Error;
use crate::store::hash::Hashes;
use crate::store::lessor::Lessor;
use crate::store::log::{ClusterId, SessionId};
use crate::store::open::Options;
use crate::store::room::{DiskLeft, Room};
use crate::store::watch::Hub;

/// How often a long outage is told.
pub(super) const SAY_OUTAGE: Duration = Duration::from_secs(30);

/// Whether requests can be served.
#[derive(Clone, Debug, PartialEq)]
pub enum Service {
    /// The log is being read from its beginning.
    Starting,
    Up,
    /// The log cannot be reached.
    Outage {
        since: Instant,
        /// When a line about it was last written.
        told: Instant,
        why: String,
    },
    /// For good; with the reason, if it is not a wish.
    Stopped(Option<String>),
}

/// How far the first reading of the log has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub at: Sequence,
    pub target: Sequence,
}

/// Counts for metrics; each is read by whoever asks.
#[derive(Debug, Default)]
pub struct Counters {
    pub foreign_messages: AtomicU64,
    pub entries_applied: AtomicU64,
    /// Keys put and deleted since the log was read.
    pub puts: AtomicU64,
    pub deletes: AtomicU64,
    pub groups: AtomicU64,
    pub group_entries: AtomicU64,
    pub settled: AtomicU64,
    /// Fence records in the log, as far as seen since the last were removed.
    pub fences: AtomicU64,
    pub outages: AtomicU64,
    pub purged_messages: AtomicU64,
    /// From sending a group to its acknowledgement.
    pub appends: Durations,
}

/// What the engine and everybody around it have in common: the engine writes it, the others read it.
pub struct Shared {
    state: Arc<RwLock<State>>,
    pub hub: Arc<Hub>,
    /// The last place up to which every decided entry is applied.
    pub applied: watch::Sender<Sequence>,
    /// The compacted revision, as applied.
    pub compacted: watch::Sender<Revision>,
    /// Up to which revision what was superseded is gone from the log.
    pub purged: watch::Sender<Revision>,
    /// Up to which checkpoint's place all that may be removed is durably gone, by this process as the lessor.
    pub collected: AtomicU64,
    /// The author of the last valid claim.
    pub claimed: watch::Sender<Option<SessionId>>,
    pub service: watch::Sender<Service>,
    /// No more requests are taken, and an outage is not waited for.
    pub stopping: AtomicBool,
    /// Clients are being sent away and no keepalive is heard from them any more, so no lease may expire here.
    pub retiring: AtomicBool,
    pub progress: watch::Sender<Progress>,
    /// Somebody needs a lessor.
    pub claim_needed: Notify,
    /// Somebody wants what nobody needs to be removed, without a new compaction.
    pub removal_wanted: Notify,
    pub counters: Counters,
    pub room: Room,
    pub hashes: Hashes,
    cluster: AtomicU64,
    claim_place: AtomicU64,
    lessor: Mutex<Lessor>,
    writes: mpsc::UnboundedSender<Write>,
    grace: Duration,
    values: Option<Arc<dyn Values>>,
}

impl Shared {
    pub fn new(
        options: &Options,
        disk: DiskLeft,
        progress: watch::Sender<Progress>,
    ) -> (Arc<Shared>, mpsc::UnboundedReceiver<Write>) {
        let state = Arc::new(RwLock::new(State::new(Revision::FIRST, Revision::ZERO)));
        let (writes, receiver) = mpsc::unbounded_channel();
        let shared = Shared {
            hub: Hub::new(state.clone()),
            state,
            applied: watch::Sender::new(Sequence::ZERO),
            compacted: watch::Sender::new(Revision::ZERO),
            purged: watch::Sender::new(Revision::ZERO),
            collected: AtomicU64::new(0),
            claimed: watch::Sender::new(None),
            service: watch::Sender::new(Service::Starting),
            stopping: AtomicBool::new(false),
            retiring: AtomicBool::new(false),
            progress,
            claim_needed: Notify::new(),
            removal_wanted: Notify::new(),
            claim_place: AtomicU64::new(0),
            counters: Counters::default(),
            room: Room::new(options.quota, disk),
            hashes: Hashes::default(),
            cluster: AtomicU64::new(0),
            lessor: Mutex::default(),
            writes,
            grace: options.outage_grace,
            values: options.values.clone(),
        };
        (Arc::new(shared), receiver)
    }

    pub fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// For answering a client. None while the log is being read anew: half a state must not look like a whole one.
    pub fn served_state(&self) -> Option<RwLockReadGuard<'_, State>> {
        let state = self.state();
        // Looked at under the lock, so that the state cannot be replaced after the look.
        let starting = *self.service.borrow() == Service::Starting;
        (!starting).then_some(state)
    }

    pub fn lessor(&self) -> MutexGuard<'_, Lessor> {
        self.lessor.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub fn claim(&self) -> Option<SessionId> {
        *self.claimed.borrow()
    }

    /// Where the last claim stands, if it was read.
    pub fn claim_place(&self) -> Option<Sequence> {
        Some(Sequence(self.claim_place.load(Ordering::Relaxed))).filter(|place| *place > Sequence::ZERO)
    }

    pub(super) fn set_claim(&self, session: SessionId, place: Sequence) {
        self.claim_place.store(place.0, Ordering::Relaxed);
        self.claimed.send_replace(Some(session));
    }

    pub fn writes(&self) -> mpsc::UnboundedSender<Write> {
        self.writes.clone()
    }

    pub fn cluster(&self) -> ClusterId {
        ClusterId(self.cluster.load(Ordering::Relaxed))
    }

    pub(super) fn set_cluster(&self, cluster: ClusterId) {
        self.cluster.store(cluster.0, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Whether keepalives are heard, so that one that is missing means something.
    pub(super) fn hears_keepalives(&self) -> bool {
        !self.retiring.load(Ordering::Relaxed) && !self.is_stopping()
    }

    /// An error if requests should not even wait: a short outage is waited for, a long one is told at once.
    pub fn check_available(&self) -> Result<(), Error> {
        match &*self.service.borrow() {
            Service::Up => Ok(()),
            Service::Outage { since, .. } if since.elapsed() < self.grace => Ok(()),
            Service::Starting | Service::Outage { .. } => Err(Error::NoLeader),
            Service::Stopped(_) => Err(Error::Stopped),
        }
    }

    /// Or goes on with one, which is told now and then with the reason it has by then.
    pub(super) fn begin_outage(&self, reason: &str) {
        let now = Instant::now();
        self.service.send_if_modified(|service| match service {
            Service::Up => {
                *service = Service::Outage { since: now, told: now, why: reason.to_owned() };
                self.counters.outages.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(why = reason, "the log is out of reach");
                true
            }
            Service::Outage { since, told, why } => {
                if told.elapsed() >= SAY_OUTAGE {
                    *told = now;
                    tracing::error!(why = reason, since = ?since.elapsed(), "the log is still out of reach");
                }
                let other = why != reason;
                if other {
                    *why = reason.to_owned();
                }
                other
            }
            Service::Starting | Service::Stopped(_) => false,
        });
    }

    /// Nothing is served until `end_outage`, and open watches end.
    pub(super) fn begin_reading(&self) {
        self.service.send_replace(Service::Starting);
        self.hub.close();
    }

    pub(super) fn end_outage(&self) {
        self.hub.open();
        let before = self.service.send_replace(Service::Up);
        if let Service::Outage { since, .. } = &before {
            let lasted = since.elapsed();
            tracing::info!(?lasted, "the log is back");
        }
        if before != Service::Up {
            // No keepalive could be answered meanwhile, nor for some time before an outage was noticed.
            self.lessor().restart_all(Instant::now(), &[]);
        }
    }

    pub(super) fn stop(&self, why: Option<String>) {
        self.service.send_replace(Service::Stopped(why));
        self.hub.close();
    }

    /// Begins anew with another state.
    pub(super) fn replace_state(&self, state: State) {
        let state = state.keeping(self.values.clone());
        self.hub.publish(|old| {
            *old = state;
            (Vec::new(), ())
        });
        self.lessor().forget();
        self.claimed.send_replace(None);
        self.applied.send_replace(Sequence::ZERO);
    }
}
