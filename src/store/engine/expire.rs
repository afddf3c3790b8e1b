//! Expiring leases: when the clock says so, and the log has shown that a keepalive could have been answered.
//!
//! ```text
//! tick: a lease is due ──▶ fence ──▶ passed at once        revoke it, unless a keepalive for it waits here
//!                                └─▶ passed after long     the log stood still, for others too: every lease gets its full time again
//! ```
//! Without the fence, a log that stands still for longer than a TTL, and then goes on, would take the expiry before the keepalives
//! that waited all the time.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::group::{Origin, PlannedEntry};
use super::{Engine, TICK, Write};
use crate::state::{LeaseId, Request};
use crate::store::error::Error;
use crate::store::log::Log;

/// A tick later than this means that the process was suspended, or starved: clients' keepalives may be waiting. A fence that takes longer
/// means the same of the log.
const LATE: Duration = Duration::from_millis(1000);

/// Leases revoked at one tick: bounds how long an expiry of very many keeps clients waiting.
const EXPIRE_AT_ONCE: usize = 256;

/// How long a lease stays after its revocation could not be written.
const EXPIRE_AGAIN: Duration = Duration::from_secs(1);

/// A fence that was asked for when leases were found due.
pub struct DueCheck {
    began: Instant,
    fence: JoinHandle<Result<(), Error>>,
}

pub struct Checked {
    took: Duration,
    passed: bool,
}

/// Resolves when the check that is under way has an outcome; never where there is none.
pub async fn checked(check: &mut Option<DueCheck>) -> Checked {
    match check {
        Some(check) => {
            let passed = matches!((&mut check.fence).await, Ok(Ok(())));
            Checked { took: check.began.elapsed(), passed }
        }
        None => std::future::pending().await,
    }
}

impl<L: Log> Engine<L> {
    pub(super) fn ticked(&mut self) {
        let now = Instant::now();
        let late = now.duration_since(self.last_tick).saturating_sub(TICK);
        self.last_tick = now;
        let mut lessor = self.shared.lessor();
        if late > LATE {
            tracing::warn!(?late, "this process stood still: leases are put off by as long");
            lessor.put_off(late);
        }
        let any_due = lessor.any_due(now);
        drop(lessor);
        if any_due && self.shared.hears_keepalives() && self.due_check.is_none() {
            let fence = self.fence.clone();
            self.due_check = Some(DueCheck { began: now, fence: tokio::spawn(async move { fence.pass().await }) });
        }
        self.plan_backlog();
    }

    pub(super) fn expire_due(&mut self, checked: Checked) {
        self.due_check = None;
        if !checked.passed || !self.shared.hears_keepalives() {
            return;
        }
        let now = Instant::now();
        if checked.took > LATE {
            tracing::warn!(took = ?checked.took, "the log stood still: leases get their full time again");
            self.shared.lessor().restart_all(now, &self.revocations_in_flight());
            self.plan_next_again();
        }
        let mut lessor = self.shared.lessor();
        let due = lessor.take_due(now, EXPIRE_AT_ONCE);
        drop(lessor);
        for id in due {
            tracing::debug!(lease = %id, "expired");
            self.revoke_expired(id);
        }
        self.plan_backlog();
    }

    /// Of due leases. What becomes of them is open.
    fn revocations_in_flight(&self) -> Vec<LeaseId> {
        let entries = self.inflight.iter().flat_map(|inflight| &inflight.group.entries);
        let expires = |entry: &PlannedEntry| match &entry.origin {
            Some(Origin::Write(write, _)) => write.expires,
            _ => None,
        };
        entries.filter_map(expires).collect()
    }

    fn revoke_expired(&mut self, id: LeaseId) {
        let (reply, revoked) = oneshot::channel();
        self.backlog.push_back(Write { request: Request::LeaseRevoke { id }, reply, fenced: true, expires: Some(id) });
        let shared = self.shared.clone();
        tokio::spawn(async move {
            if !matches!(revoked.await, Ok(Ok(_))) {
                shared.lessor().not_revoked(id, Instant::now(), EXPIRE_AGAIN);
            }
        });
    }
}
