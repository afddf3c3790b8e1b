//! What the command line and the environment ask for: [`Arguments`] literally, [`Config`] checked and derived.
//!
//! Whatever is wrong is told in one sentence that begins with the flag and says what to write instead.

mod arguments;
mod clients;
mod compaction;
mod context;
mod endpoint;
mod nats;
#[cfg(test)]
mod tests;
mod values;

use std::path::PathBuf;
use std::time::Duration;

pub use arguments::Arguments;
pub use clients::{Clients, Listen, ServerTls};
pub use nats::{Auth, External, Nats, Server, Tls};
pub use values::{HostPort, Secret};

/// An atomic batch of JetStream holds no more messages than this, and every operation that writes is at least one.
const MAX_TXN_OPS: usize = 1000;

/// The largest group that is appended to the log at once; a request has to fit one.
const MAX_REQUEST_BYTES: usize = 8 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    pub name: String,
    pub nats: Nats,
    pub data_dir: PathBuf,
    /// The most bytes of values in memory; None: all are there.
    pub value_memory: Option<u64>,
    pub clients: Clients,
    /// None: metrics and health on the client port only.
    pub metrics: Option<HostPort>,
    pub limits: Limits,
    pub watch_progress_interval: Duration,
    pub compaction: Compaction,
    pub emulated_etcd_version: String,
    pub log: Log,
    /// What was understood but means less than it says; to be logged once there is a log.
    pub warnings: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub max_txn_ops: usize,
    pub max_request_bytes: usize,
    /// Of a connection.
    pub max_concurrent_streams: u32,
    /// None: the stream's own limit only.
    pub quota_bytes: Option<u64>,
}

/// Who compacts, besides clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compaction {
    Clients,
    /// Every interval, what was history one interval ago.
    Every(Duration),
    /// As etcd's mode `periodic`: history is kept so long.
    Periodic(Duration),
    /// As etcd's mode `revision`: so many revisions are kept.
    Revisions(i64),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// A level or tracing's filters.
    pub filter: String,
    pub format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Plain,
    Json,
}

/// One sentence about what is wrong and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    fn new(sentence: impl Into<String>) -> Self {
        Error(sentence.into())
    }
}

/// Makes an error of a complaint about a flag's value.
fn about(flag: &str) -> impl Fn(String) -> Error + '_ {
    move |why| Error(format!("--{flag}: {why}"))
}

impl Config {
    pub fn new(arguments: &Arguments) -> Result<Self, Error> {
        let mut warnings = Vec::new();
        Ok(Config {
            name: arguments.name.clone().unwrap_or_else(host_name),
            nats: Nats::new(arguments, &mut warnings)?,
            data_dir: arguments.data_dir.clone(),
            value_memory: value_memory(arguments)?,
            clients: Clients::new(arguments)?,
            metrics: metrics(&arguments.metrics_bind_address)?,
            limits: limits(arguments)?,
            watch_progress_interval: progress_interval(&arguments.watch_progress_notify_interval)?,
            compaction: compaction::of(arguments)?,
            emulated_etcd_version: values::version(&arguments.emulated_etcd_version)
                .map_err(about("emulated-etcd-version"))?,
            log: log(arguments)?,
            warnings,
        })
    }
}

fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "jine".to_owned() } else { name.to_owned() }
}

fn metrics(text: &str) -> Result<Option<HostPort>, Error> {
    match text.strip_prefix("http://").unwrap_or(text) {
        "0" => Ok(None),
        address => HostPort::parse(address).map(Some).map_err(about("metrics-bind-address")),
    }
}

fn limits(arguments: &Arguments) -> Result<Limits, Error> {
    let text = &arguments.max_txn_ops;
    let max_txn_ops = match text.parse() {
        Ok(n @ 1..=MAX_TXN_OPS) => n,
        Ok(0) | Err(_) => {
            return Err(Error(format!("--max-txn-ops: '{text}' is not a number from 1 to {MAX_TXN_OPS}")));
        }
        Ok(_) => {
            return Err(Error(format!(
                "--max-txn-ops: {text} operations do not fit an atomic batch of JetStream, which holds {MAX_TXN_OPS} \
                 messages: give at most that"
            )));
        }
    };
    let max_request_bytes = values::size(&arguments.max_request_bytes).map_err(about("max-request-bytes"))?;
    if !(1..=MAX_REQUEST_BYTES).contains(&max_request_bytes) {
        return Err(Error(format!("--max-request-bytes: {max_request_bytes} is not between 1 and 8MiB")));
    }
    let text = &arguments.max_concurrent_streams;
    let max_concurrent_streams = match text.parse() {
        Ok(0) => u32::MAX,
        Ok(n) => n,
        Err(_) => return Err(Error(format!("--max-concurrent-streams: '{text}' is not a number below 4294967296"))),
    };
    let quota_bytes = quota(&arguments.quota_backend_bytes)?;
    Ok(Limits { max_txn_ops, max_request_bytes, max_concurrent_streams, quota_bytes })
}

fn progress_interval(text: &str) -> Result<Duration, Error> {
    let flag = "watch-progress-notify-interval";
    match values::duration(text).map_err(about(flag))? {
        interval if interval >= Duration::from_millis(100) => Ok(interval),
        _ => Err(Error(format!("--{flag}: '{text}' is below 100ms"))),
    }
}

/// As in etcd a negative one is none.
fn quota(text: &str) -> Result<Option<u64>, Error> {
    if text.strip_prefix('-').is_some_and(|digits| digits.parse::<u64>().is_ok()) {
        return Ok(None);
    }
    let bytes = values::size(text).map_err(about("quota-backend-bytes"))? as u64;
    Ok(Some(bytes).filter(|bytes| *bytes > 0))
}

fn value_memory(arguments: &Arguments) -> Result<Option<u64>, Error> {
    let bytes = arguments.value_memory.as_deref().map(values::size).transpose();
    Ok(bytes.map_err(about("value-memory"))?.map(|bytes| bytes as u64))
}

fn log(arguments: &Arguments) -> Result<Log, Error> {
    let format = match arguments.log_format.as_str() {
        "plain" | "text" => LogFormat::Plain,
        "json" => LogFormat::Json,
        other => return Err(Error(format!("--log-format: '{other}' is neither plain nor json"))),
    };
    let filter = arguments.log_level.clone();
    let levels = |part: &str| part.contains('=') || part.parse::<tracing::Level>().is_ok() || part == "off";
    if filter.parse::<tracing_subscriber::filter::Targets>().is_err() || !filter.split(',').all(levels) {
        return Err(Error(format!(
            "--log-level: '{filter}' is not a level: write error, warn, info, debug, trace, or filters such as \
             info,nats_server=debug"
        )));
    }
    Ok(Log { filter, format })
}
