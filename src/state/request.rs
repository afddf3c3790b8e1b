//! What can be asked of the state machine, and what it answers. Free of any wire format.

use std::sync::Arc;

use bytes::Bytes;

use super::key_value::KeyValue;
use super::revision::{LeaseId, Revision};

/// Which keys a request means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KeyRange {
    Single(Bytes),
    /// `[from, to)`; empty where `to <= from`.
    Between(Bytes, Bytes),
    /// Every key at or after this one.
    From(Bytes),
}

impl KeyRange {
    pub fn contains(&self, key: &[u8]) -> bool {
        match self {
            KeyRange::Single(single) => single == key,
            KeyRange::Between(from, to) => key >= &from[..] && key < &to[..],
            KeyRange::From(from) => key >= &from[..],
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortTarget {
    Key,
    Version,
    Create,
    Mod,
    Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SortOrder {
    None,
    Ascend,
    Descend,
}

/// As etcd's RangeRequest.
#[derive(Clone, Debug)]
pub struct RangeRequest {
    pub range: KeyRange,
    /// 0: no limit.
    pub limit: i64,
    /// 0: the current one.
    pub revision: Revision,
    pub sort_target: SortTarget,
    pub sort_order: SortOrder,
    /// Answer without values. The state machine ignores it (versions are shared); the caller leaves values out.
    pub keys_only: bool,
    pub count_only: bool,
    /// False: where the limit leaves keys out, the answer's count does not tell of them, and they are not looked at.
    pub with_total_count: bool,
    /// Bounds on revisions, both inclusive; 0: none.
    pub min_mod_revision: Revision,
    pub max_mod_revision: Revision,
    pub min_create_revision: Revision,
    pub max_create_revision: Revision,
}

impl RangeRequest {
    /// All that stands in the range now, in key order.
    pub fn new(range: KeyRange) -> RangeRequest {
        RangeRequest {
            range,
            limit: 0,
            revision: Revision::ZERO,
            sort_target: SortTarget::Key,
            sort_order: SortOrder::None,
            keys_only: false,
            count_only: false,
            with_total_count: true,
            min_mod_revision: Revision::ZERO,
            max_mod_revision: Revision::ZERO,
            min_create_revision: Revision::ZERO,
            max_create_revision: Revision::ZERO,
        }
    }
}

#[derive(Clone, Debug, Default)]
pub struct RangeResponse {
    /// The store's revision when the request was executed, also when it read an older one.
    pub revision: Revision,
    pub kvs: Vec<Arc<KeyValue>>,
    /// How many keys there are in the range, whatever the limit and the bounds on revisions leave out; see also [`RangeRequest::with_total_count`].
    pub count: i64,
    /// The limit has left keys out.
    pub more: bool,
    /// What the caller leaves out.
    pub content: Content,
}

/// What is told of the keys that are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Content {
    #[default]
    Whole,
    WithoutValue,
    /// etcd reads bare keys from its index, which does not know leases either.
    WithoutValueAndLease,
}

impl RangeRequest {
    /// Where values are sorted by they have to be read, and the leases with them.
    pub fn content(&self) -> Content {
        match (self.keys_only, self.sort_target) {
            (false, _) => Content::Whole,
            (true, SortTarget::Value) => Content::WithoutValue,
            (true, _) => Content::WithoutValueAndLease,
        }
    }
}

#[derive(Clone, Debug)]
pub struct PutRequest {
    pub key: Bytes,
    pub value: Bytes,
    /// The lease that the key is attached to.
    pub lease: LeaseId,
    /// Answer with what the key held before.
    pub prev_kv: bool,
    /// Keep the value or the lease that the key has; it must exist.
    pub ignore_value: bool,
    pub ignore_lease: bool,
}

#[derive(Clone, Debug, Default)]
pub struct PutResponse {
    pub revision: Revision,
    pub prev_kv: Option<Arc<KeyValue>>,
}

#[derive(Clone, Debug)]
pub struct DeleteRangeRequest {
    pub range: KeyRange,
    pub prev_kv: bool,
}

#[derive(Clone, Debug, Default)]
pub struct DeleteRangeResponse {
    pub revision: Revision,
    /// How many keys were deleted.
    pub deleted: i64,
    /// Filled only if asked for.
    pub prev_kvs: Vec<Arc<KeyValue>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareResult {
    Equal,
    NotEqual,
    Greater,
    Less,
}

/// What of a key is compared, and with what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompareTarget {
    Version(i64),
    Create(Revision),
    Mod(Revision),
    Value(Bytes),
    Lease(LeaseId),
}

/// A condition of a transaction.
#[derive(Clone, Debug)]
pub struct Compare {
    /// Every key in it must match.
    pub range: KeyRange,
    pub result: CompareResult,
    pub target: CompareTarget,
}

#[derive(Clone, Debug)]
pub enum RequestOp {
    Range(RangeRequest),
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
}

/// Executes `success` if every condition holds, else `failure`.
#[derive(Clone, Debug, Default)]
pub struct TxnRequest {
    pub compare: Vec<Compare>,
    pub success: Vec<RequestOp>,
    pub failure: Vec<RequestOp>,
}

#[derive(Clone, Debug)]
pub enum ResponseOp {
    Range(RangeResponse),
    Put(PutResponse),
    DeleteRange(DeleteRangeResponse),
    Txn(TxnResponse),
}

#[derive(Clone, Debug, Default)]
pub struct TxnResponse {
    pub revision: Revision,
    /// Every condition held.
    pub succeeded: bool,
    pub responses: Vec<ResponseOp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlarmKind {
    NoSpace,
    Corrupt,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Alarm {
    /// The id of the member that it is about.
    pub member: u64,
    pub kind: AlarmKind,
}

/// Everything that may write.
#[derive(Clone, Debug)]
pub enum Request {
    Put(PutRequest),
    DeleteRange(DeleteRangeRequest),
    Txn(TxnRequest),
    /// `id` is already chosen (never zero), `ttl` (seconds) already raised to the minimum.
    LeaseGrant {
        id: LeaseId,
        ttl: i64,
    },
    /// By a client or because it expired: the lease's keys and the lease go in one revision.
    LeaseRevoke {
        id: LeaseId,
    },
    Compact {
        revision: Revision,
    },
    AlarmRaise(Alarm),
    AlarmDisarm(Alarm),
}

/// The answer to the [`Request`] of the same name.
#[derive(Clone, Debug)]
pub enum Response {
    Put(PutResponse),
    DeleteRange(DeleteRangeResponse),
    Txn(TxnResponse),
    LeaseGrant { revision: Revision },
    LeaseRevoke { revision: Revision },
    Compact { revision: Revision },
    Alarm { revision: Revision, changed: bool },
}
