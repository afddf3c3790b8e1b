//! A program: what a client asks, in order. Its requests are etcd's own messages; a revision in them may be relative to the one that
//! the program starts at, and a lease may be the one whose id the server has chosen.

use jine::pb::etcdserverpb::{
    AlarmRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, RequestOp, TxnRequest,
    WatchCreateRequest, compare::TargetUnion, request_op::Request,
};

#[derive(Clone, Debug)]
pub(crate) enum Step {
    Range(RangeRequest),
    RangeStream(RangeRequest),
    Put(PutRequest),
    Delete(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact(i64, bool),
    /// Compares the hash of the keys.
    HashKv(i64),
    Grant(LeaseGrantRequest),
    Revoke(i64),
    KeepAlive(i64),
    TimeToLive(i64, bool),
    Leases,
    /// Grants a lease of a TTL so short that the server may raise it, and revokes it.
    ShortLease(LeaseGrantRequest),
    /// Waits until no lease is left that expires soon: those of TTL 1 and 2.
    AwaitExpiry,
    Watch(usize, WatchCreateRequest),
    Cancel(usize, i64),
    Progress(usize),
    Alarm(AlarmRequest),
    AuthStatus,
    Authenticate,
    /// Kills the server and starts it again on what it has left.
    Restart,
}

/// How many watch streams a program has.
pub(crate) const STREAMS: usize = 2;

const RELATIVE: i64 = 1 << 50;

/// The revision `offset` after the one that the program starts at.
pub(crate) const fn at(offset: i64) -> i64 {
    RELATIVE + offset
}

/// The store's revision when the step is run, and the one that it was compacted at; 1 if it never was.
pub(crate) const CURRENT: i64 = (1 << 50) + (1 << 40);
pub(crate) const COMPACTED: i64 = (1 << 50) + (1 << 41);

/// The lease that was granted without an id last.
pub(crate) const CHOSEN: i64 = 777_777_777;

/// What the numbers of a program mean on a server.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Meaning {
    pub(crate) base: i64,
    pub(crate) chosen: i64,
    pub(crate) current: i64,
    pub(crate) compacted: i64,
}

impl Meaning {
    pub(crate) fn revision(self, revision: i64) -> i64 {
        const FAR: i64 = 1 << 20;
        let near = |to: i64| (to - FAR..to + FAR).contains(&revision);
        let found = [(RELATIVE, self.base), (CURRENT, self.current), (COMPACTED, self.compacted)];
        let found = found.into_iter().find(|(from, _)| near(*from));
        found.map_or(revision, |(from, to)| to + revision - from)
    }

    pub(crate) fn lease(self, lease: i64) -> i64 {
        if lease == CHOSEN { self.chosen } else { lease }
    }

    pub(crate) fn range(self, mut request: RangeRequest) -> RangeRequest {
        let revisions = [
            &mut request.revision,
            &mut request.min_mod_revision,
            &mut request.max_mod_revision,
            &mut request.min_create_revision,
            &mut request.max_create_revision,
        ];
        revisions.into_iter().for_each(|revision| *revision = self.revision(*revision));
        request
    }

    pub(crate) fn put(self, request: PutRequest) -> PutRequest {
        PutRequest { lease: self.lease(request.lease), ..request }
    }

    pub(crate) fn txn(self, request: TxnRequest) -> TxnRequest {
        TxnRequest {
            compare: request.compare.into_iter().map(|compare| self.compare(compare)).collect(),
            success: request.success.into_iter().map(|op| self.op(op)).collect(),
            failure: request.failure.into_iter().map(|op| self.op(op)).collect(),
        }
    }

    fn compare(self, compare: Compare) -> Compare {
        let target_union = compare.target_union.map(|operand| match operand {
            TargetUnion::CreateRevision(revision) => TargetUnion::CreateRevision(self.revision(revision)),
            TargetUnion::ModRevision(revision) => TargetUnion::ModRevision(self.revision(revision)),
            TargetUnion::Lease(lease) => TargetUnion::Lease(self.lease(lease)),
            other => other,
        });
        Compare { target_union, ..compare }
    }

    fn op(self, op: RequestOp) -> RequestOp {
        let request = op.request.map(|request| match request {
            Request::RequestRange(request) => Request::RequestRange(self.range(request)),
            Request::RequestPut(request) => Request::RequestPut(self.put(request)),
            Request::RequestTxn(request) => Request::RequestTxn(self.txn(request)),
            delete => delete,
        });
        RequestOp { request }
    }
}
