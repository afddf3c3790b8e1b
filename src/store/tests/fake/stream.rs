//! What the connections of a test share.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::fault::Stored;
use super::log::FakeLog;
use crate::state::{Revision, Sequence};
use crate::store::log::{
    ClusterId, Content, EntryId, Genesis, Identity, Incoming, Outgoing, Question, Record, Refusal, SessionId, Stamp,
    Target,
};

pub const CLUSTER: ClusterId = ClusterId(42);

/// One stream of one server or cluster. Cheap to clone.
#[derive(Clone)]
pub struct Stream {
    pub(super) inner: Arc<Mutex<Inner>>,
    /// Counts the changes, for those who follow.
    pub(super) changed: Arc<watch::Sender<u64>>,
}

type Refuses = Box<dyn Fn(&[Outgoing]) -> Option<Refusal> + Send>;

pub(super) struct Inner {
    pub messages: BTreeMap<u64, Incoming>,
    /// All that ever stood in the log, with the time at which it was stored. Purges do not touch it.
    pub archive: BTreeMap<u64, (Incoming, Instant)>,
    pub last: u64,
    pub created: String,
    pub replicated: bool,
    pub synced: bool,
    pub exclusive: bool,
    pub max_group_messages: usize,
    pub max_record_bytes: usize,
    /// Messages from here on are shown to followers and not synced: MSG.GET waits.
    pub unsynced_from: Option<u64>,
    /// What it says to a group instead of storing it.
    pub refuses: Option<Refuses>,
    pub disk_left: Option<u64>,
    /// Groups that hang in a socket somewhere.
    pub late: Vec<Vec<Outgoing>>,
    /// What is left of half-stored batches.
    pub unfinished: Vec<Vec<Outgoing>>,
    pub peers: HashMap<SessionId, mpsc::Sender<Question>>,
    /// All that was ever purged, in order.
    pub purges: Vec<(Target, Sequence)>,
    foreign: u64,
}

impl Stream {
    /// A log that holds its genesis record and nothing else, at one replica with sync always, which several write to.
    pub fn new() -> Stream {
        let inner = Inner {
            messages: BTreeMap::new(),
            archive: BTreeMap::new(),
            last: 0,
            created: "2026-01-01T00:00:00Z".into(),
            replicated: false,
            synced: true,
            exclusive: false,
            max_group_messages: 1000,
            max_record_bytes: 1 << 20,
            unsynced_from: None,
            refuses: None,
            disk_left: None,
            late: Vec::new(),
            unfinished: Vec::new(),
            peers: HashMap::new(),
            purges: Vec::new(),
            foreign: 0,
        };
        let stream = Stream { inner: Arc::new(Mutex::new(inner)), changed: Arc::new(watch::Sender::new(0)) };
        stream.lock().store(genesis());
        stream
    }

    pub fn replicated() -> Stream {
        let stream = Stream::new();
        stream.lock().replicated = true;
        stream
    }

    pub fn exclusive() -> Stream {
        let stream = Stream::new();
        stream.lock().exclusive = true;
        stream
    }

    /// Small groups and values, so that a test needs little to fill them.
    pub fn with_limits(self, max_group_messages: usize, max_record_bytes: usize) -> Stream {
        {
            let mut inner = self.lock();
            inner.max_group_messages = max_group_messages;
            inner.max_record_bytes = max_record_bytes;
        }
        self
    }

    pub fn connect(&self) -> Arc<FakeLog> {
        Arc::new(FakeLog::new(self.clone()))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    pub(super) fn note_change(&self) {
        self.changed.send_modify(|n| *n += 1);
    }

    fn change<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        let result = change(&mut self.lock());
        self.note_change();
        result
    }

    pub fn last(&self) -> u64 {
        self.lock().last
    }

    /// All that stands in the log, in order.
    pub fn messages(&self) -> Vec<Incoming> {
        self.lock().messages.values().cloned().collect()
    }

    /// All that ever stood in the log, purged or not, and when it was stored.
    pub fn archive(&self) -> Vec<(Incoming, Instant)> {
        self.lock().archive.values().cloned().collect()
    }

    pub fn at(&self, place: u64) -> Option<Incoming> {
        self.lock().messages.get(&place).cloned()
    }

    pub fn purges(&self) -> Vec<(Target, Sequence)> {
        self.lock().purges.clone()
    }

    pub fn put_foreign(&self) {
        self.change(Inner::store_foreign);
    }

    /// Stores messages at the log's end, wherever they were meant for.
    pub fn put(&self, messages: Vec<Outgoing>) {
        self.change(|inner| messages.into_iter().for_each(|message| inner.store(message)));
    }

    /// What hung in sockets arrives. `fenced`: and is refused if the log has moved on, as by any sane server.
    pub fn release_late(&self, fenced: bool) -> usize {
        self.change(|inner| {
            let late = std::mem::take(&mut inner.late);
            late.into_iter().map(|group| usize::from(inner.arrive(group, !fenced, &Stored::All).is_ok())).sum()
        })
    }

    /// The server starts again and stores what was left of half-stored batches: in place where the log ends there, at the end else.
    pub fn finish_batches(&self) {
        self.change(|inner| {
            let rest = std::mem::take(&mut inner.unfinished);
            rest.into_iter().flatten().for_each(|message| inner.store(message));
        });
    }

    /// Messages are visible to followers before they are synced.
    pub fn put_unsynced(&self, messages: Vec<Outgoing>) {
        self.change(|inner| {
            inner.unsynced_from.get_or_insert(inner.last + 1);
            messages.into_iter().for_each(|message| inner.store(message));
        });
    }

    pub fn sync(&self) {
        self.change(|inner| inner.unsynced_from = None);
    }

    /// The power fails: what was not synced is gone.
    pub fn power_cut(&self) {
        self.change(|inner| {
            if let Some(from) = inner.unsynced_from.take() {
                inner.cut(from);
            }
        });
    }

    /// Removes all messages from a place on as if they had never been.
    pub fn cut(&self, from: u64) {
        self.change(|inner| inner.cut(from));
    }

    /// Removes a message; its place stays taken.
    pub fn remove(&self, place: u64) {
        self.change(|inner| inner.messages.remove(&place));
    }

    /// Deletes the stream and makes it anew, with a genesis record.
    pub fn recreate(&self) {
        self.change(|inner| {
            inner.messages.clear();
            inner.last = 0;
            inner.created.push('+');
            inner.store(genesis());
        });
    }

    pub fn refuse(&self, refuses: impl Fn(&[Outgoing]) -> Option<Refusal> + Send + 'static) {
        self.change(|inner| inner.refuses = Some(Box::new(refuses)));
    }

    pub fn set_disk_left(&self, left: u64) {
        self.change(|inner| inner.disk_left = Some(left));
    }

    pub fn set_full(&self, full: bool) {
        let refuses: Refuses = Box::new(|_| Some(Refusal::NoSpace("maximum bytes exceeded".into())));
        self.change(|inner| inner.refuses = full.then_some(refuses));
    }
}

impl Inner {
    /// One server's handling of a group: checks the fence and stores what the fault lets it. Err: refused for its sequence.
    pub fn arrive(&mut self, group: Vec<Outgoing>, unfenced: bool, stored: &Stored) -> Result<u64, ()> {
        let Some(first) = group.first().map(|message| message.stamp.meant_for.0) else { return Ok(self.last) };
        if self.last + 1 != first && !unfenced {
            return Err(());
        }
        match stored {
            Stored::All => group.into_iter().for_each(|message| self.store(message)),
            Stored::Nothing => {}
            Stored::Late => self.late.push(group),
            Stored::Prefix(n) => {
                let mut group = group;
                let rest = group.split_off((*n).min(group.len()));
                group.into_iter().for_each(|message| self.store(message));
                self.unfinished.push(rest);
            }
        }
        Ok(self.last)
    }

    pub fn store(&mut self, message: Outgoing) {
        let identity = Identity::Ours(message.stamp.id, message.stamp.part);
        self.push(Content::Ours(message.stamp, message.record), identity);
    }

    pub fn store_foreign(&mut self) {
        self.foreign += 1;
        self.push(Content::Foreign { subject: "$KV.jine.stray".into() }, Identity::Foreign(self.foreign));
    }

    fn push(&mut self, content: Content, identity: Identity) {
        self.last += 1;
        let message = Incoming { sequence: Sequence(self.last), content, identity };
        self.messages.insert(self.last, message.clone());
        self.archive.insert(self.last, (message, Instant::now()));
    }

    fn cut(&mut self, from: u64) {
        self.messages.split_off(&from);
        self.archive.split_off(&from);
        self.last = from - 1;
    }

    pub fn purge(&mut self, target: &Target, below: Sequence) -> u64 {
        self.purges.push((target.clone(), below));
        let before = self.messages.len();
        self.messages.retain(|at, message| *at >= below.0 || !is_about(&message.content, target));
        (before - self.messages.len()) as u64
    }
}

/// Which subject a message stands on.
pub(super) fn is_about(content: &Content, target: &Target) -> bool {
    let Content::Ours(_, record) = content else { return false };
    match record {
        Record::Put { key, .. } | Record::Delete { key, .. } => *target == Target::Key(key.clone()),
        Record::Tombstones { .. } => *target == Target::Tombstones,
        Record::LeaseGrant { id, .. } | Record::LeaseRevoke { id } => *target == Target::Lease(*id),
        Record::Compact { .. } => *target == Target::Compactions,
        Record::AlarmRaise(_) | Record::AlarmDisarm(_) => *target == Target::Alarms,
        Record::Claim => *target == Target::Claims,
        Record::Fence => *target == Target::Fences,
        Record::Checkpoint(_) => *target == Target::Checkpoints,
        Record::Genesis(_) => false,
    }
}

fn genesis() -> Outgoing {
    let stamp = Stamp {
        id: EntryId { session: SessionId(1), counter: 0 },
        cluster: CLUSTER,
        entry: 0,
        part: 1,
        parts: 1,
        meant_for: Sequence(1),
        group: Sequence(1),
    };
    let genesis = Genesis { format: 1, cluster: CLUSTER, revision: Revision::FIRST, compacted: Revision::ZERO };
    Outgoing { stamp, record: Record::Genesis(genesis) }
}

/// A put of one key, for messages that a test writes itself.
pub fn put_record(key: &str, revision: i64, value: &str) -> Record {
    Record::Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        revision: Revision(revision),
        create_revision: Revision(revision),
        version: 1,
        lease: crate::state::LeaseId::NONE,
        sub: 0,
        chunk: 1,
        chunks: 1,
        value: Bytes::copy_from_slice(value.as_bytes()),
    }
}
