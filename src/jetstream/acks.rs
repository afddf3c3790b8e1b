//! Answers to publishes: one inbox for all of a connection, read by one task.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::{Client, StatusCode, Subscriber};
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
    pub(super) fn last(&self) -> String {
        last(&self.acks.inbox, self.number)
    }

    pub(super) fn early(&self) -> String {
        early(&self.acks.inbox, self.number)
    }
}

/// Where the answer to the last message of a group is to go.
pub(super) fn last(inbox: &str, number: u64) -> String {
    format!("{inbox}{number}")
}

/// Where errors of the messages before it are to go.
pub(super) fn early(inbox: &str, number: u64) -> String {
    format!("{inbox}{number}e")
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
        let Some((number, last)) = number_of(&message.subject) else { continue };
        let no_responders = message.status == Some(StatusCode::NO_RESPONDERS);
        if !no_responders && is_staged(last, &message.payload) {
            continue;
        }
        if let Some(waiter) = lock(&waiting).remove(&number) {
            // Nobody waiting any more is fine.
            let _ = waiter.send(Reply { last, answer: answer_of(no_responders, &message.payload) });
        }
    }
    link::lose(&lost, "the connection to NATS was lost");
    // Dropping the senders fails every wait at once.
    lock(&waiting).clear();
}

/// A staged message of a batch is answered by an empty one: only errors of messages that are not the last matter.
pub(super) fn is_staged(last: bool, payload: &[u8]) -> bool {
    !last && payload.is_empty()
}

/// The group's number, and whether it is about its last message.
pub(super) fn number_of(subject: &str) -> Option<(u64, bool)> {
    let token = subject.rsplit('.').next()?;
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

pub(super) fn answer_of(no_responders: bool, payload: &[u8]) -> Answer {
    if no_responders {
        return Answer::NoResponders;
    }
    match serde_json::from_slice::<PubAck>(payload) {
        Ok(PubAck { error: Some(error), .. }) => Answer::Error { code: error.err_code, text: error.description },
        Ok(PubAck { seq, count, .. }) if seq > 0 => Answer::Stored { sequence: seq, count },
        _ => Answer::Unintelligible(String::from_utf8_lossy(payload).into_owned()),
    }
}
