//! The rows and columns of the table.

pub(super) struct Rpc {
    pub(super) name: &'static str,
    options: &'static [&'static [&'static str]],
    outcomes: &'static [&'static [&'static str]],
}

impl Rpc {
    pub(super) fn options(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.options.iter().flat_map(|some| some.iter().copied())
    }

    pub(super) fn outcomes(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.outcomes.iter().flat_map(|some| some.iter().copied())
    }
}

pub(super) const NO_KEY: &str = "InvalidArgument etcdserver: key is not provided";
pub(super) const NOT_FOUND: &str = "InvalidArgument etcdserver: key not found";
pub(super) const VALUE_GIVEN: &str = "InvalidArgument etcdserver: value is provided";
pub(super) const LEASE_GIVEN: &str = "InvalidArgument etcdserver: lease is provided";
pub(super) const TOO_MANY: &str = "InvalidArgument etcdserver: too many operations in txn request";
pub(super) const DUPLICATE: &str = "InvalidArgument etcdserver: duplicate key given in txn request";
pub(super) const SORT: &str = "InvalidArgument etcdserver: invalid sort option";
pub(super) const TOO_LARGE: &str = "InvalidArgument etcdserver: request is too large";
pub(super) const COMPACTED: &str = "OutOfRange etcdserver: mvcc: required revision has been compacted";
pub(super) const FUTURE: &str = "OutOfRange etcdserver: mvcc: required revision is a future revision";
pub(super) const TTL: &str = "OutOfRange etcdserver: too large lease TTL";
pub(super) const NO_LEASE: &str = "NotFound etcdserver: requested lease not found";
pub(super) const LEASE_EXISTS: &str = "FailedPrecondition etcdserver: lease already exists";
pub(super) const NO_AUTH: &str = "FailedPrecondition etcdserver: authentication is not enabled";
pub(super) const NO_SPACE: &str = "ResourceExhausted etcdserver: mvcc: database space exceeded";
pub(super) const CORRUPT: &str = "DataLoss etcdserver: corrupt cluster";
pub(super) const STREAM_SORT: &str = "Unimplemented RangeStream does not support custom sort orders";
pub(super) const STREAM_FILTER: &str = "Unimplemented RangeStream does not support revision filters";
/// The numbers in it left out.
pub(super) const MESSAGE: &str = "ResourceExhausted grpc: received message larger than max";

/// All that must be seen.
pub(super) const ERRORS: &[&str] = &[
    NO_KEY,
    NOT_FOUND,
    VALUE_GIVEN,
    LEASE_GIVEN,
    TOO_MANY,
    DUPLICATE,
    SORT,
    TOO_LARGE,
    COMPACTED,
    FUTURE,
    TTL,
    NO_LEASE,
    LEASE_EXISTS,
    NO_AUTH,
    NO_SPACE,
    CORRUPT,
    STREAM_SORT,
    STREAM_FILTER,
];

/// Errors that clients match and that no program can cause, and where they are tested instead.
pub(super) const ELSEWHERE: &[(&str, &str)] = &[
    ("Unavailable etcdserver: no leader", "needs a log that is away: faults::away"),
    ("Unavailable etcdserver: request timed out", "needs a log that does not answer: faults::away"),
];

const KEYS: &[&str] = &["no key", "one key", "from a key on", "all keys", "between two keys", "the wrong way round"];

const RANGE: &[&str] = &[
    "limit",
    "limit < 0",
    "revision 0",
    "revision < 0",
    "compacted revision",
    "the revision of the compaction",
    "old revision",
    "current revision",
    "future revision",
    "serializable",
    "keys_only",
    "count_only",
    "min_mod_revision",
    "max_mod_revision",
    "min_create_revision",
    "max_create_revision",
    "unknown sort_order",
    "unknown sort_target",
];

/// By target and order.
pub(super) const SORTS: [[&str; 3]; 5] = [
    ["KEY, NONE", "KEY, ASCEND", "KEY, DESCEND"],
    ["VERSION, NONE", "VERSION, ASCEND", "VERSION, DESCEND"],
    ["CREATE, NONE", "CREATE, ASCEND", "CREATE, DESCEND"],
    ["MOD, NONE", "MOD, ASCEND", "MOD, DESCEND"],
    ["VALUE, NONE", "VALUE, ASCEND", "VALUE, DESCEND"],
];

/// By target and result.
pub(super) const COMPARES: [[&str; 4]; 5] = [
    ["VERSION =", "VERSION >", "VERSION <", "VERSION !="],
    ["CREATE =", "CREATE >", "CREATE <", "CREATE !="],
    ["MOD =", "MOD >", "MOD <", "MOD !="],
    ["VALUE =", "VALUE >", "VALUE <", "VALUE !="],
    ["LEASE =", "LEASE >", "LEASE <", "LEASE !="],
];

const FOUND: &[&str] = &["keys", "keys and more", "a count", "none passes", "nothing"];
const DELETED: &[&str] = &["none deleted", "one deleted", "several deleted"];
const PUT: &[&str] = &[
    "value",
    "empty value",
    "binary value",
    "lease",
    "prev_kv",
    "ignore_value",
    "ignore_lease",
    "ignore_value and ignore_lease",
];
const WRITTEN: &[&str] = &["written", "written, previous told"];

const TXN: &[&str] = &[
    "no compare",
    "unknown target",
    "unknown result",
    "another target's operand",
    "no operand",
    "compares one key",
    "compares from a key on",
    "compares all keys",
    "compares between two keys",
    "compares the wrong way round",
    "as many compares as may be",
    "as many operations as may be",
    "no operations",
    "puts",
    "deletes",
    "reads",
    "depth 2",
    "depth 3",
];

pub(super) const ALL: &[Rpc] = &[
    Rpc {
        name: "Range",
        options: &[KEYS, RANGE, &SORTS[0], &SORTS[1], &SORTS[2], &SORTS[3], &SORTS[4]],
        outcomes: &[FOUND, &[NO_KEY, SORT, COMPACTED, FUTURE]],
    },
    Rpc {
        name: "RangeStream",
        options: &[KEYS, RANGE, &SORTS[0], &SORTS[1], &SORTS[2], &SORTS[3], &SORTS[4]],
        outcomes: &[FOUND, &[NO_KEY, SORT, STREAM_SORT, STREAM_FILTER, COMPACTED, FUTURE]],
    },
    Rpc {
        name: "Put",
        options: &[&["no key", "a key", "as large as may be", "too large", "too large for a message"], PUT],
        outcomes: &[
            WRITTEN,
            &[NO_KEY, VALUE_GIVEN, LEASE_GIVEN, NOT_FOUND, NO_LEASE, TOO_LARGE, MESSAGE, NO_SPACE, CORRUPT],
        ],
    },
    Rpc {
        name: "DeleteRange",
        options: &[KEYS, &["prev_kv", "too large"]],
        outcomes: &[DELETED, &[NO_KEY, TOO_LARGE, CORRUPT]],
    },
    Rpc {
        name: "Txn",
        options: &[TXN, &COMPARES[0], &COMPARES[1], &COMPARES[2], &COMPARES[3], &COMPARES[4]],
        outcomes: &[
            &["succeeded and wrote", "succeeded", "failed and wrote", "failed"],
            &[NO_KEY, NOT_FOUND, VALUE_GIVEN, LEASE_GIVEN, TOO_MANY, DUPLICATE, SORT, TOO_LARGE],
            &[COMPACTED, FUTURE, NO_LEASE, NO_SPACE, CORRUPT],
        ],
    },
    Rpc {
        name: "Range in a Txn",
        options: &[KEYS, RANGE, &SORTS[0], &SORTS[1], &SORTS[2], &SORTS[3], &SORTS[4]],
        outcomes: &[FOUND],
    },
    Rpc { name: "Put in a Txn", options: &[&["a key"], PUT], outcomes: &[WRITTEN] },
    Rpc { name: "DeleteRange in a Txn", options: &[KEYS, &["prev_kv"]], outcomes: &[DELETED] },
    Rpc {
        name: "Compact",
        options: &[&[
            "physical",
            "not physical",
            "revision < 0",
            "compacted revision",
            "a later revision",
            "future revision",
        ]],
        outcomes: &[&["compacted"], &[COMPACTED, FUTURE, CORRUPT]],
    },
    Rpc {
        name: "HashKV",
        options: &[&["revision 0", "revision < 0", "compacted revision", "readable revision", "future revision"]],
        outcomes: &[&["hashed"], &[COMPACTED, FUTURE]],
    },
    Rpc {
        name: "LeaseGrant",
        options: &[&["an id", "no id", "TTL", "TTL as long as may be", "TTL too long", "TTL raised"]],
        outcomes: &[&["granted"], &[LEASE_EXISTS, TTL, NO_SPACE, CORRUPT]],
    },
    Rpc {
        name: "LeaseRevoke",
        options: &[&["the server's id", "the client's id", "no id"]],
        outcomes: &[&["revoked", "revoked with its keys"], &[NO_LEASE, CORRUPT]],
    },
    Rpc {
        name: "LeaseKeepAlive",
        options: &[&["the server's id", "the client's id", "no id"]],
        outcomes: &[&["kept", "no such lease"]],
    },
    Rpc {
        name: "LeaseTimeToLive",
        options: &[&["the server's id", "the client's id", "no id", "keys"]],
        outcomes: &[&["found", "found with its keys", "no such lease"]],
    },
    Rpc { name: "LeaseLeases", options: &[&["asked"]], outcomes: &[&["leases", "no leases"]] },
    Rpc { name: "Expiry", options: &[&["awaited"]], outcomes: &[&["leases", "no leases"]] },
    Rpc {
        name: "Watch",
        options: &[
            &["no key", "one key", "from a key on", "all keys", "between two keys", "the wrong way round"],
            &["from now", "from the past", "from before the compaction", "from the future", "from below zero"],
            &["noput", "nodelete", "noput and nodelete", "unknown filter"],
            &["prev_kv", "fragment", "progress_notify", "an id", "a negative id", "no id"],
        ],
        outcomes: &[
            &["created", "id taken", "range empty", "refused as compacted", "compacted"],
            &["put", "delete", "prev_kv told", "no prev_kv", "fragments"],
        ],
    },
    Rpc { name: "Watch cancel", options: &[&["an id", "a negative id"]], outcomes: &[&["canceled", "no watcher"]] },
    Rpc { name: "Watch progress", options: &[&["asked"]], outcomes: &[&["told"]] },
    Rpc {
        name: "Alarm",
        options: &[&["get", "activate", "deactivate", "NONE", "NOSPACE", "CORRUPT"]],
        outcomes: &[&["alarms", "no alarms"]],
    },
    Rpc { name: "AuthStatus", options: &[&["asked"]], outcomes: &[&["answered"]] },
    Rpc { name: "Authenticate", options: &[&["asked"]], outcomes: &[&[NO_AUTH]] },
    Rpc { name: "Restart", options: &[&["asked"]], outcomes: &[&["answered"]] },
];
