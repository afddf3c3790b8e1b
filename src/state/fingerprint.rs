//! A few numbers that tell two states apart, kept up to date write by write.
//!
//! FROZEN: the numbers stand in checkpoints. `tests/golden.rs` has vectors.

use super::revision::{LeaseId, Revision};

/// How many live keys and leases there are, and the wrapping sums of their hashes: independent of order, and an
/// overwritten key costs one subtraction and one addition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Fingerprint {
    pub keys: u64,
    pub keys_hash: u64,
    pub leases: u64,
    pub leases_hash: u64,
}

impl Fingerprint {
    pub(super) fn add_key(&mut self, key: u64, modified: Revision) {
        self.keys += 1;
        self.keys_hash = self.keys_hash.wrapping_add(version(key, modified));
    }

    pub(super) fn remove_key(&mut self, key: u64, modified: Revision) {
        self.keys -= 1;
        self.keys_hash = self.keys_hash.wrapping_sub(version(key, modified));
    }

    pub(super) fn add_lease(&mut self, id: LeaseId) {
        self.leases += 1;
        self.leases_hash = self.leases_hash.wrapping_add(mix(id.0 as u64));
    }

    pub(super) fn remove_lease(&mut self, id: LeaseId) {
        self.leases -= 1;
        self.leases_hash = self.leases_hash.wrapping_sub(mix(id.0 as u64));
    }
}

/// FNV-1a, 64 bits, over the key's bytes.
pub(super) fn hash_key(key: &[u8]) -> u64 {
    key.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The hash of one live key: its own and its mod_revision's, mixed.
fn version(key: u64, modified: Revision) -> u64 {
    mix(key ^ mix(modified.0 as u64))
}

/// splitmix64's step: every bit of the result depends on every bit of `n`.
fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
