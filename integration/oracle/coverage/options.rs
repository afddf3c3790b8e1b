//! Which options a step has.

use jine::pb::etcdserverpb::compare::TargetUnion;
use jine::pb::etcdserverpb::request_op::Request;
use jine::pb::etcdserverpb::watch_create_request::FilterType;
use jine::pb::etcdserverpb::{
    AlarmRequest, Compare, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, TxnRequest,
    WatchCreateRequest,
};
use prost::Message;

use super::rpcs::{COMPARES, SORTS};
use crate::oracle::generate::{ENVELOPE, MAX_TXN_OPS};
use crate::oracle::pair::MAX_REQUEST_BYTES;
use crate::oracle::program::{CHOSEN, Step};
use crate::oracle::side::Now;

type Options = Vec<&'static str>;

/// The longest TTL that etcd grants, in seconds, and the shortest.
const MAX_TTL: i64 = 9_000_000_000;
const MIN_TTL: i64 = 2;
/// The largest request that is taken, in bytes: etcd counts what its log adds, too.
const LARGEST: usize = MAX_REQUEST_BYTES - ENVELOPE;

/// The RPC, and what of its options a step has. Watchers are counted when all is known of them.
pub(super) fn of(step: &Step, now: &Now) -> Option<(&'static str, Options)> {
    let asked = || vec!["asked"];
    Some(match step {
        Step::Range(request) => ("Range", range(request, now)),
        Step::RangeStream(request) => ("RangeStream", range(request, now)),
        Step::Put(request) => ("Put", put(request)),
        Step::Delete(request) => ("DeleteRange", delete(request)),
        Step::Txn(request) => ("Txn", txn(request)),
        Step::Compact(revision, physical) => ("Compact", compact(*revision, *physical, now)),
        Step::HashKv(revision) => ("HashKV", vec![hashed(now.meaning.revision(*revision), now)]),
        Step::Grant(request) | Step::ShortLease(request) => ("LeaseGrant", grant(request)),
        Step::Revoke(id) => ("LeaseRevoke", vec![lease(*id)]),
        Step::KeepAlive(id) => ("LeaseKeepAlive", vec![lease(*id)]),
        Step::TimeToLive(id, keys) => {
            let mut options = vec![lease(*id)];
            options.extend(keys.then_some("keys"));
            ("LeaseTimeToLive", options)
        }
        Step::Leases => ("LeaseLeases", asked()),
        Step::AwaitExpiry => ("Expiry", vec!["awaited"]),
        Step::Watch(..) => return None,
        Step::Cancel(_, id) => ("Watch cancel", vec![if *id < 0 { "a negative id" } else { "an id" }]),
        Step::Progress(_) => ("Watch progress", asked()),
        Step::Alarm(request) => ("Alarm", alarm(request)),
        Step::AuthStatus => ("AuthStatus", asked()),
        Step::Authenticate => ("Authenticate", asked()),
        Step::Restart => ("Restart", asked()),
    })
}

fn keys(key: &[u8], range_end: &[u8]) -> &'static str {
    match (key, range_end) {
        ([], _) => "no key",
        (_, []) => "one key",
        ([0], [0]) => "all keys",
        (_, [0]) => "from a key on",
        (from, to) if from < to => "between two keys",
        _ => "the wrong way round",
    }
}

pub(super) fn range(request: &RangeRequest, now: &Now) -> Options {
    let mut options = vec![keys(&request.key, &request.range_end), revision(request.revision, now), sort(request)];
    let given = [
        (request.limit > 0, "limit"),
        (request.limit < 0, "limit < 0"),
        (request.serializable, "serializable"),
        (request.keys_only, "keys_only"),
        (request.count_only, "count_only"),
        (request.min_mod_revision != 0, "min_mod_revision"),
        (request.max_mod_revision != 0, "max_mod_revision"),
        (request.min_create_revision != 0, "min_create_revision"),
        (request.max_create_revision != 0, "max_create_revision"),
    ];
    options.extend(given.into_iter().filter(|(given, _)| *given).map(|(_, option)| option));
    options
}

fn revision(revision: i64, now: &Now) -> &'static str {
    match now.meaning.revision(revision) {
        // Of a store that never was compacted: the current one, to etcd.
        -1 if now.compacted == -1 => "revision 0",
        ..=-1 => "revision < 0",
        0 => "revision 0",
        revision if revision > now.revision => "future revision",
        revision if revision == now.revision => "current revision",
        revision if revision < now.compacted => "compacted revision",
        revision if revision == now.compacted => "the revision of the compaction",
        _ => "old revision",
    }
}

fn sort(request: &RangeRequest) -> &'static str {
    let (order, target) = (usize::try_from(request.sort_order), usize::try_from(request.sort_target));
    let Some(target) = target.ok().and_then(|target| SORTS.get(target)) else { return "unknown sort_target" };
    order.ok().and_then(|order| target.get(order)).copied().unwrap_or("unknown sort_order")
}

pub(super) fn put(request: &PutRequest) -> Options {
    let len = request.encoded_len();
    let size = match len {
        _ if request.key.is_empty() => "no key",
        _ if len > MAX_REQUEST_BYTES + 512 * 1024 => "too large for a message",
        LARGEST => "as large as may be",
        _ if len > LARGEST => "too large",
        _ => "a key",
    };
    let value = match &request.value[..] {
        [] => "empty value",
        value if value.is_ascii() => "value",
        _ => "binary value",
    };
    let mut options = vec![size, value];
    let given = [
        (request.lease != 0, "lease"),
        (request.prev_kv, "prev_kv"),
        (request.ignore_value && !request.ignore_lease, "ignore_value"),
        (request.ignore_lease && !request.ignore_value, "ignore_lease"),
        (request.ignore_lease && request.ignore_value, "ignore_value and ignore_lease"),
    ];
    options.extend(given.into_iter().filter(|(given, _)| *given).map(|(_, option)| option));
    options
}

pub(super) fn delete(request: &DeleteRangeRequest) -> Options {
    let too_large = request.encoded_len() > LARGEST;
    let mut options = vec![if too_large { "too large" } else { keys(&request.key, &request.range_end) }];
    options.extend(request.prev_kv.then_some("prev_kv"));
    options
}

fn txn(request: &TxnRequest) -> Options {
    let mut options: Options = request.compare.iter().flat_map(compare).collect();
    let ops = || request.success.iter().chain(&request.failure).filter_map(|op| op.request.as_ref());
    let has = |wanted: fn(&Request) -> bool| ops().any(wanted);
    let given = [
        (request.compare.is_empty(), "no compare"),
        (request.compare.len() == MAX_TXN_OPS, "as many compares as may be"),
        (request.success.len() == MAX_TXN_OPS || request.failure.len() == MAX_TXN_OPS, "as many operations as may be"),
        (request.success.is_empty() && request.failure.is_empty(), "no operations"),
        (has(|op| matches!(op, Request::RequestPut(_))), "puts"),
        (has(|op| matches!(op, Request::RequestDeleteRange(_))), "deletes"),
        (has(|op| matches!(op, Request::RequestRange(_))), "reads"),
        (depth(request) == 2, "depth 2"),
        (depth(request) == 3, "depth 3"),
    ];
    options.extend(given.into_iter().filter(|(given, _)| *given).map(|(_, option)| option));
    options.sort_unstable();
    options.dedup();
    options
}

fn depth(request: &TxnRequest) -> usize {
    let nested = request.success.iter().chain(&request.failure).map(|op| match &op.request {
        Some(Request::RequestTxn(nested)) => depth(nested),
        _ => 0,
    });
    1 + nested.max().unwrap_or(0)
}

fn compare(compare: &Compare) -> Options {
    let target = usize::try_from(compare.target).ok().and_then(|target| COMPARES.get(target));
    let result = usize::try_from(compare.result).ok().filter(|result| *result < 4);
    let what = match (target, result) {
        (None, _) => "unknown target",
        (_, None) => "unknown result",
        (Some(target), Some(result)) => target[result],
    };
    let operand = compare.target_union.as_ref().map(|operand| match operand {
        TargetUnion::Version(_) => 0,
        TargetUnion::CreateRevision(_) => 1,
        TargetUnion::ModRevision(_) => 2,
        TargetUnion::Value(_) => 3,
        TargetUnion::Lease(_) => 4,
    });
    let mut options = vec![what];
    options.extend(match keys(&compare.key, &compare.range_end) {
        "one key" => Some("compares one key"),
        "from a key on" => Some("compares from a key on"),
        "all keys" => Some("compares all keys"),
        "between two keys" => Some("compares between two keys"),
        "the wrong way round" => Some("compares the wrong way round"),
        _ => None,
    });
    match operand {
        None => options.push("no operand"),
        Some(operand) if operand != compare.target => options.push("another target's operand"),
        Some(_) => {}
    }
    options
}

fn compact(revision: i64, physical: bool, now: &Now) -> Options {
    let revision = match now.meaning.revision(revision) {
        ..=-1 => "revision < 0",
        revision if revision > now.revision => "future revision",
        revision if revision <= now.compacted => "compacted revision",
        _ => "a later revision",
    };
    vec![revision, if physical { "physical" } else { "not physical" }]
}

fn hashed(revision: i64, now: &Now) -> &'static str {
    match revision {
        ..=-1 => "revision < 0",
        0 => "revision 0",
        revision if revision > now.revision => "future revision",
        revision if revision < now.compacted => "compacted revision",
        _ => "readable revision",
    }
}

fn grant(request: &LeaseGrantRequest) -> Options {
    let ttl = match request.ttl {
        ..MIN_TTL => "TTL raised",
        MAX_TTL => "TTL as long as may be",
        ttl if ttl > MAX_TTL => "TTL too long",
        _ => "TTL",
    };
    vec![ttl, if request.id == 0 { "no id" } else { "an id" }]
}

fn lease(id: i64) -> &'static str {
    match id {
        0 => "no id",
        CHOSEN => "the server's id",
        _ => "the client's id",
    }
}

pub(super) fn watch(request: &WatchCreateRequest, now: &Now) -> Options {
    let key: &[u8] = if request.key.is_empty() { &[0] } else { &request.key };
    let mut options = vec![keys(key, &request.range_end), starts(now.meaning.revision(request.start_revision), now)];
    let filtered = |filter: FilterType| request.filters.contains(&(filter as i32));
    let filter = match (filtered(FilterType::Noput), filtered(FilterType::Nodelete)) {
        (true, true) => Some("noput and nodelete"),
        (true, false) => Some("noput"),
        (false, true) => Some("nodelete"),
        (false, false) => None,
    };
    options.extend(filter);
    let given = [
        (request.key.is_empty(), "no key"),
        (request.filters.iter().any(|filter| FilterType::try_from(*filter).is_err()), "unknown filter"),
        (request.prev_kv, "prev_kv"),
        (request.fragment, "fragment"),
        (request.progress_notify, "progress_notify"),
        (request.watch_id == 0, "no id"),
        (request.watch_id > 0, "an id"),
        (request.watch_id < 0, "a negative id"),
    ];
    options.extend(given.into_iter().filter(|(given, _)| *given).map(|(_, option)| option));
    options
}

fn starts(revision: i64, now: &Now) -> &'static str {
    match revision {
        ..=-1 => "from below zero",
        0 => "from now",
        revision if revision > now.revision => "from the future",
        revision if revision < now.compacted => "from before the compaction",
        _ => "from the past",
    }
}

fn alarm(request: &AlarmRequest) -> Options {
    let action = match request.action {
        0 => "get",
        1 => "activate",
        _ => "deactivate",
    };
    let kind = match request.alarm {
        1 => "NOSPACE",
        2 => "CORRUPT",
        _ => "NONE",
    };
    vec![action, kind]
}
