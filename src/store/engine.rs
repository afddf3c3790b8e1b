//! The one task that writes to the log, reads from it and applies what it reads.
//!
//! ```text
//!  writes ──▶ plan on (state + in flight + next) ──▶ next group ──▶ in flight ──▶ log
//!                                                                      │ acknowledged, or read back
//!  followed ──▶ (fenced, where several write at R1) ──▶ Reader ──▶ apply ──▶ watchers, answers
//! ```
//! At most one group is in flight. It is planned on the state after the last place received, so that everything in it is right wherever
//! it is stored as a whole; [`settle`] finds out what became of it when the log does not say so.

mod command;
mod expire;
mod group;
mod launch;
mod pace;
mod plan;
mod receive;
mod replay;
mod resume;
mod settle;
mod shared;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

pub use command::{Command, Write};
use expire::DueCheck;
use group::{Group, InFlight};
use pace::Pace;
pub use shared::{Progress, Service, Shared};

use super::error::Error;
use super::fence::Fence;
use super::hold::{self, Hold};
use super::log::{Follow, Followed, Identity, Log, LogError, SessionId};
use super::open::Largest;
use super::reader::{Broken, Reader};
use crate::state::Sequence;

/// How often the engine looks at what only time brings: due leases, and whether it was suspended.
const TICK: Duration = Duration::from_millis(250);

#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    pub session: SessionId,
    pub largest: Largest,
}

/// Why the engine cannot go on, in a sentence for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fatal(pub String);

/// What can go wrong while reading.
#[derive(Debug)]
enum Trouble {
    /// Try again, perhaps on a new connection.
    Again(String),
    /// What was read is not in the log any more: begin anew.
    Rebuild(String),
    Fatal(Fatal),
}

pub struct Engine<L: Log> {
    log: Arc<L>,
    shared: Arc<Shared>,
    options: EngineOptions,
    reader: Reader,
    /// The last message received: what must still stand there when reading is taken up again.
    mark: Option<(Sequence, Identity)>,
    /// What the checkpoint describes that the last replay went by.
    base: Option<Sequence>,
    /// When the stream was created.
    created: String,
    follower: Option<L::Follower>,
    /// Received, but not known to be synced: one replica, and others write too.
    unfenced: VecDeque<Followed>,
    /// Everything up to here is synced: the last fence's answer.
    fenced_upto: Sequence,
    fence_asked: bool,
    fence: Fence,
    /// What clients want written.
    writes: mpsc::UnboundedReceiver<Write>,
    /// Writes to be planned before any other, in this order.
    backlog: VecDeque<Write>,
    /// How many more there are than the backlog holds, as of a moment ago.
    waiting: usize,
    pace: Pace,
    hold: Hold,
    /// Until then the next group waits for more to come.
    held_until: Option<Instant>,
    next: Group,
    inflight: Option<InFlight>,
    /// So many of the next groups take one entry only: together they were refused.
    alone: usize,
    /// The log refuses what is meant to follow this place, and ends there: since when.
    refused_after: Option<(Sequence, Instant)>,
    /// The log looks shorter than it was: since when.
    shorter_since: Option<Instant>,
    claim_wanted: bool,
    checkpoints_wanted: Vec<oneshot::Sender<Option<super::compactor::Checkpointed>>>,
    /// Of the last entry id given out.
    counter: u64,
    last_tick: Instant,
    /// Whether leases are due is being found out.
    due_check: Option<DueCheck>,
    stopping: Option<oneshot::Sender<()>>,
}

impl<L: Log> Engine<L> {
    /// Serves until told to stop, or until going on would be wrong.
    pub async fn run(mut self, mut commands: mpsc::UnboundedReceiver<Command>) -> Result<(), Fatal> {
        self.last_tick = Instant::now();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let result = loop {
            if let Err(fatal) = self.step(&mut commands, &mut tick).await {
                break if self.shared.is_stopping() { Ok(()) } else { Err(fatal) };
            }
            if self.is_drained() {
                break Ok(());
            }
        };
        self.shared.stop(result.as_ref().err().map(|fatal| fatal.0.clone()));
        self.refuse_everything();
        if let Some(stopped) = self.stopping.take() {
            let _ = stopped.send(());
        }
        result
    }

    async fn step(
        &mut self,
        commands: &mut mpsc::UnboundedReceiver<Command>,
        tick: &mut tokio::time::Interval,
    ) -> Result<(), Fatal> {
        self.launch();
        let accepting = self.accepts_writes();
        tokio::select! {
            done = group::landing(&mut self.inflight) => self.landed(done).await,
            Some(command) = commands.recv() => self.command(command).await,
            followed = next_followed(&mut self.follower) => self.followed(followed).await,
            why = self.log.disturbed() => self.overcome(Trouble::Again(why)).await,
            checked = expire::checked(&mut self.due_check) => {
                self.expire_due(checked);
                Ok(())
            }
            write = self.writes.recv(), if accepting => {
                self.backlog.extend(write);
                self.gather();
                Ok(())
            }
            () = hold::lapses(self.held_until) => Ok(()),
            _ = tick.tick() => {
                self.ticked();
                Ok(())
            }
        }
    }

    async fn command(&mut self, command: Command) -> Result<(), Fatal> {
        match command {
            Command::Fence(reply) => self.next.fences.push(reply),
            Command::Fenced(upto) => {
                if let Err(trouble) = self.fenced(upto) {
                    return self.overcome(trouble).await;
                }
            }
            Command::Claim { over } => self.claim_wanted |= self.shared.claim() == over,
            Command::Checkpoint(reply) => self.checkpoints_wanted.push(reply),
            Command::Stop(reply) => self.stopping = Some(reply),
        }
        Ok(())
    }

    fn accepts_writes(&self) -> bool {
        self.backlog.is_empty() && !self.next.is_full(&self.log.traits())
    }

    /// Plans all writes that wait, as far as the next group goes, so that they travel together.
    fn gather(&mut self) {
        loop {
            self.waiting = self.writes.len();
            self.plan_backlog();
            if !self.accepts_writes() {
                return;
            }
            let Ok(write) = self.writes.try_recv() else { return };
            self.backlog.push_back(write);
        }
    }

    fn is_drained(&self) -> bool {
        self.stopping.is_some()
            && self.inflight.is_none()
            && self.next.is_empty()
            && self.backlog.is_empty()
            && self.writes.is_empty()
    }

    /// Tells those that were never sent that they were not executed.
    fn refuse_waiting(&mut self, error: Error) {
        self.next.refuse(&error);
        for write in self.backlog.drain(..) {
            write.answer(Err(error.clone()));
        }
        while let Ok(write) = self.writes.try_recv() {
            write.answer(Err(error.clone()));
        }
    }

    fn refuse_everything(&mut self) {
        if let Some(inflight) = self.inflight.take() {
            inflight.group.into_refused(&Error::TimedOut);
        }
        self.refuse_waiting(Error::Stopped);
    }
}

/// Pending for ever where nothing is followed.
async fn next_followed<F: Follow>(follower: &mut Option<F>) -> Result<Followed, LogError> {
    match follower {
        Some(follower) => follower.next().await,
        None => std::future::pending().await,
    }
}

impl From<LogError> for Trouble {
    fn from(error: LogError) -> Self {
        match error {
            // A missing stream is not certain (see there), and ending here would let the next start make an empty one.
            LogError::Unavailable(_) | LogError::Refused(_) | LogError::StreamMissing => {
                Trouble::Again(error.to_string())
            }
            LogError::Fatal(why) => Trouble::Fatal(Fatal(why)),
        }
    }
}

impl From<Broken> for Trouble {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::Missing { .. } => Trouble::Rebuild(broken.to_string()),
            Broken::Unreadable { .. } | Broken::Damaged { .. } => Trouble::Fatal(Fatal(broken.to_string())),
        }
    }
}
