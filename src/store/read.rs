//! Reading: behind a fence or not, in pieces where it is long.

use std::sync::RwLockReadGuard;

use super::engine::Service;
use super::{Error, Store};
use crate::state::{self, KeyValue, RangeRequest, RangeResponse, Revision, SortOrder, SortTarget, State};

/// Keys and bytes of a long range read under one lock; in between others may write.
const PIECE_KEYS: usize = 1000;
const PIECE_BYTES: u64 = 4 << 20;

/// How often a range of the current revision begins anew when compaction overtakes it.
const ATTEMPTS: usize = 3;

/// How up to date a read must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// At least as new as every write acknowledged, by anyone, before the read began.
    Linearizable,
    /// Whatever this process has applied.
    Serializable,
}

impl Store {
    pub async fn range(&self, request: RangeRequest, consistency: Consistency) -> Result<RangeResponse, Error> {
        self.await_consistency(consistency).await?;
        if !is_long(&request) {
            return Ok(self.served_state()?.range(&request)?);
        }
        for _ in 0..ATTEMPTS {
            match self.range_in_pieces(&request).await {
                Err(Error::State(state::Error::Compacted(_))) if request.revision == Revision::ZERO => {}
                result => return result,
            }
        }
        Ok(self.served_state()?.range(&request)?)
    }

    /// The state, unless it is only half read.
    pub(super) fn served_state(&self) -> Result<RwLockReadGuard<'_, State>, Error> {
        self.inner.shared.served_state().ok_or(Error::NoLeader)
    }

    /// Waits until this process is as new as every write acknowledged before the call; what a linearizable read does first.
    pub async fn fence(&self) -> Result<(), Error> {
        self.inner.shared.check_available()?;
        if self.inner.backend.exclusive() {
            return Ok(());
        }
        let timeout = self.inner.options.request_timeout;
        let mut service = self.inner.shared.service.subscribe();
        // In a long outage no fence will be passed: tell so as soon as that is certain.
        let hopeless = service.wait_for(|service| matches!(service, Service::Stopped(_)));
        tokio::select! {
            passed = tokio::time::timeout(timeout, self.inner.fence.pass()) => passed.unwrap_or(Err(Error::TimedOut)),
            _ = hopeless => Err(Error::Stopped),
        }
    }

    pub(super) async fn await_consistency(&self, consistency: Consistency) -> Result<(), Error> {
        match consistency {
            Consistency::Linearizable => self.fence().await,
            Consistency::Serializable => match &*self.inner.shared.service.borrow() {
                Service::Starting => Err(Error::NoLeader),
                Service::Stopped(_) => Err(Error::Stopped),
                Service::Up | Service::Outage { .. } => Ok(()),
            },
        }
    }

    async fn range_in_pieces(&self, request: &RangeRequest) -> Result<RangeResponse, Error> {
        let mut response = RangeResponse { content: request.content(), ..RangeResponse::default() };
        let mut revision = request.revision;
        loop {
            let more = {
                let state = self.served_state()?;
                if response.revision == Revision::ZERO {
                    response.revision = state.revision();
                    revision = if revision == Revision::ZERO { state.revision() } else { revision };
                }
                add_piece(&state, request, revision, &mut response)?
            };
            if !more {
                response.count = response.kvs.len() as i64;
                return Ok(response);
            }
            tokio::task::yield_now().await;
        }
    }
}

/// Without limit, in key order, with nothing left out: what can be read piece by piece.
fn is_long(request: &RangeRequest) -> bool {
    let bounds =
        [request.min_mod_revision, request.max_mod_revision, request.min_create_revision, request.max_create_revision];
    request.limit == 0
        && !request.count_only
        && !matches!(request.range, state::KeyRange::Single(_))
        && request.sort_target == SortTarget::Key
        && request.sort_order != SortOrder::Descend
        && bounds.iter().all(|bound| *bound == Revision::ZERO)
}

fn add_piece(
    state: &State,
    request: &RangeRequest,
    revision: Revision,
    response: &mut RangeResponse,
) -> Result<bool, Error> {
    let after = response.kvs.last().map(|kv: &std::sync::Arc<KeyValue>| kv.key.clone());
    let chunk = state.range_chunk(&request.range, revision, after.as_deref(), PIECE_KEYS, PIECE_BYTES)?;
    response.kvs.extend(chunk.kvs);
    Ok(chunk.more)
}
