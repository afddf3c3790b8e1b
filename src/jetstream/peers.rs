//! Questions between the jine processes of one bucket, as NATS requests on `$JINE.<bucket>.<session>`.
//!
//! A NATS user with limited permissions needs to publish and subscribe to `$JINE.<bucket>.>` (docs/log-format.md lists them all).

use std::time::Duration;

use async_nats::{Client, Message, Request, RequestErrorKind, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::link::Link;
use crate::store::log::{LogError, PeerError, Question, SessionId};

/// Questions that wait to be taken. More are dropped, and time out.
const WAITING: usize = 1024;

fn subject(link: &Link, session: SessionId) -> String {
    format!("$JINE.{}.{:016x}", link.names.bucket, session.0)
}

pub(super) async fn ask(link: &Link, peer: SessionId, question: Bytes, timeout: Duration) -> Result<Bytes, PeerError> {
    let request = Request::new().payload(question).timeout(Some(timeout));
    match link.client.send_request(subject(link, peer), request).await {
        // Not a slice of the connection's read buffer.
        Ok(answer) => Ok(Bytes::copy_from_slice(&answer.payload)),
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Err(PeerError::NoResponders),
        Err(_) => Err(PeerError::Timeout),
    }
}

/// Until the connection is lost or the receiver dropped; then nobody responds any more.
pub(super) async fn serve(link: &Link, me: SessionId) -> Result<mpsc::Receiver<Question>, LogError> {
    let lost =
        |error: &dyn std::fmt::Display| LogError::Unavailable(format!("the connection to NATS was lost: {error}"));
    let messages = link.client.subscribe(subject(link, me)).await.map_err(|error| lost(&error))?;
    // The server takes one after the other: once it says that nobody responds here, it knows of the subscription.
    let answered = link.client.request(format!("{}.sync", subject(link, me)), Bytes::new()).await;
    if let Err(error) = answered
        && error.kind() != RequestErrorKind::NoResponders
    {
        return Err(lost(&error));
    }
    let (sender, receiver) = mpsc::channel(WAITING);
    tokio::spawn(receive(link.client.clone(), messages, sender, link.done()));
    Ok(receiver)
}

async fn receive(client: Client, mut messages: Subscriber, sender: mpsc::Sender<Question>, done: CancellationToken) {
    loop {
        let message = tokio::select! {
            message = messages.next() => message,
            () = sender.closed() => None,
            () = done.cancelled() => None,
        };
        let Some(message) = message else { break };
        let Message { reply: Some(reply), payload, .. } = message else { continue };
        let (answer, answered) = oneshot::channel();
        let question = Question { question: Bytes::copy_from_slice(&payload), answer };
        if sender.try_send(question).is_err() {
            continue;
        }
        let client = client.clone();
        tokio::spawn(async move {
            // Whoever drops the question lets it time out.
            if let Ok(answer) = answered.await {
                let _ = client.publish(reply, answer).await;
            }
        });
    }
    let _ = messages.unsubscribe().await;
}
