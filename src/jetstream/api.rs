//! Requests to JetStream's API: JSON in, JSON out.

use std::time::Duration;

use async_nats::RequestErrorKind;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use super::acks::ApiError;
use super::link::Link;
use crate::store::log::LogError;

pub(super) mod code {
    pub(in crate::jetstream) const NO_SUITABLE_PEERS: u64 = 10005;
    pub(in crate::jetstream) const NO_MESSAGE_FOUND: u64 = 10037;
    pub(in crate::jetstream) const NOT_ENABLED_FOR_ACCOUNT: u64 = 10039;
    pub(in crate::jetstream) const STREAM_NAME_IN_USE: u64 = 10058;
    pub(in crate::jetstream) const STREAM_NOT_FOUND: u64 = 10059;
    pub(in crate::jetstream) const NOT_ENABLED: u64 = 10076;
}

/// Why a request has no result.
#[derive(Debug)]
pub(super) enum Failed {
    /// The server's own answer.
    Api(ApiError),
    /// Nothing answers on that subject.
    NoResponders,
    /// No answer, or none that can be understood.
    Log(LogError),
}

impl Failed {
    pub(super) fn has_code(&self, code: u64) -> bool {
        matches!(self, Failed::Api(error) if error.err_code == code)
    }

    /// As the store sees it. What looks like a mistake of somebody's at the first contact is an outage where it was good before.
    pub(super) fn into_log_error(self, link: &Link) -> LogError {
        match self.into_first_error(link) {
            LogError::Refused(why) if link.is_known_good() => LogError::Unavailable(why),
            error => error,
        }
    }

    fn into_first_error(self, link: &Link) -> LogError {
        match self {
            Failed::Log(error) => error,
            Failed::NoResponders if !link.client.server_info().jetstream && link.options.domain.is_none() => {
                LogError::Refused(
                    "JetStream is not enabled on the NATS server: start it with -js or a jetstream block in its configuration"
                        .into(),
                )
            }
            Failed::NoResponders => LogError::Unavailable("no JetStream server answers".into()),
            Failed::Api(error) => match error.err_code {
                code::STREAM_NOT_FOUND => LogError::StreamMissing,
                code::NOT_ENABLED | code::NOT_ENABLED_FOR_ACCOUNT => LogError::Refused(format!(
                    "JetStream cannot be used with this NATS account: {}",
                    error.description
                )),
                // A cluster of which not enough servers have started yet.
                code::NO_SUITABLE_PEERS => LogError::Unavailable(format!(
                    "the NATS cluster has no place for the bucket's replicas yet: {}",
                    error.description
                )),
                // 503: temporarily unavailable, no leader.
                _ if error.code == 503 => LogError::Unavailable(error.description),
                code => LogError::Refused(format!("JetStream refused: {} ({code})", error.description)),
            },
        }
    }
}

/// A stream that was there is believed to be gone only after this long: a server of a cluster that has just become leader may not
/// know it yet.
const MISSING_FOR: Duration = Duration::from_secs(2);

pub(super) async fn request<T: DeserializeOwned>(
    link: &Link,
    subject: String,
    body: &impl Serialize,
) -> Result<T, Failed> {
    let began = Instant::now();
    loop {
        match request_once(link, &subject, body).await {
            Err(error)
                if error.has_code(code::STREAM_NOT_FOUND) && link.is_known_good() && began.elapsed() < MISSING_FOR =>
            {
                tokio::time::sleep(MISSING_FOR / 8).await;
            }
            answered => return answered,
        }
    }
}

async fn request_once<T: DeserializeOwned>(link: &Link, subject: &str, body: &impl Serialize) -> Result<T, Failed> {
    let unavailable = |why: String| Failed::Log(LogError::Unavailable(why));
    if let Some(why) = link.lost() {
        return Err(unavailable(why));
    }
    let body = serde_json::to_vec(body).map_err(|error| unavailable(error.to_string()))?;
    let answer = link.client.request(subject.to_owned(), body.into()).await;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) if error.kind() == RequestErrorKind::NoResponders => return Err(Failed::NoResponders),
        Err(error) if error.kind() == RequestErrorKind::TimedOut => return Err(Failed::Log(timed_out(link, subject))),
        Err(_) => return Err(unavailable(link.lost().unwrap_or_else(|| "the connection to NATS was lost".into()))),
    };
    let nonsense = |error: serde_json::Error| unavailable(format!("the answer to {subject} makes no sense: {error}"));
    let value: Value = serde_json::from_slice(&answer.payload).map_err(nonsense)?;
    if let Some(error) = value.get("error") {
        return Err(Failed::Api(ApiError::deserialize_or_text(error)));
    }
    serde_json::from_value(value).map_err(nonsense)
}

/// A request that is not permitted gets no answer, only a complaint that names its subject.
fn timed_out(link: &Link, subject: &str) -> LogError {
    match link.complaint() {
        Some(complaint) if complaint.contains(subject) && !link.is_known_good() => {
            LogError::Refused(format!("the NATS user lacks a permission: {complaint}"))
        }
        _ => LogError::Unavailable(format!("JetStream did not answer {subject} in time")),
    }
}

impl ApiError {
    fn deserialize_or_text(error: &Value) -> ApiError {
        serde_json::from_value(error.clone()).unwrap_or_else(|_| ApiError {
            code: 0,
            err_code: 0,
            description: error.to_string(),
        })
    }
}
