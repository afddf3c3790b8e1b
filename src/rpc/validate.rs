//! What a request must look like to be executed. Rules and their order are those of etcd's v3rpc/key.go.

use std::collections::HashSet;

use super::error::Error;
use super::interval_set::{End, IntervalSet};
use crate::pb::etcdserverpb::range_request::{SortOrder, SortTarget};
use crate::pb::etcdserverpb::request_op::Request as Op;
use crate::pb::etcdserverpb::{DeleteRangeRequest, PutRequest, RangeRequest, RequestOp, TxnRequest};

/// What etcd's raft log adds to a request besides the length of its own encoding, and what it therefore counts against
/// `--max-request-bytes`: a header with an id, of nine bytes in a cluster of one as etcd names its member, and the
/// request's tag.
const ENVELOPE_BYTES: usize = 14;

pub(super) fn range(request: &RangeRequest) -> Result<(), Error> {
    key(&request.key)?;
    let order = SortOrder::try_from(request.sort_order);
    let target = SortTarget::try_from(request.sort_target);
    if order.is_err() || target.is_err() { Err(Error::InvalidSortOption) } else { Ok(()) }
}

pub(super) fn range_stream(request: &RangeRequest) -> Result<(), Error> {
    range(request)?;
    let by_key = request.sort_target == SortTarget::Key as i32;
    let natural =
        request.sort_order == SortOrder::None as i32 || by_key && request.sort_order == SortOrder::Ascend as i32;
    let filters =
        [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision];
    if !natural {
        Err(Error::StreamedSortOrder)
    } else if filters != [0; 4] {
        Err(Error::StreamedRevisionFilter)
    } else {
        Ok(())
    }
}

pub(super) fn put(request: &PutRequest) -> Result<(), Error> {
    key(&request.key)?;
    if request.ignore_value && !request.value.is_empty() {
        return Err(Error::ValueProvided);
    }
    if request.ignore_lease && request.lease != 0 {
        return Err(Error::LeaseProvided);
    }
    Ok(())
}

pub(super) fn delete_range(request: &DeleteRangeRequest) -> Result<(), Error> {
    key(&request.key)
}

/// `max_ops` bounds compares, success and failure operations each, and what nested transactions add to it.
pub(super) fn txn(request: &TxnRequest, max_ops: usize) -> Result<(), Error> {
    txn_ops(request, max_ops)?;
    // After the count, so that its cost is bounded.
    writes(&request.success)?;
    writes(&request.failure)?;
    Ok(())
}

/// `size` is the length of the request's encoding.
pub(super) fn size(size: usize, max_request_bytes: usize) -> Result<(), Error> {
    let logged = ENVELOPE_BYTES + prost::length_delimiter_len(size) + size;
    if logged > max_request_bytes { Err(Error::RequestTooLarge) } else { Ok(()) }
}

fn key(key: &[u8]) -> Result<(), Error> {
    if key.is_empty() { Err(Error::EmptyKey) } else { Ok(()) }
}

fn txn_ops(request: &TxnRequest, max_ops: usize) -> Result<(), Error> {
    let ops = request.compare.len().max(request.success.len()).max(request.failure.len());
    let left = max_ops.checked_sub(ops).ok_or(Error::TooManyOperations)?;
    request.compare.iter().try_for_each(|compare| key(&compare.key))?;
    request.success.iter().chain(&request.failure).try_for_each(|op| match &op.request {
        Some(Op::RequestRange(request)) => range(request),
        Some(Op::RequestPut(request)) => put(request),
        Some(Op::RequestDeleteRange(request)) => delete_range(request),
        Some(Op::RequestTxn(request)) => txn_ops(request, left),
        None => Err(Error::EmptyOperation),
    })
}

/// The keys a branch puts, and the ranges it deletes.
#[derive(Default)]
struct Writes<'a> {
    puts: HashSet<&'a [u8]>,
    deletes: IntervalSet<'a>,
}

/// Refuses a branch in which a key would be put twice, or put and deleted. Success and failure of a nested
/// transaction exclude each other, so the same key may be in both.
///
/// The order of the checks is etcd's, and so are its gaps: a delete in a nested transaction is not held against the
/// puts of nested transactions before it.
fn writes(ops: &[RequestOp]) -> Result<Writes<'_>, Error> {
    let mut all = Writes::default();
    for op in ops {
        if let Some(Op::RequestDeleteRange(delete)) = &op.request {
            let end =
                if delete.range_end.is_empty() { End::After(&delete.key) } else { End::Before(&delete.range_end) };
            all.deletes.insert(&delete.key, end);
        }
    }
    for op in ops {
        if let Some(Op::RequestTxn(nested)) = &op.request {
            let success = writes(&nested.success)?;
            let failure = writes(&nested.failure)?;
            for &key in &success.puts {
                all.put(key)?;
            }
            for &key in &failure.puts {
                if !success.puts.contains(key) {
                    all.put(key)?;
                }
            }
            all.deletes.extend(success.deletes);
            all.deletes.extend(failure.deletes);
        }
    }
    for op in ops {
        if let Some(Op::RequestPut(put)) = &op.request {
            all.put(&put.key)?;
        }
    }
    Ok(all)
}

impl<'a> Writes<'a> {
    fn put(&mut self, key: &'a [u8]) -> Result<(), Error> {
        if self.deletes.contains(key) || !self.puts.insert(key) { Err(Error::DuplicateKey) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::etcdserverpb::Compare;

    fn put_op(key: &'static str) -> RequestOp {
        RequestOp { request: Some(Op::RequestPut(PutRequest { key: key.into(), ..Default::default() })) }
    }

    fn delete_op(key: &'static str, range_end: &'static str) -> RequestOp {
        let request = DeleteRangeRequest { key: key.into(), range_end: range_end.into(), prev_kv: false };
        RequestOp { request: Some(Op::RequestDeleteRange(request)) }
    }

    fn nested(success: Vec<RequestOp>, failure: Vec<RequestOp>) -> RequestOp {
        RequestOp { request: Some(Op::RequestTxn(TxnRequest { compare: vec![], success, failure })) }
    }

    fn check(success: Vec<RequestOp>) -> Result<(), Error> {
        txn(&TxnRequest { compare: vec![], success, failure: vec![] }, 128)
    }

    #[test]
    fn a_key_is_written_once_on_any_path() {
        assert_eq!(check(vec![put_op("a"), put_op("a")]), Err(Error::DuplicateKey));
        assert_eq!(check(vec![put_op("b"), delete_op("a", "c")]), Err(Error::DuplicateKey));
        assert_eq!(check(vec![put_op("c"), delete_op("a", "c")]), Ok(()));
        assert_eq!(check(vec![put_op("a"), delete_op("a", "")]), Err(Error::DuplicateKey));
        assert_eq!(check(vec![nested(vec![put_op("a")], vec![]), put_op("a")]), Err(Error::DuplicateKey));
        assert_eq!(check(vec![nested(vec![put_op("a")], vec![put_op("a")])]), Ok(()));
        assert_eq!(check(vec![nested(vec![delete_op("a", "")], vec![]), put_op("a")]), Err(Error::DuplicateKey));
        assert_eq!(check(vec![delete_op("a", ""), delete_op("a", "")]), Ok(()));
    }

    #[test]
    fn then_and_else_may_write_the_same_key() {
        let request = TxnRequest { compare: vec![], success: vec![put_op("a")], failure: vec![put_op("a")] };
        assert_eq!(txn(&request, 128), Ok(()));
    }

    #[test]
    fn nested_operations_count_against_what_the_outer_ones_leave() {
        assert_eq!(check((0..128).map(|_| delete_op("a", "")).collect()), Ok(()));
        assert_eq!(check((0..129).map(|_| delete_op("a", "")).collect()), Err(Error::TooManyOperations));
        let inner = nested((0..127).map(|_| delete_op("a", "")).collect(), vec![]);
        assert_eq!(check(vec![inner.clone()]), Ok(()));
        assert_eq!(check(vec![inner, put_op("b")]), Err(Error::TooManyOperations));
    }

    #[test]
    fn the_count_is_checked_before_the_keys() {
        let request = TxnRequest { compare: vec![Compare::default(); 129], ..Default::default() };
        assert_eq!(txn(&request, 128), Err(Error::TooManyOperations));
        let request = TxnRequest { compare: vec![Compare::default()], ..Default::default() };
        assert_eq!(txn(&request, 128), Err(Error::EmptyKey));
    }

    #[test]
    fn an_operation_must_be_one() {
        assert_eq!(check(vec![RequestOp::default()]), Err(Error::EmptyOperation));
    }
}
