//! The naive model: a full copy of all keys for every revision, and linear walks over everything.
//!
//! Written from etcd's documented behaviour and without regard to speed; it shares with the state machine only the
//! types of requests and answers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::super::*;

type Snapshot = BTreeMap<Bytes, KeyValue>;

#[derive(Clone)]
pub(super) struct Model {
    /// `snapshots[n]` is the store at revision `n + 1`.
    snapshots: Vec<Snapshot>,
    /// `events[n]` made the revision `n + 1`.
    events: Vec<Vec<Event>>,
    pub(super) compacted: i64,
    pub(super) leases: BTreeMap<i64, i64>,
    pub(super) alarms: BTreeSet<Alarm>,
}

/// A transaction of which every branch is chosen.
struct Chosen<'a> {
    succeeded: bool,
    ops: Vec<(&'a RequestOp, Option<Chosen<'a>>)>,
}

/// A revision that is being made.
struct Draft {
    keys: Snapshot,
    events: Vec<Event>,
}

impl Model {
    pub(super) fn new() -> Model {
        Model {
            snapshots: vec![Snapshot::new()],
            events: vec![Vec::new()],
            compacted: 0,
            leases: BTreeMap::new(),
            alarms: BTreeSet::new(),
        }
    }

    pub(super) fn revision(&self) -> i64 {
        self.snapshots.len() as i64
    }

    pub(super) fn now(&self) -> &Snapshot {
        &self.snapshots[self.snapshots.len() - 1]
    }

    pub(super) fn lease_keys(&self, id: i64) -> Vec<Bytes> {
        self.now().values().filter(|kv| kv.lease.0 == id).map(|kv| kv.key.clone()).collect()
    }

    /// The events of all revisions from `start` on, each with its revision.
    pub(super) fn events_from(&self, start: i64) -> Vec<(i64, Vec<Event>)> {
        let mut numbered: Vec<_> = self.events.iter().enumerate().map(|(n, at)| (n as i64 + 1, at.clone())).collect();
        let compacted = numbered.iter_mut().filter(|(revision, _)| *revision <= self.compacted);
        compacted.flat_map(|(_, events)| events).for_each(|event| event.prev = None);
        numbered.into_iter().filter(|(revision, events)| *revision >= start && !events.is_empty()).collect()
    }

    pub(super) fn request(&mut self, request: &Request) -> Result<Response, Error> {
        let mut draft = Draft { keys: self.now().clone(), events: Vec::new() };
        let response = match request {
            Request::Put(put) => {
                self.check_put(put)?;
                Response::Put(self.put(&mut draft, put))
            }
            Request::DeleteRange(delete) => Response::DeleteRange(self.delete(&mut draft, delete)),
            Request::Txn(txn) => {
                let chosen = choose(self.now(), txn);
                self.check(&chosen)?;
                let mut response = self.execute(&mut draft, &chosen)?;
                response.revision = self.header(&draft);
                Response::Txn(response)
            }
            Request::LeaseGrant { id, ttl } => {
                if self.leases.contains_key(&id.0) {
                    return Err(Error::LeaseExists);
                }
                self.leases.insert(id.0, *ttl);
                Response::LeaseGrant { revision: self.header(&draft) }
            }
            Request::LeaseRevoke { id } => {
                if self.leases.remove(&id.0).is_none() {
                    return Err(Error::LeaseNotFound);
                }
                for key in self.lease_keys(id.0) {
                    self.delete_key(&mut draft, &key);
                }
                Response::LeaseRevoke { revision: self.header(&draft) }
            }
            Request::Compact { revision } => {
                self.compact(revision.0)?;
                Response::Compact { revision: self.header(&draft) }
            }
            Request::AlarmRaise(alarm) => {
                Response::Alarm { changed: self.alarms.insert(*alarm), revision: self.header(&draft) }
            }
            Request::AlarmDisarm(alarm) => {
                Response::Alarm { changed: self.alarms.remove(alarm), revision: self.header(&draft) }
            }
        };
        if !draft.events.is_empty() {
            self.snapshots.push(draft.keys);
            self.events.push(draft.events);
        }
        Ok(response)
    }

    fn header(&self, draft: &Draft) -> Revision {
        Revision(self.revision() + i64::from(!draft.events.is_empty()))
    }

    fn compact(&mut self, revision: i64) -> Result<(), Error> {
        if revision > self.revision() {
            return Err(Error::FutureRevision(Revision(self.revision())));
        }
        if revision <= self.compacted && !(revision == 0 && self.compacted == 0) {
            return Err(Error::Compacted(Revision(self.compacted)));
        }
        self.compacted = revision;
        Ok(())
    }

    fn check_put(&self, put: &PutRequest) -> Result<(), Error> {
        if put.lease.0 != 0 && !self.leases.contains_key(&put.lease.0) {
            return Err(Error::LeaseNotFound);
        }
        if (put.ignore_lease || put.ignore_value) && !self.now().contains_key(&put.key) {
            return Err(Error::KeyNotFound);
        }
        Ok(())
    }

    fn check(&self, chosen: &Chosen) -> Result<(), Error> {
        for (op, nested) in &chosen.ops {
            match (op, nested) {
                (RequestOp::Put(put), _) => self.check_put(put)?,
                (RequestOp::Range(range), _) if range.revision.0 > self.revision() => {
                    return Err(Error::FutureRevision(Revision(self.revision())));
                }
                (RequestOp::Range(range), _) if range.revision.0 != 0 => {
                    let first = if self.compacted == 0 { -1 } else { self.compacted };
                    if range.revision.0 < first {
                        return Err(Error::Compacted(Revision(self.compacted)));
                    }
                }
                (_, Some(nested)) => self.check(nested)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn execute(&self, draft: &mut Draft, chosen: &Chosen) -> Result<TxnResponse, Error> {
        let mut response = TxnResponse { succeeded: chosen.succeeded, ..TxnResponse::default() };
        for (op, nested) in &chosen.ops {
            response.responses.push(match (op, nested) {
                (RequestOp::Range(range), _) => {
                    let old = usize::try_from(range.revision.0).ok().filter(|revision| *revision > 0);
                    let keys = old.map_or(&draft.keys, |revision| &self.snapshots[revision - 1]);
                    ResponseOp::Range(select(keys, range, self.header(draft)))
                }
                (RequestOp::Put(put), _) => {
                    if (put.ignore_value || put.ignore_lease) && !draft.keys.contains_key(&put.key) {
                        return Err(Error::KeyNotFound);
                    }
                    ResponseOp::Put(self.put(draft, put))
                }
                (RequestOp::DeleteRange(delete), _) => ResponseOp::DeleteRange(self.delete(draft, delete)),
                (RequestOp::Txn(_), Some(nested)) => ResponseOp::Txn(self.execute(draft, nested)?),
                (RequestOp::Txn(_), None) => unreachable!("choose() chooses in every nested transaction"),
            });
        }
        Ok(response)
    }

    fn put(&self, draft: &mut Draft, put: &PutRequest) -> PutResponse {
        let revision = Revision(self.revision() + 1);
        let prev = draft.keys.get(&put.key).cloned();
        let mut kv = KeyValue {
            key: put.key.clone(),
            value: put.value.clone().into(),
            create_revision: revision,
            mod_revision: revision,
            version: 1,
            lease: put.lease,
            sub: draft.events.len() as u32,
            sequence: Sequence::ZERO,
        };
        if let Some(prev) = &prev {
            kv.create_revision = prev.create_revision;
            kv.version = prev.version + 1;
            if put.ignore_value {
                kv.value = prev.value.clone();
            }
            if put.ignore_lease {
                kv.lease = prev.lease;
            }
        }
        let prev = prev.map(Arc::new);
        draft.keys.insert(put.key.clone(), kv.clone());
        let seen = if kv.create_revision == revision { None } else { self.before(&put.key) };
        draft.events.push(Event { kind: EventKind::Put, kv: Arc::new(kv), prev: seen });
        PutResponse { revision, prev_kv: if put.prev_kv { prev } else { None } }
    }

    fn delete(&self, draft: &mut Draft, delete: &DeleteRangeRequest) -> DeleteRangeResponse {
        let keys: Vec<_> = draft.keys.keys().filter(|key| within(&delete.range, key)).cloned().collect();
        let prev: Vec<_> = keys.iter().map(|key| self.delete_key(draft, key)).collect();
        DeleteRangeResponse {
            revision: self.header(draft),
            deleted: prev.len() as i64,
            prev_kvs: if delete.prev_kv { prev } else { Vec::new() },
        }
    }

    fn delete_key(&self, draft: &mut Draft, key: &Bytes) -> Arc<KeyValue> {
        let prev = Arc::new(draft.keys.remove(key).expect("a key that exists"));
        let kv = KeyValue {
            key: key.clone(),
            mod_revision: Revision(self.revision() + 1),
            sub: draft.events.len() as u32,
            ..KeyValue::default()
        };
        draft.events.push(Event { kind: EventKind::Delete, kv: Arc::new(kv), prev: self.before(key) });
        prev
    }

    /// What watchers see as the version before: that of the revision before, whatever else the transaction does.
    fn before(&self, key: &Bytes) -> Option<Arc<KeyValue>> {
        self.now().get(key).cloned().map(Arc::new)
    }

    pub(super) fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        let revision = request.revision.0;
        if revision > self.revision() {
            return Err(Error::FutureRevision(Revision(self.revision())));
        }
        if revision > 0 && revision < self.compacted {
            return Err(Error::Compacted(Revision(self.compacted)));
        }
        let keys = if revision > 0 { &self.snapshots[revision as usize - 1] } else { self.now() };
        Ok(select(keys, request, Revision(self.revision())))
    }
}

pub(super) fn within(range: &KeyRange, key: &Bytes) -> bool {
    match range {
        KeyRange::Single(single) => single == key,
        KeyRange::Between(from, to) => key >= from && key < to,
        KeyRange::From(from) => key >= from,
    }
}

fn select(keys: &Snapshot, request: &RangeRequest, revision: Revision) -> RangeResponse {
    let mut kvs: Vec<_> = keys.values().filter(|kv| within(&request.range, &kv.key)).cloned().collect();
    let count = kvs.len() as i64;
    let mut response = RangeResponse { revision, count, content: request.content(), ..RangeResponse::default() };
    if request.count_only {
        return response;
    }
    let bounds = [
        request.min_mod_revision.0,
        request.max_mod_revision.0,
        request.min_create_revision.0,
        request.max_create_revision.0,
    ];
    let ordered = request.sort_order == SortOrder::None
        || (request.sort_order == SortOrder::Ascend && request.sort_target == SortTarget::Key);
    let limited = request.limit > 0;
    if limited && ordered && bounds == [0; 4] {
        kvs.truncate(request.limit as usize + 1);
    }
    kvs.retain(|kv| bounds[0] == 0 || kv.mod_revision.0 >= bounds[0]);
    kvs.retain(|kv| bounds[1] == 0 || kv.mod_revision.0 <= bounds[1]);
    kvs.retain(|kv| bounds[2] == 0 || kv.create_revision.0 >= bounds[2]);
    kvs.retain(|kv| bounds[3] == 0 || kv.create_revision.0 <= bounds[3]);
    let down = request.sort_order == SortOrder::Descend;
    // An insertion sort: what is equal stays in the order it had.
    for n in 1..kvs.len() {
        let mut at = n;
        while at > 0 && precedes(&kvs[at], &kvs[at - 1], request.sort_target, down) {
            kvs.swap(at, at - 1);
            at -= 1;
        }
    }
    if limited && kvs.len() > request.limit as usize {
        kvs.truncate(request.limit as usize);
        response.more = true;
    }
    response.kvs = kvs.into_iter().map(Arc::new).collect();
    response
}

fn precedes(a: &KeyValue, b: &KeyValue, target: SortTarget, down: bool) -> bool {
    let (a, b) = if down { (b, a) } else { (a, b) };
    match target {
        SortTarget::Key => a.key < b.key,
        SortTarget::Version => a.version < b.version,
        SortTarget::Create => a.create_revision < b.create_revision,
        SortTarget::Mod => a.mod_revision < b.mod_revision,
        SortTarget::Value => a.value.bytes() < b.value.bytes(),
    }
}

fn choose<'a>(keys: &Snapshot, txn: &'a TxnRequest) -> Chosen<'a> {
    let succeeded = txn.compare.iter().all(|compare| succeeds(keys, compare));
    let ops = if succeeded { &txn.success } else { &txn.failure };
    let nested = |op: &'a RequestOp| match op {
        RequestOp::Txn(nested) => Some(choose(keys, nested)),
        _ => None,
    };
    Chosen { succeeded, ops: ops.iter().map(|op| (op, nested(op))).collect() }
}

fn succeeds(keys: &Snapshot, compare: &Compare) -> bool {
    let mut kvs: Vec<_> = keys.values().filter(|kv| within(&compare.range, &kv.key)).cloned().collect();
    if kvs.is_empty() {
        if let CompareTarget::Value(_) = compare.target {
            return false;
        }
        kvs.push(KeyValue::default());
    }
    kvs.iter().all(|kv| {
        let (less, equal) = match &compare.target {
            CompareTarget::Version(n) => (kv.version < *n, kv.version == *n),
            CompareTarget::Create(n) => (kv.create_revision < *n, kv.create_revision == *n),
            CompareTarget::Mod(n) => (kv.mod_revision < *n, kv.mod_revision == *n),
            CompareTarget::Value(value) => (kv.value.bytes() < *value, kv.value.bytes() == *value),
            CompareTarget::Lease(id) => (kv.lease < *id, kv.lease == *id),
        };
        match compare.result {
            CompareResult::Equal => equal,
            CompareResult::NotEqual => !equal,
            CompareResult::Less => less,
            CompareResult::Greater => !less && !equal,
        }
    })
}
