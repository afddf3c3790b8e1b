//! What came of a step, in a few words.

use jine::pb::etcdserverpb::*;

use super::rpcs::{self, MESSAGE};
use crate::oracle::answer::{Answer, Outcome};
use crate::oracle::program::Step;
use crate::oracle::side::Now;
use crate::oracle::watching::{Fact, Watcher};

pub(super) fn of(step: &Step, outcome: &Outcome, before: &Now) -> &'static str {
    match outcome {
        Outcome::Answer(Answer::Range(answer)) => match step {
            Step::Range(request) | Step::RangeStream(request) => range(request, answer),
            _ => "not asked for",
        },
        Outcome::Answer(answer) => answered(answer, before),
        Outcome::Error(words) if words.starts_with(MESSAGE) => MESSAGE,
        Outcome::Error(words) => rpcs::ERRORS.iter().find(|error| *error == words).copied().unwrap_or("another error"),
        Outcome::Skipped => "skipped",
    }
}

fn answered(answer: &Answer, before: &Now) -> &'static str {
    match answer {
        Answer::Put(answer) => put(answer),
        Answer::Delete(answer) => delete(answer),
        Answer::Txn(answer) => match (answer.succeeded, revision(&answer.header) > before.revision) {
            (true, true) => "succeeded and wrote",
            (true, false) => "succeeded",
            (false, true) => "failed and wrote",
            (false, false) => "failed",
        },
        Answer::Compact(_) => "compacted",
        Answer::HashKv(_) => "hashed",
        Answer::Grant(_) => "granted",
        Answer::Revoke(answer) if revision(&answer.header) > before.revision => "revoked with its keys",
        Answer::Revoke(_) => "revoked",
        Answer::KeepAlive(answer) if answer.ttl > 0 => "kept",
        Answer::TimeToLive(answer) if !answer.keys.is_empty() => "found with its keys",
        Answer::TimeToLive(answer) if answer.ttl > 0 => "found",
        Answer::KeepAlive(_) | Answer::TimeToLive(_) => "no such lease",
        Answer::Leases(answer) if answer.leases.is_empty() => "no leases",
        Answer::Leases(_) => "leases",
        Answer::Alarm(answer) if answer.alarms.is_empty() => "no alarms",
        Answer::Alarm(_) => "alarms",
        Answer::Watch(answer) if answer.canceled => "canceled",
        Answer::Watch(_) => "told",
        Answer::Text("no watcher") => "no watcher",
        Answer::AuthStatus(_) | Answer::Range(_) | Answer::Text(_) => "answered",
    }
}

pub(super) fn range(request: &RangeRequest, answer: &RangeResponse) -> &'static str {
    match (answer.kvs.is_empty(), answer.more, answer.count) {
        (false, true, _) => "keys and more",
        (false, false, _) => "keys",
        (true, _, 0) => "nothing",
        (true, _, _) if request.count_only => "a count",
        (true, _, _) => "none passes",
    }
}

pub(super) fn put(answer: &PutResponse) -> &'static str {
    if answer.prev_kv.is_some() { "written, previous told" } else { "written" }
}

pub(super) fn delete(answer: &DeleteRangeResponse) -> &'static str {
    match answer.deleted {
        0 => "none deleted",
        1 => "one deleted",
        _ => "several deleted",
    }
}

pub(super) fn watcher(watcher: &Watcher) -> impl Iterator<Item = &'static str> {
    watcher.facts.iter().map(|fact| match fact {
        Fact::Created => "created",
        Fact::IdTaken => "id taken",
        Fact::RangeEmpty => "range empty",
        Fact::BelowZero => "refused as compacted",
        Fact::Compacted => "compacted",
        Fact::Put => "put",
        Fact::Delete => "delete",
        Fact::PrevKv => "prev_kv told",
        Fact::NoPrevKv => "no prev_kv",
        Fact::Fragments => "fragments",
    })
}

/// Whether it changed what is stored, or who watches it.
pub(super) fn changes(step: &Step, outcome: &Outcome, before: &Now) -> bool {
    let Outcome::Answer(answer) = outcome else { return false };
    match (step, answer) {
        (_, Answer::Put(_) | Answer::Compact(_) | Answer::Grant(_) | Answer::Revoke(_)) => true,
        (_, Answer::Delete(answer)) => answer.deleted > 0,
        (_, Answer::Txn(answer)) => revision(&answer.header) > before.revision,
        (_, Answer::KeepAlive(answer)) => answer.ttl > 0,
        (Step::Watch(..), Answer::Watch(answer)) => !answer.canceled,
        (Step::Cancel(..), Answer::Watch(_)) => true,
        (Step::Alarm(request), Answer::Alarm(answer)) => request.action != 0 && !answer.alarms.is_empty(),
        (Step::AwaitExpiry, _) => true,
        _ => false,
    }
}

/// Whether it told of something that is there.
pub(super) fn finds(outcome: &Outcome) -> bool {
    let Outcome::Answer(answer) = outcome else { return false };
    match answer {
        Answer::Range(answer) => answer.count > 0,
        Answer::Txn(answer) => answer
            .responses
            .iter()
            .any(|op| matches!(&op.response, Some(response_op::Response::ResponseRange(answer)) if answer.count > 0)),
        Answer::HashKv(_) => true,
        Answer::TimeToLive(answer) => answer.ttl > 0,
        Answer::Leases(answer) => !answer.leases.is_empty(),
        Answer::Watch(_) => true,
        _ => false,
    }
}

fn revision(header: &Option<ResponseHeader>) -> i64 {
    header.as_ref().map_or(0, |header| header.revision)
}
