//! Removing from the log what nobody needs any more.
//!
//! A compaction makes garbage (see `state`). To remove it, a *checkpoint* is appended first: it says what the state is at a place, so
//! that a replay of what is left can be checked. Then the messages about each key below the one that stays are purged. What
//! stands for a deletion itself goes in a later round, when the removal of what it covers is durable.
//! Only the lessor does so. A crash loses nothing: a replay finds the garbage again.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::engine::{Command, Shared};
use super::log::{Checkpoint, Log, LogError, SessionId, Target};
use crate::state::{Garbage, GarbageTarget, Revision, Sequence};

/// Purges on their way at once: more slow down other writes, above all where the log is replicated.
const PURGES: usize = 4;

/// Of a log that is not replicated each purge holds up the writes that come meanwhile. So there they go one by one, and while somebody writes
/// each is followed by a pause of so many times as long as it took …
const PAUSE: u32 = 4;

/// … for so long in a round. Where there is more to remove, being done counts more: what is not removed is read at the next start.
const GENTLE: Duration = Duration::from_secs(30);

/// Garbage looked at under one lock of the state.
const PIECE: usize = 500;

/// Between two attempts, doubled up to the second: each appends a checkpoint.
const TRY_AGAIN: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(60));

/// Fences that are worth a round of their own: where the log is replicated every read may leave one.
pub const MANY_FENCES: u64 = 10_000;

/// A checkpoint that is in the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpointed {
    pub place: Sequence,
    pub checkpoint: Checkpoint,
}

pub struct Compactor<L> {
    pub log: Arc<L>,
    pub shared: Arc<Shared>,
    pub engine: mpsc::UnboundedSender<Command>,
    pub session: SessionId,
}

impl<L: Log> Compactor<L> {
    /// Runs until the engine ends.
    pub async fn run(self) {
        let mut compacted = self.shared.compacted.subscribe();
        let mut claimed = self.shared.claimed.subscribe();
        let mut rounds = Rounds::default();
        let mut done = if self.shared.state().has_garbage() { Revision::ZERO } else { *compacted.borrow() };
        self.tell(done);
        let mut asked = false;
        let mut again = TRY_AGAIN.0;
        loop {
            let wanted = *compacted.borrow_and_update();
            let responsible = self.log.traits().exclusive || *claimed.borrow_and_update() == Some(self.session);
            if responsible && (wanted > done || asked && self.leaves_something()) {
                match self.round(&mut rounds).await {
                    Ok(revision) => {
                        done = revision;
                        asked = false;
                        again = TRY_AGAIN.0;
                        self.tell(done);
                    }
                    Err(why) => {
                        tracing::warn!(%why, next_attempt = ?again, "what was compacted could not be removed from the log");
                        tokio::time::sleep(again).await;
                        again = (again * 2).min(TRY_AGAIN.1);
                        if self.engine.is_closed() {
                            return;
                        }
                    }
                }
                continue;
            }
            let changed = tokio::select! {
                changed = compacted.changed() => changed,
                changed = claimed.changed() => changed,
                () = self.shared.removal_wanted.notified() => {
                    asked = true;
                    Ok(())
                }
                () = self.engine.closed() => return,
            };
            if changed.is_err() {
                return;
            }
        }
    }

    /// One checkpoint and all that may be removed under it. Returns the compacted revision that it covers.
    async fn round(&self, rounds: &mut Rounds) -> Result<Revision, LogError> {
        let Checkpointed { place, checkpoint } = self.checkpoint().await?;
        let traits = self.log.traits();
        if !traits.replicated && !traits.synced_after.is_zero() {
            let waits = traits.synced_after;
            tracing::info!(checkpoint = %place, ?waits, "what was compacted is removed once the checkpoint is on disk");
            tokio::time::sleep(waits).await;
        }
        // A whole round later, and as durable as this checkpoint: what covered it may follow.
        let (removed, at) = std::mem::take(&mut rounds.removed);
        self.shared.hub.publish(|state| {
            state.collected(&removed);
            (Vec::new(), ())
        });
        self.shared.collected.fetch_max(at.0, Ordering::Relaxed);
        find_garbage(&self.shared).await;
        rounds.removed = (self.remove_garbage(checkpoint.at).await?, checkpoint.at);
        self.remove_internal(&checkpoint, rounds.previous.replace(place)).await?;
        // There is room again; who waits for it need not wait for the next look.
        if let Ok(info) = self.log.info().await {
            self.shared.room.note(&info);
        }
        tracing::info!(
            compacted = %checkpoint.compacted, checkpoint = %place, targets = rounds.removed.0.len(),
            "removed what was compacted"
        );
        Ok(checkpoint.compacted)
    }

    fn leaves_something(&self) -> bool {
        self.shared.state().has_garbage() || self.shared.counters.fences.load(Ordering::Relaxed) > 0
    }

    fn tell(&self, done: Revision) {
        self.shared.purged.send_if_modified(|purged| std::mem::replace(purged, done.max(*purged)) < done);
    }

    async fn checkpoint(&self) -> Result<Checkpointed, LogError> {
        let (reply, appended) = oneshot::channel();
        let stopped = || LogError::Unavailable("the engine has ended".to_owned());
        self.engine.send(Command::Checkpoint(reply)).map_err(|_| stopped())?;
        let not_stored = || LogError::Unavailable("the checkpoint was not stored".to_owned());
        appended.await.ok().flatten().ok_or_else(not_stored)
    }

    async fn remove_garbage(&self, upto: Sequence) -> Result<Vec<Garbage>, LogError> {
        let mut removed: Vec<Garbage> = Vec::new();
        let (began, replicated) = (Instant::now(), self.log.traits().replicated);
        let mut written = self.shared.counters.groups.load(Ordering::Relaxed);
        loop {
            let piece = {
                let state = self.shared.state();
                state.garbage(upto, removed.last().map(|garbage| &garbage.target), PIECE)
            };
            if piece.is_empty() {
                return Ok(removed);
            }
            // An iterator of futures, and not a closure in the stream, or the compiler cannot tell that this may be sent.
            let purges = piece.iter().map(|garbage| self.purge(target(&garbage.target), garbage.below));
            if replicated || began.elapsed() > GENTLE {
                let purges: Vec<_> = purges.collect();
                stream::iter(purges).buffer_unordered(PURGES).try_collect::<()>().await?;
            } else {
                for purge in purges {
                    self.gently(purge, &mut written).await?;
                }
            }
            removed.extend(piece);
        }
    }

    /// Purges, and leaves time to those who write. `written`: how many groups there were when it was looked at last.
    async fn gently(
        &self,
        purge: impl Future<Output = Result<(), LogError>>,
        written: &mut u64,
    ) -> Result<(), LogError> {
        let began = Instant::now();
        purge.await?;
        let groups = self.shared.counters.groups.load(Ordering::Relaxed);
        if std::mem::replace(written, groups) != groups {
            tokio::time::sleep(began.elapsed() * PAUSE).await;
        }
        Ok(())
    }

    /// Records that the checkpoint stands for. The two newest checkpoints stay.
    async fn remove_internal(&self, checkpoint: &Checkpoint, previous: Option<Sequence>) -> Result<(), LogError> {
        let below = checkpoint.at.next();
        self.shared.counters.fences.store(0, Ordering::Relaxed);
        self.purge(Target::Fences, below).await?;
        self.purge(Target::Compactions, below).await?;
        if let Some(claim) = self.shared.claim_place() {
            self.purge(Target::Claims, claim.min(below)).await?;
        }
        if let Some(previous) = previous {
            self.purge(Target::Checkpoints, previous).await?;
        }
        Ok(())
    }

    async fn purge(&self, target: Target, below: Sequence) -> Result<(), LogError> {
        let removed = self.log.purge(&target, below).await?;
        self.shared.counters.purged_messages.fetch_add(removed, Ordering::Relaxed);
        Ok(())
    }
}

/// What one round leaves to the next.
#[derive(Default)]
struct Rounds {
    /// And up to where the checkpoint describes the log under which it was removed.
    removed: (Vec<Garbage>, Sequence),
    /// The place of the last checkpoint of this process.
    previous: Option<Sequence>,
}

/// Finds what compaction has made garbage: in pieces, so that nobody waits long for the state. Until the store stops.
async fn find_garbage(shared: &Shared) {
    loop {
        // Before each piece: another compaction may have been applied since the last one.
        let stopped = !shared.hashes.taken(shared).await;
        if stopped || !shared.hub.publish(|state| (Vec::new(), state.find_garbage(PIECE))) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

/// The lessor has told how far it is: it does the removing for all.
pub(super) async fn removed_elsewhere(shared: &Shared, collected: Sequence, purged: Revision) {
    find_garbage(shared).await;
    shared.hub.publish(|state| {
        state.collected_elsewhere(collected);
        (Vec::new(), ())
    });
    shared.purged.send_if_modified(|before| std::mem::replace(before, purged.max(*before)) < purged);
}

fn target(target: &GarbageTarget) -> Target {
    match target {
        GarbageTarget::Key(key) => Target::Key(key.clone()),
        GarbageTarget::Lease(id) => Target::Lease(*id),
        GarbageTarget::Tombstones => Target::Tombstones,
    }
}
