//! Appending a group: one message as a plain publish, several as one atomic batch (ADR-50), both fenced on the stream's sequence.
//!
//! A batch is sent without waiting: the server stages its messages and stores all or none when the last one, which carries the
//! commit header, has come. Only the answer to that one matters, but an error that hits an earlier message is answered there,
//! and the last one then only says that the batch is incomplete; so a few of the earlier ones ask for an answer as well.

use std::fmt::{Display, Write as _};
use std::io::Write as _;

use async_nats::HeaderMap;

use super::acks::{self, Answer, Reply};
use super::link::Link;
use super::read;
use super::record::{self, Encoded};
use super::verdict::{self, Verdict};
use crate::state::Sequence;
use crate::store::log::{AppendError, EntryId, Identity, Outgoing, Refusal, Stamp};

const EXPECTED_LAST_SEQUENCE: &str = "Nats-Expected-Last-Sequence";
const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";

/// The server's own limit on a batch.
pub(super) const MAX_MESSAGES: usize = 1000;

/// Of `max_payload`, which counts headers too, this much is kept for them: jine's, NATS', and a key of
/// [`record::MAX_KEY_BYTES`] in base64.
pub(super) const HEADER_ROOM: usize = 48 * 1024;

pub(super) async fn append(link: &Link, group: Vec<Outgoing>) -> Result<Sequence, AppendError> {
    if let Some(why) = link.lost() {
        return Err(AppendError::Unknown(why));
    }
    let batch = Batch::new(link.client.max_payload(), group)?;
    let answered = async {
        match &link.publisher {
            Some(publisher) => publisher.exchange(&batch, &link.names.publish).await,
            None => by_client(link, &batch).await,
        }
    };
    let reply = match tokio::time::timeout(link.options.append_timeout, answered).await {
        Ok(Ok(reply)) => reply,
        Ok(Err(why)) => {
            link.lose(&why);
            return Err(AppendError::Unknown(why));
        }
        Err(_) => return Err(AppendError::Unknown("no acknowledgement in time".into())),
    };
    judge(link, &batch.first, batch.messages.len(), reply).await
}

/// A group that can be sent as a whole.
pub(super) struct Batch {
    first: Stamp,
    messages: Vec<Message>,
}

struct Message {
    encoded: Encoded,
    /// Whether an error is to be answered. Limits on space hit the largest first, everything else the first.
    tells: bool,
}

impl Batch {
    /// Nothing is sent unless everything can be: a message that is too big would end the connection in the middle of the group.
    fn new(max_payload: usize, group: Vec<Outgoing>) -> Result<Batch, AppendError> {
        let Some(first) = group.first().map(|message| message.stamp) else {
            return Err(refused("an empty group"));
        };
        if group.len() > MAX_MESSAGES {
            return Err(refused("more messages than an atomic batch may have"));
        }
        let mut messages = Vec::with_capacity(group.len());
        let mut largest = None;
        for outgoing in group {
            let encoded = record::encode(outgoing);
            check(&encoded, max_payload)?;
            let tells = largest < Some(encoded.payload.len());
            largest = largest.max(Some(encoded.payload.len()));
            messages.push(Message { encoded, tells });
        }
        Ok(Batch { first, messages })
    }

    fn is_last(&self, i: usize) -> bool {
        i + 1 == self.messages.len()
    }

    fn id(&self) -> Option<String> {
        (self.messages.len() > 1).then(|| batch_id(self.first.id))
    }

    /// As the protocol has it, for the subjects that begin with `prefix`, and for answers to `inbox` and the number.
    pub(super) fn write(&self, out: &mut Vec<u8>, prefix: &str, inbox: &str, number: u64) {
        let id = self.id();
        let (last, early) = (acks::last(inbox, number), acks::early(inbox, number));
        let mut headers = String::with_capacity(512);
        out.reserve(self.messages.iter().map(|message| message.encoded.payload.len() + 512).sum());
        for (i, Message { encoded, tells }) in self.messages.iter().enumerate() {
            headers.clear();
            self.write_headers(&mut headers, i, id.as_deref());
            let reply = if self.is_last(i) { &*last } else { if *tells { &*early } else { "" } };
            let (tokens, sizes) = (&encoded.tokens, (headers.len(), headers.len() + encoded.payload.len()));
            // Writing to a Vec cannot fail.
            let _ = write!(out, "HPUB {prefix}{tokens} {reply} {} {}\r\n", sizes.0, sizes.1);
            out.extend_from_slice(headers.as_bytes());
            out.extend_from_slice(&encoded.payload);
            out.extend_from_slice(b"\r\n");
        }
    }

    fn write_headers(&self, out: &mut String, i: usize, id: Option<&str>) {
        out.push_str("NATS/1.0\r\n");
        // Writing to a String cannot fail.
        self.headers(i, id, &mut |name, value| _ = write!(out, "{name}: {value}\r\n"));
        out.push_str("\r\n");
    }

    /// The names and values of message `i`'s headers.
    fn headers(&self, i: usize, id: Option<&str>, header: &mut dyn FnMut(&'static str, &dyn Display)) {
        let encoded = &self.messages[i].encoded;
        header(record::HEADER, &encoded.jine);
        if let Some(key) = &encoded.key {
            header(record::KEY_HEADER, key);
        }
        if encoded.delete {
            header(record::KV_OPERATION, &record::KV_DELETE);
        }
        if i == 0 {
            header(EXPECTED_LAST_SEQUENCE, &self.first.meant_for.0.saturating_sub(1));
        }
        if let Some(id) = id {
            header(BATCH_ID, &id);
            header(BATCH_SEQUENCE, &(i + 1));
            if self.is_last(i) {
                header(BATCH_COMMIT, &1);
            }
        }
    }
}

fn check(encoded: &Encoded, max_payload: usize) -> Result<(), AppendError> {
    if encoded.key.as_ref().is_some_and(|key| key.len() > record::MAX_KEY_BYTES * 4 / 3 + 4) {
        return Err(refused("a key that is longer than 32 KiB"));
    }
    let size = encoded.payload.len() + encoded.jine.len() + encoded.key.as_ref().map_or(0, String::len);
    if size + 512 > max_payload {
        return Err(refused("a message that is larger than the server's max_payload"));
    }
    Ok(())
}

/// Never used twice, as the entry's id never is. Half of the session is enough to tell those apart that are under way at once.
fn batch_id(id: EntryId) -> String {
    format!("{:08x}-{}", id.session.0 as u32, id.counter)
}

/// Sends a group by the client library, and waits for the answer.
async fn by_client(link: &Link, batch: &Batch) -> Result<Reply, String> {
    let mut expected = link.acks.expect();
    let id = batch.id();
    for (i, Message { encoded, tells }) in batch.messages.iter().enumerate() {
        let mut headers = HeaderMap::new();
        batch.headers(i, id.as_deref(), &mut |name, value| headers.insert(name, value.to_string()));
        let subject = format!("{}{}", link.names.publish, encoded.tokens);
        let payload = encoded.payload.clone();
        let sent = if batch.is_last(i) {
            link.client.publish_with_reply_and_headers(subject, expected.last(), headers, payload).await
        } else if *tells {
            link.client.publish_with_reply_and_headers(subject, expected.early(), headers, payload).await
        } else {
            link.client.publish_with_headers(subject, headers, payload).await
        };
        sent.map_err(|error| format!("the connection was lost: {error}"))?;
    }
    let reply = (&mut expected.receiver).await;
    reply.map_err(|_| link.lost().unwrap_or_else(|| "the connection was lost".into()))
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
