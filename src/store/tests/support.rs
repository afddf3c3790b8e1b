//! Opening stores on a fake stream and asking them simple things.

// A toolbox, as the fake log is.
#![allow(dead_code)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::fake::{FakeLog, Stream};
use crate::state::{
    Compare, CompareResult, CompareTarget, DeleteRangeRequest, Fingerprint, KeyRange, KeyValue, LeaseId, PutRequest,
    RangeRequest, RequestOp, Revision, TxnRequest,
};
use crate::store::log::SessionId;
use crate::store::{
    Consistency, Error, Fatal, Options, Progress, Running, Store, WatchOutput, WatchRequest, WatchStream,
};

/// One jine of a test.
pub struct Node {
    pub store: Store,
    pub log: Arc<FakeLog>,
    pub ended: JoinHandle<Result<(), Fatal>>,
}

pub fn options(session: u64) -> Options {
    Options {
        session: SessionId(session),
        member_id: session,
        progress_notify_interval: Duration::from_secs(600),
        request_timeout: Options::REQUEST_TIMEOUT,
        outage_grace: Options::OUTAGE_GRACE,
        quota: None,
        largest: Default::default(),
        values: None,
    }
}

pub async fn open(stream: &Stream, session: u64) -> Node {
    open_on(stream.connect(), session).await
}

pub async fn open_on(log: Arc<FakeLog>, session: u64) -> Node {
    try_open(log, session).await.unwrap()
}

pub async fn try_open(log: Arc<FakeLog>, session: u64) -> Result<Node, Fatal> {
    let Running { store, ended } =
        Store::open(log.clone(), options(session), watch::Sender::new(Progress::default())).await?;
    Ok(Node { store, log, ended })
}

pub fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub fn put_request(key: &str, value: &str) -> PutRequest {
    PutRequest {
        key: bytes(key),
        value: bytes(value),
        lease: LeaseId::NONE,
        prev_kv: false,
        ignore_value: false,
        ignore_lease: false,
    }
}

pub fn range_request(range: KeyRange) -> RangeRequest {
    RangeRequest::new(range)
}

pub fn everything() -> KeyRange {
    KeyRange::From(bytes(""))
}

/// If the key's version is `version`: puts all pairs; else nothing.
pub fn put_if_version(key: &str, version: i64, pairs: &[(&str, &str)]) -> TxnRequest {
    TxnRequest {
        compare: vec![Compare {
            range: KeyRange::Single(bytes(key)),
            result: CompareResult::Equal,
            target: CompareTarget::Version(version),
        }],
        success: pairs.iter().map(|(key, value)| RequestOp::Put(put_request(key, value))).collect(),
        failure: vec![RequestOp::Range(range_request(KeyRange::Single(bytes(key))))],
    }
}

impl Node {
    pub async fn put(&self, key: &str, value: &str) -> Result<i64, Error> {
        Ok(self.store.put(put_request(key, value)).await?.revision.0)
    }

    /// Starts a put and lets it get on its way.
    pub fn spawn_put(&self, key: &str, value: &str) -> JoinHandle<Result<i64, Error>> {
        let (store, request) = (self.store.clone(), put_request(key, value));
        tokio::spawn(async move { Ok(store.put(request).await?.revision.0) })
    }

    pub fn spawn_delete(&self, key: &str) -> JoinHandle<Result<i64, Error>> {
        let (store, range) = (self.store.clone(), KeyRange::Single(bytes(key)));
        let request = DeleteRangeRequest { range, prev_kv: false };
        tokio::spawn(async move { Ok(store.delete_range(request).await?.revision.0) })
    }

    pub async fn put_all(&self, pairs: &[(&str, &str)]) -> Result<i64, Error> {
        let success = pairs.iter().map(|(key, value)| RequestOp::Put(put_request(key, value))).collect();
        let txn = TxnRequest { success, ..TxnRequest::default() };
        Ok(self.store.txn(txn, Consistency::Linearizable).await?.revision.0)
    }

    pub async fn put_attached(&self, key: &str, lease: i64) -> Result<i64, Error> {
        let request = PutRequest { lease: LeaseId(lease), ..put_request(key, "v") };
        Ok(self.store.put(request).await?.revision.0)
    }

    pub async fn delete(&self, key: &str) -> Result<i64, Error> {
        let request = DeleteRangeRequest { range: KeyRange::Single(bytes(key)), prev_kv: false };
        Ok(self.store.delete_range(request).await?.revision.0)
    }

    async fn value(&self, key: &str, consistency: Consistency) -> Result<Option<String>, Error> {
        let response = self.store.range(range_request(KeyRange::Single(bytes(key))), consistency).await?;
        Ok(response.kvs.first().map(|kv| String::from_utf8_lossy(&kv.value.bytes()).into_owned()))
    }

    /// Linearizable.
    pub async fn get(&self, key: &str) -> Result<Option<String>, Error> {
        self.value(key, Consistency::Linearizable).await
    }

    /// What this process has applied.
    pub async fn peek(&self, key: &str) -> Result<Option<String>, Error> {
        self.value(key, Consistency::Serializable).await
    }

    /// All live keys, linearizably. (Sequences are left out of the comparison by nobody: they must be the same everywhere.)
    pub async fn all(&self) -> Result<Vec<KeyValue>, Error> {
        let response = self.store.range(range_request(everything()), Consistency::Linearizable).await?;
        Ok(response.kvs.iter().map(|kv| (**kv).clone()).collect())
    }

    pub fn fingerprint(&self) -> Fingerprint {
        self.store.inner.shared.state().fingerprint()
    }

    pub fn revision(&self) -> i64 {
        self.store.revision().0
    }

    pub fn settled(&self) -> u64 {
        self.store.inner.shared.counters.settled.load(std::sync::atomic::Ordering::Relaxed)
    }

    pub fn outages(&self) -> u64 {
        self.store.inner.shared.counters.outages.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Watches everything from a revision on (0: from now on).
    pub fn watch(&self, start: i64) -> WatchStream {
        let stream = self.store.watch_stream();
        stream.create(watch_request(everything(), start));
        stream
    }
}

pub fn watch_request(range: KeyRange, start: i64) -> WatchRequest {
    WatchRequest { id: None, range, start: Revision(start), no_put: false, no_delete: false, progress_notify: false }
}

/// The next revision that a watch delivers; None when it has ended.
pub async fn next_revision(stream: &WatchStream) -> Option<i64> {
    loop {
        match stream.next().await? {
            WatchOutput::Events { revision, .. } => return Some(revision.0),
            WatchOutput::Created { .. } | WatchOutput::Progress { .. } => {}
            other => panic!("unexpected {other:?}"),
        }
    }
}

/// Waits (in paused time) until something holds.
pub async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(3600);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

pub async fn for_ms(ms: u64) {
    sleep(Duration::from_millis(ms)).await;
}
