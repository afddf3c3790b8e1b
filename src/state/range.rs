//! Reading keys, at the current and at older revisions.

use std::cmp::Reverse;
use std::ops::Bound;
use std::sync::Arc;

use super::error::Error;
use super::key_value::KeyValue;
use super::machine::State;
use super::request::{KeyRange, RangeRequest, RangeResponse, SortOrder, SortTarget};
use super::revision::Revision;

/// A piece of a long range.
#[derive(Clone, Debug, Default)]
pub struct Chunk {
    pub kvs: Vec<Arc<KeyValue>>,
    /// There may be more: ask again with `after` = the last key of this piece.
    pub more: bool,
}

impl State {
    /// Errors: [`Error::FutureRevision`], [`Error::Compacted`].
    pub fn range(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        let at = readable(request.revision, self.revision, self.compacted)?;
        let count = || self.keys_at(&request.range, at);
        Ok(assemble(request, self.revision, self.versions(&request.range, None, at), count))
    }

    /// A long range in pieces, all at the same `revision` (not zero), so that no lock need be held in between.
    /// Ends a piece after `max_keys` keys or with the first key that brings it to `max_bytes` of keys and values.
    ///
    /// Errors: as for [`State::range`]; compaction may overtake a reader between two pieces.
    pub fn range_chunk(
        &self,
        range: &KeyRange,
        revision: Revision,
        after: Option<&[u8]>,
        max_keys: usize,
        max_bytes: u64,
    ) -> Result<Chunk, Error> {
        let at = readable(revision, self.revision, self.compacted)?;
        let (mut kvs, mut bytes) = (Vec::new(), 0);
        for kv in self.versions(range, after, at) {
            if kvs.len() >= max_keys || bytes >= max_bytes {
                return Ok(Chunk { kvs, more: true });
            }
            bytes += kv.size();
            kvs.push(kv.clone());
        }
        Ok(Chunk { kvs, more: false })
    }

    /// How many keys of the range there are at `revision` (zero: now), those at or before `after` left out.
    pub fn count(&self, range: &KeyRange, revision: Revision, after: Option<&[u8]>) -> Result<i64, Error> {
        let at = readable(revision, self.revision, self.compacted)?;
        let Some(bounds) = bounds(range, after) else { return Ok(0) };
        Ok(self.index.range::<[u8], _>(bounds).filter(|(_, history)| history.exists_at(at)).count() as i64)
    }

    pub(super) fn keys_at(&self, range: &KeyRange, at: Revision) -> i64 {
        let Some(bounds) = bounds(range, None) else { return 0 };
        self.index.range::<[u8], _>(bounds).filter(|(_, history)| history.exists_at(at)).count() as i64
    }

    /// The versions that a read at `at` sees, in key order.
    pub(super) fn versions<'a>(
        &'a self,
        range: &KeyRange,
        after: Option<&[u8]>,
        at: Revision,
    ) -> impl Iterator<Item = &'a Arc<KeyValue>> + use<'a> {
        let keys = bounds(range, after).map(|bounds| self.index.range::<[u8], _>(bounds));
        keys.into_iter().flatten().filter_map(move |(_, history)| history.at(at))
    }
}

/// The revision to read, if it can be read. Zero (and below, as in etcd) is the current one.
pub(super) fn readable(revision: Revision, current: Revision, compacted: Revision) -> Result<Revision, Error> {
    if revision > current {
        return Err(Error::FutureRevision(current));
    }
    if revision <= Revision::ZERO {
        return Ok(current);
    }
    if revision < compacted {
        return Err(Error::Compacted(compacted));
    }
    Ok(revision)
}

pub(super) type Bounds<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

/// The range as bounds for a map, of what comes after the key `after`; None if nothing can be in it.
pub(super) fn bounds<'a>(range: &'a KeyRange, after: Option<&'a [u8]>) -> Option<Bounds<'a>> {
    let (from, to): (&[u8], Bound<&[u8]>) = match range {
        KeyRange::Single(key) => (key, Bound::Included(key)),
        KeyRange::Between(from, to) => (from, Bound::Excluded(to)),
        KeyRange::From(from) => (from, Bound::Unbounded),
    };
    let from = match after {
        Some(after) if after >= from => Bound::Excluded(after),
        _ => Bound::Included(from),
    };
    let empty = match (from, to) {
        (Bound::Included(from), Bound::Excluded(to)) => from >= to,
        (Bound::Excluded(from), Bound::Excluded(to) | Bound::Included(to)) => from >= to,
        _ => false,
    };
    (!empty).then_some((from, to))
}

/// The answer, from all versions of the range in key order and a cheap way to count them.
pub(super) fn assemble<'a>(
    request: &RangeRequest,
    revision: Revision,
    versions: impl Iterator<Item = &'a Arc<KeyValue>>,
    count: impl FnOnce() -> i64,
) -> RangeResponse {
    let mut response = RangeResponse { revision, content: request.content(), ..RangeResponse::default() };
    if request.count_only {
        response.count = count();
        return response;
    }
    let limit = usize::try_from(request.limit).ok().filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let wanted = if takes_first(request) { limit.saturating_add(1) } else { usize::MAX };
    response.kvs = versions.take(wanted).cloned().collect();
    response.count = if response.kvs.len() < wanted { response.kvs.len() as i64 } else { count() };
    response.kvs.retain(|kv| passes(request, kv));
    sort(request, &mut response.kvs);
    response.more = response.kvs.len() > limit;
    response.kvs.truncate(limit);
    response
}

/// Whether only the first keys are looked at when there is a limit. etcd decides it by the order alone: a target with the
/// order NONE sorts (ascending) what the limit has left.
fn takes_first(request: &RangeRequest) -> bool {
    let filters =
        [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision];
    let by_key = request.sort_target == SortTarget::Key && request.sort_order == SortOrder::Ascend;
    (by_key || request.sort_order == SortOrder::None) && filters == [Revision::ZERO; 4]
}

fn passes(request: &RangeRequest, kv: &KeyValue) -> bool {
    let within = |revision: Revision, min: Revision, max: Revision| {
        (min == Revision::ZERO || revision >= min) && (max == Revision::ZERO || revision <= max)
    };
    within(kv.mod_revision, request.min_mod_revision, request.max_mod_revision)
        && within(kv.create_revision, request.min_create_revision, request.max_create_revision)
}

/// Stable: what compares equal stays in key order, also when descending.
fn sort(request: &RangeRequest, kvs: &mut [Arc<KeyValue>]) {
    let down = request.sort_order == SortOrder::Descend;
    match request.sort_target {
        SortTarget::Key if !down => {}
        SortTarget::Key => order(kvs, down, |kv| kv.key.clone()),
        SortTarget::Version => order(kvs, down, |kv| kv.version),
        SortTarget::Create => order(kvs, down, |kv| kv.create_revision),
        SortTarget::Mod => order(kvs, down, |kv| kv.mod_revision),
        SortTarget::Value => order(kvs, down, |kv| kv.value.bytes()),
    }
}

/// Looks at each version once: a value may have to be read.
fn order<K: Ord>(kvs: &mut [Arc<KeyValue>], down: bool, by: impl Fn(&KeyValue) -> K) {
    if down {
        kvs.sort_by_cached_key(|kv| Reverse(by(kv)));
    } else {
        kvs.sort_by_cached_key(|kv| by(kv));
    }
}
