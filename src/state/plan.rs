//! What a request will write, and what will be answered: decided before anything is written.

use super::collected::CollectedTxn;
use super::entry::{Entry, Op};
use super::error::Error;
use super::lease::MAX_LEASE_TTL;
use super::machine::State;
use super::request::{
    Alarm, DeleteRangeRequest, DeleteRangeResponse, PutRequest, PutResponse, Request, Response, TxnRequest,
};
use super::revision::{LeaseId, Revision};
use super::view::{Layer, View};

use bytes::Bytes;

/// What the log can take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// An entry that deletes more keys than this does so with [`Op::Tombstones`] instead of an [`Op::Delete`] each.
    pub max_delete_ops: usize,
    /// Bytes of keys in one [`Op::Tombstones`], each counted with [`TOMBSTONE_OVERHEAD`] more.
    pub max_tombstones_bytes: usize,
}

/// Bytes that a key in [`Op::Tombstones`] counts for besides its own.
pub const TOMBSTONE_OVERHEAD: usize = 8;

/// What a request comes to.
#[derive(Clone, Debug)]
pub struct Planned {
    /// None: the request writes nothing.
    pub entry: Option<Entry>,
    /// True once the entry is in the log and applied.
    pub response: Response,
}

/// Decides what a request does to the state that `view` shows. Has no effect, also where it fails.
///
/// Errors: those of etcd, found in the order in which etcd finds them, and [`Error::Unsettled`].
pub fn plan(view: &View, request: &Request, limits: Limits) -> Result<Planned, Error> {
    let mut planner = Planner::new(*view, limits);
    let response = planner.request(request)?;
    Ok(Planned { entry: planner.finish(), response })
}

/// What of a transaction that only reads needs the state; the rest is [`CollectedTxn::finish`]. All of it is of one revision.
///
/// Errors: as for [`plan`].
pub fn read(state: &State, txn: &TxnRequest) -> Result<CollectedTxn, Error> {
    // Nothing is deleted.
    let limits = Limits { max_delete_ops: 0, max_tombstones_bytes: 0 };
    let mut planner = Planner { only_collects: true, ..Planner::new(View::new(state, &[]), limits) };
    Ok(CollectedTxn(planner.txn(txn)?))
}

/// One entry in the making.
pub(super) struct Planner<'a> {
    /// Before the entry.
    pub(super) before: View<'a>,
    own: Layer,
    ops: Vec<Op>,
    limits: Limits,
    /// Leaves ranges as they are collected.
    pub(super) only_collects: bool,
    /// Keys deleted by ops of their own.
    deletes: usize,
    /// The sub-revision of the next change of a key.
    sub: u32,
}

impl<'a> Planner<'a> {
    fn new(before: View<'a>, limits: Limits) -> Planner<'a> {
        Planner { before, own: Layer::default(), ops: Vec::new(), limits, only_collects: false, deletes: 0, sub: 0 }
    }

    fn finish(self) -> Option<Entry> {
        let revision = self.revision();
        (!self.ops.is_empty()).then_some(Entry { revision, ops: self.ops })
    }

    /// The state with what the entry has done so far.
    pub(super) fn now(&self) -> View<'_> {
        self.before.with(&self.own)
    }

    /// The store's revision as of now: the entry's own as soon as it has written a key.
    pub(super) fn revision(&self) -> Revision {
        let before = self.before.revision();
        if self.sub > 0 { before.next() } else { before }
    }

    fn push(&mut self, op: Op) {
        self.sub += op.changes() as u32;
        self.own.absorb_op(&op, self.revision());
        self.ops.push(op);
    }

    fn request(&mut self, request: &Request) -> Result<Response, Error> {
        match request {
            Request::Put(put) => {
                self.check_put(put)?;
                Ok(Response::Put(self.put(put)?))
            }
            Request::DeleteRange(delete) => Ok(Response::DeleteRange(self.delete_range(delete))),
            Request::Txn(txn) => Ok(Response::Txn(self.txn(txn)?)),
            Request::LeaseGrant { id, ttl } => self.lease_grant(*id, *ttl),
            Request::LeaseRevoke { id } => self.lease_revoke(*id),
            Request::Compact { revision } => self.compact(*revision),
            Request::AlarmRaise(alarm) => Ok(self.alarm(*alarm, true)),
            Request::AlarmDisarm(alarm) => Ok(self.alarm(*alarm, false)),
        }
    }

    /// What etcd checks of a put before a transaction does anything.
    pub(super) fn check_put(&self, put: &PutRequest) -> Result<(), Error> {
        if put.lease != LeaseId::NONE && self.before.lease(put.lease).is_none() {
            return Err(Error::LeaseNotFound);
        }
        if (put.ignore_value || put.ignore_lease) && self.before.get(&put.key).is_none() {
            return Err(Error::KeyNotFound);
        }
        Ok(())
    }

    pub(super) fn put(&mut self, put: &PutRequest) -> Result<PutResponse, Error> {
        let prev = self.now().get(&put.key).cloned();
        let revision = self.before.revision().next();
        let kept = |ignore: bool| if ignore { prev.as_ref().ok_or(Error::KeyNotFound).map(Some) } else { Ok(None) };
        let op = Op::Put {
            key: put.key.clone(),
            value: kept(put.ignore_value)?.map_or_else(|| put.value.clone(), |prev| prev.value.bytes()),
            lease: kept(put.ignore_lease)?.map_or(put.lease, |prev| prev.lease),
            create_revision: prev.as_ref().map_or(revision, |prev| prev.create_revision),
            version: prev.as_ref().map_or(0, |prev| prev.version) + 1,
            sub: self.sub,
        };
        self.push(op);
        Ok(PutResponse { revision, prev_kv: prev.filter(|_| put.prev_kv) })
    }

    pub(super) fn delete_range(&mut self, delete: &DeleteRangeRequest) -> DeleteRangeResponse {
        let kvs: Vec<_> = self.now().versions(&delete.range).cloned().collect();
        self.delete(kvs.iter().map(|kv| kv.key.clone()).collect());
        DeleteRangeResponse {
            revision: self.revision(),
            deleted: kvs.len() as i64,
            prev_kvs: if delete.prev_kv { kvs } else { Vec::new() },
        }
    }

    /// Deletes keys, all of which exist.
    fn delete(&mut self, keys: Vec<Bytes>) {
        if self.deletes + keys.len() <= self.limits.max_delete_ops {
            self.deletes += keys.len();
            keys.into_iter().for_each(|key| self.push(Op::Delete { key, sub: self.sub }));
            return;
        }
        let (mut piece, mut bytes) = (Vec::new(), 0);
        for key in keys {
            let size = key.len() + TOMBSTONE_OVERHEAD;
            if bytes + size > self.limits.max_tombstones_bytes && !piece.is_empty() {
                self.push(Op::Tombstones { keys: std::mem::take(&mut piece), sub: self.sub });
                bytes = 0;
            }
            bytes += size;
            piece.push(key);
        }
        self.push(Op::Tombstones { keys: piece, sub: self.sub });
    }

    fn lease_grant(&mut self, id: LeaseId, ttl: i64) -> Result<Response, Error> {
        if ttl > MAX_LEASE_TTL {
            return Err(Error::LeaseTtlTooLarge);
        }
        if self.before.lease(id).is_some() {
            return Err(Error::LeaseExists);
        }
        self.push(Op::LeaseGrant { id, ttl });
        Ok(Response::LeaseGrant { revision: self.revision() })
    }

    fn lease_revoke(&mut self, id: LeaseId) -> Result<Response, Error> {
        if self.before.lease(id).is_none() {
            return Err(Error::LeaseNotFound);
        }
        self.delete(self.before.lease_keys(id));
        self.push(Op::LeaseRevoke { id });
        Ok(Response::LeaseRevoke { revision: self.revision() })
    }

    /// Like etcd, compacting a store that never was at revision 0 is no error; and there is nothing to write.
    fn compact(&mut self, revision: Revision) -> Result<Response, Error> {
        let (current, compacted) = (self.before.revision(), self.before.compacted());
        if revision > current {
            return Err(Error::FutureRevision(current));
        }
        if revision > compacted {
            self.push(Op::Compact { revision });
        } else if revision != Revision::ZERO || compacted != Revision::ZERO {
            return Err(Error::Compacted(compacted));
        }
        Ok(Response::Compact { revision: current })
    }

    fn alarm(&mut self, alarm: Alarm, raise: bool) -> Response {
        let changed = self.before.has_alarm(alarm) != raise;
        if changed {
            self.push(if raise { Op::AlarmRaise(alarm) } else { Op::AlarmDisarm(alarm) });
        }
        Response::Alarm { revision: self.before.revision(), changed }
    }
}
