//! Writing: a request goes to the engine, and its answer comes when its entry is applied.

use std::sync::atomic::Ordering;

use tokio::sync::oneshot;

use super::engine::Write;
use super::{Consistency, Error, Store};
use crate::state::{
    self, Alarm, AlarmKind, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, Request, RequestOp,
    Response, Revision, TxnRequest, TxnResponse,
};

/// Writes. Each returns once its entry is applied, or says why it is not: with [`Error::NoLeader`] and [`Error::Stopped`] it was not executed,
/// with [`Error::TimedOut`] it was or was not, and with any other it was refused.
impl Store {
    /// Puts a key.
    pub async fn put(&self, request: PutRequest) -> Result<PutResponse, Error> {
        match self.write(Request::Put(request)).await? {
            Response::Put(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }

    /// Deletes a range of keys, as one change however many there are.
    pub async fn delete_range(&self, request: DeleteRangeRequest) -> Result<DeleteRangeResponse, Error> {
        match self.write(Request::DeleteRange(request)).await? {
            Response::DeleteRange(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }

    /// Executes a transaction: all of it at one revision. `consistency` is heeded only where no branch writes.
    pub async fn txn(&self, request: TxnRequest, consistency: Consistency) -> Result<TxnResponse, Error> {
        if request.only_reads() {
            return self.read_txn(request, consistency).await;
        }
        match self.write(Request::Txn(request)).await? {
            Response::Txn(response) => Ok(response),
            other => Err(unexpected(&other)),
        }
    }

    /// All ranges are collected under one lock, as they must be of one revision.
    async fn read_txn(&self, request: TxnRequest, consistency: Consistency) -> Result<TxnResponse, Error> {
        self.await_consistency(consistency).await?;
        if request.nests() {
            self.check_alarms(0)?;
        }
        let collected = state::read(&*self.served_state()?, &request)?;
        let effort = collected.effort(&request);
        self.inner.aside.run(effort, move || collected.finish(&request)).await
    }

    /// Makes what was superseded at `revision` unreadable. With `physical`, returns only when what was superseded is gone from the log. Returns the store's revision.
    pub async fn compact(&self, revision: Revision, physical: bool) -> Result<Revision, Error> {
        let current = match self.write(Request::Compact { revision }).await? {
            Response::Compact { revision } => revision,
            other => return Err(unexpected(&other)),
        };
        if physical {
            let mut purged = self.inner.shared.purged.subscribe();
            purged.wait_for(|purged| *purged >= revision).await.map_err(|_| Error::Stopped)?;
        }
        Ok(current)
    }

    /// The alarms that stand, in the order of their members.
    pub async fn alarms(&self) -> Result<Vec<Alarm>, Error> {
        self.fence().await?;
        self.alarms_now()
    }

    /// Returns the alarms that stand afterwards.
    pub async fn raise(&self, alarm: Alarm) -> Result<Vec<Alarm>, Error> {
        self.submit(Request::AlarmRaise(alarm)).await?;
        self.alarms_now()
    }

    /// Returns the alarms that stand afterwards.
    pub async fn disarm(&self, alarm: Alarm) -> Result<Vec<Alarm>, Error> {
        if alarm == self.no_space() {
            self.inner.shared.room.alarm_noted();
        }
        self.submit(Request::AlarmDisarm(alarm)).await?;
        self.alarms_now()
    }

    /// Those that stand as far as this process knows; no waiting.
    pub fn alarms_now(&self) -> Result<Vec<Alarm>, Error> {
        let mut alarms: Vec<_> = self.served_state()?.alarms().iter().copied().collect();
        if self.inner.shared.room.is_alarmed() && !alarms.contains(&self.no_space()) {
            alarms.push(self.no_space());
        }
        Ok(alarms)
    }

    fn no_space(&self) -> Alarm {
        Alarm { member: self.member_id(), kind: AlarmKind::NoSpace }
    }

    /// What an alarm forbids, as in etcd: to fill a full store further, and to do anything with a corrupt one.
    fn check_alarms(&self, cost: usize) -> Result<(), Error> {
        let stands = |kind| self.inner.shared.state().alarms().iter().any(|alarm| alarm.kind == kind);
        if stands(AlarmKind::Corrupt) {
            return Err(Error::Corrupt);
        }
        let full = || self.inner.shared.room.is_alarmed() || stands(AlarmKind::NoSpace);
        if cost > 0 && full() { Err(Error::NoSpace) } else { Ok(()) }
    }

    /// What finds no room raises the alarm, as in etcd: from then on nothing grows until somebody has seen to it. Where there is not even
    /// room for the alarm it stands here, and `room::look` writes it down later.
    async fn raise_no_space(&self) {
        let room = &self.inner.shared.room;
        if self.inner.shared.state().alarms().contains(&self.no_space()) || !room.raise() {
            return;
        }
        let limit = room.limit();
        tracing::error!(
            limit,
            "the store has reached its limit and takes no more: compact it, delete keys or raise the limit, then disarm the alarm"
        );
        match self.raise(self.no_space()).await {
            Ok(_) => room.alarm_noted(),
            Err(error) => tracing::warn!(%error, "there is no room for the alarm either"),
        }
    }

    pub(super) async fn write(&self, request: Request) -> Result<Response, Error> {
        self.check_accepting()?;
        let cost = request.cost();
        self.check_alarms(cost)?;
        let fits = cost == 0 || self.inner.shared.room.has(cost + 1);
        let result = if fits { self.submit(request).await } else { Err(Error::NoSpace) };
        if result.as_ref().is_err_and(|error| *error == Error::NoSpace) {
            self.raise_no_space().await;
        }
        result
    }

    fn check_accepting(&self) -> Result<(), Error> {
        self.inner.shared.check_available()?;
        if self.inner.shared.stopping.load(Ordering::Relaxed) { Err(Error::Stopped) } else { Ok(()) }
    }

    async fn submit(&self, request: Request) -> Result<Response, Error> {
        self.check_accepting()?;
        let (reply, answer) = oneshot::channel();
        let write = Write { request, reply, fenced: false, expires: None };
        self.inner.shared.writes().send(write).map_err(|_| Error::Stopped)?;
        match tokio::time::timeout(self.inner.options.request_timeout, answer).await {
            Ok(answer) => answer.unwrap_or(Err(Error::Stopped)),
            Err(_) => Err(Error::TimedOut),
        }
    }
}

/// What etcd counts for a key besides its name and value, and for a lease.
const KEY_COST: usize = 256;
const LEASE_COST: usize = 64;

impl Request {
    /// By how many bytes it may make the store grow, as etcd's quota estimates it.
    fn cost(&self) -> usize {
        match self {
            Request::Put(put) => put.cost(),
            Request::Txn(txn) => txn.cost(),
            Request::LeaseGrant { .. } => LEASE_COST,
            _ => 0,
        }
    }
}

impl PutRequest {
    fn cost(&self) -> usize {
        KEY_COST + self.key.len() + self.value.len()
    }
}

impl TxnRequest {
    /// That of the dearer branch.
    fn cost(&self) -> usize {
        let branch = |ops: &[RequestOp]| ops.iter().map(RequestOp::cost).sum::<usize>();
        branch(&self.success).max(branch(&self.failure))
    }

    /// Whether another transaction is in it: for etcd that is no read, and goes through its log, whatever it does there.
    fn nests(&self) -> bool {
        self.success.iter().chain(&self.failure).any(|op| matches!(op, RequestOp::Txn(_)))
    }

    /// Whether nothing is written, whatever the compares say.
    pub(super) fn only_reads(&self) -> bool {
        self.success.iter().chain(&self.failure).all(|op| match op {
            RequestOp::Range(_) => true,
            RequestOp::Put(_) | RequestOp::DeleteRange(_) => false,
            RequestOp::Txn(txn) => txn.only_reads(),
        })
    }
}

impl RequestOp {
    fn cost(&self) -> usize {
        match self {
            RequestOp::Put(put) => put.cost(),
            RequestOp::Txn(txn) => txn.cost(),
            RequestOp::Range(_) | RequestOp::DeleteRange(_) => 0,
        }
    }
}

/// The state machine answers each request in kind; anything else is a defect: logged, and the client is told of a time-out.
pub(super) fn unexpected(response: &Response) -> Error {
    tracing::error!(?response, "the state machine answered another request than the one that was made");
    Error::TimedOut
}
