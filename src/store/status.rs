//! What Maintenance.Status, MemberList and response headers say.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::Store;
use super::durations::Counted;
use super::engine::Service;
use super::log::LogInfo;
use crate::state::Revision;

/// How long the log's own figures may take; older ones are told otherwise.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a message takes in the stream besides key and value, about: its headers and the server's own.
const MESSAGE_BYTES: u64 = 200;

/// What etcd's Maintenance.Status, MemberList and the headers need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    pub cluster_id: u64,
    /// Never 0. Status.leader is the same: any jine can write.
    pub member_id: u64,
    pub revision: Revision,
    pub compacted: Revision,
    /// The last place in the log that is applied: raft_index.
    pub applied: u64,
    /// Bytes on disk as the stream reports them, and those of them that are in use.
    pub db_size: u64,
    pub db_size_in_use: u64,
    /// How large it may become before the store takes no more; 0: as large as it likes.
    pub db_size_quota: u64,
    /// Not serving linearizable requests, and why.
    pub unavailable: Option<String>,
}

/// The last figures of the log.
#[derive(Default)]
pub(super) struct Cache(Mutex<Option<LogInfo>>);

impl Cache {
    fn last(&self) -> std::sync::MutexGuard<'_, Option<LogInfo>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Store {
    /// What the log was named by its genesis record; never changes while the process runs.
    pub fn cluster_id(&self) -> u64 {
        self.inner.shared.cluster().0
    }

    /// This process; never 0 and never changes while it runs.
    pub fn member_id(&self) -> u64 {
        self.inner.options.member_id
    }

    /// Asks for the removal of what the last compactions have left in the log, as far as it is due. Does not wait for it. Of several
    /// jine the one does it that writes.
    pub fn remove_garbage(&self) {
        self.inner.shared.removal_wanted.notify_one();
    }

    /// Why linearizable requests are not served right now, if they are not. Asks nobody.
    pub fn unavailable(&self) -> Option<String> {
        match &*self.inner.shared.service.borrow() {
            Service::Up => None,
            Service::Starting => Some("the log is being read".to_owned()),
            Service::Outage { why, .. } => Some(why.clone()),
            Service::Stopped(why) => Some(why.clone().unwrap_or_else(|| "stopped".to_owned())),
        }
    }

    /// Sizes are asked of the log, or the last known where it does not answer.
    pub async fn status(&self) -> Status {
        if let Ok(Ok(info)) = tokio::time::timeout(PATIENCE, self.inner.backend.info()).await {
            *self.inner.status.last() = Some(info);
        }
        let db_size = self.inner.status.last().as_ref().map_or(0, |info| info.bytes);
        let state = self.inner.shared.state();
        Status {
            cluster_id: self.cluster_id(),
            member_id: self.member_id(),
            revision: state.revision(),
            compacted: state.compacted(),
            applied: self.inner.shared.applied.borrow().0,
            db_size,
            db_size_in_use: (state.live_bytes() + state.held() * MESSAGE_BYTES).min(db_size),
            db_size_quota: self.inner.shared.room.limit().unwrap_or(0),
            unavailable: self.unavailable(),
        }
    }
}

/// What the store counts, for metrics. Everything down to `purged_messages` only ever rises.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    pub foreign_messages: u64,
    pub entries_applied: u64,
    pub puts: u64,
    pub deletes: u64,
    pub groups: u64,
    pub group_entries: u64,
    pub settled: u64,
    pub outages: u64,
    pub purged_messages: u64,
    pub keys: u64,
    pub garbage: u64,
    pub watchers: u64,
    pub leases: u64,
    pub alarms: u64,
    pub appends: Counted,
}

impl Store {
    pub fn figures(&self) -> Figures {
        let shared = &self.inner.shared;
        let counters = &shared.counters;
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (keys, garbage, leases, alarms) = {
            let state = shared.state();
            let (leases, alarms) = (state.leases().len() as u64, state.alarms().len() as u64);
            (state.fingerprint().keys, state.garbage_len() as u64, leases, alarms)
        };
        Figures {
            foreign_messages: read(&counters.foreign_messages),
            entries_applied: read(&counters.entries_applied),
            puts: read(&counters.puts),
            deletes: read(&counters.deletes),
            groups: read(&counters.groups),
            group_entries: read(&counters.group_entries),
            settled: read(&counters.settled),
            outages: read(&counters.outages),
            purged_messages: read(&counters.purged_messages),
            keys,
            garbage,
            watchers: shared.hub.synced() as u64,
            leases,
            alarms,
            appends: counters.appends.counted(),
        }
    }
}
