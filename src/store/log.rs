//! The log as the store needs it: what stands in it ([`Record`], [`Stamp`]) and what can be done with it
//! ([`Log`]). `jetstream` implements it on a stream; tests implement it in memory to script faults.
//!
//! The trait is narrow on purpose. It moves messages and tells what the server said; whether a message counts,
//! what may be removed and what an error proves is decided in `store` alone (see docs/log-format.md).

use std::fmt;
use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use crate::state::{Alarm, LeaseId, Revision, Sequence};

/// One run of one jine process; random, never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(pub u64);

/// The log's identity, chosen by whoever writes the genesis record. etcd's `cluster_id` in every header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ClusterId(pub u64);

/// Names one attempt to append one entry. Never reused: a retry gets a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    pub session: SessionId,
    pub counter: u64,
}

/// The longest key that a log has to carry.
pub const MAX_KEY_BYTES: usize = 32 * 1024;

/// What every message of ours says about itself, so that any reader can tell whether it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    pub id: EntryId,
    pub cluster: ClusterId,
    /// 1, 2, 3 … over the valid entries of the log.
    pub entry: u64,
    /// This is message `part` (from 1) of `parts` of its entry.
    pub part: u32,
    pub parts: u32,
    /// The place it was planned for. Anywhere else it is void.
    pub meant_for: Sequence,
    /// The first place of the group it was sent in.
    pub group: Sequence,
}

/// The kinds of message. Frozen: a new kind needs a new format version of the bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Chunk `chunk` (from 1) of `chunks` of a value, in consecutive messages of one entry.
    Put {
        key: Bytes,
        revision: Revision,
        create_revision: Revision,
        version: i64,
        lease: LeaseId,
        sub: u32,
        chunk: u32,
        chunks: u32,
        value: Bytes,
    },
    Delete {
        key: Bytes,
        revision: Revision,
        sub: u32,
    },
    /// Deletes of many keys in one message; a long list takes several of them in one entry. `sub` is the first key's.
    Tombstones {
        keys: Vec<Bytes>,
        revision: Revision,
        sub: u32,
    },
    /// `ttl` in seconds.
    LeaseGrant {
        id: LeaseId,
        ttl: i64,
    },
    LeaseRevoke {
        id: LeaseId,
    },
    Compact {
        revision: Revision,
    },
    AlarmRaise(Alarm),
    AlarmDisarm(Alarm),
    /// Its author is the lessor from here on.
    Claim,
    /// Says nothing; takes a place.
    Fence,
    Checkpoint(Checkpoint),
    /// How the log begins. Stands at sequence 1 with the stamp's entry 0.
    Genesis(Genesis),
}

/// The state at a place in the log, in few words: what a replay of the compacted log must come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The place it describes, below its own.
    pub at: Sequence,
    /// The number of the last valid entry at or below `at`.
    pub entry: u64,
    pub revision: Revision,
    pub compacted: Revision,
    pub keys: u64,
    pub keys_hash: u64,
    pub leases: u64,
    pub leases_hash: u64,
    /// The author of the last valid claim at or below `at`.
    pub claim: Option<SessionId>,
    /// Entries at or below `at` that are void or torn and still have messages in the log: the sequences of those.
    pub void: Vec<Sequence>,
}

/// The first record of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Format version; an unknown one is refused.
    pub format: u32,
    pub cluster: ClusterId,
    /// The revision the log starts from: 1, or an imported store's.
    pub revision: Revision,
    /// The imported store's compacted revision, or 0.
    pub compacted: Revision,
}

/// A message to append.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    pub stamp: Stamp,
    pub record: Record,
}

/// A message as it stands in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    pub sequence: Sequence,
    pub content: Content,
    /// What tells this message from any other that could stand at the same place: for ours the id and part, for
    /// a foreign one a hash of its time and content.
    pub identity: Identity,
}

/// What a message of the stream is to jine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    Ours(Stamp, Record),
    /// Not written by a jine. `subject` for the log line about it.
    Foreign {
        subject: String,
    },
    /// Written by a jine, but not readable here (a newer format, an unknown kind, damage): serving on would be wrong.
    Unreadable {
        subject: String,
        why: String,
    },
}

/// See [`Incoming::identity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The entry's id, and which of its messages.
    Ours(EntryId, u32),
    /// The hash.
    Foreign(u64),
}

/// What a follower delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    Message(Incoming),
    /// Every message up to here that still exists has been delivered (told by a heartbeat).
    Reached(Sequence),
}

/// What is known of the stream right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogInfo {
    /// When the stream was created: changes if it is deleted and made anew.
    pub created: String,
    pub first: Sequence,
    pub last: Sequence,
    pub messages: u64,
    /// Bytes the stream takes on disk.
    pub bytes: u64,
    /// The stream's own limit, if it has one.
    pub max_bytes: Option<u64>,
    pub replicas: usize,
    /// The stream's leader, or the server's name where it is not clustered.
    pub leader: String,
}

/// What holds as long as one connection to the log does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Only this process can write to the log: reads need no fence, and the log needs no following.
    pub exclusive: bool,
    /// Three replicas or more: only a committed append proves that nothing newer was acknowledged.
    pub replicated: bool,
    /// How long after its acknowledgement an append survives a power cut (of a minority, where replicated). Zero: at once.
    pub synced_after: Duration,
    /// The most messages in one group.
    pub max_group_messages: usize,
    /// The most bytes of value or key list that one message holds.
    pub max_record_bytes: usize,
}

/// What a removal is about: every message about one of these stands on a subject of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    Key(Bytes),
    Lease(LeaseId),
    /// All records of an internal kind that stand on one subject.
    Compactions,
    Fences,
    Claims,
    Alarms,
    Checkpoints,
    Tombstones,
}

/// Why an append was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The server refused it: nothing of the group is stored, nor ever will be. (With replicas, as far as the server knew that answered:
    /// one that is just losing the leadership can be wrong, and its successor store the group.)
    #[error("refused: {0}")]
    Refused(Refusal),
    /// No answer, a lost connection, an answer that makes no sense: it may be stored, now or later.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// Why nothing of a group was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another message stands where the group was meant to begin.
    Sequence,
    /// The stream or the account is full.
    NoSpace(String),
    /// Any other definite refusal, in the server's words.
    Other(String),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Sequence => f.write_str("the log has moved on"),
            Refusal::NoSpace(why) | Refusal::Other(why) => f.write_str(why),
        }
    }
}

/// Why anything else failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Try again: no connection, no answer, no leader.
    #[error("{0}")]
    Unavailable(String),
    /// The server says that there is no such stream. It may be wrong: by its source one that is being shut down may say so of any.
    #[error("the stream does not exist, says NATS: if it was deleted, restore it")]
    StreamMissing,
    /// NATS refuses what a person has to put right there: try again all the same, as it may be put right at any time.
    #[error("{0}")]
    Refused(String),
    /// Trying again will not help: a person must look.
    #[error("{0}")]
    Fatal(String),
}

/// One ordered reading of the log. Ends (with an error) at the first sign that a message may have been missed; the
/// store then checks where it stands and asks for a new one.
pub trait Follow: Send + Sync + 'static {
    /// Cancel safe: nothing is lost when the future is dropped before it is ready.
    fn next(&mut self) -> impl Future<Output = Result<Followed, LogError>> + Send;
}

/// A connection to the log.
///
/// A connection that broke publishes nothing any more: every later `append` fails until [`Log::reconnect`] was called,
/// which throws the old connection away. (A message still in an old socket may arrive much later all the same.)
pub trait Log: Send + Sync + 'static {
    type Follower: Follow;

    /// May change at a reconnect.
    fn traits(&self) -> Traits;

    /// Appends a group: one message, or several as one atomic batch, meant for consecutive places from
    /// `group[0].stamp.meant_for` on and refused unless the log ends right before that. Returns the last message's
    /// sequence once the server has acknowledged all of them at the places they were meant for.
    fn append(&self, group: Vec<Outgoing>) -> impl Future<Output = Result<Sequence, AppendError>> + Send;

    /// The last place that is taken, by a read that waits for a batch under way (MSG.GET). With one replica no write that
    /// was acknowledged before the call is above it.
    fn last(&self) -> impl Future<Output = Result<Sequence, LogError>> + Send;

    /// The message at a place, or None where it was removed or never was.
    fn get(&self, at: Sequence) -> impl Future<Output = Result<Option<Incoming>, LogError>> + Send;

    /// The first message about a target at or after a place, of those that are still there.
    fn next_about(
        &self,
        target: &Target,
        from: Sequence,
    ) -> impl Future<Output = Result<Option<Incoming>, LogError>> + Send;

    fn info(&self) -> impl Future<Output = Result<LogInfo, LogError>> + Send;

    /// Bytes by which the log may grow before the account that it belongs to is full. None: no such limit, or none that can be found out.
    fn account_left(&self) -> impl Future<Output = Option<u64>> + Send;

    /// What is free on the disk that the log is on, in bytes, where this process can see that. Asks nobody.
    fn disk_left(&self) -> Option<u64>;

    /// Reads the log from `from` (inclusive) on, live after its end.
    fn follow(&self, from: Sequence) -> impl Future<Output = Result<Self::Follower, LogError>> + Send;

    /// Removes the target's messages below a place; returns how many were removed. Idempotent.
    fn purge(&self, target: &Target, below: Sequence) -> impl Future<Output = Result<u64, LogError>> + Send;

    /// Resolves when the connection that publishes is lost (at once if it is), or when the stream's configuration may have changed.
    fn disturbed(&self) -> impl Future<Output = String> + Send;

    /// Replaces the connection and checks the bucket's configuration anew. One attempt.
    fn reconnect(&self) -> impl Future<Output = Result<(), LogError>> + Send;
}

/// Messages between the jine processes of one bucket.
pub trait Peers: Send + Sync + 'static {
    /// Asks another session and waits for its answer.
    fn ask(
        &self,
        peer: SessionId,
        question: Bytes,
        timeout: Duration,
    ) -> impl Future<Output = Result<Bytes, PeerError>> + Send;

    /// Serves questions to this session: each comes with the place to put the answer. Ends with the connection.
    fn serve(
        &self,
        me: SessionId,
    ) -> impl Future<Output = Result<tokio::sync::mpsc::Receiver<Question>, LogError>> + Send;
}

/// What another jine asks, and where to answer it.
#[derive(Debug)]
pub struct Question {
    pub question: Bytes,
    pub answer: tokio::sync::oneshot::Sender<Bytes>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// Nobody of that name is there: certain.
    #[error("no such peer")]
    NoResponders,
    /// It may have done it or not.
    #[error("no answer in time")]
    Timeout,
}
