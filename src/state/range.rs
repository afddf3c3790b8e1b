//! Reading keys, at the current and at older revisions.

use std::ops::Bound;
use std::sync::Arc;

use super::collected::Collected;
use super::error::Error;
use super::key_value::KeyValue;
use super::machine::State;
use super::request::{KeyRange, RangeRequest, RangeResponse};
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
        Ok(self.collect(request)?.finish(request))
    }

    /// What of a range needs the state; the rest is [`Collected::finish`].
    ///
    /// Errors: as for [`State::range`].
    pub fn collect(&self, request: &RangeRequest) -> Result<Collected, Error> {
        let at = readable(request.revision, self.revision, self.compacted)?;
        let count = || self.keys_at(&request.range, at, None);
        let response = collect(request, self.revision, self.versions(&request.range, None, at), count);
        Ok(Collected { response, at })
    }

    /// The same in pieces, so that no lock need be held in between: adds the next one to what was collected, at first nothing, and tells
    /// whether there may be more. All of it is of the revision of the first piece. `max_keys` and `max_bytes` as for [`State::range_chunk`].
    ///
    /// Errors: as for [`State::range_chunk`].
    pub fn collect_piece(
        &self,
        request: &RangeRequest,
        collected: &mut Collected,
        max_keys: usize,
        max_bytes: u64,
    ) -> Result<bool, Error> {
        if collected.at == Revision::ZERO {
            collected.at = readable(request.revision, self.revision, self.compacted)?;
            collected.response.revision = self.revision;
        }
        let (at, kvs) = (collected.at, &mut collected.response.kvs);
        let wanted = request.wanted();
        let after = kvs.last().map(|kv| kv.key.clone());
        let room = max_keys.min(wanted.saturating_sub(kvs.len()));
        let chunk = self.range_chunk(&request.range, at, after.as_deref(), room, max_bytes)?;
        if kvs.is_empty() {
            *kvs = chunk.kvs;
        } else {
            kvs.extend(chunk.kvs);
        }
        if chunk.more && kvs.len() < wanted {
            return Ok(true);
        }
        let left = if chunk.more && request.counts_all() {
            let after = kvs.last().map(|kv| &kv.key[..]);
            self.count(&request.range, at, after)?
        } else {
            0
        };
        collected.response.count = kvs.len() as i64 + left;
        Ok(false)
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
        Ok(self.keys_at(range, readable(revision, self.revision, self.compacted)?, after))
    }

    pub(super) fn keys_at(&self, range: &KeyRange, at: Revision, after: Option<&[u8]>) -> i64 {
        let Some(bounds) = bounds(range, after) else { return 0 };
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

/// What is looked at of all versions of the range in key order, and how many there are, which `count` tells cheaply.
pub(super) fn collect<'a>(
    request: &RangeRequest,
    revision: Revision,
    versions: impl Iterator<Item = &'a Arc<KeyValue>>,
    count: impl FnOnce() -> i64,
) -> RangeResponse {
    let wanted = request.wanted();
    let kvs: Vec<_> = versions.take(wanted).cloned().collect();
    let count = if kvs.len() == wanted && request.counts_all() { count() } else { kvs.len() as i64 };
    RangeResponse { revision, kvs, count, ..RangeResponse::default() }
}
