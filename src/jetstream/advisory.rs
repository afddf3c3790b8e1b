//! Hearing of changes to the stream. Best effort: a user who may not subscribe hears nothing.

use futures_util::StreamExt;

use super::link::{self, Link};
use crate::store::log::LogError;

/// Before the check of the configuration, so that no change falls between.
pub(super) async fn watch(link: &Link) -> Result<Watching, LogError> {
    let subject = format!("$JS.EVENT.ADVISORY.STREAM.*.{}", link.names.stream);
    let messages = link.client.subscribe(subject).await;
    Ok(Watching(messages.map_err(|error| LogError::Unavailable(format!("the connection to NATS was lost: {error}")))?))
}

pub(super) struct Watching(async_nats::Subscriber);

impl Watching {
    /// From here on a change makes the link to be disturbed.
    pub(super) fn begin(mut self, link: &Link) {
        let (disturbed, done) = (link.disturbed_sender(), link.done());
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = self.0.next() => message,
                    () = done.cancelled() => None,
                };
                let Some(message) = message else { break };
                let kind = message.subject.as_str().split('.').nth(4).unwrap_or("").to_owned();
                // Not CREATED: that is this process' own doing, or comes after DELETED.
                if matches!(kind.as_str(), "UPDATED" | "DELETED") {
                    link::lose(&disturbed, &format!("the stream was {}", kind.to_lowercase()));
                }
            }
        });
    }
}
