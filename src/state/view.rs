//! The state as it will be once planned entries are in the log.
//!
//! While one group of entries is on its way to the log the next requests are planned as if it had arrived. Nothing is
//! copied for that: a [`Layer`] holds only what some entries touch, and a [`View`] looks through layers onto the state.

use std::collections::BTreeMap;
use std::collections::btree_map::Range;
use std::iter::Peekable;
use std::sync::Arc;

use bytes::Bytes;

use super::collected::Collected;
use super::entry::{Entry, Op};
use super::error::Error;
use super::key_value::KeyValue;
use super::machine::State;
use super::range::{bounds, collect, readable};
use super::request::{Alarm, KeyRange, RangeRequest};
use super::revision::{LeaseId, Revision, Sequence};

/// What entries that are planned, but not applied, change: for each thing touched what it will be.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    revision: Revision,
    compacted: Revision,
    /// None: deleted. The versions' sequence is zero: it is not known yet.
    keys: BTreeMap<Bytes, Option<Arc<KeyValue>>>,
    /// The TTL. None: revoked.
    leases: BTreeMap<LeaseId, Option<i64>>,
    alarms: BTreeMap<Alarm, bool>,
}

impl Layer {
    /// Adds an entry that comes right after those absorbed before.
    pub fn absorb(&mut self, entry: &Entry) {
        entry.ops.iter().for_each(|op| self.absorb_op(op, entry.revision));
    }

    /// One op of the entry with that revision.
    pub(super) fn absorb_op(&mut self, op: &Op, revision: Revision) {
        self.revision = self.revision.max(revision);
        match op {
            Op::Put { key, value, lease, create_revision, version, sub } => {
                let kv = KeyValue {
                    key: key.clone(),
                    value: value.clone().into(),
                    create_revision: *create_revision,
                    mod_revision: revision,
                    version: *version,
                    lease: *lease,
                    sub: *sub,
                    sequence: Sequence::ZERO,
                };
                self.keys.insert(key.clone(), Some(Arc::new(kv)));
            }
            Op::Delete { key, .. } => drop(self.keys.insert(key.clone(), None)),
            Op::Tombstones { keys, .. } => self.keys.extend(keys.iter().map(|key| (key.clone(), None))),
            Op::LeaseGrant { id, ttl } => drop(self.leases.insert(*id, Some(*ttl))),
            Op::LeaseRevoke { id } => drop(self.leases.insert(*id, None)),
            Op::Compact { revision } => self.compacted = self.compacted.max(*revision),
            Op::AlarmRaise(alarm) => drop(self.alarms.insert(*alarm, true)),
            Op::AlarmDisarm(alarm) => drop(self.alarms.insert(*alarm, false)),
        }
    }
}

/// A state and, over it, the layers of what is planned, oldest first.
#[derive(Clone, Copy)]
pub struct View<'a> {
    base: &'a State,
    layers: &'a [&'a Layer],
    /// What the transaction that is being planned has done so far.
    own: Option<&'a Layer>,
}

impl<'a> View<'a> {
    pub fn new(base: &'a State, layers: &'a [&'a Layer]) -> View<'a> {
        View { base, layers, own: None }
    }

    /// The same with one more layer on top.
    pub(super) fn with<'b>(&self, own: &'b Layer) -> View<'b>
    where
        'a: 'b,
    {
        View { base: self.base, layers: self.layers, own: Some(own) }
    }

    /// Newest first.
    fn layers(&self) -> impl DoubleEndedIterator<Item = &'a Layer> + use<'a> {
        self.own.into_iter().chain(self.layers.iter().rev().copied())
    }

    pub fn revision(&self) -> Revision {
        self.layers().map(|layer| layer.revision).fold(self.base.revision, Revision::max)
    }

    pub fn compacted(&self) -> Revision {
        self.layers().map(|layer| layer.compacted).fold(self.base.compacted, Revision::max)
    }

    pub fn get(&self, key: &[u8]) -> Option<&'a Arc<KeyValue>> {
        match self.layers().find_map(|layer| layer.keys.get(key)) {
            Some(planned) => planned.as_ref(),
            None => self.base.get(key),
        }
    }

    /// The lease's TTL in seconds.
    pub fn lease(&self, id: LeaseId) -> Option<i64> {
        match self.layers().find_map(|layer| layer.leases.get(&id)) {
            Some(planned) => *planned,
            None => self.base.lease(id).map(|lease| lease.ttl),
        }
    }

    /// The keys that hang on the lease, in order.
    pub fn lease_keys(&self, id: LeaseId) -> Vec<Bytes> {
        let attached = |key: &&Bytes| self.get(key).is_some_and(|kv| kv.lease == id);
        let touched = |layer: &'a Layer| layer.keys.keys().filter(attached).cloned();
        let before = self.base.lease(id).into_iter().flat_map(|lease| &lease.keys);
        let mut keys: Vec<Bytes> = before.filter(attached).cloned().chain(self.layers().flat_map(touched)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    pub fn has_alarm(&self, alarm: Alarm) -> bool {
        match self.layers().find_map(|layer| layer.alarms.get(&alarm)) {
            Some(raised) => *raised,
            None => self.base.alarms.contains(&alarm),
        }
    }

    /// The current versions of a range, in key order.
    pub(super) fn versions(&self, range: &KeyRange) -> impl Iterator<Item = &'a Arc<KeyValue>> + use<'a> {
        Merged {
            base: self.base.versions(range, None, self.base.revision).peekable(),
            planned: self.planned(range).into_iter().peekable(),
        }
    }

    /// What the layers say about the keys of a range: the newest of them for each key.
    fn planned(&self, range: &KeyRange) -> BTreeMap<&'a Bytes, Option<&'a Arc<KeyValue>>> {
        let mut planned = BTreeMap::new();
        let Some(bounds) = bounds(range, None) else { return planned };
        for layer in self.layers().rev() {
            let keys: Range<'a, Bytes, _> = layer.keys.range::<[u8], _>(bounds);
            planned.extend(keys.map(|(key, kv)| (key, kv.as_ref())));
        }
        planned
    }

    fn count(&self, range: &KeyRange) -> i64 {
        let planned = self.planned(range);
        let before = planned.keys().filter(|key| self.base.get(key).is_some()).count() as i64;
        let after = planned.values().flatten().count() as i64;
        self.base.keys_at(range, self.base.revision, None) - before + after
    }

    /// What of a range inside a transaction needs the view; `before` is the view before the transaction began.
    ///
    /// Errors: as for [`State::range`], and [`Error::Unsettled`] for a revision that is planned and neither applied nor
    /// the last before the transaction.
    pub(super) fn collect(&self, request: &RangeRequest, before: &View) -> Result<Collected, Error> {
        if request.revision <= Revision::ZERO {
            return Ok(self.current(request, self.revision()));
        }
        let at = readable(request.revision, before.revision(), self.compacted())?;
        if at == before.revision() {
            return Ok(before.current(request, self.revision()));
        }
        if at > self.base.revision {
            return Err(Error::Unsettled);
        }
        let mut collected = self.base.collect(request)?;
        collected.response.revision = self.revision();
        Ok(collected)
    }

    fn current(&self, request: &RangeRequest, revision: Revision) -> Collected {
        let response = collect(request, revision, self.versions(&request.range), || self.count(&request.range));
        Collected { response, at: self.revision() }
    }
}

/// Two lists in key order as one; where both have a key, the planned one counts.
struct Merged<'a, B: Iterator<Item = &'a Arc<KeyValue>>, P: Iterator<Item = (&'a Bytes, Option<&'a Arc<KeyValue>>)>> {
    base: Peekable<B>,
    planned: Peekable<P>,
}

impl<'a, B, P> Iterator for Merged<'a, B, P>
where
    B: Iterator<Item = &'a Arc<KeyValue>>,
    P: Iterator<Item = (&'a Bytes, Option<&'a Arc<KeyValue>>)>,
{
    type Item = &'a Arc<KeyValue>;

    fn next(&mut self) -> Option<&'a Arc<KeyValue>> {
        loop {
            let Some((key, _)) = self.planned.peek() else { return self.base.next() };
            if let Some(kv) = self.base.next_if(|kv| kv.key < **key) {
                return Some(kv);
            }
            let (key, planned) = self.planned.next()?;
            self.base.next_if(|kv| kv.key == *key);
            if planned.is_some() {
                return planned;
            }
        }
    }
}
