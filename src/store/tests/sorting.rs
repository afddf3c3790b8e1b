//! Reads that take long, and writes that do not wait for them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::fake::Stream;
use super::support::*;
use crate::state::{
    KeyRange, RangeRequest, RangeResponse, RequestOp, ResponseOp, Revision, SortOrder, SortTarget, Stored, TxnRequest,
    Value, Values,
};
use crate::store::{Consistency, Options, Progress, Running, Store};

/// After which a test is taken to have got stuck, as somebody waits who should not.
const PATIENCE: Duration = Duration::from_secs(30);

/// Values that can be read while the gate is open.
#[derive(Debug, Default)]
struct Gate {
    closed: Mutex<bool>,
    opened: Condvar,
    /// Somebody came to it when it was closed.
    reached: AtomicBool,
    /// It was opened by one who had waited too long.
    forced: AtomicBool,
}

impl Gate {
    fn set(&self, closed: bool) {
        *self.closed.lock().unwrap() = closed;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let closed = self.closed.lock().unwrap();
        self.reached.fetch_or(*closed, Ordering::Relaxed);
        let (mut closed, waited) = self.opened.wait_timeout_while(closed, PATIENCE, |closed| *closed).unwrap();
        if waited.timed_out() {
            *closed = false;
            self.forced.store(true, Ordering::Relaxed);
        }
    }
}

#[derive(Debug)]
struct Gated(Arc<Gate>);

struct Place(Arc<Gate>, Bytes);

impl Values for Gated {
    fn keep(&self, value: &[u8]) -> Value {
        Value::Elsewhere(Arc::new(Place(self.0.clone(), Bytes::copy_from_slice(value))))
    }
}

impl Stored for Place {
    fn size(&self) -> usize {
        self.1.len()
    }

    fn read(&self) -> Bytes {
        self.0.pass();
        self.1.clone()
    }
}

/// Ten keys, the last of which has the least value.
async fn filled(gate: &Arc<Gate>) -> Node {
    let options = Options { values: Some(Arc::new(Gated(gate.clone()))), ..options(1) };
    let log = Stream::exclusive().connect();
    let Running { store, ended } =
        Store::open(log.clone(), options, watch::Sender::new(Progress::default())).await.unwrap();
    let node = Node { store, log, ended };
    for n in 0..10 {
        node.put(&format!("k{n}"), &(9 - n).to_string()).await.unwrap();
    }
    node
}

fn by_value() -> RangeRequest {
    RangeRequest {
        sort_target: SortTarget::Value,
        sort_order: SortOrder::Ascend,
        keys_only: true,
        limit: 2,
        ..range_request(everything())
    }
}

/// Writes and reads while `read` waits for values, then lets it go on.
async fn beside<T: Send + 'static>(gate: &Gate, node: &Node, read: impl Future<Output = T> + Send + 'static) -> T {
    gate.set(true);
    let reading = tokio::spawn(read);
    eventually("values are read to sort by them", || gate.reached.load(Ordering::Relaxed)).await;
    let revision = node.revision();
    assert_eq!(node.put("k5", "").await, Ok(revision + 1));
    assert_eq!(node.delete("k9").await, Ok(revision + 2));
    let key = range_request(KeyRange::Single(bytes("k5")));
    let response = node.store.range(key, Consistency::Linearizable).await.unwrap();
    assert_eq!(response.kvs[0].mod_revision, Revision(revision + 1));
    assert!(!reading.is_finished());
    gate.set(false);
    let answer = reading.await.unwrap();
    assert!(!gate.forced.load(Ordering::Relaxed), "somebody waited for the one who sorts");
    answer
}

fn check(response: &RangeResponse, revision: i64) {
    let keys: Vec<_> = response.kvs.iter().map(|kv| kv.key.clone()).collect();
    assert_eq!((keys, response.count, response.more), (vec![bytes("k9"), bytes("k8")], 10, true));
    assert_eq!(response.revision, Revision(revision));
}

#[tokio::test]
async fn nobody_waits_for_a_range_that_is_sorted() {
    let gate = Arc::default();
    let node = filled(&gate).await;
    let (store, revision) = (node.store.clone(), node.revision());
    let response = beside(&gate, &node, async move { store.range(by_value(), Consistency::Linearizable).await }).await;
    check(&response.unwrap(), revision);
}

#[tokio::test]
async fn nobody_waits_for_a_transaction_that_sorts_what_it_reads() {
    let gate = Arc::default();
    let node = filled(&gate).await;
    let (store, revision) = (node.store.clone(), node.revision());
    let success = vec![RequestOp::Range(by_value()), RequestOp::Range(by_value())];
    let txn = TxnRequest { success, ..TxnRequest::default() };
    let response = beside(&gate, &node, async move { store.txn(txn, Consistency::Linearizable).await }).await.unwrap();
    assert_eq!(response.responses.len(), 2);
    for response in &response.responses {
        let ResponseOp::Range(response) = response else { panic!("another answer") };
        check(response, revision);
    }
}

/// Collected in pieces, as what looks at all keys is.
#[tokio::test]
async fn a_long_range_is_the_same_in_pieces_as_under_one_lock() {
    let gate = Arc::default();
    let node = filled(&gate).await;
    let requests = [
        range_request(everything()),
        by_value(),
        RangeRequest { limit: 7, ..range_request(everything()) },
        RangeRequest { limit: 7, with_total_count: false, ..range_request(everything()) },
        RangeRequest { limit: 10, ..range_request(everything()) },
        RangeRequest { limit: 2, min_mod_revision: Revision(5), ..range_request(everything()) },
        RangeRequest { revision: Revision(8), sort_order: SortOrder::Descend, ..range_request(everything()) },
    ];
    for request in requests {
        let expected = node.store.inner.shared.state().range(&request).unwrap();
        let response = node.store.range(request, Consistency::Linearizable).await.unwrap();
        assert_eq!(format!("{response:?}"), format!("{expected:?}"));
    }
}
