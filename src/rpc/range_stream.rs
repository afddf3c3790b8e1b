//! A long range in many messages, all of one revision (etcd 3.7's RangeStream).
//!
//! The first message has few keys, so that the client soon has something; the later ones are filled up to the size of a large
//! request. Header, count and more are in the last message only.

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::try_unfold;
use tonic::Status;
use tonic::codegen::BoxStream;

use super::call::Call;
use super::convert;
use crate::pb::etcdserverpb::{RangeResponse, RangeStreamResponse};
use crate::state::{self, KeyRange, KeyValue, RangeRequest, Revision, SortTarget};
use crate::store::{self, Consistency};

/// Keys in the first message, as etcd has it.
const FIRST_CHUNK: i64 = 10;
/// Keys asked of the store at once, which has them in memory until they are sent.
const PAGE: i64 = 10_000;
/// What a key takes in a message besides its key and value, at most.
const KEY_OVERHEAD: usize = 64;

pub(super) fn new(call: Call, request: RangeRequest, consistency: Consistency) -> BoxStream<RangeStreamResponse> {
    let limit = if request.limit == 0 { i64::MAX } else { request.limit };
    let reading =
        Reading { call, limit, request, consistency, sent: 0, pinned: None, page: VecDeque::new(), more: true };
    Box::pin(try_unfold(Some(reading), |reading| async move {
        let Some(mut reading) = reading else { return Ok(None) };
        let (message, done) = reading.next().await?;
        let message = RangeStreamResponse { range_response: Some(message) };
        Ok(Some((message, (!done).then_some(reading))))
    }))
}

struct Reading {
    call: Call,
    /// What the client wants at most.
    limit: i64,
    /// Asks the store for the next page.
    request: RangeRequest,
    consistency: Consistency,
    sent: i64,
    /// The revision that all is read at, and the count of the whole range there.
    pinned: Option<(Revision, i64)>,
    /// What of the last page is not sent yet.
    page: VecDeque<Arc<KeyValue>>,
    /// Whether the store has keys after this page.
    more: bool,
}

impl Reading {
    async fn next(&mut self) -> Result<(RangeResponse, bool), Status> {
        if self.page.is_empty() {
            self.read_page(self.page_size()).await?;
        }
        self.check_compaction()?;
        let kvs = self.take_chunk();
        self.sent += kvs.len() as i64;
        let mut message =
            RangeResponse { kvs: convert::key_values(&kvs, self.request.content()), ..Default::default() };

        let done = self.page.is_empty() && (!self.more || self.sent == self.limit);
        if done && let Some((revision, count)) = self.pinned {
            message.header = self.call.header_at(revision);
            message.more = self.more;
            message.count = count;
        }
        Ok((message, done))
    }

    fn page_size(&self) -> i64 {
        match (self.request.sort_target, self.pinned) {
            // A target without an order is let through and means ascending: only the whole can be sorted. (etcd sorts
            // each of its chunks, and goes on from the wrong key.)
            (target, _) if target != SortTarget::Key => i64::MAX,
            (_, None) => FIRST_CHUNK,
            (_, Some(_)) => PAGE,
        }
    }

    /// As in etcd, what was begun is not finished if its revision is compacted meanwhile, though it could be here.
    fn check_compaction(&self) -> Result<(), Status> {
        let compacted = self.call.store.compacted();
        // Zero only where nothing was read yet.
        if self.request.revision > Revision::ZERO && self.request.revision < compacted {
            return Err(store::Error::from(state::Error::Compacted(compacted)).into());
        }
        Ok(())
    }

    async fn read_page(&mut self, keys: i64) -> Result<(), Status> {
        self.request.limit = keys.min(self.limit - self.sent);
        let response = self.call.store.range(self.request.clone(), self.consistency).await?;
        if self.pinned.is_none() {
            self.pinned = Some((response.revision, response.count));
            if self.request.revision == Revision::ZERO {
                self.request.revision = response.revision;
            }
            // What is read from here on is applied already.
            self.consistency = Consistency::Serializable;
            self.request.with_total_count = false;
        }
        self.more = response.more && !self.request.count_only;
        if let Some(last) = response.kvs.last() {
            self.continue_after(last);
        }
        self.page = response.kvs.into();
        Ok(())
    }

    fn continue_after(&mut self, last: &KeyValue) {
        let next = [last.key.as_ref(), &[0]].concat().into();
        self.request.range = match &self.request.range {
            KeyRange::Between(_, end) => KeyRange::Between(next, end.clone()),
            KeyRange::Single(_) | KeyRange::From(_) => KeyRange::From(next),
        };
    }

    /// At least one key, if there are any, and as many as fit a message.
    fn take_chunk(&mut self) -> Vec<Arc<KeyValue>> {
        let keys_only = self.request.keys_only;
        let mut room = self.call.max_request_bytes;
        let fitting = self.page.iter().take_while(|kv| {
            let size = kv.key.len() + KEY_OVERHEAD + if keys_only { 0 } else { kv.value.len() };
            let fits = size <= room;
            room = room.saturating_sub(size);
            fits
        });
        let count = fitting.count().max(1).min(self.page.len());
        self.page.drain(..count).collect()
    }
}
