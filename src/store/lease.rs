//! Leases, as clients ask for them.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::claim::{Ask, PATIENCE, Told, Waiting, told_here};
use super::lessor::MIN_TTL;
use super::write::unexpected;
use super::{Error, Store};
use crate::state::{self, LeaseId, Request, Response, Revision};

/// Before the lessor is asked again where nobody was it.
const NO_LESSOR: Duration = Duration::from_millis(50);

/// A lease as it was granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Granted {
    pub id: LeaseId,
    /// Seconds; raised to the minimum where a smaller one was asked for.
    pub ttl: i64,
    pub revision: Revision,
}

/// What is left of a lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseStatus {
    /// Seconds left.
    pub ttl: i64,
    /// Seconds.
    pub granted_ttl: i64,
    /// In key order; filled if asked for.
    pub keys: Vec<Bytes>,
}

impl Store {
    /// `id` 0: choose one. `ttl` in seconds.
    pub async fn lease_grant(&self, id: LeaseId, ttl: i64) -> Result<Granted, Error> {
        let ttl = ttl.max(MIN_TTL);
        loop {
            let chosen = if id == LeaseId::NONE { random_id() } else { id };
            match self.write(Request::LeaseGrant { id: chosen, ttl }).await {
                Ok(Response::LeaseGrant { revision }) => {
                    self.inner.shared.claim_needed.notify_one();
                    return Ok(Granted { id: chosen, ttl, revision });
                }
                Ok(other) => return Err(unexpected(&other)),
                Err(Error::State(state::Error::LeaseExists)) if id == LeaseId::NONE => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Ends a lease and deletes its keys, as one change. Returns the store's revision.
    pub async fn lease_revoke(&self, id: LeaseId) -> Result<Revision, Error> {
        match self.write(Request::LeaseRevoke { id }).await? {
            Response::LeaseRevoke { revision } => Ok(revision),
            other => Err(unexpected(&other)),
        }
    }

    /// The full TTL in seconds, or None if there is no such lease.
    pub async fn lease_keep_alive(&self, id: LeaseId) -> Result<Option<i64>, Error> {
        self.of_lessor(Ask::KeepAlive(id)).await
    }

    /// None if there is no such lease.
    pub async fn lease_time_to_live(&self, id: LeaseId, keys: bool) -> Result<Option<LeaseStatus>, Error> {
        let Some(ttl) = self.of_lessor(Ask::Remaining(id)).await? else { return Ok(None) };
        let state = self.served_state()?;
        Ok(state.lease(id).map(|lease| LeaseStatus {
            ttl,
            granted_ttl: lease.ttl,
            keys: if keys { lease.keys.iter().cloned().collect() } else { Vec::new() },
        }))
    }

    /// Those that are due first come first, as etcd lists them.
    pub async fn leases(&self) -> Result<Vec<LeaseId>, Error> {
        self.fence().await?;
        let mut leases: Vec<_> = self.served_state()?.leases().map(|(id, _)| id).collect();
        let lessor = self.inner.shared.lessor();
        leases.sort_by_cached_key(|id| lessor.deadline(*id));
        Ok(leases)
    }

    /// What the lessor says of a lease: here, if it is this process, or over there. Sees to it that there is one.
    async fn of_lessor(&self, ask: Ask) -> Result<Option<i64>, Error> {
        // Where nobody else writes, this process is it, and there is nothing to wait for.
        if self.inner.backend.exclusive() {
            self.inner.shared.check_available()?;
            match told_here(&self.inner.shared, ask) {
                Some(Told::Ttl(seconds)) => return Ok(Some(seconds)),
                Some(Told::Missing) => return Ok(None),
                Some(Told::Pong(..) | Told::NotLessor) | None => {}
            }
        }
        self.wait_for_lessor(ask).await
    }

    async fn wait_for_lessor(&self, ask: Ask) -> Result<Option<i64>, Error> {
        let deadline = Instant::now() + self.inner.options.request_timeout;
        let _waiting = Waiting::of(&self.inner.shared, ask);
        loop {
            // Each time anew: somebody else may have become the lessor meanwhile.
            self.fence().await?;
            let told = match told_here(&self.inner.shared, ask) {
                Some(told) => Some(told),
                None => self.ask_lessor(ask).await,
            };
            match told {
                Some(Told::Ttl(seconds)) => return Ok(Some(seconds)),
                Some(Told::Missing) => return Ok(None),
                Some(Told::Pong(..) | Told::NotLessor) | None => {}
            }
            if Instant::now() > deadline {
                return Err(Error::TimedOut);
            }
            self.inner.shared.check_available()?;
            if self.lease_is_gone(ask) {
                return Ok(None);
            }
            self.inner.shared.claim_needed.notify_one();
            tokio::time::sleep(NO_LESSOR).await;
        }
    }

    /// Without any lease nobody needs to be the lessor, and nobody may be.
    fn lease_is_gone(&self, ask: Ask) -> bool {
        let (Ask::KeepAlive(id) | Ask::Remaining(id)) = ask else { return false };
        self.inner.shared.served_state().is_some_and(|state| state.lease(id).is_none())
    }

    async fn ask_lessor(&self, ask: Ask) -> Option<Told> {
        let mut claimed = self.inner.shared.claimed.subscribe();
        let lessor = claimed.borrow_and_update().filter(|_| !self.inner.backend.exclusive())?;
        tokio::select! {
            answer = self.inner.backend.ask(lessor, ask.encode(), PATIENCE) => Told::decode(&answer.ok()?),
            // One that does not answer any more has been replaced: the new one knows.
            _ = claimed.changed() => None,
        }
    }
}

/// Positive, as etcd's own: some clients keep ids in unsigned or signed variables.
fn random_id() -> LeaseId {
    LeaseId(rand::random::<i64>() & i64::MAX | 1)
}
