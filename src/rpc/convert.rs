//! Between what stands on the wire and what the state machine is asked and answers.
//!
//! Requests are validated before they come here. Nothing is copied: keys and values share the bytes they arrived in, and
//! those of the store on their way out. (A value that the store has in a file is read here.)

use std::sync::Arc;

use bytes::Bytes;

use super::error::Error;
use super::header;
use crate::pb::etcdserverpb as pb;
use crate::pb::etcdserverpb::compare::{CompareResult, CompareTarget, TargetUnion};
use crate::pb::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::pb::etcdserverpb::{request_op, response_op};
use crate::pb::mvccpb;
use crate::state::{self, Content, KeyRange, KeyValue, LeaseId, Revision};

/// etcd's way to name keys: no end is one key, `\0` is all from the key on.
pub(super) fn key_range(key: Bytes, range_end: Bytes) -> KeyRange {
    match range_end.as_ref() {
        [] => KeyRange::Single(key),
        [0] => KeyRange::From(key),
        _ => KeyRange::Between(key, range_end),
    }
}

/// A range of its own: below zero means the current revision, as zero does.
pub(super) fn range_request(request: pb::RangeRequest) -> Result<state::RangeRequest, Error> {
    let request = inner_range_request(request)?;
    Ok(state::RangeRequest { revision: request.revision.max(Revision::ZERO), ..request })
}

/// A range in a transaction, where etcd takes a revision below zero for a compacted one.
fn inner_range_request(request: pb::RangeRequest) -> Result<state::RangeRequest, Error> {
    let sort_order = match SortOrder::try_from(request.sort_order) {
        Ok(SortOrder::None) => state::SortOrder::None,
        Ok(SortOrder::Ascend) => state::SortOrder::Ascend,
        Ok(SortOrder::Descend) => state::SortOrder::Descend,
        Err(_) => return Err(Error::InvalidSortOption),
    };
    let sort_target = match SortTarget::try_from(request.sort_target) {
        Ok(SortTarget::Key) => state::SortTarget::Key,
        Ok(SortTarget::Version) => state::SortTarget::Version,
        Ok(SortTarget::Create) => state::SortTarget::Create,
        Ok(SortTarget::Mod) => state::SortTarget::Mod,
        Ok(SortTarget::Value) => state::SortTarget::Value,
        Err(_) => return Err(Error::InvalidSortOption),
    };
    Ok(state::RangeRequest {
        range: key_range(request.key, request.range_end),
        // Below zero means the same as zero: no limit.
        limit: request.limit.max(0),
        revision: Revision(request.revision),
        sort_target,
        sort_order,
        keys_only: request.keys_only,
        count_only: request.count_only,
        with_total_count: true,
        min_mod_revision: Revision(request.min_mod_revision),
        max_mod_revision: Revision(request.max_mod_revision),
        min_create_revision: Revision(request.min_create_revision),
        max_create_revision: Revision(request.max_create_revision),
    })
}

pub(super) fn put_request(request: pb::PutRequest) -> state::PutRequest {
    state::PutRequest {
        key: request.key,
        value: request.value,
        lease: LeaseId(request.lease),
        prev_kv: request.prev_kv,
        ignore_value: request.ignore_value,
        ignore_lease: request.ignore_lease,
    }
}

pub(super) fn delete_range_request(request: pb::DeleteRangeRequest) -> state::DeleteRangeRequest {
    state::DeleteRangeRequest { range: key_range(request.key, request.range_end), prev_kv: request.prev_kv }
}

pub(super) fn txn_request(request: pb::TxnRequest) -> Result<state::TxnRequest, Error> {
    Ok(state::TxnRequest {
        compare: request.compare.into_iter().filter_map(compare).collect(),
        success: request.success.into_iter().map(request_op).collect::<Result<_, _>>()?,
        failure: request.failure.into_iter().map(request_op).collect::<Result<_, _>>()?,
    })
}

fn request_op(op: pb::RequestOp) -> Result<state::RequestOp, Error> {
    use request_op::Request;
    Ok(match op.request.ok_or(Error::EmptyOperation)? {
        Request::RequestRange(request) => state::RequestOp::Range(inner_range_request(request)?),
        Request::RequestPut(request) => state::RequestOp::Put(put_request(request)),
        Request::RequestDeleteRange(request) => state::RequestOp::DeleteRange(delete_range_request(request)),
        Request::RequestTxn(request) => state::RequestOp::Txn(txn_request(request)?),
    })
}

/// None where the compare holds whatever the store has: etcd takes a comparison that it does not know for true, except
/// of the value of a key that is not there.
fn compare(compare: pb::Compare) -> Option<state::Compare> {
    use state::{CompareResult as R, CompareTarget as T};
    let range = key_range(compare.key, compare.range_end);
    let target = compare_target(compare.target, compare.target_union);
    let result = match CompareResult::try_from(compare.result) {
        Ok(CompareResult::Equal) => Some(R::Equal),
        Ok(CompareResult::NotEqual) => Some(R::NotEqual),
        Ok(CompareResult::Greater) => Some(R::Greater),
        Ok(CompareResult::Less) => Some(R::Less),
        Err(_) => None,
    };
    match (result, target) {
        (Some(result), Some(target)) => Some(state::Compare { range, result, target }),
        // The key must be there.
        (None, Some(T::Value(_))) => Some(state::Compare { range, result: R::Greater, target: T::Version(0) }),
        // What it does not know is equal to everything.
        (None, _) | (Some(R::Equal), None) => None,
        // No key's version is below zero.
        (Some(_), None) => Some(state::Compare { range, result: R::Less, target: T::Version(0) }),
    }
}

/// The target says what is compared; an operand for another target counts as zero. None: an unknown target.
fn compare_target(target: i32, operand: Option<TargetUnion>) -> Option<state::CompareTarget> {
    use state::CompareTarget as T;
    Some(match (CompareTarget::try_from(target).ok()?, operand) {
        (CompareTarget::Version, Some(TargetUnion::Version(v))) => T::Version(v),
        (CompareTarget::Version, _) => T::Version(0),
        (CompareTarget::Create, Some(TargetUnion::CreateRevision(v))) => T::Create(Revision(v)),
        (CompareTarget::Create, _) => T::Create(Revision::ZERO),
        (CompareTarget::Mod, Some(TargetUnion::ModRevision(v))) => T::Mod(Revision(v)),
        (CompareTarget::Mod, _) => T::Mod(Revision::ZERO),
        (CompareTarget::Value, Some(TargetUnion::Value(v))) => T::Value(v),
        (CompareTarget::Value, _) => T::Value(Bytes::new()),
        (CompareTarget::Lease, Some(TargetUnion::Lease(v))) => T::Lease(LeaseId(v)),
        (CompareTarget::Lease, _) => T::Lease(LeaseId::NONE),
    })
}

pub(super) fn key_value(kv: &KeyValue) -> mvccpb::KeyValue {
    mvccpb::KeyValue { value: kv.value.bytes(), ..key_without_value(kv) }
}

fn key_without_value(kv: &KeyValue) -> mvccpb::KeyValue {
    mvccpb::KeyValue {
        key: kv.key.clone(),
        create_revision: kv.create_revision.0,
        mod_revision: kv.mod_revision.0,
        version: kv.version,
        value: Bytes::new(),
        lease: kv.lease.0,
    }
}

pub(super) fn key_values(kvs: &[Arc<KeyValue>], content: Content) -> Vec<mvccpb::KeyValue> {
    let of = |kv: &Arc<KeyValue>| match content {
        Content::Whole => key_value(kv),
        Content::WithoutValue => key_without_value(kv),
        Content::WithoutValueAndLease => mvccpb::KeyValue { lease: 0, ..key_without_value(kv) },
    };
    kvs.iter().map(of).collect()
}

pub(super) fn event(event: &state::Event, prev_kv: bool) -> mvccpb::Event {
    let kind = match event.kind {
        state::EventKind::Put => mvccpb::event::EventType::Put,
        state::EventKind::Delete => mvccpb::event::EventType::Delete,
    };
    mvccpb::Event {
        r#type: kind as i32,
        kv: Some(key_value(&event.kv)),
        prev_kv: event.prev.as_deref().filter(|_| prev_kv).map(key_value),
    }
}

pub(super) fn range_response(response: state::RangeResponse, header: Option<pb::ResponseHeader>) -> pb::RangeResponse {
    pb::RangeResponse {
        header,
        kvs: key_values(&response.kvs, response.content),
        more: response.more,
        count: response.count,
    }
}

pub(super) fn put_response(response: state::PutResponse, header: Option<pb::ResponseHeader>) -> pb::PutResponse {
    pb::PutResponse { header, prev_kv: response.prev_kv.as_deref().map(key_value) }
}

pub(super) fn delete_range_response(
    response: state::DeleteRangeResponse,
    header: Option<pb::ResponseHeader>,
) -> pb::DeleteRangeResponse {
    pb::DeleteRangeResponse {
        header,
        deleted: response.deleted,
        prev_kvs: key_values(&response.prev_kvs, Content::Whole),
    }
}

pub(super) fn txn_response(response: state::TxnResponse, header: Option<pb::ResponseHeader>) -> pb::TxnResponse {
    let responses = response.responses.into_iter().map(response_op).collect();
    pb::TxnResponse { header, succeeded: response.succeeded, responses }
}

fn response_op(response: state::ResponseOp) -> pb::ResponseOp {
    use response_op::Response;
    let response = match response {
        state::ResponseOp::Range(r) => {
            let header = header::inner(r.revision);
            Response::ResponseRange(range_response(r, header))
        }
        state::ResponseOp::Put(r) => {
            let header = header::inner(r.revision);
            Response::ResponsePut(put_response(r, header))
        }
        state::ResponseOp::DeleteRange(r) => {
            let header = header::inner(r.revision);
            Response::ResponseDeleteRange(delete_range_response(r, header))
        }
        // etcd leaves the header of a nested transaction empty.
        state::ResponseOp::Txn(r) => Response::ResponseTxn(txn_response(r, header::inner(Revision::ZERO))),
    };
    pb::ResponseOp { response: Some(response) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn range_ends_mean_what_etcd_means_by_them() {
        let range = |end: &'static [u8]| key_range(Bytes::from_static(b"k"), Bytes::from_static(end));
        assert_eq!(range(b""), KeyRange::Single("k".into()));
        assert_eq!(range(b"\0"), KeyRange::From("k".into()));
        assert_eq!(range(b"l"), KeyRange::Between("k".into(), "l".into()));
        assert_eq!(range(b"\0\0"), KeyRange::Between("k".into(), Bytes::from_static(b"\0\0")));
    }

    #[test]
    fn a_compare_with_the_operand_of_another_target_compares_with_zero() {
        let request = pb::Compare {
            target: CompareTarget::Mod as i32,
            target_union: Some(TargetUnion::Version(5)),
            ..Default::default()
        };
        assert_eq!(compare(request).unwrap().target, state::CompareTarget::Mod(Revision::ZERO));
    }

    #[test]
    fn an_unknown_comparison_always_holds() {
        assert!(compare(pb::Compare { result: 17, ..Default::default() }).is_none());
    }

    #[test]
    fn the_previous_value_is_sent_only_if_it_was_asked_for() {
        let kv = Arc::new(KeyValue { key: "k".into(), value: "v".into(), ..Default::default() });
        let change = state::Event { kind: state::EventKind::Put, kv: kv.clone(), prev: Some(kv) };
        assert!(event(&change, false).prev_kv.is_none());
        assert_eq!(event(&change, true).prev_kv.unwrap().value, "v");
    }

    #[test]
    fn keys_only_leaves_out_values_and_leases() {
        let lease = LeaseId(5);
        let kv = KeyValue { key: "k".into(), value: "v".into(), version: 3, lease, ..Default::default() };
        let kvs = [Arc::new(kv)];
        let [sent] = key_values(&kvs, Content::WithoutValueAndLease).try_into().unwrap();
        assert_eq!((sent.key.as_ref(), sent.value.as_ref(), sent.version, sent.lease), (&b"k"[..], &b""[..], 3, 0));
        let [sent] = key_values(&kvs, Content::WithoutValue).try_into().unwrap();
        assert_eq!((sent.value.as_ref(), sent.lease), (&b""[..], 5));
    }
}
