//! Clients at full load, and what each of them was told.
//!
//! Every attempt writes what no other writes: its own name as a value, or the deletion of a key that nobody else deletes. So the history
//! of a store says of each revision whose it is, and [`super::account`] can hold it against the answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jine::pb::etcdserverpb::request_op::Request as Op;
use jine::pb::etcdserverpb::{DeleteRangeRequest, PutRequest, RequestOp, TxnResponse};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinHandle;
use tonic::Status;

use crate::support::client::{Client, written_at};

/// Enough for groups of many entries.
pub(super) const CLIENTS: usize = 64;

/// Keys that all clients write by compare-and-swap.
const SHARED: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// At this revision.
    Applied(i64),
    /// It was not executed, and never will be.
    NotApplied,
    /// No answer, or one that leaves it open.
    Unknown,
}

/// What one request wants to write: all of it at one revision, or none.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// The value of all that it puts, up to the first space.
    pub(super) name: String,
    /// Whether the key is put (or deleted).
    pub(super) changes: BTreeMap<Bytes, bool>,
    pub(super) answer: Answer,
    /// The lease that is revoked by it.
    pub(super) revokes: Option<i64>,
}

/// What clients were told, in no order.
#[derive(Default)]
pub(super) struct Ledger {
    pub(super) attempts: Vec<Attempt>,
    pub(super) granted: Vec<i64>,
}

pub(super) struct Load {
    signs: Arc<Signs>,
    clients: Vec<JoinHandle<Ledger>>,
}

#[derive(Default)]
struct Signs {
    stop: AtomicBool,
    cut: AtomicBool,
    acknowledged: AtomicUsize,
}

impl Load {
    /// `round` is told apart from every other of the same store; clients repeat nothing of an earlier one.
    pub(super) fn start(address: &str, round: u64, clients: usize, seed: u64) -> Load {
        let signs = Arc::new(Signs::default());
        let start = |i: usize| {
            let client = OneClient {
                client: Client::new(address),
                name: format!("{round}/{i:03}"),
                rng: StdRng::seed_from_u64(seed ^ round << 32 ^ i as u64),
                signs: signs.clone(),
                ledger: Ledger::default(),
                alive: Vec::new(),
            };
            tokio::spawn(client.run())
        };
        Load { clients: (0..clients).map(start).collect(), signs }
    }

    /// Writes that were answered as executed.
    pub(super) fn acknowledged(&self) -> usize {
        self.signs.acknowledged.load(Ordering::SeqCst)
    }

    /// From here on an answer proves nothing: it may have been given without power.
    pub(super) fn cut(&self) {
        self.signs.cut.store(true, Ordering::SeqCst);
    }

    pub(super) async fn stop(self) -> Ledger {
        self.signs.stop.store(true, Ordering::SeqCst);
        let mut all = Ledger::default();
        for client in self.clients {
            let ledger = client.await.unwrap();
            all.attempts.extend(ledger.attempts);
            all.granted.extend(ledger.granted);
        }
        all
    }
}

/// Compacts by and by what was checked earlier, so that some of it leaves the log all the time.
pub(super) async fn compact(client: Client, from: i64, to: i64) {
    for step in 1..=10 {
        let _ = client.compact(from + (to - from) * step / 10, true).await;
    }
}

struct OneClient {
    client: Client,
    name: String,
    rng: StdRng,
    signs: Arc<Signs>,
    ledger: Ledger,
    /// Keys that only this client writes and that are there for certain.
    alive: Vec<String>,
}

impl OneClient {
    async fn run(mut self) -> Ledger {
        for n in 0.. {
            if self.signs.stop.load(Ordering::SeqCst) {
                break;
            }
            let name = format!("{}/{n:06}", self.name);
            let answer = match self.rng.random_range(0..10) {
                0 | 1 => self.create(name).await,
                2 | 3 => self.compare_and_swap(name).await,
                4 | 5 => self.several(name).await,
                6 => self.delete(name).await,
                7 => self.delete_range(name).await,
                8 => self.leased(name).await,
                _ => self.compared_wrongly(name).await,
            };
            if answer.is_none_or(|answer| answer == Answer::Unknown) {
                // Whoever is gone would be asked a thousand times a second.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        self.ledger
    }

    fn note(&mut self, attempt: Attempt) -> Option<Answer> {
        let answer = attempt.answer;
        self.ledger.attempts.push(attempt);
        Some(answer)
    }

    /// The answer to a transaction of which `ops` are the operations.
    fn noted(&mut self, name: String, ops: &[RequestOp], result: Result<TxnResponse, Status>) -> Option<Answer> {
        let changes = ops.iter().map(change).collect();
        let answer = self.answer(result.map(|response| response.succeeded.then(|| response.header.unwrap().revision)));
        self.note(Attempt { name, changes, answer, revokes: None })
    }

    /// `Ok(None)`: not executed.
    fn answer(&self, result: Result<Option<i64>, Status>) -> Answer {
        match result {
            // Seen too late to be counted.
            Ok(Some(_)) if self.signs.cut.load(Ordering::SeqCst) => Answer::Unknown,
            Ok(Some(revision)) => {
                self.signs.acknowledged.fetch_add(1, Ordering::SeqCst);
                Answer::Applied(revision)
            }
            Ok(None) => Answer::NotApplied,
            // The only error of an outage that says so.
            Err(status) if status.message() == "etcdserver: no leader" => Answer::NotApplied,
            Err(_) => Answer::Unknown,
        }
    }

    /// As Kubernetes creates.
    async fn create(&mut self, name: String) -> Option<Answer> {
        let key = format!("/own/{name}");
        let ops = vec![self.put(&key, &name, 0)];
        let result = self.client.txn(vec![written_at(key.clone(), 0)], ops.clone()).await;
        assert!(result.as_ref().is_ok_and(|response| response.succeeded) || result.is_err(), "{key} was there");
        let answer = self.noted(name, &ops, result);
        if matches!(answer, Some(Answer::Applied(_))) {
            self.alive.push(key);
        }
        answer
    }

    /// Many try at once: one wins, the others are told that they did not.
    async fn compare_and_swap(&mut self, name: String) -> Option<Answer> {
        let key = format!("/shared/{:02}", self.rng.random_range(0..SHARED));
        let revision = self.client.get(key.clone()).await.ok()?.map_or(0, |kv| kv.mod_revision);
        let ops = vec![self.put(&key, &name, 0)];
        let result = self.client.txn(vec![written_at(key, revision)], ops.clone()).await;
        self.noted(name, &ops, result)
    }

    async fn compared_wrongly(&mut self, name: String) -> Option<Answer> {
        let ops = vec![self.put(&format!("/never/{name}"), &name, 0)];
        let result = self.client.txn(vec![written_at(format!("/never/{name}"), 1)], ops.clone()).await;
        assert!(result.as_ref().is_err() || result.as_ref().is_ok_and(|response| !response.succeeded));
        self.noted(name, &ops, result)
    }

    /// Puts of several keys and a delete: whole or not.
    async fn several(&mut self, name: String) -> Option<Answer> {
        let count = self.rng.random_range(2..8);
        let mut ops: Vec<_> = (0..count).map(|i| self.put(&format!("/several/{name}/{i}"), &name, 0)).collect();
        if let Some(key) = self.alive.pop() {
            let delete = DeleteRangeRequest { key: key.into(), ..Default::default() };
            ops.push(RequestOp { request: Some(Op::RequestDeleteRange(delete)) });
        }
        let result = self.client.txn(vec![], ops.clone()).await;
        self.noted(name, &ops, result)
    }

    async fn delete(&mut self, name: String) -> Option<Answer> {
        let key = self.alive.pop()?;
        let request = DeleteRangeRequest { key: key.clone().into(), ..Default::default() };
        let result = self.client.kv.clone().delete_range(request).await;
        let result = result.map(|response| {
            let response = response.into_inner();
            assert_eq!(response.deleted, 1, "{key} was acknowledged");
            Some(response.header.unwrap().revision)
        });
        let answer = self.answer(result);
        self.note(Attempt { name, changes: BTreeMap::from([(key.into(), false)]), answer, revokes: None })
    }

    /// Of what one transaction has put.
    async fn delete_range(&mut self, name: String) -> Option<Answer> {
        let keys: Vec<_> = (0..4).map(|i| format!("/range/{name}/{i}")).collect();
        let ops: Vec<_> = keys.iter().map(|key| self.put(key, &name, 0)).collect();
        let result = self.client.txn(vec![], ops.clone()).await;
        let put = self.noted(name.clone(), &ops, result);
        if !matches!(put, Some(Answer::Applied(_))) {
            return put;
        }
        let (key, range_end) = (format!("/range/{name}/"), format!("/range/{name}0"));
        let request = DeleteRangeRequest { key: key.into(), range_end: range_end.into(), prev_kv: false };
        let result = self.client.kv.clone().delete_range(request).await;
        let result = result.map(|response| Some(response.into_inner().header.unwrap().revision));
        let changes = keys.into_iter().map(|key| (key.into(), false)).collect();
        let answer = self.answer(result);
        self.note(Attempt { name: format!("{name}-deleted"), changes, answer, revokes: None })
    }

    /// A lease, two keys that hang on it, and most times its end.
    async fn leased(&mut self, name: String) -> Option<Answer> {
        let lease = self.client.grant(36_000).await.ok()?;
        // As with writes: an answer without power proves nothing.
        if !self.signs.cut.load(Ordering::SeqCst) {
            self.ledger.granted.push(lease);
        }
        let keys: Vec<_> = (0..2).map(|i| format!("/leased/{name}/{i}")).collect();
        let ops: Vec<_> = keys.iter().map(|key| self.put(key, &name, lease)).collect();
        let result = self.client.txn(vec![], ops.clone()).await;
        let put = self.noted(name.clone(), &ops, result);
        if !matches!(put, Some(Answer::Applied(_))) || self.rng.random_range(0..4) == 0 {
            return put;
        }
        let result = self.client.revoke(lease).await;
        let answer = self.answer(result.map(Some));
        let changes = keys.into_iter().map(|key| (key.into(), false)).collect();
        self.note(Attempt { name: format!("{name}-revoked"), changes, answer, revokes: Some(lease) })
    }

    fn put(&mut self, key: &str, name: &str, lease: i64) -> RequestOp {
        let length = if self.rng.random_range(0..50) == 0 { 50_000 } else { self.rng.random_range(0..1000) };
        let value = format!("{name} {}", "x".repeat(length));
        let put = PutRequest { key: key.to_owned().into(), value: value.into(), lease, ..Default::default() };
        RequestOp { request: Some(Op::RequestPut(put)) }
    }
}

fn change(op: &RequestOp) -> (Bytes, bool) {
    match &op.request {
        Some(Op::RequestPut(put)) => (put.key.clone(), true),
        Some(Op::RequestDeleteRange(delete)) => (delete.key.clone(), false),
        other => panic!("{other:?}"),
    }
}
