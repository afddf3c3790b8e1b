//! The store: turns requests into entries of the log, the log into state, and state into answers and events.
//!
//! `rpc` sees [`Store`], [`WatchStream`] and [`Error`] and nothing else of this module.

pub mod error;
pub mod log;
pub mod watch;

pub use error::Error;
pub use watch::{WatchOutput, WatchRequest, WatchStream};

use std::sync::Arc;

use crate::state::{
    Alarm, DeleteRangeRequest, DeleteRangeResponse, LeaseId, PutRequest, PutResponse, RangeRequest, RangeResponse,
    Revision, TxnRequest, TxnResponse,
};

/// Serves requests on the state of one log. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    #[allow(dead_code)]
    inner: Arc<()>,
}

/// How up to date a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// At least as new as every write acknowledged, by anyone, before the read began.
    Linearizable,
    /// Whatever this process has applied.
    Serializable,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    pub id: LeaseId,
    /// Seconds; raised to the minimum where a smaller one was asked for.
    pub ttl: i64,
    pub revision: Revision,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Seconds left.
    pub ttl: i64,
    pub granted_ttl: i64,
    /// In key order; filled if asked for.
    pub keys: Vec<bytes::Bytes>,
}

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

#[allow(unused_variables, clippy::todo)]
impl Store {
    pub async fn range(&self, request: RangeRequest, consistency: Consistency) -> Result<RangeResponse, Error> {
        todo!()
    }

    pub async fn put(&self, request: PutRequest) -> Result<PutResponse, Error> {
        todo!()
    }

    pub async fn delete_range(&self, request: DeleteRangeRequest) -> Result<DeleteRangeResponse, Error> {
        todo!()
    }

    pub async fn txn(&self, request: TxnRequest, consistency: Consistency) -> Result<TxnResponse, Error> {
        todo!()
    }

    /// With `physical`, returns only when what was superseded is gone from the log. Returns the store's revision.
    pub async fn compact(&self, revision: Revision, physical: bool) -> Result<Revision, Error> {
        todo!()
    }

    /// `id` 0: choose one. `ttl` in seconds.
    pub async fn lease_grant(&self, id: LeaseId, ttl: i64) -> Result<Granted, Error> {
        todo!()
    }

    pub async fn lease_revoke(&self, id: LeaseId) -> Result<Revision, Error> {
        todo!()
    }

    /// The full TTL in seconds, or None if there is no such lease.
    pub async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<i64>, Error> {
        todo!()
    }

    /// None if there is no such lease.
    pub async fn lease_time_to_live(&self, id: LeaseId, keys: bool) -> Result<Option<LeaseStatus>, Error> {
        todo!()
    }

    pub async fn leases(&self) -> Result<Vec<LeaseId>, Error> {
        todo!()
    }

    /// One per gRPC watch stream: its watchers share one ordered queue.
    pub fn watch_stream(&self) -> WatchStream {
        todo!()
    }

    /// The revision applied here; no waiting.
    pub fn revision(&self) -> Revision {
        todo!()
    }

    /// Waits until this process is as new as every write acknowledged before the call; what a linearizable read does first.
    pub async fn fence(&self) -> Result<(), Error> {
        todo!()
    }

    /// What the log was named by its genesis record; never changes while the process runs.
    pub fn cluster_id(&self) -> u64 {
        todo!()
    }

    /// This process; never 0 and never changes while it runs.
    pub fn member_id(&self) -> u64 {
        todo!()
    }

    /// Why linearizable requests are not served right now, if they are not. Asks nobody.
    pub fn unavailable(&self) -> Option<String> {
        todo!()
    }

    /// Sizes are asked of the log, or the last known where it does not answer.
    pub async fn status(&self) -> Status {
        todo!()
    }

    pub async fn alarms(&self) -> Result<Vec<Alarm>, Error> {
        todo!()
    }

    /// Returns the alarms that stand afterwards.
    pub async fn raise(&self, alarm: Alarm) -> Result<Vec<Alarm>, Error> {
        todo!()
    }

    /// Returns the alarms that stand afterwards.
    pub async fn disarm(&self, alarm: Alarm) -> Result<Vec<Alarm>, Error> {
        todo!()
    }
}
