//! One connection to NATS, from its first byte to its last. It is never reconnected: what was queued on it is gone with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_nats::{Client, ServerInfo};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::acks::Acks;
use super::connect;
use super::names::{self, Names};
use super::options::Options;
use super::publisher::Publisher;
use crate::store::log::LogError;

/// What every call on the bucket needs. Dropped (by everyone), it closes the connection.
pub(super) struct Link {
    pub(super) client: Client,
    pub(super) names: Names,
    pub(super) options: Options,
    pub(super) acks: Acks,
    /// Appends where it can.
    pub(super) publisher: Option<Arc<Publisher>>,
    /// Set once, to the reason, when this link is no longer to be used.
    lost: Arc<watch::Sender<Option<String>>>,
    /// Set once, to what changed about the stream: the link still works, but has to be checked anew.
    changed: Arc<watch::Sender<Option<String>>>,
    /// What the server last complained about: a refused permission shows nowhere else.
    complaint: connect::Complaint,
    /// Whether the bucket was good at some time. From then on what the server refuses is a trouble that may pass.
    known_good: AtomicBool,
    /// Ends the tasks of this link, so that nothing keeps the connection open.
    done: CancellationToken,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.done.cancel();
    }
}

impl Link {
    pub(super) async fn open(options: Options, known_good: bool) -> Result<Link, LogError> {
        match Link::try_open(options, known_good).await {
            // Credentials and versions were right before.
            Err(LogError::Fatal(why) | LogError::Refused(why)) if known_good => Err(LogError::Unavailable(why)),
            opened => opened,
        }
    }

    async fn try_open(options: Options, known_good: bool) -> Result<Link, LogError> {
        if !names::is_bucket(&options.bucket) {
            return Err(LogError::Fatal(format!(
                "{:?} cannot be a bucket's name: use letters, digits, - and _",
                options.bucket
            )));
        }
        let (client, complaint) = connect::connect(&options).await?;
        check_version(&client.server_info())?;
        let names = Names::new(&options.bucket, options.domain.as_deref());
        let lost = Arc::new(watch::Sender::new(None));
        let done = CancellationToken::new();
        let acks = Acks::subscribe(&client, lost.clone(), done.clone()).await?;
        let publisher = Publisher::connect(&options, format!("{}.", client.new_inbox())).await?;
        if let Some(publisher) = publisher.clone() {
            tokio::spawn(publisher.keep(done.clone()));
        }
        let changed = Arc::default();
        let known_good = AtomicBool::new(known_good);
        Ok(Link { client, names, options, acks, publisher, lost, changed, complaint, known_good, done })
    }

    pub(super) fn is_known_good(&self) -> bool {
        self.known_good.load(Ordering::Relaxed)
    }

    pub(super) fn is_good(&self) {
        self.known_good.store(true, Ordering::Relaxed);
    }

    /// Why the link is of no more use, if so.
    pub(super) fn lost(&self) -> Option<String> {
        self.lost.borrow().clone()
    }

    pub(super) fn watch_lost(&self) -> watch::Receiver<Option<String>> {
        self.lost.subscribe()
    }

    /// The first reason stays.
    pub(super) fn lose(&self, why: &str) {
        lose(&self.lost, why);
    }

    /// A token that ends with the link.
    pub(super) fn done(&self) -> CancellationToken {
        self.done.clone()
    }

    /// Resolves when the link is lost, or when the stream was changed.
    pub(super) async fn disturbed(&self) -> String {
        let (mut lost, mut changed) = (self.lost.subscribe(), self.changed.subscribe());
        let why = tokio::select! {
            why = lost.wait_for(Option::is_some) => why.ok().and_then(|why| why.clone()),
            why = changed.wait_for(Option::is_some) => why.ok().and_then(|why| why.clone()),
        };
        why.unwrap_or_default()
    }

    pub(super) fn disturbed_sender(&self) -> Arc<watch::Sender<Option<String>>> {
        self.changed.clone()
    }

    pub(super) fn complaint(&self) -> Option<String> {
        self.complaint.last()
    }
}

pub(super) fn lose(lost: &watch::Sender<Option<String>>, why: &str) {
    lost.send_if_modified(|lost| {
        let first = lost.is_none();
        if first {
            *lost = Some(why.to_owned());
        }
        first
    });
}

/// Older ones sync every message of a batch one by one, or lose purges.
const OLDEST_SERVER: (u64, u64, u64) = (2, 15, 1);

fn check_version(server: &ServerInfo) -> Result<(), LogError> {
    match parse_version(&server.version) {
        // A preview of a version comes before it.
        Some(version) if version > OLDEST_SERVER || (version == OLDEST_SERVER && !server.version.contains('-')) => {
            Ok(())
        }
        _ => Err(LogError::Fatal(format!(
            "nats-server {} at {}:{} is too old: jine needs 2.15.1 or later",
            server.version, server.host, server.port
        ))),
    }
}

fn parse_version(version: &str) -> Option<(u64, u64, u64)> {
    let mut numbers = version.split(['.', '-', '+']).map(|n| n.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_as_numbers() {
        for (version, good) in [
            ("2.15.1", true),
            ("2.15.0", false),
            ("2.9.30", false),
            ("2.15.1-RC.2", false),
            ("2.16.0-RC.1", true),
            ("3.0.0", true),
            ("", false),
        ] {
            let info = ServerInfo { version: version.into(), ..ServerInfo::default() };
            assert_eq!(check_version(&info).is_ok(), good, "{version}");
        }
    }
}
