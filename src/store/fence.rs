//! The read fence: what a linearizable read waits for before it reads the state.
//!
//! - Exclusive: nobody else writes, and an own write is answered only after it is applied. Nothing to wait for.
//! - One replica: the log's last place, asked for after the read arrived, then wait until that is applied.
//! - Three or more: whoever believes to be the leader answers such a question, so only an append that commits proves anything.
//!
//! One fence serves all reads that were waiting when it began; those that come later share the next.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::engine::{Command, Shared};
use super::error::Error;
use super::hold::{self, Hold};
use super::log::Log;

/// How often a fence that waits looks whether waiting still makes sense.
const LOOK: Duration = Duration::from_millis(20);

/// Asks for fences. Cheap to clone.
#[derive(Clone)]
pub struct Fence {
    waiting: mpsc::UnboundedSender<Reader>,
}

/// Who waits for a fence.
type Reader = oneshot::Sender<Result<(), Error>>;

impl Fence {
    pub fn start<L: Log>(log: Arc<L>, shared: Arc<Shared>, engine: mpsc::UnboundedSender<Command>) -> Fence {
        let (waiting, requests) = mpsc::unbounded_channel();
        tokio::spawn(Fencer { log, shared, engine }.run(requests));
        Fence { waiting }
    }

    /// Returns when everything acknowledged before the call is applied here.
    pub async fn pass(&self) -> Result<(), Error> {
        let (reply, passed) = oneshot::channel();
        self.waiting.send(reply).map_err(|_| Error::Stopped)?;
        passed.await.unwrap_or(Err(Error::Stopped))
    }
}

/// Takes what waits, and what will in a moment.
async fn gather(requests: &mut mpsc::UnboundedReceiver<Reader>, waiting: &mut Vec<Reader>, hold: &mut Hold) {
    loop {
        while let Ok(more) = requests.try_recv() {
            waiting.push(more);
        }
        let until = hold.until(waiting.len(), Instant::now());
        tokio::select! {
            Some(more) = requests.recv(), if until.is_some() => waiting.push(more),
            () = hold::lapses(until), if until.is_some() => {}
            else => return,
        }
    }
}

struct Fencer<L> {
    log: Arc<L>,
    shared: Arc<Shared>,
    engine: mpsc::UnboundedSender<Command>,
}

impl<L: Log> Fencer<L> {
    async fn run(self, mut requests: mpsc::UnboundedReceiver<Reader>) {
        let mut hold = Hold::default();
        while let Some(first) = requests.recv().await {
            let mut waiting = vec![first];
            gather(&mut requests, &mut waiting, &mut hold).await;
            let began = Instant::now();
            let passed = self.fence().await;
            let now = Instant::now();
            hold.landed(waiting.len(), requests.len(), now - began, now);
            for reply in waiting {
                // A reader that gave up is no concern.
                let _ = reply.send(passed.clone());
            }
        }
    }

    async fn fence(&self) -> Result<(), Error> {
        let traits = self.log.traits();
        if traits.exclusive {
            return Ok(());
        }
        if traits.replicated {
            return self.commit().await;
        }
        let last = self.last().await?;
        // What the follower delivered up to here is synced: the server answered after the batch it may belong to.
        self.engine.send(Command::Fenced(last)).map_err(|_| Error::Stopped)?;
        let mut applied = self.shared.applied.subscribe();
        applied.wait_for(|applied| *applied >= last).await.map(|_| ()).map_err(|_| Error::Stopped)
    }

    /// Waits until the engine has appended something, or the outage has lasted too long.
    async fn commit(&self) -> Result<(), Error> {
        let (reply, mut committed) = oneshot::channel();
        self.engine.send(Command::Fence(reply)).map_err(|_| Error::Stopped)?;
        loop {
            tokio::select! {
                committed = &mut committed => return committed.unwrap_or(Err(Error::Stopped)),
                () = tokio::time::sleep(LOOK) => self.shared.check_available()?,
            }
        }
    }

    /// Asks until there is an answer or the outage has lasted too long.
    async fn last(&self) -> Result<crate::state::Sequence, Error> {
        loop {
            match self.log.last().await {
                Ok(last) => return Ok(last),
                Err(error) => tracing::debug!(%error, "the read fence got no answer"),
            }
            self.shared.check_available()?;
            tokio::time::sleep(LOOK).await;
        }
    }
}
