//! Answers to publishes: one inbox for all of a connection, read by one task.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::{Client, Message, StatusCode, Subscriber};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::link;
use crate::store::log::LogError;

/// What the server said to a publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Stored {
        sequence: u64,
        count: u64,
    },
    Error {
        code: u64,
        text: String,
    },
    /// Nobody listens on the subject: no stream, or none that has a leader.
    NoResponders,
    Unintelligible(String),
}

/// An answer, and to which of a group's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// To the last message (the commit of a batch, or the only one).
    pub(super) last: bool,
    pub(super) answer: Answer,
}

type Waiting = Mutex<HashMap<u64, oneshot::Sender<Reply>>>;

pub(super) struct Acks {
    /// Up to and with the last dot.
    inbox: String,
    next: AtomicU64,
    waiting: Arc<Waiting>,
}

impl Acks {
    pub(super) async fn subscribe(
        client: &Client,
        lost: Arc<watch::Sender<Option<String>>>,
        done: CancellationToken,
    ) -> Result<Acks, LogError> {
        let inbox = format!("{}.", client.new_inbox());
        let subscriber = client.subscribe(format!("{inbox}*")).await;
        let subscriber = subscriber.map_err(|error| LogError::Unavailable(format!("lost NATS: {error}")))?;
        let waiting = Arc::new(Waiting::default());
        tokio::spawn(read(subscriber, waiting.clone(), lost, done));
        Ok(Acks { inbox, next: AtomicU64::new(0), waiting })
    }

    /// The one wait for a group. At most one reply comes; if the connection is lost, none.
    pub(super) fn expect(&self) -> Expected<'_> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(number, sender);
        Expected { acks: self, number, receiver }
    }
}

/// Forgets about the reply when dropped.
pub(super) struct Expected<'a> {
    acks: &'a Acks,
    number: u64,
    pub(super) receiver: oneshot::Receiver<Reply>,
}

impl Expected<'_> {
    /// Where the answer to the last message is to go.
    pub(super) fn last(&self) -> String {
        format!("{}{}", self.acks.inbox, self.number)
    }

    /// Where errors of the messages before it are to go.
    pub(super) fn early(&self) -> String {
        format!("{}{}e", self.acks.inbox, self.number)
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        lock(&self.acks.waiting).remove(&self.number);
    }
}

fn lock(waiting: &Waiting) -> std::sync::MutexGuard<'_, HashMap<u64, oneshot::Sender<Reply>>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Until the connection is lost, which ends the subscription, or the link is dropped.
async fn read(
    mut replies: Subscriber,
    waiting: Arc<Waiting>,
    lost: Arc<watch::Sender<Option<String>>>,
    done: CancellationToken,
) {
    loop {
        let message = tokio::select! {
            message = replies.next() => message,
            () = done.cancelled() => None,
        };
        let Some(message) = message else { break };
        let Some((number, last)) = number_of(&message) else { continue };
        // A staged message of a batch is answered by an empty one: only its errors matter.
        if !last && message.payload.is_empty() && message.status.is_none() {
            continue;
        }
        if let Some(waiter) = lock(&waiting).remove(&number) {
            // Nobody waiting any more is fine.
            let _ = waiter.send(Reply { last, answer: answer_of(&message) });
        }
    }
    link::lose(&lost, "the connection to NATS was lost");
    // Dropping the senders fails every wait at once.
    lock(&waiting).clear();
}

fn number_of(message: &Message) -> Option<(u64, bool)> {
    let token = message.subject.as_str().rsplit('.').next()?;
    match token.strip_suffix('e') {
        Some(number) => Some((number.parse().ok()?, false)),
        None => Some((token.parse().ok()?, true)),
    }
}

#[derive(Deserialize)]
struct PubAck {
    #[serde(default)]
    seq: u64,
    #[serde(default)]
    count: u64,
    error: Option<ApiError>,
}

/// An error as all of JetStream's API gives it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub(super) struct ApiError {
    #[serde(default)]
    pub(super) code: u64,
    #[serde(default)]
    pub(super) err_code: u64,
    #[serde(default)]
    pub(super) description: String,
}

fn answer_of(message: &Message) -> Answer {
    if message.status == Some(StatusCode::NO_RESPONDERS) {
        return Answer::NoResponders;
    }
    match serde_json::from_slice::<PubAck>(&message.payload) {
        Ok(PubAck { error: Some(error), .. }) => Answer::Error { code: error.err_code, text: error.description },
        Ok(PubAck { seq, count, .. }) if seq > 0 => Answer::Stored { sequence: seq, count },
        _ => Answer::Unintelligible(String::from_utf8_lossy(&message.payload).into_owned()),
    }
}
