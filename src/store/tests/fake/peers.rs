//! Questions between the jine of a test.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::log::FakeLog;
use crate::store::log::{PeerError, Question, SessionId};

impl FakeLog {
    pub(super) async fn ask_peer(&self, peer: SessionId, question: Bytes) -> Result<Bytes, PeerError> {
        if self.reach_server().await.is_err() {
            return std::future::pending().await;
        }
        let listener = self.stream.lock().peers.get(&peer).cloned();
        let Some(listener) = listener else { return Err(PeerError::NoResponders) };
        let (answer, answered) = oneshot::channel();
        if listener.send(Question { question, answer }).await.is_err() {
            return Err(PeerError::NoResponders);
        }
        match answered.await {
            Ok(answer) => Ok(answer),
            // Nobody answers any more.
            Err(_) => std::future::pending().await,
        }
    }

    pub(super) fn register(&self, me: SessionId) -> mpsc::Receiver<Question> {
        let (sender, receiver) = mpsc::channel(64);
        self.stream.lock().peers.insert(me, sender);
        self.note_serving(me);
        receiver
    }
}
