//! One jine's connection to a stream.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::sleep;

use super::fault::{Ack, Fault, Stored};
use super::follow::FakeFollower;
use super::stream::{Stream, is_about};
use crate::state::Sequence;
use crate::store::log::{
    AppendError, Incoming, Log, LogError, LogInfo, Outgoing, PeerError, Peers, Question, Refusal, SessionId, Target,
    Traits,
};

/// How long things take on one connection.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// To the server, and again back.
    pub append: Duration,
    /// What staging several messages takes beyond that.
    pub batch: Duration,
    pub read: Duration,
    /// From being stored to being delivered to the follower.
    pub deliver: Duration,
    /// After which an unanswered append is given up.
    pub append_timeout: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Timing { append: ms(1), batch: ms(0), read: ms(1), deliver: ms(1), append_timeout: ms(2000) }
    }
}

pub struct FakeLog {
    pub(super) stream: Stream,
    script: Mutex<Script>,
    /// The number of the connection, and whether it still works.
    link: watch::Sender<(u64, bool)>,
    /// Everything stands still: the server does not answer, and no message comes.
    frozen: watch::Sender<bool>,
    gap: Arc<AtomicBool>,
}

#[derive(Default)]
struct Script {
    timing: Timing,
    /// For the next appends.
    faults: VecDeque<Fault>,
    /// For every append, once the list is used up.
    chaos: Option<Box<dyn FnMut(usize) -> Fault + Send>>,
    refuse_reconnects: usize,
    /// The server says to the next reconnects that there is no such stream.
    missing: usize,
    /// A server that lags answers the next questions about the stream.
    lagging: usize,
    /// Up to where the replicas have come that the next followers read.
    replicas: VecDeque<u64>,
    /// So many followers are told of the end one message too soon.
    hasty: usize,
    serving: Option<SessionId>,
    appended: Vec<Vec<Outgoing>>,
    purges_until_loss: Option<usize>,
}

impl FakeLog {
    pub(super) fn new(stream: Stream) -> FakeLog {
        FakeLog {
            stream,
            script: Mutex::default(),
            link: watch::Sender::new((1, true)),
            frozen: watch::Sender::new(false),
            gap: Arc::default(),
        }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    pub fn set_timing(&self, timing: Timing) {
        self.script().timing = timing;
    }

    pub(super) fn timing(&self) -> Timing {
        self.script().timing
    }

    /// What happens to the next append that has none foretold yet.
    pub fn foretell(&self, fault: Fault) {
        self.script().faults.push_back(fault);
    }

    /// `chaos` is asked for the fate of each append, by its number of messages.
    pub fn set_chaos(&self, chaos: impl FnMut(usize) -> Fault + Send + 'static) {
        self.script().chaos = Some(Box::new(chaos));
    }

    pub fn end_chaos(&self) {
        self.script().chaos = None;
    }

    /// The groups that were sent, in order.
    pub fn appended(&self) -> Vec<Vec<Outgoing>> {
        self.script().appended.clone()
    }

    pub fn lose(&self) {
        self.link.send_modify(|link| link.1 = false);
        let serving = self.script().serving.take();
        if let Some(session) = serving {
            self.stream.lock().peers.remove(&session);
        }
    }

    pub fn refuse_reconnects(&self, times: usize) {
        self.script().refuse_reconnects = times;
    }

    /// So many reconnects are told that the stream does not exist.
    pub fn say_missing(&self, times: usize) {
        self.script().missing = times;
    }

    /// So many answers about the stream come from a server that does not know its last message.
    pub fn lag(&self, times: usize) {
        self.script().lagging = times;
    }

    /// The next follower reads a replica that has stopped at a place.
    pub fn stop_replica_at(&self, place: u64) {
        self.script().replicas.push_back(place);
    }

    pub(super) fn next_replica(&self) -> Option<u64> {
        self.script().replicas.pop_front()
    }

    /// So many of the next followers are told, before the last message comes, that everything was delivered.
    pub fn tell_the_end_early(&self, followers: usize) {
        self.script().hasty = followers;
    }

    pub(super) fn is_next_hasty(&self) -> bool {
        let mut script = self.script();
        let hasty = script.hasty > 0;
        script.hasty = script.hasty.saturating_sub(1);
        hasty
    }

    /// The follower loses its place and ends.
    pub fn gap(&self) {
        self.gap.store(true, Ordering::Relaxed);
        self.stream.note_change();
    }

    pub(super) fn gap_flag(&self) -> Arc<AtomicBool> {
        self.gap.clone()
    }

    pub(super) fn frozen(&self) -> watch::Receiver<bool> {
        self.frozen.subscribe()
    }

    /// The connection breaks for good after so many more purges: a crash in the middle of a compaction.
    pub fn lose_after_purges(&self, purges: usize) {
        self.script().purges_until_loss = Some(purges);
    }

    pub fn freeze(&self, frozen: bool) {
        self.frozen.send_replace(frozen);
    }

    pub(super) async fn thawed(&self) {
        let mut frozen = self.frozen.subscribe();
        let _ = frozen.wait_for(|frozen| !frozen).await;
    }

    pub(super) fn link(&self) -> watch::Receiver<(u64, bool)> {
        self.link.subscribe()
    }

    fn check(&self) -> Result<(), LogError> {
        if self.link.borrow().1 { Ok(()) } else { Err(lost()) }
    }

    /// A question to the server and its answer.
    async fn round_trip(&self) -> Result<(), LogError> {
        self.check()?;
        let half = self.timing().read / 2;
        sleep(half).await;
        self.thawed().await;
        self.check()?;
        Ok(())
    }

    /// And the way back.
    async fn back(&self) -> Result<(), LogError> {
        sleep(self.timing().read / 2).await;
        self.thawed().await;
        self.check()
    }

    fn next_fault(&self, messages: usize) -> Fault {
        let mut script = self.script();
        if let Some(fault) = script.faults.pop_front() {
            return fault;
        }
        script.chaos.as_mut().map_or(Fault::NONE, |chaos| chaos(messages))
    }

    fn arrive(&self, group: Vec<Outgoing>, fault: &Fault) -> Result<u64, AppendError> {
        let mut inner = self.stream.lock();
        (0..fault.foreign_before).for_each(|_| inner.store_foreign());
        if let Some(refusal) = inner.refuses.as_ref().and_then(|refuses| refuses(&group)) {
            return Err(AppendError::Refused(refusal));
        }
        assert!(group.len() <= inner.max_group_messages, "a group over the server's limit");
        let outcome = inner.arrive(group, fault.unfenced, &fault.stored);
        outcome.map_err(|()| AppendError::Refused(Refusal::Sequence))
    }

    /// Waits until nothing that followers may see is unsynced, as MSG.GET does for a batch under way.
    async fn no_batch_under_way(&self) {
        let mut changed = self.stream.changed.subscribe();
        while self.stream.lock().unsynced_from.is_some() {
            let _ = changed.changed().await;
        }
    }
}

fn lost() -> LogError {
    LogError::Unavailable("the connection is lost".into())
}

impl Log for FakeLog {
    type Follower = FakeFollower;

    fn traits(&self) -> Traits {
        let inner = self.stream.lock();
        Traits {
            exclusive: inner.exclusive,
            replicated: inner.replicated,
            synced_after: if inner.synced { Duration::ZERO } else { Duration::from_secs(240) },
            max_group_messages: inner.max_group_messages,
            max_record_bytes: inner.max_record_bytes,
        }
    }

    async fn append(&self, group: Vec<Outgoing>) -> Result<Sequence, AppendError> {
        let unknown = || AppendError::Unknown("the connection is lost".into());
        self.check().map_err(|_| unknown())?;
        self.script().appended.push(group.clone());
        let timing = self.timing();
        let link = self.link.borrow().0;
        let staging = if group.len() > 1 { timing.batch } else { Duration::ZERO };
        sleep(timing.append / 2 + staging).await;
        self.thawed().await;
        let fault = self.next_fault(group.len());
        let outcome = self.arrive(group, &fault);
        self.stream.note_change();
        if fault.disconnect {
            self.lose();
        }
        sleep(timing.append / 2).await;
        if *self.link.borrow() != (link, true) {
            return Err(unknown());
        }
        match (fault.ack, fault.stored) {
            (Ack::Says(answer), _) => answer,
            // A refusal is told at once, unless answers get lost.
            (Ack::Honest, Stored::All) => outcome.map(Sequence),
            (Ack::Honest, _) if outcome.is_err() => outcome.map(Sequence),
            _ => {
                sleep(timing.append_timeout).await;
                Err(AppendError::Unknown("no acknowledgement in time".into()))
            }
        }
    }

    async fn last(&self) -> Result<Sequence, LogError> {
        self.round_trip().await?;
        self.no_batch_under_way().await;
        let last = Sequence(self.stream.last());
        self.back().await?;
        Ok(last)
    }

    async fn get(&self, at: Sequence) -> Result<Option<Incoming>, LogError> {
        self.round_trip().await?;
        let found = self.stream.at(at.0);
        self.back().await?;
        Ok(found)
    }

    async fn next_about(&self, target: &Target, from: Sequence) -> Result<Option<Incoming>, LogError> {
        self.round_trip().await?;
        let found = {
            let inner = self.stream.lock();
            inner.messages.range(from.0..).map(|(_, m)| m).find(|m| is_about(&m.content, target)).cloned()
        };
        self.back().await?;
        Ok(found)
    }

    async fn info(&self) -> Result<LogInfo, LogError> {
        self.round_trip().await?;
        let lags = {
            let mut script = self.script();
            let lags = script.lagging > 0;
            script.lagging = script.lagging.saturating_sub(1);
            u64::from(lags)
        };
        let info = {
            let inner = self.stream.lock();
            LogInfo {
                created: inner.created.clone(),
                first: Sequence(inner.messages.keys().next().copied().unwrap_or(inner.last + 1)),
                last: Sequence(inner.last - lags),
                messages: inner.messages.len() as u64,
                bytes: inner.messages.len() as u64 * 100,
                max_bytes: None,
                replicas: if inner.replicated { 3 } else { 1 },
                leader: "fake".into(),
            }
        };
        self.back().await?;
        Ok(info)
    }

    async fn follow(&self, from: Sequence) -> Result<FakeFollower, LogError> {
        self.round_trip().await?;
        let end = self.stream.last();
        if from.0 > end + 1 {
            return Err(LogError::Unavailable(format!("the log ends at {end}, before {from}")));
        }
        let follower = FakeFollower::new(self, from, Sequence(end));
        self.back().await?;
        Ok(follower)
    }

    async fn account_left(&self) -> Option<u64> {
        None
    }

    fn disk_left(&self) -> Option<u64> {
        self.stream.lock().disk_left
    }

    async fn purge(&self, target: &Target, below: Sequence) -> Result<u64, LogError> {
        self.round_trip().await?;
        let removed = self.stream.lock().purge(target, below);
        self.stream.note_change();
        let lost = self.script().purges_until_loss.as_mut().is_some_and(|left| {
            *left = left.saturating_sub(1);
            *left == 0
        });
        if lost {
            self.refuse_reconnects(usize::MAX);
            self.lose();
        }
        self.back().await?;
        Ok(removed)
    }

    async fn disturbed(&self) -> String {
        let mut link = self.link();
        let _ = link.wait_for(|(_, works)| !works).await;
        "the connection is lost".into()
    }

    async fn reconnect(&self) -> Result<(), LogError> {
        self.lose();
        sleep(self.timing().read).await;
        self.thawed().await;
        {
            let mut script = self.script();
            if script.refuse_reconnects > 0 {
                script.refuse_reconnects -= 1;
                return Err(LogError::Unavailable("connection refused".into()));
            }
            if script.missing > 0 {
                script.missing -= 1;
                return Err(LogError::StreamMissing);
            }
        }
        self.link.send_modify(|(number, works)| (*number, *works) = (*number + 1, true));
        Ok(())
    }
}

impl Peers for FakeLog {
    async fn ask(&self, peer: SessionId, question: Bytes, timeout: Duration) -> Result<Bytes, PeerError> {
        tokio::time::timeout(timeout, self.ask_peer(peer, question)).await.unwrap_or(Err(PeerError::Timeout))
    }

    async fn serve(&self, me: SessionId) -> Result<mpsc::Receiver<Question>, LogError> {
        self.round_trip().await?;
        Ok(self.register(me))
    }
}

impl FakeLog {
    pub(super) fn note_serving(&self, me: SessionId) {
        self.script().serving = Some(me);
    }

    pub(super) async fn reach_server(&self) -> Result<(), LogError> {
        self.round_trip().await
    }
}
