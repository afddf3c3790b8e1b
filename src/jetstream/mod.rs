//! The log on a JetStream stream: the only part that knows NATS.
//!
//! [`JetStream`] implements [`Log`] and [`Peers`]. It moves messages and tells what the server said; what counts is decided in
//! `store`. docs/log-format.md describes what stands in the bucket.

mod account;
mod acks;
mod advisory;
mod api;
mod append;
mod bucket;
#[doc(hidden)]
pub mod codec;
mod config;
mod connect;
mod credentials;
mod fields;
mod follow;
mod link;
mod message;
mod names;
mod options;
mod payload;
mod peers;
mod publisher;
mod purge;
mod read;
mod record;
mod rfc3339;
mod subject;
mod tls;
mod verdict;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

pub use follow::Follower;
pub use options::{Credentials, Disk, Options, Secret, Tls};

use crate::state::Sequence;
use crate::store::log::{
    AppendError, Incoming, Log, LogError, LogInfo, Outgoing, PeerError, Peers, Question, SessionId, Target, Traits,
};
use bucket::Found;
use link::Link;

/// A bucket, by way of one connection at a time.
pub struct JetStream {
    /// Asked at every connection.
    options: Box<Ask>,
    current: RwLock<Current>,
    reconnecting: tokio::sync::Mutex<()>,
}

/// How to connect, or why it makes no sense to try now.
type Ask = dyn Fn() -> Result<Options, String> + Send + Sync;

#[derive(Clone)]
struct Current {
    link: Arc<Link>,
    traits: Traits,
    replicas: usize,
}

/// Connects, and creates or checks the bucket. One attempt.
pub async fn open(options: Options) -> Result<JetStream, LogError> {
    open_with(move || Ok(options.clone())).await
}

/// The same with options that are asked for at every connection. Whoever runs the server refuses them while it is being started.
pub async fn open_with(
    options: impl Fn() -> Result<Options, String> + Send + Sync + 'static,
) -> Result<JetStream, LogError> {
    let current = connect(options().map_err(LogError::Unavailable)?, true).await?;
    Ok(JetStream {
        options: Box::new(options),
        current: RwLock::new(current),
        reconnecting: tokio::sync::Mutex::new(()),
    })
}

async fn connect(options: Options, create: bool) -> Result<Current, LogError> {
    let link = Link::open(options, !create).await?;
    let watching = advisory::watch(&link).await?;
    let found = if create { bucket::ensure(&link).await? } else { bucket::recheck(&link).await? };
    link.is_good();
    watching.begin(&link);
    let traits = traits(&link, found);
    Ok(Current { link: Arc::new(link), traits, replicas: found.replicas })
}

fn traits(link: &Link, found: Found) -> Traits {
    let max_payload = link.client.max_payload();
    let max_message = found.max_message.map_or(max_payload, |limit| limit.min(max_payload));
    let replicated = found.replicas > 1;
    Traits {
        exclusive: link.options.exclusive,
        replicated,
        // The server's timer has passed over everything that is older than two rounds of it.
        synced_after: if replicated { Duration::ZERO } else { link.options.sync_interval * 2 },
        max_group_messages: append::MAX_MESSAGES,
        max_record_bytes: max_message.saturating_sub(append::HEADER_ROOM),
    }
}

impl JetStream {
    fn current(&self) -> Current {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn link(&self) -> Arc<Link> {
        self.current().link
    }
}

impl Log for JetStream {
    type Follower = Follower;

    fn traits(&self) -> Traits {
        self.current.read().unwrap_or_else(PoisonError::into_inner).traits
    }

    async fn append(&self, group: Vec<Outgoing>) -> Result<Sequence, AppendError> {
        append::append(&self.link(), group).await
    }

    async fn last(&self) -> Result<Sequence, LogError> {
        read::last(&self.link()).await
    }

    async fn get(&self, at: Sequence) -> Result<Option<Incoming>, LogError> {
        read::get(&self.link(), at).await
    }

    async fn next_about(&self, target: &Target, from: Sequence) -> Result<Option<Incoming>, LogError> {
        read::next_about(&self.link(), target, from).await
    }

    async fn info(&self) -> Result<LogInfo, LogError> {
        read::info(&self.link()).await
    }

    async fn account_left(&self) -> Option<u64> {
        let current = self.current();
        account::left(&current.link, current.replicas).await
    }

    fn disk_left(&self) -> Option<u64> {
        self.link().options.disk.left()
    }

    async fn follow(&self, from: Sequence) -> Result<Follower, LogError> {
        follow::follow(self.link(), from).await
    }

    async fn purge(&self, target: &Target, below: Sequence) -> Result<u64, LogError> {
        purge::purge(&self.link(), target, below).await
    }

    async fn disturbed(&self) -> String {
        let link = self.link();
        link.disturbed().await
    }

    async fn reconnect(&self) -> Result<(), LogError> {
        let _one_at_a_time = self.reconnecting.lock().await;
        // First of all, so that nothing more is published on the old one, whatever comes of this.
        self.link().lose("the connection is being replaced");
        let options = (self.options)().map_err(LogError::Unavailable)?;
        let current = connect(options, false).await?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        Ok(())
    }
}

impl Peers for JetStream {
    async fn ask(&self, peer: SessionId, question: Bytes, timeout: Duration) -> Result<Bytes, PeerError> {
        peers::ask(&self.link(), peer, question, timeout).await
    }

    async fn serve(&self, me: SessionId) -> Result<mpsc::Receiver<Question>, LogError> {
        peers::serve(&self.link(), me).await
    }
}
