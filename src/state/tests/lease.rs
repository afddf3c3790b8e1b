//! Leases and what hangs on them.

use super::super::*;
use super::{Machine, put, single, text};

fn attached(machine: &Machine, id: i64) -> Vec<String> {
    machine.state.lease(LeaseId(id)).map_or(Vec::new(), |lease| lease.keys.iter().map(text).collect())
}

fn with_lease(key: &str, id: i64) -> PutRequest {
    PutRequest { lease: LeaseId(id), ..put(key, "1") }
}

#[test]
fn overwriting_a_key_detaches_it_and_so_does_deleting() {
    let mut machine = Machine::new();
    machine.grant(1);
    machine.grant(2);
    for key in ["a", "b", "c", "d"] {
        machine.run(with_lease(key, 1)).unwrap();
    }
    machine.run(with_lease("b", 2)).unwrap();
    machine.put("c", "2");
    machine.delete(single("d"));
    assert_eq!((attached(&machine, 1), attached(&machine, 2)), (vec!["a".to_owned()], vec!["b".to_owned()]));
    machine.run(with_lease("a", 1)).unwrap();
    assert_eq!(attached(&machine, 1), ["a"]);
}

#[test]
fn revoking_deletes_all_keys_in_one_revision_in_key_order() {
    let mut machine = Machine::new();
    machine.grant(1);
    for key in ["c", "a", "b"] {
        machine.run(with_lease(key, 1)).unwrap();
    }
    let Response::LeaseRevoke { revision } = machine.run(Request::LeaseRevoke { id: LeaseId(1) }).unwrap() else {
        panic!("another answer")
    };
    assert_eq!((revision, machine.state.revision()), (Revision(5), Revision(5)));
    let events = machine.state.events_from(Revision(5), 1).unwrap();
    assert_eq!(events[0].events.iter().map(|event| text(&event.kv.key)).collect::<Vec<_>>(), ["a", "b", "c"]);
    assert!(machine.state.lease(LeaseId(1)).is_none());
}

#[test]
fn a_missing_lease_and_one_that_exists_are_refused() {
    let mut machine = Machine::new();
    assert_eq!(machine.run(with_lease("a", 1)).unwrap_err(), Error::LeaseNotFound);
    assert_eq!(machine.run(Request::LeaseRevoke { id: LeaseId(1) }).unwrap_err(), Error::LeaseNotFound);
    machine.grant(1);
    assert_eq!(machine.run(Request::LeaseGrant { id: LeaseId(1), ttl: 5 }).unwrap_err(), Error::LeaseExists);
    assert_eq!(machine.state.revision(), Revision(1));
}

#[test]
fn a_missing_lease_is_found_before_a_missing_key() {
    let mut machine = Machine::new();
    let request = PutRequest { ignore_value: true, ..with_lease("a", 1) };
    assert_eq!(machine.run(request).unwrap_err(), Error::LeaseNotFound);
    let request = PutRequest { ignore_lease: true, ..put("a", "1") };
    assert_eq!(machine.run(request).unwrap_err(), Error::KeyNotFound);
}

#[test]
fn ignore_lease_and_ignore_value_keep_what_was() {
    let mut machine = Machine::new();
    machine.grant(1);
    machine.run(with_lease("a", 1)).unwrap();
    machine.run(PutRequest { ignore_lease: true, ..put("a", "2") }).unwrap();
    let kv = machine.state.get(b"a").unwrap();
    assert_eq!((text(&kv.value.bytes()), kv.lease), ("2".into(), LeaseId(1)));
    machine.run(PutRequest { ignore_value: true, ..put("a", "") }).unwrap();
    let kv = machine.state.get(b"a").unwrap();
    assert_eq!((text(&kv.value.bytes()), kv.lease, kv.version), ("2".into(), LeaseId::NONE, 3));
    assert_eq!(attached(&machine, 1), [""; 0]);
}

#[test]
fn an_id_can_be_used_again_and_old_keys_do_not_come_back_to_it() {
    let mut machine = Machine::new();
    machine.grant(1);
    machine.run(with_lease("a", 1)).unwrap();
    machine.run(Request::LeaseRevoke { id: LeaseId(1) }).unwrap();
    machine.grant(1);
    assert_eq!(attached(&machine, 1), [""; 0]);
}

#[test]
fn the_lessor_is_told_of_grants_and_revokes() {
    let mut machine = Machine::new();
    let ops = vec![Op::LeaseGrant { id: LeaseId(1), ttl: 60 }, Op::LeaseGrant { id: LeaseId(2), ttl: 30 }];
    let applied = machine.apply(&Entry { revision: Revision(1), ops });
    assert_eq!(applied.granted, [(LeaseId(1), 60), (LeaseId(2), 30)]);
    let applied = machine.apply(&Entry { revision: Revision(1), ops: vec![Op::LeaseRevoke { id: LeaseId(1) }] });
    assert_eq!(applied.revoked, [LeaseId(1)]);
}
