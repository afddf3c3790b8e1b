//! Appending a group: one message as a plain publish, several as one atomic batch (ADR-50), both fenced on the stream's sequence.
//!
//! A batch is sent without waiting: the server stages its messages and stores all or none when the last one, which carries the
//! commit header, has come. Only the answer to that one matters, but an error that hits an earlier message is answered there,
//! and the last one then only says that the batch is incomplete; so a few of the earlier ones ask for an answer as well.

use async_nats::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;

use super::acks::{Answer, Expected, Reply};
use super::link::Link;
use super::read;
use super::record::{self, Encoded};
use super::verdict::{self, Verdict};
use crate::state::Sequence;
use crate::store::log::{AppendError, EntryId, Identity, Outgoing, Refusal, Stamp};

const JINE: HeaderName = HeaderName::from_static(record::HEADER);
const JINE_KEY: HeaderName = HeaderName::from_static(record::KEY_HEADER);
const KV_OPERATION: HeaderName = HeaderName::from_static(record::KV_OPERATION);
const EXPECTED_LAST_SEQUENCE: HeaderName = HeaderName::from_static("Nats-Expected-Last-Sequence");
const BATCH_ID: HeaderName = HeaderName::from_static("Nats-Batch-Id");
const BATCH_SEQUENCE: HeaderName = HeaderName::from_static("Nats-Batch-Sequence");
const BATCH_COMMIT: HeaderName = HeaderName::from_static("Nats-Batch-Commit");

/// The server's own limit on a batch.
pub(super) const MAX_MESSAGES: usize = 1000;

/// Of `max_payload`, which counts headers too, this much is kept for them: jine's, NATS', and a key of
/// [`record::MAX_KEY_BYTES`] in base64.
pub(super) const HEADER_ROOM: usize = 48 * 1024;

pub(super) async fn append(link: &Link, group: Vec<Outgoing>) -> Result<Sequence, AppendError> {
    if let Some(why) = link.lost() {
        return Err(AppendError::Unknown(why));
    }
    let Some(first) = group.first().map(|message| message.stamp) else {
        return Err(refused("an empty group"));
    };
    let count = group.len();
    let messages = prepare(link, group)?;
    let expected = link.acks.expect();
    let answered = async {
        send(link, messages, &expected).await?;
        let mut expected = expected;
        (&mut expected.receiver).await.map_err(|_| link.lost().unwrap_or_else(|| "the connection was lost".into()))
    };
    let reply = match tokio::time::timeout(link.options.append_timeout, answered).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(why)) => return Err(AppendError::Unknown(why)),
        Err(_) => return Err(AppendError::Unknown("no acknowledgement in time".into())),
    };
    judge(link, &first, count, reply).await
}

struct Prepared {
    subject: String,
    headers: HeaderMap,
    payload: Bytes,
}

/// Nothing is sent unless everything can be: a message that is too big would end the connection in the middle of the group.
fn prepare(link: &Link, group: Vec<Outgoing>) -> Result<Vec<Prepared>, AppendError> {
    let count = group.len();
    let max_payload = link.client.max_payload();
    if count > MAX_MESSAGES {
        return Err(refused("more messages than an atomic batch may have"));
    }
    let first = group[0].stamp;
    let batch = (count > 1).then(|| batch_id(first.id));
    let mut messages = Vec::with_capacity(count);
    for (i, outgoing) in group.into_iter().enumerate() {
        let encoded = record::encode(outgoing);
        if encoded.key.as_ref().is_some_and(|key| key.len() > record::MAX_KEY_BYTES * 4 / 3 + 4) {
            return Err(refused("a key that is longer than 32 KiB"));
        }
        let size = encoded.payload.len() + encoded.jine.len() + encoded.key.as_ref().map_or(0, String::len);
        if size + 512 > max_payload {
            return Err(refused("a message that is larger than the server's max_payload"));
        }
        let mut message = message(link, encoded);
        if i == 0 {
            message.headers.insert(EXPECTED_LAST_SEQUENCE, HeaderValue::from(first.meant_for.0.saturating_sub(1)));
        }
        if let Some(batch) = &batch {
            message.headers.insert(BATCH_ID, batch.as_str());
            message.headers.insert(BATCH_SEQUENCE, HeaderValue::from(i + 1));
            if i + 1 == count {
                message.headers.insert(BATCH_COMMIT, "1");
            }
        }
        messages.push(message);
    }
    Ok(messages)
}

fn message(link: &Link, encoded: Encoded) -> Prepared {
    let mut subject = String::with_capacity(link.names.publish.len() + encoded.tokens.len());
    subject.push_str(&link.names.publish);
    subject.push_str(&encoded.tokens);
    let mut headers = HeaderMap::new();
    headers.insert(JINE, encoded.jine);
    if let Some(key) = encoded.key {
        headers.insert(JINE_KEY, key);
    }
    if encoded.delete {
        headers.insert(KV_OPERATION, record::KV_DELETE);
    }
    Prepared { subject, headers, payload: encoded.payload }
}

/// Never used twice, as the entry's id never is. Half of the session is enough to tell those apart that are under way at once.
fn batch_id(id: EntryId) -> String {
    format!("{:08x}-{}", id.session.0 as u32, id.counter)
}

async fn send(link: &Link, messages: Vec<Prepared>, expected: &Expected<'_>) -> Result<(), String> {
    let last = messages.len() - 1;
    let mut largest = 0;
    for (i, Prepared { subject, headers, payload }) in messages.into_iter().enumerate() {
        // Limits on space hit the largest first, everything else the first.
        let telling = i == 0 || payload.len() > largest;
        largest = largest.max(payload.len());
        let sent = if i == last {
            link.client.publish_with_reply_and_headers(subject, expected.last(), headers, payload).await
        } else if telling {
            link.client.publish_with_reply_and_headers(subject, expected.early(), headers, payload).await
        } else {
            link.client.publish_with_headers(subject, headers, payload).await
        };
        sent.map_err(|error| format!("the connection was lost: {error}"))?;
    }
    Ok(())
}

async fn judge(link: &Link, first: &Stamp, count: usize, reply: Reply) -> Result<Sequence, AppendError> {
    let last = Sequence(first.meant_for.0 + count as u64 - 1);
    match reply.answer {
        Answer::Stored { sequence, count: stored } => {
            if reply.last && sequence == last.0 && (count == 1 || stored == count as u64) {
                return Ok(last);
            }
            Err(AppendError::Unknown(format!("acknowledged at {sequence} where {last} was meant")))
        }
        Answer::NoResponders => Err(AppendError::Unknown("no JetStream server takes messages for the bucket".into())),
        Answer::Unintelligible(text) => {
            Err(AppendError::Unknown(format!("an acknowledgement that makes no sense: {text}")))
        }
        Answer::Error { code, text } => match verdict::of(code, text, count > 1 && reply.last) {
            Verdict::Refused(refusal) => Err(AppendError::Refused(refusal)),
            Verdict::Unknown(text) => Err(AppendError::Unknown(text)),
            Verdict::RefusedUnlessBegun(refusal) => refused_unless_begun(link, first, refusal).await,
        },
    }
}

/// A limit that is met while a batch is being committed (one replica only) leaves it half stored, and a restart of the server may
/// finish it. The server has answered, so it is through with it: if the first place holds another message or none, then
/// the limit was met before anything was stored.
async fn refused_unless_begun(link: &Link, first: &Stamp, refusal: Refusal) -> Result<Sequence, AppendError> {
    match read::get(link, first.meant_for).await {
        Ok(Some(found)) if found.identity == Identity::Ours(first.id, first.part) => {
            Err(AppendError::Unknown(format!("stored in part: {refusal}")))
        }
        Ok(_) => Err(AppendError::Refused(refusal)),
        Err(error) => Err(AppendError::Unknown(format!("{refusal}, perhaps after a part was stored: {error}"))),
    }
}

fn refused(why: &str) -> AppendError {
    AppendError::Refused(Refusal::Other(why.into()))
}
