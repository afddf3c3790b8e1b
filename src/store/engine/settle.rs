//! Finding out what became of a group whose outcome is not known.
//!
//! Attempts meant for the same place exclude each other, so a fence record meant for the first place that the group has not
//! taken decides: either it is stored there, and then nothing more of the group ever counts, or something else stands there,
//! and reading it tells. Nothing else is published until then, and only then is anything planned again.
//!
//! ```text
//! group meant for 7, 8, 9.   log: … 6             fence to 7 stored: the group is dead, its requests are planned again
//!                            log: … 6 7A 8B 9C    all applied: nothing to do
//!                            log: … 6 7A          fence to 8 stored: A is applied, B and C are planned again
//! ```

use std::time::Duration;

use tokio::time::Instant;

use super::group::InFlight;
use super::{Engine, Fatal, Trouble};
use crate::state::Sequence;
use crate::store::error::Error;
use crate::store::log::{AppendError, EntryId, Identity, Log, Outgoing, Record, Refusal, Stamp};

/// Before trying again where the log refused a group and yet holds nothing new.
const NOTHING_NEW: Duration = Duration::from_millis(20);

/// How long it may do that before it counts as an outage: nobody can write, and somebody has to look.
const NOTHING_NEW_FOR: Duration = Duration::from_secs(5);

impl<L: Log> Engine<L> {
    /// `definite`: the server said that nothing of the group is stored nor will be. Then only the log has to be read.
    pub(super) async fn settle(&mut self, definite: bool, why: String) -> Result<(), Fatal> {
        tracing::debug!(why, definite, "settling the group in flight");
        self.shared.counters.settled.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if definite {
            if let Err(trouble) = self.read_what_refused().await {
                return self.overcome(trouble).await;
            }
            if self.may_still_come()
                && let Some(last) = self.inflight.as_ref().map(|inflight| inflight.last)
                && let Err(trouble) = self.close(last).await
            {
                return self.overcome(trouble).await;
            }
            self.finish_settled();
            return Ok(());
        }
        self.overcome(Trouble::Again(why)).await
    }

    /// The log has no room for the group, or cannot take it. With replicas that is acted on only once it is certain that nobody stores it;
    /// where not even a fence is taken, nobody can tell.
    pub(super) async fn refused_by_one(&mut self, refusal: Refusal) -> Result<(), Fatal> {
        let Some(inflight) = &self.inflight else { return Ok(()) };
        let (last, asked_for) = (inflight.last, inflight.group.has_writes());
        if asked_for && self.may_still_come() {
            match self.try_to_close(last).await {
                Ok(None) => {}
                Ok(Some(refused_too)) => {
                    tracing::warn!(%refused_too, "the log refused writes, which may be stored all the same");
                    self.give_up_refused(&refusal);
                    return Ok(());
                }
                Err(trouble) => return self.overcome(trouble).await,
            }
        }
        if self.inflight.as_ref().is_some_and(InFlight::is_untouched) {
            self.refused(refusal);
        } else {
            self.finish_settled();
        }
        Ok(())
    }

    fn give_up_refused(&mut self, refusal: &Refusal) {
        let error = match refusal {
            Refusal::NoSpace(_) => {
                self.shared.room.raise();
                Error::NoSpace
            }
            Refusal::Sequence | Refusal::Other(_) => Error::NoLeader,
        };
        if let Some(inflight) = &mut self.inflight {
            inflight.give_up(inflight.last);
            inflight.group.refuse_fences(&error);
        }
        self.finish_settled();
    }

    /// With replicas a leader that is none any more may refuse what its successor stores. Then a refusal counts only if another message
    /// stands at the group's first place.
    fn may_still_come(&self) -> bool {
        let Some(inflight) = self.inflight.as_ref().filter(|_| self.log.traits().replicated) else { return false };
        let another_stands =
            self.reader.last() >= inflight.first && inflight.is_untouched() && !self.reader.undecided();
        !another_stands
    }

    async fn read_what_refused(&mut self) -> Result<(), Trouble> {
        let before = self.reader.last();
        self.catch_up().await?;
        if self.reader.last() > before {
            return Ok(());
        }
        match self.refused_after {
            Some((place, since)) if place == before && since.elapsed() >= NOTHING_NEW_FOR => {
                return Err(Trouble::Again(format!(
                    "the log refuses what is meant for the place after {before}, its end"
                )));
            }
            Some((place, _)) if place == before => {}
            _ => self.refused_after = Some((before, Instant::now())),
        }
        // A replicated log refuses for places that are proposed only; it will know soon.
        tokio::time::sleep(NOTHING_NEW).await;
        Ok(())
    }

    /// Makes sure that something stands at every place up to `last`, or at one that stops the group.
    pub(super) async fn close(&mut self, last: Sequence) -> Result<(), Trouble> {
        match self.try_to_close(last).await? {
            None => Ok(()),
            Some(refusal) => Err(Trouble::Again(refusal.to_string())),
        }
    }

    /// The same, or why the log takes nothing there.
    async fn try_to_close(&mut self, last: Sequence) -> Result<Option<Refusal>, Trouble> {
        while self.reader.last() < last {
            let fence = self.fence_record();
            match self.log.append(vec![fence.clone()]).await {
                Ok(place) if place != fence.stamp.meant_for => {
                    return Err(Trouble::Again(format!("a fence was acknowledged at sequence {place}")));
                }
                Ok(_) => {
                    self.mark = Some((fence.stamp.meant_for, Identity::Ours(fence.stamp.id, 1)));
                    let decided = self.reader.receive_own(fence)?;
                    self.apply(decided);
                    return Ok(None);
                }
                Err(AppendError::Refused(Refusal::Sequence)) => self.read_what_refused().await?,
                Err(AppendError::Refused(refusal)) => return Ok(Some(refusal)),
                Err(AppendError::Unknown(why)) => return Err(Trouble::Again(why)),
            }
        }
        Ok(None)
    }

    fn fence_record(&mut self) -> Outgoing {
        self.counter += 1;
        let meant_for = self.reader.last().next();
        let stamp = Stamp {
            id: EntryId { session: self.options.session, counter: self.counter },
            cluster: self.reader.cluster(),
            entry: self.reader.entry() + 1,
            part: 1,
            parts: 1,
            meant_for,
            group: meant_for,
        };
        Outgoing { stamp, record: Record::Fence }
    }

    /// Entries of the group that are in the log were answered when they were applied; the others are planned again, and so is
    /// everything that was planned on them.
    pub(super) fn finish_settled(&mut self) {
        let Some(inflight) = self.inflight.take() else { return };
        let next = std::mem::take(&mut self.next);
        if !inflight.unknown && inflight.group.entries.iter().all(|entry| entry.origin.is_none()) {
            // All of it is there, so what was planned on it stands.
            inflight.group.committed();
            self.next = next;
            return;
        }
        self.plan_again(next);
        self.plan_again(inflight.group);
    }
}
