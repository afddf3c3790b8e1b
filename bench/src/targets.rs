//! What is measured: which program, and how it keeps its data.

use std::path::PathBuf;

#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    pub kind: Kind,
    pub program: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// jine with a nats-server of its own, which syncs every write.
    Jine,
    /// The same with `--value-memory`.
    ValueMemory,
    /// jine on nats-servers that it does not run: one, or a cluster of three.
    External {
        replicas: usize,
        /// `sync_interval: always`, else nats-server's default of two minutes.
        always: bool,
    },
    Etcd,
    /// kine with its embedded nats-server, syncing every write.
    KineNats,
    /// kine with SQLite, syncing every write.
    KineSqlite,
    /// A nats-server, for JetStream's own publishes.
    Raw,
}

/// Every target that scripts/bench knows, in the order of the report's columns: name, kind, and what the report says of it.
pub const ALL: &[(&str, Kind, &str)] = &[
    ("jine", Kind::Jine, "jine on its own nats-server"),
    (
        "jine-value-memory",
        Kind::ValueMemory,
        "the same with `--value-memory 64MiB`: the other values are in a file (with 10^6 keys only)",
    ),
    (
        "jine-r1",
        Kind::External { replicas: 1, always: false },
        "jine on one external nats-server, not synced (NATS' default)",
    ),
    ("jine-r1-always", Kind::External { replicas: 1, always: true }, "the same with `sync_interval: always`"),
    (
        "jine-r3",
        Kind::External { replicas: 3, always: false },
        "jine on a cluster of three, all on this machine, not synced",
    ),
    ("jine-r3-always", Kind::External { replicas: 3, always: true }, "the same with `sync_interval: always`"),
    ("etcd", Kind::Etcd, "etcd 3.7.3"),
    ("kine-nats", Kind::KineNats, "kine 0.17.5 with its embedded nats-server, `sync_interval: always`"),
    ("kine-sqlite", Kind::KineSqlite, "kine 0.17.5 with SQLite, `synchronous=FULL`"),
    (
        "raw",
        Kind::Raw,
        "JetStream's own publishes of the same size, as many in one atomic batch as there are clients: the floor under jine",
    ),
];
