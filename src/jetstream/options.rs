//! What is needed to reach a bucket.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// nats-server's own.
const DEFAULT_SYNC_INTERVAL: Duration = Duration::from_secs(120);

/// The bucket, the servers and how to be let in. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct Options {
    /// `nats://host:port` or `tls://host:port`; a user and password in it are used.
    pub servers: Vec<String>,
    pub bucket: String,
    /// Copies of the bucket, where it has to be created.
    pub replicas: usize,
    /// The bucket is there already: it is not created.
    pub existing: bool,
    pub credentials: Credentials,
    pub tls: Tls,
    /// The JetStream domain the bucket lives in, if it is not the server's own.
    pub domain: Option<String>,
    /// Only this process can write to the bucket. Only whoever runs the server itself may say so.
    pub exclusive: bool,
    /// How often the server syncs to disk; zero: before it acknowledges (`sync_interval: always`). No client can find that out.
    pub sync_interval: Duration,
    /// What is free where the server keeps the bucket.
    pub disk: Disk,
    /// The connection's name in `nats server report connections`.
    pub name: String,
    /// The first token of reply subjects, where permissions ask for another than `_INBOX`.
    pub inbox_prefix: Option<String>,
    /// How long to wait for the acknowledgement of a group.
    pub append_timeout: Duration,
    /// How long to wait for any other answer, and for a connection.
    pub request_timeout: Duration,
    /// Messages that may wait for a follower. Flow control lets at most 32 MiB wait, of messages of hardly less than 200 bytes each;
    /// should it ever be more, the follower notices that some are missing and ends.
    pub subscription_capacity: usize,
    /// How often the server tells a follower that it is still there. After four silent ones the follower fails.
    pub heartbeat: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            servers: vec!["nats://127.0.0.1:4222".into()],
            bucket: "jine".into(),
            replicas: 1,
            existing: false,
            credentials: Credentials::None,
            tls: Tls::default(),
            domain: None,
            exclusive: false,
            sync_interval: DEFAULT_SYNC_INTERVAL,
            disk: Disk::default(),
            name: "jine".into(),
            inbox_prefix: None,
            // etcd's own request timeout is 5 s plus twice the election timeout.
            append_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            subscription_capacity: 256 * 1024,
            heartbeat: Duration::from_millis(700),
        }
    }
}

/// Tells what is free on the server's disk, in bytes; only whoever runs the server itself can.
#[derive(Clone, Default)]
pub struct Disk(pub Option<Arc<dyn Fn() -> Option<u64> + Send + Sync>>);

impl Disk {
    pub(super) fn left(&self) -> Option<u64> {
        self.0.as_ref().and_then(|left| left())
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.left())
    }
}

#[derive(Clone, Debug, Default)]
pub enum Credentials {
    #[default]
    None,
    UserPassword(String, Secret),
    /// The password stands in a file; a line break at its end does not count.
    PasswordFile(String, PathBuf),
    Token(Secret),
    /// A file that holds one.
    TokenFile(PathBuf),
    /// A `.creds` file: user JWT and seed.
    CredsFile(PathBuf),
    /// A user's nkey seed.
    Nkey(Secret),
    /// A file that holds one.
    NkeyFile(PathBuf),
    /// User JWT and seed, as a NATS context may hold them. The seed is empty for a bearer token.
    Jwt(Secret, Secret),
}

#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Trusted instead of the system's.
    pub ca: Option<PathBuf>,
    /// Certificate and key to show to the server.
    pub identity: Option<(PathBuf, PathBuf)>,
    pub skip_verify: bool,
    /// Refuse a server that offers no TLS.
    pub required: bool,
    /// TLS before the server says anything.
    pub first: bool,
}

/// A string that never shows in logs.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
