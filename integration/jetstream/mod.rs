//! The log on a real nats-server.

mod append;
mod bucket;
mod cluster;
mod connect;
mod faults;
mod follow;
mod peers;
mod tools;

use bytes::Bytes;
use jine::jetstream::{JetStream, Options, open};
use jine::state::{LeaseId, Revision, Sequence};
use jine::store::log::{
    ClusterId, Content, EntryId, Follow, Followed, Incoming, Log, LogError, Outgoing, Record, SessionId, Stamp,
};

use crate::support::nats::NatsServer;

pub(crate) fn options(server: &NatsServer) -> Options {
    Options { servers: vec![server.url()], ..Options::default() }
}

pub(crate) async fn open_on(server: &NatsServer) -> JetStream {
    open(options(server)).await.expect("the bucket opens")
}

/// Whoever has a server and a bucket gets a log and can write to it.
pub(crate) async fn fresh() -> (NatsServer, JetStream) {
    let server = NatsServer::start().await;
    let log = open_on(&server).await;
    (server, log)
}

pub(crate) fn put(key: &str, value: impl Into<Bytes>) -> Record {
    Record::Put {
        key: Bytes::copy_from_slice(key.as_bytes()),
        revision: Revision(2),
        create_revision: Revision(2),
        version: 1,
        lease: LeaseId::NONE,
        sub: 0,
        chunk: 1,
        chunks: 1,
        value: value.into(),
    }
}

pub(crate) fn delete(key: &str) -> Record {
    Record::Delete { key: Bytes::copy_from_slice(key.as_bytes()), revision: Revision(3), sub: 0 }
}

/// A group of records meant for the places from `at` on. `counter` makes its id.
pub(crate) fn group(at: u64, counter: u64, records: Vec<Record>) -> Vec<Outgoing> {
    let messages = records.into_iter().enumerate().map(|(i, record)| Outgoing {
        stamp: Stamp {
            id: EntryId { session: SessionId(7), counter: counter + i as u64 },
            cluster: ClusterId(9),
            entry: at + i as u64,
            part: 1,
            parts: 1,
            meant_for: Sequence(at + i as u64),
            group: Sequence(at),
        },
        record,
    });
    messages.collect()
}

/// Appends at the end as it is now; returns the last message's place.
pub(crate) async fn append(log: &JetStream, records: Vec<Record>) -> Sequence {
    let at = log.last().await.expect("the end").0 + 1;
    let count = records.len() as u64;
    let last = log.append(group(at, at, records)).await.expect("appended");
    assert_eq!(last, Sequence(at + count - 1));
    last
}

pub(crate) fn record_of(incoming: &Incoming) -> &Record {
    match &incoming.content {
        Content::Ours(_, record) => record,
        other => panic!("{other:?} at {}", incoming.sequence),
    }
}

/// Everything up to the end, as a follower first sees it.
pub(crate) async fn replay(log: &JetStream, from: u64) -> (Vec<Incoming>, Sequence) {
    try_replay(log, from).await.expect("the log goes on")
}

/// An error: it could not be read to its end this time.
pub(crate) async fn try_replay(log: &JetStream, from: u64) -> Result<(Vec<Incoming>, Sequence), LogError> {
    let end = log.last().await?;
    let mut follower = log.follow(Sequence(from)).await?;
    let mut messages = Vec::new();
    loop {
        let at = match follower.next().await? {
            Followed::Reached(at) => at,
            Followed::Message(message) => {
                let at = message.sequence;
                messages.push(message);
                at
            }
        };
        if at >= end {
            return Ok((messages, at));
        }
    }
}

pub(crate) async fn next_message(follower: &mut impl Follow) -> Result<Incoming, LogError> {
    loop {
        if let Followed::Message(message) = follower.next().await? {
            return Ok(message);
        }
    }
}

/// The text of the error that an opening must end in.
pub(crate) async fn open_error(options: Options) -> LogError {
    match open(options).await {
        Ok(_) => panic!("it opened"),
        Err(error) => error,
    }
}
