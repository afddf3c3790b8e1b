//! The first reading of a log: from its beginning to the end it has now.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use super::group::Group;
use super::receive::place;
use super::resume::TRY_AGAIN;
use super::shared::{Progress, SAY_OUTAGE, Shared};
use super::{Engine, EngineOptions, Fatal, Trouble, Write};
use crate::state::{Sequence, State};
use crate::store::fence::Fence;
use crate::store::log::{
    Checkpoint, ClusterId, Content, Follow, Followed, Genesis, Incoming, Log, LogError, Record, Target,
};
use crate::store::reader::{Decided, Reader};

/// How often a long replay says how far it is.
const SAY: Duration = Duration::from_secs(2);

/// How long nothing may be received below a place that is known to be taken. A replica that is far behind, or has stopped for an error of
/// its disk, goes on with its heartbeats, and the next follower begins on another.
const STUCK: Duration = Duration::from_secs(5);

/// How many entries, or bytes of values, are applied at a time by one who reads what is behind.
const TOGETHER: usize = 256;
const TOGETHER_BYTES: usize = 1 << 20;

impl<L: Log> Engine<L> {
    /// Reads the whole log; tries without limit while it cannot be reached.
    pub async fn open(
        log: Arc<L>,
        shared: Arc<Shared>,
        options: EngineOptions,
        fence: Fence,
        writes: mpsc::UnboundedReceiver<Write>,
    ) -> Result<Self, Fatal> {
        let mut engine = Engine {
            log,
            shared,
            options,
            reader: Reader::new(ClusterId(0), Sequence::ZERO, None),
            mark: None,
            base: None,
            created: String::new(),
            follower: None,
            unfenced: Default::default(),
            fenced_upto: Sequence::ZERO,
            fence_asked: false,
            fence,
            writes,
            backlog: Default::default(),
            waiting: 0,
            pace: Default::default(),
            hold: Default::default(),
            held_until: None,
            next: Group::default(),
            inflight: None,
            alone: 0,
            refused_after: None,
            shorter_since: None,
            claim_wanted: false,
            checkpoints_wanted: Vec::new(),
            counter: 0,
            last_tick: Instant::now(),
            due_check: None,
            stopping: None,
        };
        engine.rebuild().await?;
        engine.shared.end_outage();
        Ok(engine)
    }

    /// Reads everything anew, until that succeeds.
    pub(super) async fn rebuild(&mut self) -> Result<(), Fatal> {
        let mut failed_by = None;
        let mut told: Option<Instant> = None;
        self.shared.begin_reading();
        loop {
            match self.replay().await {
                Ok(()) => return Ok(()),
                Err(Trouble::Fatal(fatal)) => return Err(fatal),
                // A purge may overtake a replay; then the next one goes by a newer checkpoint, or the log is damaged.
                Err(Trouble::Rebuild(why)) if failed_by == Some(self.base) => {
                    return Err(Fatal(format!("the log is damaged: {why}")));
                }
                Err(Trouble::Rebuild(why)) => {
                    tracing::warn!(why, "reading the log anew");
                    failed_by = Some(self.base);
                }
                Err(Trouble::Again(why)) => {
                    if told.is_none_or(|at| at.elapsed() >= SAY_OUTAGE) {
                        tracing::warn!(why, "cannot read the log, trying again");
                        told = Some(Instant::now());
                    }
                    tokio::time::sleep(TRY_AGAIN).await;
                    if let Err(LogError::Fatal(why)) = self.log.reconnect().await {
                        return Err(Fatal(why));
                    }
                }
            }
        }
    }

    async fn replay(&mut self) -> Result<(), Trouble> {
        let info = self.log.info().await?;
        self.check_created(&info.created)?;
        self.shared.room.note(&info);
        let genesis = self.genesis().await?;
        let base = self.newest_checkpoint(genesis.cluster).await?;
        self.base = base.as_ref().map(|base| base.at);
        let compacted = base.as_ref().map_or(genesis.compacted, |base| base.compacted.max(genesis.compacted));
        self.shared.replace_state(State::new(genesis.revision, compacted));
        self.shared.set_cluster(genesis.cluster);
        self.shared.compacted.send_replace(compacted);
        self.reader = Reader::new(genesis.cluster, Sequence::ZERO, base);
        self.mark = None;
        self.unfenced.clear();
        self.fence_asked = false;
        self.follower = Some(self.log.follow(Sequence(1)).await?);
        let target = self.log.last().await?.max(info.last);
        self.read_to(target).await?;
        if self.newest_checkpoint(genesis.cluster).await?.map(|newest| newest.at) != self.base {
            // What was removed meanwhile may be missing in the history, which the fingerprint of a state does not show.
            return Err(Trouble::Rebuild("a compaction has overtaken the reading".to_owned()));
        }
        self.shared.hub.publish(|state| (Vec::new(), state.hold_compactions()));
        tracing::info!(
            sequence = %target, revision = %self.shared.state().revision(), foreign = self.reader.foreign,
            "the log is read"
        );
        Ok(())
    }

    /// Follows until everything up to `target`, a place that a fence has named, is received.
    pub(super) async fn read_to(&mut self, target: Sequence) -> Result<(), Trouble> {
        let mut decided = Vec::new();
        let read = self.read_without_applying(target, &mut decided).await;
        self.apply(decided);
        read
    }

    /// Applies many entries at a time; the last of them are the caller's to apply, also where this fails.
    async fn read_without_applying(&mut self, target: Sequence, decided: &mut Vec<Decided>) -> Result<(), Trouble> {
        let mut said = Instant::now();
        let mut moved = (self.reader.last(), Instant::now());
        let mut bytes = 0;
        while self.reader.last() < target {
            if self.reader.last() > moved.0 {
                moved = (self.reader.last(), Instant::now());
            }
            let Ok(received) = tokio::time::timeout_at(moved.1 + STUCK, self.next_received()).await else {
                self.follower = None;
                let at = moved.0;
                return Err(Trouble::Again(format!("the log ends at {target}, and nothing after {at} is delivered")));
            };
            let followed = received?;
            self.check_echo(&followed)?;
            if place(&followed) > target && self.needs_fences() {
                // Whatever there is up to the target was delivered before this, which has to wait for a fence of its own.
                self.feed_without_applying(Followed::Reached(target), decided)?;
                self.unfenced.push_front(followed);
                break;
            }
            bytes += value_bytes(&followed);
            self.feed_without_applying(followed, decided)?;
            if decided.len() >= TOGETHER || bytes >= TOGETHER_BYTES {
                self.apply(std::mem::take(decided));
                bytes = 0;
            }
            if said.elapsed() > SAY {
                said = Instant::now();
                let at = self.reader.last();
                self.shared.progress.send_replace(Progress { at, target });
                tracing::info!(%at, %target, "reading the log");
            }
        }
        Ok(())
    }

    async fn next_received(&mut self) -> Result<Followed, Trouble> {
        if let Some(waiting) = self.unfenced.pop_front() {
            return Ok(waiting);
        }
        match &mut self.follower {
            Some(follower) => Ok(follower.next().await?),
            None => Err(Trouble::Again("not following the log".to_owned())),
        }
    }

    pub(super) fn check_created(&mut self, created: &str) -> Result<(), Trouble> {
        if self.created.is_empty() {
            self.created = created.to_owned();
        }
        if self.created == created {
            return Ok(());
        }
        Err(Trouble::Fatal(Fatal(format!(
            "the stream was deleted and made anew (created {created}, before {}): jine does not serve another store than the one its \
             clients know; restore the stream, or start jine again to serve the new one",
            self.created
        ))))
    }

    async fn genesis(&mut self) -> Result<Genesis, Trouble> {
        match self.log.get(Sequence(1)).await? {
            Some(Incoming { content: Content::Ours(_, Record::Genesis(genesis)), .. }) => Ok(genesis),
            _ => Err(Trouble::Fatal(Fatal(
                "the stream does not begin with jine's genesis record: it belongs to another program, or its beginning was removed; \
                 name another bucket, or restore the stream"
                    .to_owned(),
            ))),
        }
    }

    /// The newest checkpoint that counts. (One that stands at a place it was not meant for must not hide the others.)
    pub(super) async fn newest_checkpoint(&mut self, cluster: ClusterId) -> Result<Option<Checkpoint>, Trouble> {
        let (mut newest, mut from) = (None, Sequence(1));
        while let Some(found) = self.log.next_about(&Target::Checkpoints, from).await? {
            from = found.sequence.next();
            if let Content::Ours(stamp, Record::Checkpoint(checkpoint)) = found.content {
                let stands = stamp.meant_for == found.sequence && stamp.group == found.sequence && stamp.parts == 1;
                if stands && stamp.cluster == cluster {
                    newest = Some(checkpoint);
                }
            }
        }
        Ok(newest)
    }
}

fn value_bytes(followed: &Followed) -> usize {
    match followed {
        Followed::Message(Incoming { content: Content::Ours(_, Record::Put { value, .. }), .. }) => value.len(),
        _ => 0,
    }
}
