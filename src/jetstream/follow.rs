//! Reading the log in order, live after its end: an ephemeral push consumer of our own.
//!
//! It is never resumed in place. At the first sign that something may be missing (a gap in the consumer's own numbers, silence, a
//! lost connection) it ends with an error, and whoever follows asks for a new one from where it stands.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, StatusCode, Subscriber};
use futures_util::StreamExt;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::watch;
use tokio::time::Instant;

use super::api;
use super::link::Link;
use super::message::{self, Headers};
use super::read;
use crate::state::Sequence;
use crate::store::log::{Follow, Followed, LogError};

/// Heartbeats that may stay out.
const MISSED_HEARTBEATS: u32 = 4;

/// The server forgets the consumer this long after the subscription is gone.
const INACTIVE: Duration = Duration::from_secs(5);

pub struct Follower {
    link: Arc<Link>,
    messages: Subscriber,
    lost: watch::Receiver<Option<String>>,
    consumer: String,
    /// The consumer's number of the last message.
    delivered: u64,
    /// The last sequence up to which everything was delivered.
    reached: Sequence,
    /// To be delivered next.
    next: Option<Followed>,
    silent_after: Instant,
}

#[derive(Deserialize)]
struct ConsumerInfo {
    name: String,
}

pub(super) async fn follow(link: Arc<Link>, from: Sequence) -> Result<Follower, LogError> {
    let from = Sequence(from.0.max(1));
    let info = read::stream_info(&link).await.map_err(|error| error.into_log_error(&link))?;
    // The server does not clamp a start beyond the end: the consumer would wait in silence for a log that was cut back.
    if from.0 > info.state.last_seq + 1 {
        return Err(LogError::Unavailable(format!("the log ends at {}, before {from}", info.state.last_seq)));
    }
    let inbox = link.client.new_inbox();
    let messages = link.client.subscribe(inbox.clone()).await;
    let messages =
        messages.map_err(|error| LogError::Unavailable(format!("the connection to NATS was lost: {error}")))?;
    let created = create_consumer(&link, &inbox, from).await?;
    Ok(Follower {
        lost: link.watch_lost(),
        silent_after: Instant::now() + silence(&link),
        messages,
        consumer: created.name,
        delivered: 0,
        reached: Sequence(from.0 - 1),
        next: None,
        link,
    })
}

async fn create_consumer(link: &Link, inbox: &str, from: Sequence) -> Result<ConsumerInfo, LogError> {
    let body = json!({
        "stream_name": link.names.stream,
        "config": {
            "description": "jine",
            "deliver_subject": inbox,
            "deliver_policy": "by_start_sequence",
            "opt_start_seq": from.0,
            "ack_policy": "none",
            "replay_policy": "instant",
            "flow_control": true,
            "idle_heartbeat": link.options.heartbeat.as_nanos() as u64,
            "inactive_threshold": INACTIVE.as_nanos() as u64,
            "mem_storage": true,
            "num_replicas": 1,
        },
    });
    let created = api::request(link, link.names.of_stream("CONSUMER.CREATE"), &body).await;
    created.map_err(|error| error.into_log_error(link))
}

fn silence(link: &Link) -> Duration {
    link.options.heartbeat * MISSED_HEARTBEATS
}

impl Follow for Follower {
    /// May be dropped and called again without losing anything.
    async fn next(&mut self) -> Result<Followed, LogError> {
        loop {
            if let Some(next) = self.next.take() {
                return Ok(next);
            }
            let message = self.receive().await?;
            match message.status {
                None => return self.deliver(&message),
                Some(StatusCode::IDLE_HEARTBEAT) => self.control(&message).await?,
                Some(status) => {
                    let why = message.description.unwrap_or_default();
                    return Err(LogError::Unavailable(format!("the server ended the following: {status} {why}")));
                }
            }
        }
    }
}

impl Follower {
    async fn receive(&mut self) -> Result<Message, LogError> {
        let received = tokio::time::timeout_at(self.silent_after, self.messages.next());
        let message = tokio::select! {
            // What is there comes first.
            biased;
            message = received => message,
            _ = self.lost.wait_for(Option::is_some) => Ok(None),
        };
        match message {
            Ok(Some(message)) => {
                self.silent_after = Instant::now() + silence(&self.link);
                Ok(message)
            }
            Ok(None) => {
                Err(LogError::Unavailable(self.link.lost().unwrap_or_else(|| "the connection to NATS was lost".into())))
            }
            Err(_) => Err(LogError::Unavailable("nothing was heard from the log for too long".into())),
        }
    }

    fn deliver(&mut self, message: &Message) -> Result<Followed, LogError> {
        let position = message.reply.as_ref().and_then(|reply| Position::parse(reply.as_str()));
        let position = position.ok_or_else(|| LogError::Unavailable("a message without its position".into()))?;
        if position.consumer != self.delivered + 1 {
            return Err(gap(self.delivered, position.consumer));
        }
        self.delivered = position.consumer;
        self.reached = position.stream;
        let headers = Headers::of(message.headers.as_ref());
        Ok(Followed::Message(message::incoming(
            &self.link.names,
            position.stream,
            message.subject.as_str(),
            headers,
            &message.payload,
            position.time,
        )))
    }

    /// A heartbeat, or a request to say that all before it was received.
    async fn control(&mut self, message: &Message) -> Result<(), LogError> {
        let header = |name: &str| message.headers.as_ref().and_then(|map| map.get(name)).map(|value| value.as_str());
        if let Some(reply) = &message.reply {
            return self.answer(reply.to_string()).await;
        }
        let number = |name| header(name).and_then(|value| value.parse::<u64>().ok());
        if let (Some(consumer), Some(stream)) = (number("Nats-Last-Consumer"), number("Nats-Last-Stream")) {
            if consumer != self.delivered {
                return Err(gap(self.delivered, consumer));
            }
            // It also passes messages that were removed, which are never delivered. It never goes back. Nothing else tells of a removed end
            // for certain: what a message says is still to come can be one too low, where one was removed while the consumer was made.
            self.reached = self.reached.max(Sequence(stream));
            self.next = Some(Followed::Reached(self.reached));
        }
        // The answer to an earlier request was lost.
        if let Some(stalled) = header("Nats-Consumer-Stalled") {
            self.answer(stalled.to_owned()).await?;
        }
        Ok(())
    }

    async fn answer(&self, to: String) -> Result<(), LogError> {
        let sent = self.link.client.publish(to, bytes::Bytes::new()).await;
        sent.map_err(|error| LogError::Unavailable(format!("the connection to NATS was lost: {error}")))
    }
}

fn gap(delivered: u64, found: u64) -> LogError {
    LogError::Unavailable(format!("messages were missed: number {found} came after number {delivered}"))
}

impl Drop for Follower {
    /// Best effort: the server does it by itself a little later.
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let subject = format!("{}.{}", self.link.names.of_stream("CONSUMER.DELETE"), self.consumer);
        // Not the link: a follower that ends must not hold a lost connection.
        let client = self.link.client.clone();
        runtime.spawn(async move {
            let _ = client.request(subject, bytes::Bytes::new()).await;
        });
    }
}

/// What a delivered message's reply subject tells: `$JS.ACK.<stream>.<consumer>.<tries>.<stream seq>.<consumer seq>.<time>.<pending>`,
/// or with domain and account hash before the stream's name and perhaps a token more at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    stream: Sequence,
    consumer: u64,
    /// Nanoseconds since 1970.
    time: i64,
}

impl Position {
    fn parse(reply: &str) -> Option<Position> {
        let rest = reply.strip_prefix("$JS.ACK.")?;
        let tokens = rest.split('.').count();
        let before = if tokens == 7 { 3 } else { 5 };
        let mut numbers = rest.split('.').skip(before).map(str::parse::<i64>);
        let mut number = || numbers.next()?.ok();
        Some(Position {
            stream: Sequence(u64::try_from(number()?).ok()?),
            consumer: u64::try_from(number()?).ok()?,
            time: number()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_of_both_forms() {
        let position = Position { stream: Sequence(7), consumer: 3, time: 1_700_000_000_123_456_789 };
        for reply in [
            "$JS.ACK.KV_b.cons.1.7.3.1700000000123456789.2",
            "$JS.ACK._.hash.KV_b.cons.1.7.3.1700000000123456789.2",
            "$JS.ACK.hub.hash.KV_b.cons.1.7.3.1700000000123456789.2.rand",
        ] {
            assert_eq!(Position::parse(reply), Some(position), "{reply}");
        }
        for reply in ["", "$JS.ACK.KV_b", "x.y", "$JS.ACK.KV_b.cons.1.7.3.x.2"] {
            assert_eq!(Position::parse(reply), None, "{reply}");
        }
    }
}
