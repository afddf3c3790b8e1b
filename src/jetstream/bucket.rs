//! The bucket: created if it is not there, checked every time.
//!
//! What is wanted is in log-format.md. Settings under which messages vanish are refused, with what to do; those that only a later
//! mistake could turn into a loss are mended. Configurations stay JSON here, so that a newer server's settings survive a change.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::api::{self, code};
use super::append;
use super::config;
use super::link::Link;
use super::read::{self, StreamInfo};
use crate::state::{Revision, Sequence};
use crate::store::log::{
    AppendError, ClusterId, Content, EntryId, Genesis, LogError, Outgoing, Record, Refusal, SessionId, Stamp,
};

/// The format of what jine writes. A bucket names its own in the genesis record.
pub(super) const FORMAT: u32 = 1;

/// What the check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) replicas: usize,
    /// The stream's own limit for one message, if it has one.
    pub(super) max_message: Option<usize>,
}

/// So long a cluster has to go on saying that there is no such stream before one is made. No state of a cluster is known in which it
/// says so of a stream that exists for longer than a server takes to end; an empty store in the place of a full one is worth the wait.
const MISSING_FOR: Duration = Duration::from_secs(3);

/// Creates the bucket and begins its log where that has not been done. Afterwards the genesis record stands at 1.
pub(super) async fn ensure(link: &Link) -> Result<Found, LogError> {
    let info = match find(link).await? {
        Some(info) => info,
        None if link.options.existing => return Err(LogError::Refused(not_there(link))),
        None => create(link).await?,
    };
    check(link, info).await
}

/// The same for a bucket that was there before: one that is not there any more is not made anew, and one that is empty is left so. The
/// store finds out that it is not what it was.
pub(super) async fn recheck(link: &Link) -> Result<Found, LogError> {
    let info = read::stream_info(link).await.map_err(|error| error.into_log_error(link))?;
    if info.state.last_seq == 0 { Ok(found(&info)) } else { check(link, info).await }
}

/// None: there is no such stream, for certain.
async fn find(link: &Link) -> Result<Option<StreamInfo>, LogError> {
    let clustered = link.client.server_info().cluster.is_some() || link.options.domain.is_some();
    let patience = if clustered { MISSING_FOR } else { Duration::ZERO };
    let began = Instant::now();
    loop {
        match read::stream_info(link).await {
            Ok(info) => return Ok(Some(info)),
            Err(error) if !error.has_code(code::STREAM_NOT_FOUND) => return Err(error.into_log_error(link)),
            Err(_) if began.elapsed() >= patience => return Ok(None),
            Err(_) => tokio::time::sleep(MISSING_FOR / 10).await,
        }
    }
}

fn not_there(link: &Link) -> String {
    format!(
        "the bucket {} does not exist, and --initial-cluster-state says that it does: look whether this is the right NATS server, account \
         and data directory, or restore it",
        link.names.bucket
    )
}

async fn create(link: &Link) -> Result<StreamInfo, LogError> {
    let config = config::wanted(&link.names, link.options.replicas);
    tracing::info!(bucket = link.names.bucket, replicas = link.options.replicas, "creating the bucket");
    match api::request(link, link.names.of_stream("STREAM.CREATE"), &config).await {
        Ok(info) => Ok(info),
        // Someone else was quicker.
        Err(error) if error.has_code(code::STREAM_NAME_IN_USE) => {
            read::stream_info(link).await.map_err(|error| error.into_log_error(link))
        }
        Err(error) => Err(error.into_log_error(link)),
    }
}

async fn check(link: &Link, mut info: StreamInfo) -> Result<Found, LogError> {
    let bucket = &link.names.bucket;
    let refused = |why: String| LogError::Fatal(format!("the bucket {bucket} cannot be used: {why}"));
    if config::is_kine(&info.config) {
        return Err(refused(format!(
            "it is kine's, and jine cannot read it; choose another with ?bucket=NAME, and keep {bucket} for kine"
        )));
    }
    let unused = info.state.last_seq == 0;
    config::check(&info.config, &link.names, unused).map_err(refused)?;
    if let Some((mended, what)) = config::mend(&info.config, unused) {
        info = update(link, &mended, &what).await?;
    }
    check_genesis(link, &info).await?;
    if info.replicas() != link.options.replicas && !link.is_known_good() {
        tracing::warn!(
            "the bucket {bucket} has {} replicas where {} are asked for; change it with `nats stream edit {} --replicas={}`",
            info.replicas(),
            link.options.replicas,
            link.names.stream,
            link.options.replicas
        );
    }
    Ok(found(&info))
}

fn found(info: &StreamInfo) -> Found {
    let max_message = info.config["max_msg_size"].as_u64().map(|n| n as usize).filter(|n| *n > 0);
    Found { replicas: info.replicas(), max_message }
}

async fn update(link: &Link, config: &Value, what: &str) -> Result<StreamInfo, LogError> {
    tracing::warn!(bucket = link.names.bucket, "changing the bucket's settings: {what}");
    let updated = api::request(link, link.names.of_stream("STREAM.UPDATE"), config).await;
    updated.map_err(|error| error.into_log_error(link))
}

/// At the first place stands the genesis record of a format that is known, or nothing yet; then it is written.
async fn check_genesis(link: &Link, info: &StreamInfo) -> Result<(), LogError> {
    if info.state.last_seq == 0 {
        write_genesis(link).await?;
    }
    let bucket = &link.names.bucket;
    let refused = |why: &str| LogError::Fatal(format!("the bucket {bucket} cannot be used: {why}"));
    let Some(first) = read::get(link, Sequence(1)).await? else {
        return Err(refused(
            "its first message was removed, so the log has no beginning; restore it from a backup, or name another bucket to begin anew",
        ));
    };
    match first.content {
        Content::Ours(_, Record::Genesis(Genesis { format: FORMAT, .. })) => Ok(()),
        Content::Ours(_, Record::Genesis(genesis)) => Err(refused(&format!(
            "it has format {}, and this version knows only format {FORMAT}; use a newer jine",
            genesis.format
        ))),
        Content::Unreadable { why, .. } => {
            Err(refused(&format!("its first record is not readable here ({why}); use a newer jine")))
        }
        Content::Ours(..) | Content::Foreign { .. } => {
            Err(refused("it holds another program's messages; choose another bucket with ?bucket=NAME"))
        }
    }
}

/// Fenced on the empty log: of several who try at once, one succeeds and the others read its record.
async fn write_genesis(link: &Link) -> Result<(), LogError> {
    let cluster = ClusterId(nonzero());
    let group = vec![Outgoing {
        stamp: Stamp {
            id: EntryId { session: SessionId(nonzero()), counter: 0 },
            cluster,
            entry: 0,
            part: 1,
            parts: 1,
            meant_for: Sequence(1),
            group: Sequence(1),
        },
        record: Record::Genesis(Genesis {
            format: FORMAT,
            cluster,
            revision: Revision::FIRST,
            compacted: Revision::ZERO,
        }),
    }];
    match append::append(link, group).await {
        Ok(_) | Err(AppendError::Refused(Refusal::Sequence)) => Ok(()),
        Err(AppendError::Refused(refusal)) => Err(LogError::Refused(format!("the log cannot be begun: {refusal}"))),
        Err(AppendError::Unknown(why)) => Err(LogError::Unavailable(format!("the log could not be begun: {why}"))),
    }
}

fn nonzero() -> u64 {
    rand::random::<u64>().max(1)
}
