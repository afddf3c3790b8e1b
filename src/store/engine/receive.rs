//! Messages of the log, and the entries they make.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;

use super::group::Origin;
use super::resume::{TRY_AGAIN, another_message};
use super::{Engine, Fatal, Service, Trouble};
use crate::state::{Applied, EventKind, RevisionEvents, Sequence};
use crate::store::compactor::{Checkpointed, MANY_FENCES};
use crate::store::error::Error;
use crate::store::log::{Checkpoint, Content, Followed, Log, LogError, SessionId};
use crate::store::reader::{Decided, Written};

/// What the entries of one piece of the log changed besides keys.
#[derive(Default)]
struct Changes {
    leases: Vec<Applied>,
    claim: Option<(SessionId, Sequence)>,
    entries: u64,
    fences: u64,
    puts: u64,
    deletes: u64,
}

impl Changes {
    fn count(&mut self, events: &RevisionEvents) {
        let puts = events.events.iter().filter(|event| event.kind == EventKind::Put).count() as u64;
        self.puts += puts;
        self.deletes += events.events.len() as u64 - puts;
    }
}

impl<L: Log> Engine<L> {
    pub(super) async fn followed(&mut self, followed: Result<Followed, LogError>) -> Result<(), Fatal> {
        let received = match followed {
            Ok(followed) => self.receive(followed),
            Err(error) => {
                self.follower = None;
                return self.overcome(error.into()).await;
            }
        };
        match received {
            Ok(()) => Ok(()),
            Err(trouble) => self.overcome(trouble).await,
        }
    }

    fn receive(&mut self, followed: Followed) -> Result<(), Trouble> {
        self.check_echo(&followed)?;
        let place = place(&followed);
        if place <= self.reader.last() {
            return Ok(());
        }
        if place <= self.fenced_upto || !self.needs_fences() {
            return self.feed(followed);
        }
        let own = self.is_in_flight(&followed);
        self.unfenced.push_back(followed);
        self.pass_removed()?;
        if !own {
            self.ask_for_a_fence();
        }
        Ok(())
    }

    /// With one replica and several writers, others may see messages before they are synced: those wait for a fence.
    pub(super) fn needs_fences(&self) -> bool {
        let traits = self.log.traits();
        !traits.replicated && !traits.exclusive
    }

    /// A message that was received before comes again after an acknowledgement and where reading is taken up: it must be the same. After
    /// the mark only removed places are passed: what turns up at one of those was missed.
    pub(super) fn check_echo(&self, followed: &Followed) -> Result<(), Trouble> {
        let (Followed::Message(message), Some((mark, identity))) = (followed, self.mark) else { return Ok(()) };
        let at = message.sequence;
        if at == mark && message.identity != identity {
            return Err(another_message(at));
        }
        if mark < at && at <= self.reader.last() {
            return Err(Trouble::Rebuild(format!("a message stands at sequence {at}, which counted as removed")));
        }
        Ok(())
    }

    /// An echo of the group in flight: its acknowledgement, or settling it, says all that a fence would.
    fn is_in_flight(&self, followed: &Followed) -> bool {
        let Followed::Message(message) = followed else { return false };
        let Content::Ours(stamp, _) = &message.content else { return false };
        self.inflight.is_some() && stamp.id.session == self.options.session
    }

    pub(super) fn ask_for_a_fence(&mut self) {
        if std::mem::replace(&mut self.fence_asked, true) {
            return;
        }
        let fence = self.fence.clone();
        // Its outcome comes as a command. It may fail in an outage, and what waits for it would wait for ever.
        tokio::spawn(async move {
            while !matches!(fence.pass().await, Ok(()) | Err(Error::Stopped)) {
                tokio::time::sleep(TRY_AGAIN).await;
            }
        });
    }

    /// Everything up to `upto` is synced.
    pub(super) fn fenced(&mut self, upto: Sequence) -> Result<(), Trouble> {
        self.fence_asked = false;
        self.fenced_upto = self.fenced_upto.max(upto);
        while self.unfenced.front().is_some_and(|first| place(first) <= upto) {
            if let Some(followed) = self.unfenced.pop_front() {
                self.feed(followed)?;
            }
        }
        self.pass_removed()?;
        if !self.unfenced.is_empty() {
            self.ask_for_a_fence();
        }
        Ok(())
    }

    /// Where the first message that waits stands behind a place that was fenced, all before it is received: what is missing was removed.
    /// (Whoever waits for that place would otherwise keep the fence from being asked for that the message waits for.)
    fn pass_removed(&mut self) -> Result<(), Trouble> {
        let upto = self.fenced_upto;
        if upto > self.reader.last() && self.unfenced.front().is_some_and(|first| place(first) > upto) {
            self.feed(Followed::Reached(upto))?;
        }
        Ok(())
    }

    /// Own messages were applied at their acknowledgement; their echoes need no fence.
    pub(super) fn forget_fenced(&mut self) -> Result<(), Trouble> {
        let last = self.reader.last();
        while self.unfenced.front().is_some_and(|followed| place(followed) <= last) {
            if let Some(echo) = self.unfenced.pop_front() {
                self.check_echo(&echo)?;
            }
        }
        Ok(())
    }

    /// Reads what the log holds at the next place.
    pub(super) fn feed(&mut self, followed: Followed) -> Result<(), Trouble> {
        let mut decided = Vec::new();
        let fed = self.feed_without_applying(followed, &mut decided);
        self.apply(decided);
        fed
    }

    /// What it decides is the caller's to apply, also where this fails.
    pub(super) fn feed_without_applying(
        &mut self,
        followed: Followed,
        decided: &mut Vec<Decided>,
    ) -> Result<(), Trouble> {
        match followed {
            Followed::Message(message) => {
                self.cross_base(message.sequence, decided)?;
                if message.sequence > self.reader.last() {
                    self.mark = Some((message.sequence, message.identity));
                    self.note_foreign(&message.content);
                }
                decided.extend(self.reader.receive(message)?);
            }
            Followed::Reached(reached) => {
                self.cross_base(reached.next(), decided)?;
                decided.extend(self.reader.reached(reached));
            }
        }
        Ok(())
    }

    fn note_foreign(&self, content: &Content) {
        if let Content::Foreign { subject } = content {
            let before = self.shared.counters.foreign_messages.fetch_add(1, Ordering::Relaxed);
            if before < 100 {
                tracing::warn!(subject, "a message that no jine wrote is in the bucket; it is ignored");
            }
        }
    }

    /// Past the checkpoint the replay went by: the state must be what its author had.
    fn cross_base(&mut self, next: Sequence, decided: &mut Vec<Decided>) -> Result<(), Trouble> {
        let Some((unfinished, checkpoint)) = self.reader.cross_base(next) else { return Ok(()) };
        decided.extend(unfinished);
        self.apply(std::mem::take(decided));
        self.shared.hub.publish(|state| {
            state.raise(checkpoint.at, checkpoint.revision, checkpoint.compacted);
            (Vec::new(), ())
        });
        if self.shared.claim().is_none() {
            self.shared.claimed.send_replace(checkpoint.claim);
        }
        let fingerprint = self.shared.state().fingerprint();
        let found = (fingerprint.keys, fingerprint.keys_hash, fingerprint.leases, fingerprint.leases_hash);
        let expected = (checkpoint.keys, checkpoint.keys_hash, checkpoint.leases, checkpoint.leases_hash);
        if found == expected {
            return Ok(());
        }
        // Or a purge under a newer checkpoint has overtaken this reading.
        Err(Trouble::Rebuild(disagreement(&checkpoint, fingerprint.keys, fingerprint.leases)))
    }

    /// Applies entries, wakes watchers, answers those who wrote them.
    pub(super) fn apply(&mut self, decided: Vec<Decided>) {
        let last = self.reader.last();
        if !decided.is_empty() {
            let changes = self.shared.hub.publish(|state| {
                let mut events: Vec<Arc<RevisionEvents>> = Vec::with_capacity(decided.len());
                let mut changes = Changes { entries: decided.len() as u64, ..Changes::default() };
                for entry in &decided {
                    match &entry.content {
                        Written::Entry(entry, at) => {
                            let mut applied = state.apply(entry, at);
                            if let Some(of_entry) = applied.events.take() {
                                changes.count(&of_entry);
                                events.push(of_entry);
                            }
                            changes.leases.push(applied);
                        }
                        Written::Claim => changes.claim = Some((entry.id.session, entry.last)),
                        Written::Nothing => changes.fences += 1,
                        Written::Checkpoint(_) => {}
                    }
                }
                (events, changes)
            });
            self.note_changes(changes);
        }
        self.shared.applied.send_if_modified(|applied| std::mem::replace(applied, last) != last);
        for entry in decided {
            self.answer(entry);
        }
    }

    fn note_changes(&mut self, changes: Changes) {
        let now = Instant::now();
        let mut lessor = self.shared.lessor();
        for applied in &changes.leases {
            for (id, ttl) in &applied.granted {
                lessor.granted(*id, *ttl, now);
            }
            for id in &applied.revoked {
                lessor.revoked(*id);
            }
        }
        if let Some((session, _)) = changes.claim {
            lessor.claimed(session == self.options.session, now);
        }
        drop(lessor);
        if let Some((session, place)) = changes.claim {
            self.shared.set_claim(session, place);
        }
        if let Some(compacted) = changes.leases.iter().filter_map(|applied| applied.compacted).max() {
            self.shared.compacted.send_replace(compacted);
        }
        let fences = self.shared.counters.fences.fetch_add(changes.fences, Ordering::Relaxed);
        if fences < MANY_FENCES && fences + changes.fences >= MANY_FENCES {
            self.shared.removal_wanted.notify_one();
            self.shared.claim_needed.notify_one();
        }
        let counters = &self.shared.counters;
        counters.entries_applied.fetch_add(changes.entries, Ordering::Relaxed);
        // As etcd: what was there at the start does not count.
        if *self.shared.service.borrow() != Service::Starting {
            counters.puts.fetch_add(changes.puts, Ordering::Relaxed);
            counters.deletes.fetch_add(changes.deletes, Ordering::Relaxed);
        }
    }

    fn answer(&mut self, decided: Decided) {
        let Some(inflight) = self.inflight.as_mut().filter(|_| decided.id.session == self.options.session) else {
            return;
        };
        let index = decided.id.counter.checked_sub(inflight.first_counter).map(|index| index as usize);
        let entry = index.and_then(|index| inflight.group.entries.get_mut(index));
        match entry.and_then(|entry| entry.origin.take()) {
            Some(Origin::Write(write, response)) => write.answer(Ok(response)),
            Some(Origin::Checkpoint(replies)) => {
                let Written::Checkpoint(checkpoint) = decided.content else { return };
                let done = Checkpointed { place: decided.last, checkpoint };
                for reply in replies {
                    let _ = reply.send(Some(done.clone()));
                }
            }
            Some(Origin::Internal) | None => {}
        }
    }
}

pub(super) fn place(followed: &Followed) -> Sequence {
    match followed {
        Followed::Message(message) => message.sequence,
        Followed::Reached(reached) => *reached,
    }
}

fn disagreement(checkpoint: &Checkpoint, keys: u64, leases: u64) -> String {
    format!(
        "the log does not add up: at sequence {} its checkpoint counted {} keys and {} leases, reading it gives {keys} and {leases} \
         (or others of the same number); messages were removed or changed by someone else. Restore the stream from a backup",
        checkpoint.at, checkpoint.keys, checkpoint.leases
    )
}
