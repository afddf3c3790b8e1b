//! Reading single messages, the log's end and what is known of the stream.
//!
//! Everything here asks the stream's leader (STREAM.MSG.GET and STREAM.INFO); Direct Get, which any replica answers, is not used.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::api::{self, Failed, code};
use super::link::Link;
use super::message::{self, Headers};
use super::rfc3339;
use super::subject::{self, Internal};
use crate::state::Sequence;
use crate::store::log::{Incoming, LogError, LogInfo, Target};

#[derive(Deserialize)]
struct MsgGet {
    message: Stored,
}

#[derive(Deserialize)]
struct Stored {
    subject: String,
    seq: u64,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
    time: String,
}

/// The message at a place.
pub(super) async fn get(link: &Link, at: Sequence) -> Result<Option<Incoming>, LogError> {
    // The server takes 0 for "not given".
    if at == Sequence::ZERO {
        return Ok(None);
    }
    msg_get(link, json!({ "seq": at.0 })).await?.map(|stored| incoming(link, stored)).transpose()
}

/// The first message about a target at or above a place.
pub(super) async fn next_about(link: &Link, target: &Target, from: Sequence) -> Result<Option<Incoming>, LogError> {
    let subject = format!("{}{}", link.names.stored, tokens_of(target));
    let body = json!({ "next_by_subj": subject, "seq": from.0.max(1) });
    msg_get(link, body).await?.map(|stored| incoming(link, stored)).transpose()
}

/// The subject on which everything about a target stands, after `$KV.<bucket>.`.
pub(super) fn tokens_of(target: &Target) -> String {
    match target {
        Target::Key(key) => subject::encode_key(key).into_string(),
        Target::Lease(id) => subject::lease_tokens(*id),
        Target::Compactions => Internal::Compact.tokens().into(),
        Target::Fences => Internal::Fence.tokens().into(),
        Target::Claims => Internal::Claim.tokens().into(),
        Target::Alarms => Internal::Alarm.tokens().into(),
        Target::Checkpoints => Internal::Checkpoint.tokens().into(),
        Target::Tombstones => Internal::Tombstones.tokens().into(),
    }
}

/// The last place that is taken.
///
/// MSG.GET waits for a batch under way (it takes the stream's isolation lock), STREAM.INFO does not, so the first alone may say
/// that the log ends at its message. The server looks for the message *at* the last sequence: "no message found" means that
/// it was removed (or that the log is empty), and then only STREAM.INFO knows the number. That is safe: it is asked after
/// MSG.GET has waited, so it is not below anything acknowledged before, and if it names the middle of a newer batch, then
/// only a wait gets longer.
pub(super) async fn last(link: &Link) -> Result<Sequence, LogError> {
    match msg_get(link, json!({ "last_by_subj": ">" })).await? {
        Some(stored) => Ok(Sequence(stored.seq)),
        None => Ok(info(link).await?.last),
    }
}

async fn msg_get(link: &Link, body: serde_json::Value) -> Result<Option<Stored>, LogError> {
    match api::request::<MsgGet>(link, link.names.of_stream("STREAM.MSG.GET"), &body).await {
        Ok(got) => Ok(Some(got.message)),
        Err(error) if error.has_code(code::NO_MESSAGE_FOUND) => Ok(None),
        Err(error) => Err(error.into_log_error(link)),
    }
}

fn incoming(link: &Link, stored: Stored) -> Result<Incoming, LogError> {
    let damaged =
        |what: &str| LogError::Unavailable(format!("the answer about sequence {} has a bad {what}", stored.seq));
    let payload = STANDARD.decode(&stored.data).map_err(|_| damaged("payload"))?;
    let headers = STANDARD.decode(&stored.hdrs).map_err(|_| damaged("header"))?;
    let time = rfc3339::nanoseconds(&stored.time).ok_or_else(|| damaged("time"))?;
    let headers = String::from_utf8_lossy(&headers);
    Ok(message::incoming(
        &link.names,
        Sequence(stored.seq),
        &stored.subject,
        Headers::parse(&headers),
        &Bytes::from(payload),
        time,
    ))
}

#[derive(Deserialize)]
pub(super) struct StreamInfo {
    pub(super) created: String,
    pub(super) config: serde_json::Value,
    pub(super) state: StreamState,
    pub(super) cluster: Option<ClusterInfo>,
}

#[derive(Deserialize)]
pub(super) struct StreamState {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
}

#[derive(Deserialize)]
pub(super) struct ClusterInfo {
    #[serde(default)]
    pub(super) leader: String,
}

impl StreamInfo {
    pub(super) fn replicas(&self) -> usize {
        self.config["num_replicas"].as_u64().map_or(1, |n| n as usize)
    }
}

pub(super) async fn stream_info(link: &Link) -> Result<StreamInfo, Failed> {
    api::request(link, link.names.of_stream("STREAM.INFO"), &json!({})).await
}

pub(super) async fn info(link: &Link) -> Result<LogInfo, LogError> {
    let info = stream_info(link).await.map_err(|error| error.into_log_error(link))?;
    let replicas = info.replicas();
    let max_bytes = info.config["max_bytes"].as_i64().and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0);
    let leader = match info.cluster {
        Some(cluster) => cluster.leader,
        None => link.client.server_info().server_name,
    };
    Ok(LogInfo {
        created: info.created,
        first: Sequence(info.state.first_seq),
        last: Sequence(info.state.last_seq),
        messages: info.state.messages,
        bytes: info.state.bytes,
        max_bytes,
        replicas,
        leader,
    })
}
