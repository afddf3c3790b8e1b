//! Sorted ranges in which several keys compare equal.
//!
//! etcd sorts with Go's `sort.Sort`, which leaves the order of equals open, and from 13 elements on does not keep the one that they had.

use jine::pb::etcdserverpb::range_request::SortTarget;
use jine::pb::etcdserverpb::request_op::Request;
use jine::pb::etcdserverpb::response_op::Response;
use jine::pb::etcdserverpb::{RangeRequest, RangeResponse, TxnRequest, TxnResponse};
use jine::pb::mvccpb::KeyValue;

/// Up to so many Go sorts by insertion, which is stable.
const STABLE: i64 = 12;

/// Takes the order of equals out of an answer; and where a limit has cut it, which of them are left.
pub(super) fn open_order(request: &RangeRequest, answer: &mut RangeResponse) {
    let Ok(target) = SortTarget::try_from(request.sort_target) else { return };
    if target == SortTarget::Key || answer.count <= STABLE {
        return;
    }
    if answer.more {
        answer.kvs.iter_mut().for_each(|kv| *kv = only(kv, target));
        return;
    }
    // Equals stand together: by key within them.
    answer.kvs.chunk_by_mut(|a, b| only(a, target) == only(b, target)).for_each(|equals| {
        equals.sort_by(|a, b| a.key.cmp(&b.key));
    });
}

pub(super) fn open_order_in_txn(request: &TxnRequest, answer: &mut TxnResponse) {
    let asked = if answer.succeeded { &request.success } else { &request.failure };
    for (asked, answer) in asked.iter().zip(&mut answer.responses) {
        match (&asked.request, &mut answer.response) {
            (Some(Request::RequestRange(request)), Some(Response::ResponseRange(answer))) => {
                open_order(request, answer)
            }
            (Some(Request::RequestTxn(request)), Some(Response::ResponseTxn(answer))) => {
                open_order_in_txn(request, answer)
            }
            _ => {}
        }
    }
}

/// What it is sorted by.
fn only(kv: &KeyValue, target: SortTarget) -> KeyValue {
    let mut one = KeyValue::default();
    match target {
        SortTarget::Version => one.version = kv.version,
        SortTarget::Create => one.create_revision = kv.create_revision,
        SortTarget::Mod => one.mod_revision = kv.mod_revision,
        SortTarget::Value => one.value = kv.value.clone(),
        SortTarget::Key => one.key = kv.key.clone(),
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(versions: &[(&'static str, i64)], more: bool) -> RangeResponse {
        let kvs = versions.iter().map(|(key, version)| KeyValue {
            key: (*key).into(),
            version: *version,
            ..Default::default()
        });
        RangeResponse { kvs: kvs.collect(), count: STABLE + 1, more, ..Default::default() }
    }

    fn opened(versions: &[(&'static str, i64)], more: bool) -> RangeResponse {
        let mut answer = answer(versions, more);
        let target = SortTarget::Version as i32;
        open_order(&RangeRequest { sort_target: target, ..Default::default() }, &mut answer);
        answer
    }

    #[test]
    fn equals_may_change_places_and_others_may_not() {
        assert_eq!(opened(&[("a", 1), ("b", 1), ("c", 2)], false), opened(&[("b", 1), ("a", 1), ("c", 2)], false));
        assert_ne!(opened(&[("a", 1), ("b", 1), ("c", 2)], false), opened(&[("a", 1), ("c", 2), ("b", 1)], false));
        assert_ne!(opened(&[("a", 1), ("b", 1)], false), opened(&[("a", 1), ("d", 1)], false));
    }

    #[test]
    fn what_a_limit_leaves_of_equals_is_open_too() {
        assert_eq!(opened(&[("a", 1)], true), opened(&[("b", 1)], true));
        assert_ne!(opened(&[("a", 1)], true), opened(&[("b", 2)], true));
    }

    #[test]
    fn by_key_there_are_no_equals() {
        let request = RangeRequest::default();
        let mut sorted = answer(&[("b", 1), ("a", 1)], false);
        open_order(&request, &mut sorted);
        assert_eq!(sorted, answer(&[("b", 1), ("a", 1)], false));
    }
}
