//! What a range has found, and what is made of it without the state.
//!
//! ```text
//! State::collect       the versions in key order, and their count     while nothing may be applied
//! Collected::finish    filters, sorts, cuts, reads values to sort by   whenever and wherever there is time for it
//! ```

use super::key_value::KeyValue;
use super::order::sort;
use super::request::{
    RangeRequest, RangeResponse, RequestOp, ResponseOp, SortOrder, SortTarget, TxnRequest, TxnResponse,
};
use super::revision::Revision;

/// The versions of a range before they are filtered, sorted and cut. They never change, so what is made of them is the answer of the
/// revision they were collected at, however much is written meanwhile.
#[derive(Clone, Debug, Default)]
pub struct Collected {
    /// In key order; revision and count are those of the answer.
    pub(super) response: RangeResponse,
    /// The revision that is read; zero: nothing was collected yet.
    pub(super) at: Revision,
}

/// To read a value from a file takes about as long as to look at so many keys.
const VALUE_EFFORT: usize = 1000;

impl Collected {
    /// How many keys [`Collected::finish`] looks at, or what takes as long; zero where there is only to be cut.
    pub fn effort(&self, request: &RangeRequest) -> usize {
        effort(request, &self.response)
    }

    /// The answer to the request that it was collected for.
    pub fn finish(self, request: &RangeRequest) -> RangeResponse {
        finish(request, self.response)
    }
}

/// What a transaction answers, save that its ranges are as they were collected.
#[derive(Clone, Debug)]
pub struct CollectedTxn(pub(super) TxnResponse);

impl CollectedTxn {
    /// As [`Collected::effort`], of all its ranges.
    pub fn effort(&self, txn: &TxnRequest) -> usize {
        txn_effort(txn, &self.0)
    }

    /// The answer to the transaction that it was collected for.
    pub fn finish(mut self, txn: &TxnRequest) -> TxnResponse {
        finish_txn(txn, &mut self.0);
        self.0
    }
}

fn txn_effort(txn: &TxnRequest, response: &TxnResponse) -> usize {
    let efforts =
        taken(txn, response.succeeded).iter().zip(&response.responses).map(|(op, response)| match (op, response) {
            (RequestOp::Range(request), ResponseOp::Range(response)) => effort(request, response),
            (RequestOp::Txn(txn), ResponseOp::Txn(response)) => txn_effort(txn, response),
            _ => 0,
        });
    efforts.fold(0, usize::saturating_add)
}

fn finish_txn(txn: &TxnRequest, response: &mut TxnResponse) {
    for (op, response) in taken(txn, response.succeeded).iter().zip(&mut response.responses) {
        match (op, response) {
            (RequestOp::Range(request), ResponseOp::Range(response)) => {
                *response = finish(request, std::mem::take(response));
            }
            (RequestOp::Txn(txn), ResponseOp::Txn(response)) => finish_txn(txn, response),
            _ => {}
        }
    }
}

fn taken(txn: &TxnRequest, succeeded: bool) -> &[RequestOp] {
    if succeeded { &txn.success } else { &txn.failure }
}

fn effort(request: &RangeRequest, collected: &RangeResponse) -> usize {
    match collected.kvs.len() {
        0 | 1 => 0,
        _ if !sorts(request) && !filters(request) => 0,
        keys if request.sort_target == SortTarget::Value => keys.saturating_mul(VALUE_EFFORT),
        keys => keys,
    }
}

fn finish(request: &RangeRequest, mut response: RangeResponse) -> RangeResponse {
    if filters(request) {
        response.kvs.retain(|kv| passes(request, kv));
    }
    if sorts(request) {
        sort(&mut response.kvs, request.sort_target, request.sort_order == SortOrder::Descend);
    }
    let limit = limit(request);
    response.more = response.kvs.len() > limit;
    response.kvs.truncate(limit);
    response.content = request.content();
    response
}

impl RangeRequest {
    /// How many keys have to be collected at most: where the first ones are the answer, one more than the limit, which tells whether there
    /// is more. etcd decides it by the order alone: a target with the order NONE sorts (ascending) what the limit has left.
    pub fn wanted(&self) -> usize {
        if self.count_only {
            return 0;
        }
        let by_key = self.sort_target == SortTarget::Key && self.sort_order == SortOrder::Ascend;
        let takes_first = (by_key || self.sort_order == SortOrder::None) && !filters(self);
        if takes_first { limit(self).saturating_add(1) } else { usize::MAX }
    }

    /// Whether the count is asked for that the limit does not bound.
    pub(super) fn counts_all(&self) -> bool {
        self.with_total_count || self.count_only
    }
}

fn limit(request: &RangeRequest) -> usize {
    usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX)
}

fn sorts(request: &RangeRequest) -> bool {
    request.sort_target != SortTarget::Key || request.sort_order == SortOrder::Descend
}

fn filters(request: &RangeRequest) -> bool {
    let bounds =
        [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision];
    bounds != [Revision::ZERO; 4]
}

fn passes(request: &RangeRequest, kv: &KeyValue) -> bool {
    let within = |revision: Revision, min: Revision, max: Revision| {
        (min == Revision::ZERO || revision >= min) && (max == Revision::ZERO || revision <= max)
    };
    within(kv.mod_revision, request.min_mod_revision, request.max_mod_revision)
        && within(kv.create_revision, request.min_create_revision, request.max_create_revision)
}
