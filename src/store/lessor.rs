//! Time and leases. The log knows that a lease was granted and revoked; when it is due is known to one process only, the
//! *lessor*: the author of the last claim. As with a new leader in etcd, a new lessor gives every lease its full TTL again.
//!
//! Pure: the time is passed in, so that tests can choose it.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use tokio::time::Instant;

use crate::state::{LeaseId, MAX_LEASE_TTL};

/// etcd raises smaller TTLs to its minimum: one and a half election timeouts of a second, rounded up. In seconds.
pub const MIN_TTL: i64 = 2;

/// The leases' deadlines.
#[derive(Default)]
pub struct Lessor {
    leases: HashMap<LeaseId, Timer>,
    /// Ordered by deadline; exactly the leases that are not expiring.
    due: BTreeSet<(Instant, LeaseId)>,
    /// Whether this process is the lessor. If not, deadlines mean nothing here.
    mine: bool,
    /// How many keepalives for a lease wait here for an answer: it is not due as long as there are any.
    waiting: HashMap<LeaseId, usize>,
}

struct Timer {
    /// Seconds.
    ttl: i64,
    deadline: Instant,
    /// Its revocation is planned or on its way: no keepalive may promise that it lives.
    expiring: bool,
}

/// What a keepalive finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// With the TTL in seconds.
    Renewed(i64),
    Missing,
    /// It will turn out soon whether it is revoked; ask again.
    Expiring,
    /// Another process has to be asked.
    NotLessor,
}

impl Lessor {
    pub fn is_mine(&self) -> bool {
        self.mine
    }

    pub fn is_empty(&self) -> bool {
        self.leases.is_empty()
    }

    pub fn granted(&mut self, id: LeaseId, ttl: i64, now: Instant) {
        self.revoked(id);
        let deadline = now + seconds(ttl);
        self.leases.insert(id, Timer { ttl, deadline, expiring: false });
        self.due.insert((deadline, id));
    }

    pub fn revoked(&mut self, id: LeaseId) {
        if let Some(timer) = self.leases.remove(&id) {
            self.due.remove(&(timer.deadline, id));
        }
    }

    /// A claim was applied: `mine` says whether by this process.
    pub fn claimed(&mut self, mine: bool, now: Instant) {
        self.mine = mine;
        self.restart_all(now, &[]);
    }

    /// Gives every lease its full TTL: no client shall lose a lease because its keepalives could not be answered. Revocations that are not sent yet are off;
    /// of those in `sent` it is not decided, so these leases stay expiring.
    pub fn restart_all(&mut self, now: Instant, sent: &[LeaseId]) {
        self.due.clear();
        for (id, timer) in &mut self.leases {
            timer.deadline = now + seconds(timer.ttl);
            timer.expiring = sent.contains(id);
            if !timer.expiring {
                self.due.insert((timer.deadline, *id));
            }
        }
    }

    /// The state is read anew, and all leases with it. Who waits goes on waiting.
    pub fn forget(&mut self) {
        *self = Lessor { waiting: std::mem::take(&mut self.waiting), ..Lessor::default() };
    }

    /// A keepalive arrived, and waits to be answered.
    pub fn arrived(&mut self, id: LeaseId) {
        *self.waiting.entry(id).or_default() += 1;
    }

    /// It was answered, or nobody waits for the answer any more.
    pub fn answered(&mut self, id: LeaseId) {
        if let Some(waiting) = self.waiting.get_mut(&id) {
            *waiting -= 1;
            if *waiting == 0 {
                self.waiting.remove(&id);
            }
        }
    }

    /// Puts all deadlines off: for that long this process could not hear any keepalive.
    pub fn put_off(&mut self, by: Duration) {
        self.due.clear();
        for (id, timer) in &mut self.leases {
            timer.deadline += by;
            if !timer.expiring {
                self.due.insert((timer.deadline, *id));
            }
        }
    }

    pub fn renew(&mut self, id: LeaseId, now: Instant) -> Renewal {
        if !self.mine {
            return Renewal::NotLessor;
        }
        match self.leases.get_mut(&id) {
            None => Renewal::Missing,
            Some(timer) if timer.expiring => Renewal::Expiring,
            Some(timer) => {
                self.due.remove(&(timer.deadline, id));
                timer.deadline = now + seconds(timer.ttl);
                self.due.insert((timer.deadline, id));
                Renewal::Renewed(timer.ttl)
            }
        }
    }

    /// Whole seconds until a lease is due; 0 where it is overdue.
    pub fn remaining(&self, id: LeaseId, now: Instant) -> Option<i64> {
        let timer = self.leases.get(&id)?;
        Some(timer.deadline.saturating_duration_since(now).as_secs() as i64)
    }

    /// When a lease is due, as far as it is known here.
    pub fn deadline(&self, id: LeaseId) -> Option<Instant> {
        self.leases.get(&id).map(|timer| timer.deadline)
    }

    /// The leases that are due, if this process is the lessor, but for those that somebody is waiting to renew.
    fn due(&self, now: Instant) -> impl Iterator<Item = (Instant, LeaseId)> {
        let due = self.due.iter().take_while(move |(deadline, _)| *deadline <= now).filter(|_| self.mine);
        due.filter(|(_, id)| !self.waiting.contains_key(id)).copied()
    }

    pub fn any_due(&self, now: Instant) -> bool {
        self.due(now).next().is_some()
    }

    /// Takes up to `limit` leases that are due; they are expiring from now on.
    pub fn take_due(&mut self, now: Instant, limit: usize) -> Vec<LeaseId> {
        let taken: Vec<_> = self.due(now).take(limit).collect();
        for due in &taken {
            self.due.remove(due);
            if let Some(timer) = self.leases.get_mut(&due.1) {
                timer.expiring = true;
            }
        }
        taken.into_iter().map(|(_, id)| id).collect()
    }

    /// Whether the lease was taken as due and that still holds: a claim and a revocation end it.
    pub fn is_expiring(&self, id: LeaseId) -> bool {
        self.mine && self.leases.get(&id).is_some_and(|timer| timer.expiring)
    }

    /// The revocation could not be written: due again after `wait`, or when it would be without it.
    pub fn not_revoked(&mut self, id: LeaseId, now: Instant, wait: Duration) {
        if let Some(timer) = self.leases.get_mut(&id).filter(|timer| timer.expiring) {
            timer.expiring = false;
            timer.deadline = timer.deadline.max(now + wait);
            self.due.insert((timer.deadline, id));
        }
    }
}

fn seconds(ttl: i64) -> Duration {
    Duration::from_secs(ttl.clamp(0, MAX_LEASE_TTL) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: LeaseId = LeaseId(1);
    const B: LeaseId = LeaseId(2);

    fn lessor(now: Instant) -> Lessor {
        let mut lessor = Lessor::default();
        lessor.granted(A, 10, now);
        lessor.granted(B, 20, now);
        lessor.claimed(true, now);
        lessor
    }

    #[test]
    fn only_the_lessor_renews_and_expires() {
        let now = Instant::now();
        let mut lessor = lessor(now);
        lessor.claimed(false, now);
        assert_eq!(lessor.renew(A, now), Renewal::NotLessor);
        assert!(!lessor.any_due(now + seconds(100)));
        assert!(lessor.take_due(now + seconds(100), 10).is_empty());
    }

    #[test]
    fn a_keepalive_moves_the_deadline() {
        let now = Instant::now();
        let mut lessor = lessor(now);
        assert_eq!(lessor.renew(A, now + seconds(9)), Renewal::Renewed(10));
        assert!(lessor.take_due(now + seconds(18), 10).is_empty());
        assert_eq!(lessor.take_due(now + seconds(19), 10), [A]);
    }

    #[test]
    fn a_lease_that_somebody_waits_to_renew_is_not_due() {
        let now = Instant::now();
        let mut lessor = lessor(now);
        lessor.arrived(A);
        lessor.arrived(A);
        assert_eq!(lessor.take_due(now + seconds(30), 1), [B]);
        lessor.answered(A);
        assert!(!lessor.any_due(now + seconds(30)));
        lessor.answered(A);
        assert_eq!(lessor.take_due(now + seconds(30), 1), [A]);
    }

    #[test]
    fn nothing_is_promised_while_a_lease_expires() {
        let now = Instant::now();
        let mut lessor = lessor(now);
        assert_eq!(lessor.take_due(now + seconds(10), 10), [A]);
        assert_eq!(lessor.renew(A, now + seconds(10)), Renewal::Expiring);
        lessor.not_revoked(A, now + seconds(10), seconds(1));
        assert_eq!(lessor.renew(A, now + seconds(10)), Renewal::Renewed(10));
        lessor.revoked(A);
        assert_eq!(lessor.renew(A, now + seconds(10)), Renewal::Missing);
    }

    #[test]
    fn a_revocation_that_is_on_its_way_survives_that_all_leases_get_their_time_again() {
        let now = Instant::now();
        let mut lessor = lessor(now);
        assert_eq!(lessor.take_due(now + seconds(20), 10), [A, B]);
        lessor.restart_all(now + seconds(20), &[A]);
        assert_eq!(lessor.renew(A, now + seconds(20)), Renewal::Expiring);
        assert_eq!(lessor.renew(B, now + seconds(20)), Renewal::Renewed(20));
        // It was refused.
        lessor.not_revoked(A, now + seconds(21), seconds(1));
        assert!(lessor.take_due(now + seconds(29), 10).is_empty());
        assert_eq!(lessor.take_due(now + seconds(30), 10), [A]);
    }

    #[test]
    fn a_claim_gives_full_ttls_and_a_suspension_is_not_held_against_clients() {
        let now = Instant::now();
        let mut lessor = lessor(now);
        lessor.claimed(true, now + seconds(9));
        assert_eq!(lessor.remaining(A, now + seconds(9)), Some(10));
        lessor.put_off(seconds(20));
        assert!(lessor.take_due(now + seconds(38), 10).is_empty());
        assert_eq!(lessor.take_due(now + seconds(39), 10), [A]);
    }
}
