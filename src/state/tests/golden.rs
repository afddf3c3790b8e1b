//! What is frozen because checkpoints hold it. Never change an expected value here.

use super::super::*;
use crate::state::fingerprint::hash_key;

fn of_key(key: &[u8], revision: i64) -> u64 {
    let mut fingerprint = Fingerprint::default();
    fingerprint.add_key(hash_key(key), Revision(revision));
    fingerprint.keys_hash
}

fn of_lease(id: i64) -> u64 {
    let mut fingerprint = Fingerprint::default();
    fingerprint.add_lease(LeaseId(id));
    fingerprint.leases_hash
}

#[test]
fn a_key_is_hashed_as_ever() {
    assert_eq!(of_key(b"a", 2), 0x61a3_d655_a2f2_49c0);
    assert_eq!(of_key(b"/registry/pods/default/web-0", 123_456_789), 0x8632_56e8_35f7_3ce1);
    assert_eq!(of_key(b"\x00\xff", 1 << 40), 0x0c04_6e5a_75d8_369b);
}

#[test]
fn a_lease_is_hashed_as_ever() {
    assert_eq!(of_lease(1), 0x910a_2dec_8902_5cc1);
    assert_eq!(of_lease(7_587_891_234_567_890_123), 0xadbe_79bc_c10c_9290);
    assert_eq!(of_lease(-5), 0x16b1_cba9_5fc6_0262);
}

#[test]
fn hashes_are_added_up() {
    let mut machine = super::Machine::new();
    machine.put("a", "1");
    machine.put("b", "1");
    machine.grant(1);
    let expected =
        Fingerprint { keys: 2, keys_hash: 0x21c4_c0b1_a404_1fb1, leases: 1, leases_hash: 0x910a_2dec_8902_5cc1 };
    assert_eq!(machine.state.fingerprint(), expected);
    machine.put("a", "2");
    machine.delete(super::all());
    machine.run(Request::LeaseRevoke { id: LeaseId(1) }).unwrap();
    assert_eq!(machine.state.fingerprint(), Fingerprint::default());
}
