//! Leases and the keys that hang on them. Time is not known here: `store` counts the seconds.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::garbage::GarbageTarget;
use super::key_value::KeyValue;
use super::machine::State;
use super::revision::{LeaseId, Sequence};

/// The longest TTL that is granted, in seconds, as in etcd.
pub const MAX_LEASE_TTL: i64 = 9_000_000_000;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Seconds, as granted.
    pub ttl: i64,
    /// The live keys whose current version names this lease.
    pub keys: BTreeSet<Bytes>,
    /// Where in the log it was granted.
    pub sequence: Sequence,
}

impl State {
    /// A lease that is there already (only a damaged log has that) keeps its keys.
    pub(super) fn grant(&mut self, id: LeaseId, ttl: i64, at: Sequence) {
        if let Some(lease) = self.leases.get_mut(&id) {
            (lease.ttl, lease.sequence) = (ttl, at);
            return;
        }
        self.leases.insert(id, Lease { ttl, keys: BTreeSet::new(), sequence: at });
        self.fingerprint.add_lease(id);
    }

    /// Nobody can read a revoked lease, so what stands about it in the log is garbage at once. Also where the lease is
    /// unknown: then compaction has removed the grant, and the revoke waits to follow it.
    pub(super) fn revoke(&mut self, id: LeaseId, at: Sequence) {
        if self.leases.remove(&id).is_some() {
            self.fingerprint.remove_lease(id);
        }
        self.garbage.add(GarbageTarget::Lease(id), at, Some(at.next()), at, Vec::new());
    }

    /// Moves a key from its old version's lease to the new one's. A lease that is gone is passed over: in a purged
    /// log a put may still stand where its lease's grant and revoke do not.
    pub(super) fn attach(&mut self, prev: Option<&KeyValue>, kv: &KeyValue) {
        let old = prev.map_or(LeaseId::NONE, |prev| prev.lease);
        if old != kv.lease
            && let Some(lease) = self.leases.get_mut(&old)
        {
            lease.keys.remove(&kv.key);
        }
        if let Some(lease) = self.leases.get_mut(&kv.lease) {
            lease.keys.insert(kv.key.clone());
        }
    }
}
