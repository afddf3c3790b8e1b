//! What Maintenance.Status, MemberList and response headers say.

use std::sync::Mutex;
use std::time::Duration;

use super::Store;
use super::engine::Service;
use super::log::LogInfo;
use crate::state::Revision;

/// How long the log's own figures may take; older ones are told otherwise.
const PATIENCE: Duration = Duration::from_secs(1);

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
            db_size_in_use: state.live_bytes().min(db_size),
            unavailable: self.unavailable(),
        }
    }
}
