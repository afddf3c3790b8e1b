//! A state with a log in memory, and short ways to ask it.

use bytes::Bytes;

use super::super::*;

pub(super) const LIMITS: Limits = Limits { max_delete_ops: 2, max_tombstones_bytes: 40 };

/// Plans and applies, as the store does, and keeps what it applied.
#[derive(Clone)]
pub(super) struct Machine {
    pub(super) state: State,
    pub(super) log: Vec<(Entry, Vec<Sequence>)>,
    pub(super) last: Sequence,
}

impl Machine {
    pub(super) fn new() -> Machine {
        Machine { state: State::new(Revision::FIRST, Revision::ZERO), log: Vec::new(), last: Sequence::ZERO }
    }

    pub(super) fn run(&mut self, request: impl Into<Request>) -> Result<Response, Error> {
        let planned = plan(&View::new(&self.state, &[]), &request.into(), LIMITS)?;
        if let Some(entry) = &planned.entry {
            self.apply(entry);
        }
        Ok(planned.response)
    }

    /// Every op takes one message.
    pub(super) fn apply(&mut self, entry: &Entry) -> Applied {
        let at: Vec<_> = (1..=entry.ops.len()).map(|n| self.last.plus(n as u64)).collect();
        self.last = self.last.plus(entry.ops.len() as u64);
        self.log.push((entry.clone(), at.clone()));
        self.state.apply(entry, &at)
    }

    pub(super) fn put(&mut self, key: &str, value: &str) -> PutResponse {
        match self.run(put(key, value)).expect("a put") {
            Response::Put(response) => response,
            other => panic!("a put was answered with {other:?}"),
        }
    }

    pub(super) fn delete(&mut self, range: KeyRange) -> DeleteRangeResponse {
        match self.run(delete(range)).expect("a delete") {
            Response::DeleteRange(response) => response,
            other => panic!("a delete was answered with {other:?}"),
        }
    }

    pub(super) fn txn(&mut self, txn: TxnRequest) -> Result<TxnResponse, Error> {
        match self.run(txn)? {
            Response::Txn(response) => Ok(response),
            other => panic!("a transaction was answered with {other:?}"),
        }
    }

    pub(super) fn compact(&mut self, revision: i64) {
        self.run(Request::Compact { revision: Revision(revision) }).expect("a compaction");
        while self.state.find_garbage(3) {}
    }

    pub(super) fn grant(&mut self, id: i64) {
        self.run(Request::LeaseGrant { id: LeaseId(id), ttl: 60 }).expect("a grant");
    }

    pub(super) fn keys(&self, request: RangeRequest) -> Vec<String> {
        keys(&self.state.range(&request).expect("a range"))
    }

    /// The value of a key at a revision.
    pub(super) fn value(&self, key: &str, revision: i64) -> Option<String> {
        let request = RangeRequest { revision: Revision(revision), ..range(single(key)) };
        let response = self.state.range(&request).expect("a range");
        response.kvs.first().map(|kv| text(&kv.value.bytes()))
    }
}

pub(super) fn text(bytes: &Bytes) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) fn keys(response: &RangeResponse) -> Vec<String> {
    response.kvs.iter().map(|kv| text(&kv.key)).collect()
}

pub(super) fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

pub(super) fn single(key: &str) -> KeyRange {
    KeyRange::Single(bytes(key))
}

pub(super) fn between(from: &str, to: &str) -> KeyRange {
    KeyRange::Between(bytes(from), bytes(to))
}

pub(super) fn all() -> KeyRange {
    KeyRange::From(Bytes::new())
}

pub(super) fn range(range: KeyRange) -> RangeRequest {
    RangeRequest::new(range)
}

pub(super) fn put(key: &str, value: &str) -> PutRequest {
    PutRequest {
        key: bytes(key),
        value: bytes(value),
        lease: LeaseId::NONE,
        prev_kv: true,
        ignore_value: false,
        ignore_lease: false,
    }
}

pub(super) fn delete(range: KeyRange) -> DeleteRangeRequest {
    DeleteRangeRequest { range, prev_kv: true }
}

pub(super) fn compare(range: KeyRange, result: CompareResult, target: CompareTarget) -> Compare {
    Compare { range, result, target }
}

impl From<PutRequest> for Request {
    fn from(put: PutRequest) -> Request {
        Request::Put(put)
    }
}

impl From<DeleteRangeRequest> for Request {
    fn from(delete: DeleteRangeRequest) -> Request {
        Request::DeleteRange(delete)
    }
}

impl From<TxnRequest> for Request {
    fn from(txn: TxnRequest) -> Request {
        Request::Txn(txn)
    }
}
