//! Cells that no program can reach, and why.

use super::rpcs::*;

/// For some RPCs: these options never have these outcomes.
struct Rule {
    rpcs: &'static [&'static str],
    options: Some,
    outcomes: Some,
    why: &'static str,
}

/// Some of the options, or of the outcomes.
enum Some {
    Of(&'static [&'static str]),
    AllBut(&'static [&'static str]),
}

use Some::{AllBut, Of};

impl Some {
    fn has(&self, name: &str) -> bool {
        match self {
            Of(names) => names.contains(&name),
            AllBut(names) => !names.contains(&name),
        }
    }
}

pub(super) fn why(rpc: &str, option: &str, outcome: &str) -> Option<&'static str> {
    let fits = |rule: &&Rule| rule.rpcs.contains(&rpc) && rule.options.has(option) && rule.outcomes.has(outcome);
    RULES.iter().find(fits).map(|rule| rule.why)
}

const fn rule(rpcs: &'static [&'static str], options: Some, outcomes: Some, why: &'static str) -> Rule {
    Rule { rpcs, options, outcomes, why }
}

const RANGES: &[&str] = &["Range", "RangeStream", "Range in a Txn"];
const INSIDE: &[&str] = &["Range in a Txn"];
const STREAM: &[&str] = &["RangeStream"];
const PUT: &[&str] = &["Put"];
const DELETES: &[&str] = &["DeleteRange", "DeleteRange in a Txn"];
const TXN: &[&str] = &["Txn"];
const GRANT: &[&str] = &["LeaseGrant"];
const WATCH: &[&str] = &["Watch"];

const SORTED: &[&str] = &[
    "KEY, NONE",
    "KEY, ASCEND",
    "KEY, DESCEND",
    "VERSION, NONE",
    "VERSION, ASCEND",
    "VERSION, DESCEND",
    "CREATE, NONE",
    "CREATE, ASCEND",
    "CREATE, DESCEND",
    "MOD, NONE",
    "MOD, ASCEND",
    "MOD, DESCEND",
    "VALUE, NONE",
    "VALUE, ASCEND",
    "VALUE, DESCEND",
];
const UNSTREAMED: &[&str] = &[
    "KEY, DESCEND",
    "VERSION, ASCEND",
    "VERSION, DESCEND",
    "CREATE, ASCEND",
    "CREATE, DESCEND",
    "MOD, ASCEND",
    "MOD, DESCEND",
    "VALUE, ASCEND",
    "VALUE, DESCEND",
];
const WITH_KEY: &[&str] = &["one key", "from a key on", "all keys", "between two keys", "the wrong way round"];
const FILTERS: &[&str] = &["min_mod_revision", "max_mod_revision", "min_create_revision", "max_create_revision"];
const READABLE: &[&str] =
    &["revision 0", "revision < 0", "the revision of the compaction", "old revision", "current revision"];

const RULES: &[Rule] = &[
    // Ranges
    rule(
        INSIDE,
        Of(&["no key", "unknown sort_order", "unknown sort_target", "future revision"]),
        AllBut(&[]),
        "the transaction is refused",
    ),
    rule(INSIDE, Of(&["revision < 0", "compacted revision"]), AllBut(&[]), "the transaction fails"),
    rule(RANGES, Of(&["no key"]), AllBut(&[NO_KEY]), "it is refused before anything else"),
    rule(RANGES, Of(WITH_KEY), Of(&[NO_KEY]), "there is a key"),
    rule(RANGES, Of(&["unknown sort_order", "unknown sort_target"]), AllBut(&[NO_KEY, SORT]), "it is refused"),
    rule(RANGES, Of(SORTED), Of(&[SORT]), "the order is known"),
    rule(&["Range"], Of(&["compacted revision"]), AllBut(&[NO_KEY, SORT, COMPACTED]), "it cannot be read"),
    rule(&["Range"], Of(&["future revision"]), AllBut(&[NO_KEY, SORT, FUTURE]), "it cannot be read"),
    rule(
        STREAM,
        Of(&["compacted revision"]),
        AllBut(&[NO_KEY, SORT, STREAM_SORT, STREAM_FILTER, COMPACTED]),
        "it cannot be read",
    ),
    rule(
        STREAM,
        Of(&["future revision"]),
        AllBut(&[NO_KEY, SORT, STREAM_SORT, STREAM_FILTER, FUTURE]),
        "it cannot be read",
    ),
    rule(RANGES, Of(READABLE), Of(&[COMPACTED, FUTURE]), "it can be read"),
    rule(
        RANGES,
        Of(&["the wrong way round"]),
        Of(&["keys", "keys and more", "a count", "none passes"]),
        "nothing is there",
    ),
    rule(RANGES, Of(&["one key"]), Of(&["keys and more"]), "there is one at most"),
    rule(RANGES, Of(&["limit < 0"]), Of(&["keys and more"]), "it is no limit"),
    rule(RANGES, Of(&["count_only"]), Of(&["keys", "keys and more", "none passes"]), "only the count is told"),
    // RangeStream
    rule(STREAM, AllBut(&[]), Of(&["none passes"]), "filters are refused"),
    rule(STREAM, Of(FILTERS), AllBut(&[NO_KEY, SORT, STREAM_SORT, STREAM_FILTER]), "it is refused"),
    rule(STREAM, Of(UNSTREAMED), AllBut(&[NO_KEY, STREAM_SORT]), "it is refused"),
    rule(STREAM, Of(&["KEY, NONE", "KEY, ASCEND"]), Of(&[STREAM_SORT]), "it is the order of the stream"),
    rule(
        STREAM,
        Of(&["VERSION, NONE", "CREATE, NONE", "MOD, NONE", "VALUE, NONE"]),
        AllBut(&[]),
        "not asked: etcd 3.7.3 loses keys or tells them twice; wire::range_stream has what jine does",
    ),
    // Put
    rule(PUT, Of(&["no key"]), AllBut(&[NO_KEY]), "it is refused before anything else"),
    rule(
        PUT,
        Of(&["a key", "as large as may be", "too large", "too large for a message"]),
        Of(&[NO_KEY]),
        "there is a key",
    ),
    rule(PUT, Of(&["a key", "as large as may be"]), Of(&[TOO_LARGE, MESSAGE]), "it is not too large"),
    rule(PUT, Of(&["too large"]), AllBut(&[VALUE_GIVEN, LEASE_GIVEN, TOO_LARGE]), "it is refused"),
    rule(PUT, Of(&["too large for a message"]), AllBut(&[MESSAGE]), "it is not even read"),
    rule(PUT, Of(&["empty value"]), Of(&[VALUE_GIVEN]), "no value is given"),
    rule(PUT, Of(&["empty value", "binary value"]), Of(&[TOO_LARGE, MESSAGE]), "it is not too large"),
    rule(PUT, Of(&["binary value"]), Of(&[VALUE_GIVEN]), "another option: the value that must not be given is text"),
    rule(PUT, Of(&["ignore_value", "ignore_value and ignore_lease"]), Of(&[TOO_LARGE]), "a value is refused before"),
    rule(PUT, Of(&["ignore_value"]), Of(&[LEASE_GIVEN]), "the lease may be given"),
    rule(PUT, Of(&["ignore_lease", "ignore_value and ignore_lease"]), Of(&[NO_LEASE]), "a lease is refused before"),
    rule(PUT, Of(&["ignore_lease"]), Of(&[VALUE_GIVEN]), "the value may be given"),
    // DeleteRange
    rule(&["DeleteRange in a Txn"], Of(&["no key"]), AllBut(&[]), "the transaction is refused"),
    rule(DELETES, Of(&["no key"]), AllBut(&[NO_KEY]), "it is refused before anything else"),
    rule(DELETES, Of(WITH_KEY), Of(&[NO_KEY]), "there is a key"),
    rule(DELETES, Of(WITH_KEY), Of(&[TOO_LARGE]), "another option"),
    rule(DELETES, Of(&["too large"]), AllBut(&[TOO_LARGE]), "it is refused"),
    rule(DELETES, Of(&["one key"]), Of(&["several deleted"]), "there is one at most"),
    rule(DELETES, Of(&["the wrong way round"]), Of(&["one deleted", "several deleted"]), "nothing is there"),
    // Txn
    rule(TXN, Of(&["no compare"]), Of(&["failed and wrote", "failed"]), "without a compare it succeeds"),
    rule(
        TXN,
        Of(&["no operations"]),
        AllBut(&["succeeded", "failed", NO_KEY, TOO_MANY]),
        "there is nothing to do or to refuse",
    ),
    // Compact and HashKV
    rule(&["Compact"], Of(&["revision < 0", "compacted revision"]), Of(&["compacted", FUTURE]), "it is compacted"),
    rule(&["Compact"], Of(&["a later revision"]), Of(&[COMPACTED, FUTURE]), "it can be compacted"),
    rule(&["Compact"], Of(&["future revision"]), Of(&["compacted", COMPACTED]), "it is in the future"),
    rule(
        &["HashKV"],
        Of(&["revision 0", "revision < 0", "readable revision"]),
        AllBut(&["hashed"]),
        "it can be hashed",
    ),
    rule(&["HashKV"], Of(&["compacted revision"]), Of(&[FUTURE]), "it is compacted"),
    rule(&["HashKV"], Of(&["future revision"]), AllBut(&[FUTURE]), "it is in the future"),
    // Leases
    rule(GRANT, Of(&["no id"]), Of(&[LEASE_EXISTS]), "the server chooses another"),
    rule(GRANT, Of(&["TTL too long"]), Of(&["granted", LEASE_EXISTS]), "it is refused"),
    rule(GRANT, Of(&["TTL", "TTL as long as may be", "TTL raised"]), Of(&[TTL]), "it is not too long"),
    rule(GRANT, Of(&["TTL raised"]), Of(&[LEASE_EXISTS]), "not asked: what is there should not expire soon"),
    rule(&["LeaseRevoke"], Of(&["no id"]), Of(&["revoked", "revoked with its keys"]), "there is no such lease"),
    rule(&["LeaseKeepAlive"], Of(&["no id"]), Of(&["kept"]), "there is no such lease"),
    rule(&["LeaseTimeToLive"], Of(&["no id"]), Of(&["found", "found with its keys"]), "there is no such lease"),
    // Watch
    rule(WATCH, Of(&["the wrong way round"]), AllBut(&["range empty", "refused as compacted"]), "nothing can be in it"),
    rule(
        WATCH,
        Of(&["one key", "from a key on", "all keys", "between two keys"]),
        Of(&["range empty"]),
        "something may be in it",
    ),
    rule(WATCH, Of(&["from below zero"]), AllBut(&["refused as compacted"]), "it is refused"),
    rule(
        WATCH,
        Of(&["from now", "from the past", "from before the compaction", "from the future"]),
        Of(&["refused as compacted"]),
        "only below zero is refused",
    ),
    rule(
        WATCH,
        Of(&["from before the compaction"]),
        Of(&["put", "delete", "prev_kv told", "no prev_kv", "fragments"]),
        "it ends at once",
    ),
    rule(
        WATCH,
        Of(&["from now", "from the past", "from the future"]),
        Of(&["compacted"]),
        "what a watcher is at is not compacted before it was told",
    ),
    rule(
        WATCH,
        Of(&["a negative id"]),
        Of(&["compacted"]),
        "it is given no past: etcd may tell it before its creation",
    ),
    rule(WATCH, Of(&["noput", "noput and nodelete"]), Of(&["put"]), "they are filtered"),
    rule(WATCH, Of(&["nodelete", "noput and nodelete"]), Of(&["delete"]), "they are filtered"),
    rule(WATCH, Of(&["noput and nodelete"]), Of(&["prev_kv told", "no prev_kv", "fragments"]), "nothing is told"),
    rule(WATCH, Of(&["no key"]), Of(&["range empty"]), "it is the smallest key: nothing comes before it"),
    rule(WATCH, Of(&["no id"]), Of(&["id taken"]), "the server chooses another"),
];
