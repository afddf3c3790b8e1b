//! Revisions and versions, and leniency towards a log that was purged.

use super::super::*;
use super::{Machine, all, bytes, delete, put, range, single, text};

#[test]
fn an_empty_store_is_at_revision_1_and_its_first_write_makes_2() {
    let mut machine = Machine::new();
    assert_eq!(machine.state.revision(), Revision(1));
    assert_eq!(machine.put("a", "1").revision, Revision(2));
    assert_eq!(machine.state.revision(), Revision(2));
}

#[test]
fn a_put_always_takes_a_revision_and_a_delete_of_nothing_none() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    machine.put("a", "1");
    assert_eq!(machine.state.revision(), Revision(3));
    let missing = machine.delete(single("b"));
    assert_eq!((missing.deleted, missing.revision, machine.state.revision()), (0, Revision(3), Revision(3)));
}

#[test]
fn deleting_and_creating_again_begins_anew() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    machine.put("a", "2");
    let kv = machine.state.get(b"a").unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (Revision(2), Revision(3), 2));
    machine.delete(single("a"));
    machine.put("a", "3");
    let kv = machine.state.get(b"a").unwrap();
    assert_eq!((kv.create_revision, kv.mod_revision, kv.version), (Revision(5), Revision(5), 1));
    assert_eq!(
        [2, 3, 4, 5].map(|revision| machine.value("a", revision)),
        [Some("1".into()), Some("2".into()), None, Some("3".into())]
    );
}

#[test]
fn one_revision_however_many_keys_and_its_events_in_order() {
    let mut machine = Machine::new();
    machine.put("b", "0");
    let success =
        vec![RequestOp::Put(put("c", "1")), RequestOp::DeleteRange(delete(all())), RequestOp::Put(put("a", "1"))];
    machine.txn(TxnRequest { success, ..TxnRequest::default() }).unwrap();
    assert_eq!(machine.state.revision(), Revision(3));
    let events = machine.state.events_from(Revision(3), 9).unwrap();
    let seen: Vec<_> = events[0].events.iter().map(|event| (event.kind, text(&event.kv.key))).collect();
    assert_eq!(
        seen,
        [
            (EventKind::Put, "c".into()),
            (EventKind::Delete, "b".into()),
            (EventKind::Delete, "c".into()),
            (EventKind::Put, "a".into()),
        ]
    );
}

#[test]
fn a_delete_event_has_only_key_and_revision_and_what_was_before() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    machine.delete(single("a"));
    let events = machine.state.events_from(Revision(3), 1).unwrap();
    let event = &events[0].events[0];
    let bare = KeyValue { key: bytes("a"), mod_revision: Revision(3), sequence: Sequence(2), ..KeyValue::default() };
    assert_eq!(*event.kv, bare);
    assert_eq!(event.prev.as_ref().unwrap().value.bytes(), "1");
}

#[test]
fn leases_compactions_and_alarms_take_no_revision() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    machine.grant(7);
    machine.compact(2);
    let alarm = Alarm { member: 1, kind: AlarmKind::NoSpace };
    for (request, changes) in [(Request::AlarmRaise(alarm), true), (Request::AlarmRaise(alarm), false)] {
        let Response::Alarm { changed, revision } = machine.run(request).unwrap() else { panic!("another answer") };
        assert_eq!((changed, revision), (changes, Revision(2)));
    }
    machine.run(Request::LeaseRevoke { id: LeaseId(7) }).unwrap();
    assert_eq!(machine.state.revision(), Revision(2));
    assert!(machine.state.alarms().contains(&alarm));
}

#[test]
fn a_version_at_or_below_the_floor_supersedes_at_once() {
    let mut state = State::new(Revision(1), Revision(0));
    state.raise(Sequence(9), Revision(9), Revision(8));
    let put = |revision, value: &'static str| Entry {
        revision: Revision(revision),
        ops: vec![Op::Put {
            key: bytes("a"),
            value: bytes(value),
            lease: LeaseId(5),
            create_revision: Revision(3),
            version: revision,
            sub: 0,
        }],
    };
    assert!(state.apply(&put(5, "old"), &[Sequence(10)]).events.is_none());
    assert!(state.apply(&put(7, "new"), &[Sequence(20)]).events.is_none());
    assert_eq!(state.get(b"a").unwrap().version, 7);
    assert_eq!(state.live_bytes(), 4);
    assert_eq!(state.revision(), Revision(9));
    let garbage = Garbage { target: GarbageTarget::Key(bytes("a")), below: Sequence(20), then: None };
    assert_eq!(state.garbage(Sequence(99), None, 9), [garbage]);
}

#[test]
fn deleting_a_missing_key_below_the_floor_is_no_event_and_above_it_one() {
    let delete = |revision| Entry { revision: Revision(revision), ops: vec![Op::Delete { key: bytes("a"), sub: 0 }] };
    let mut state = State::new(Revision(1), Revision(8));
    assert!(state.apply(&delete(7), &[Sequence(1)]).events.is_none());
    let events = state.apply(&delete(11), &[Sequence(2)]).events.unwrap();
    assert_eq!(
        (events.revision, events.events[0].kind, state.revision()),
        (Revision(11), EventKind::Delete, Revision(11))
    );
    assert_eq!(events.events[0].prev, None);
    assert_eq!(state.fingerprint(), Fingerprint::default());
}

#[test]
fn memory_is_shared_within_and_never_with_what_comes_in() {
    let mut machine = Machine::new();
    let buffer = bytes("a large buffer that must not live on");
    let request = PutRequest { key: buffer.slice(0..1), value: buffer.slice(2..7), ..put("", "") };
    machine.run(request).unwrap();
    machine.log.clear();
    assert!(buffer.is_unique(), "the state holds on to the caller's buffer");
    let before = machine.state.get(b"a").unwrap().clone();
    machine.run(PutRequest { ignore_value: true, value: bytes(""), ..put("a", "") }).unwrap();
    let after = machine.state.get(b"a").unwrap();
    assert_eq!(before.key.as_ptr(), after.key.as_ptr());
    assert_eq!(before.value.bytes().as_ptr(), after.value.bytes().as_ptr());
}

#[test]
fn events_from_a_revision_on_come_in_pieces() {
    let mut machine = Machine::new();
    (0..5).for_each(|n| drop(machine.put("a", &n.to_string())));
    let revisions = |start, max| {
        let events = machine.state.events_from(Revision(start), max).unwrap();
        events.iter().map(|events| events.revision.0).collect::<Vec<_>>()
    };
    assert_eq!(revisions(1, 2), [2, 3]);
    assert_eq!(revisions(4, 9), [4, 5, 6]);
    assert_eq!(revisions(7, 9), [0; 0]);
    assert_eq!(machine.keys(range(all())), ["a"]);
}
