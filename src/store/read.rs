//! Reading: behind a fence or not, in pieces where it is long.

use std::sync::RwLockReadGuard;

use super::engine::Service;
use super::{Error, Store};
use crate::state::{self, Collected, KeyRange, RangeRequest, RangeResponse, Revision, State};

/// Keys and bytes of a long range collected under one lock; in between others may write.
const PIECE_KEYS: usize = if cfg!(test) { 3 } else { 1000 };
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
    /// What stands in a range of keys. Errors: a revision that was compacted or is yet to come; [`Error::NoLeader`] and [`Error::TimedOut`] where the
    /// read has to be linearizable and the log does not answer.
    pub async fn range(&self, request: RangeRequest, consistency: Consistency) -> Result<RangeResponse, Error> {
        self.await_consistency(consistency).await?;
        let collected = self.collect(&request).await?;
        let effort = collected.effort(&request);
        self.inner.aside.run(effort, move || collected.finish(&request)).await
    }

    async fn collect(&self, request: &RangeRequest) -> Result<Collected, Error> {
        if is_long(request) {
            for _ in 0..ATTEMPTS {
                match self.collect_in_pieces(request).await {
                    Err(Error::State(state::Error::Compacted(_))) if request.revision == Revision::ZERO => {}
                    result => return result,
                }
            }
        }
        Ok(self.served_state()?.collect(request)?)
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

    async fn collect_in_pieces(&self, request: &RangeRequest) -> Result<Collected, Error> {
        let mut collected = Collected::default();
        while self.served_state()?.collect_piece(request, &mut collected, PIECE_KEYS, PIECE_BYTES)? {
            tokio::task::yield_now().await;
        }
        Ok(collected)
    }
}

/// Whether more than one piece may have to be collected.
fn is_long(request: &RangeRequest) -> bool {
    // One more than the limit is collected.
    !matches!(request.range, KeyRange::Single(_)) && request.wanted() > PIECE_KEYS + 1
}
