//! What the compactor is told it may remove, and when.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::*;
use super::{Machine, between, bytes, put, single};

const END: Sequence = Sequence(u64::MAX);

fn key(key: &str, below: u64, then: Option<u64>) -> Garbage {
    Garbage { target: GarbageTarget::Key(bytes(key)), below: Sequence(below), then: then.map(Sequence) }
}

fn garbage(machine: &Machine) -> Vec<Garbage> {
    machine.state.garbage(END, None, usize::MAX)
}

#[test]
fn nothing_is_garbage_before_it_is_compacted() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    machine.put("a", "2");
    machine.delete(single("a"));
    assert_eq!(garbage(&machine), []);
    machine.compact(2);
    assert_eq!(garbage(&machine), []);
    machine.compact(3);
    assert_eq!(garbage(&machine), [key("a", 2, None)]);
}

#[test]
fn a_tombstone_outlives_what_it_covers() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    machine.delete(single("a"));
    machine.put("b", "1");
    machine.compact(4);
    let first = garbage(&machine);
    assert_eq!(first, [key("a", 2, Some(3))]);
    assert_eq!(garbage(&machine), first, "handed out until it is collected");
    machine.state.collected(&first);
    let second = garbage(&machine);
    assert_eq!(second, [key("a", 3, None)]);
    machine.state.collected(&second);
    assert_eq!(garbage(&machine), []);
    assert_eq!(machine.state.garbage_len(), 0);
}

#[test]
fn a_tombstone_at_just_the_compacted_revision_stays_for_watchers() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    machine.delete(single("a"));
    machine.compact(3);
    assert_eq!(garbage(&machine), [key("a", 2, None)]);
    machine.put("b", "1");
    machine.compact(4);
    assert_eq!(garbage(&machine), [key("a", 2, Some(3))]);
}

#[test]
fn only_what_is_superseded_at_or_below_the_checkpoint() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    machine.put("b", "1");
    machine.put("a", "2");
    machine.delete(single("b"));
    machine.put("c", "1");
    machine.compact(6);
    let upto = |at| machine.state.garbage(Sequence(at), None, usize::MAX);
    assert_eq!(upto(2), []);
    assert_eq!(upto(3), [key("a", 3, None)]);
    assert_eq!(upto(4), [key("a", 3, None), key("b", 4, Some(5))]);
    assert_eq!(machine.state.garbage(END, None, 1), [key("a", 3, None)]);
    assert_eq!(machine.state.garbage(END, Some(&GarbageTarget::Key(bytes("a"))), 9), [key("b", 4, Some(5))]);
    assert_eq!(machine.state.garbage(END, Some(&GarbageTarget::Tombstones), 9), []);
}

#[test]
fn a_key_that_came_back_takes_its_old_tombstone_along() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    machine.delete(single("a"));
    machine.put("a", "2");
    machine.compact(3);
    let old = garbage(&machine);
    machine.compact(4);
    assert_eq!(garbage(&machine), [key("a", 3, None)]);
    machine.state.collected(&old);
    assert_eq!(garbage(&machine), [key("a", 3, None)], "less was collected than there is");
    machine.state.collected(&[key("a", 3, None)]);
    assert_eq!(garbage(&machine), []);
}

#[test]
fn a_revoked_lease_is_garbage_without_compaction() {
    let mut machine = Machine::new();
    machine.grant(9);
    machine.run(Request::LeaseRevoke { id: LeaseId(9) }).unwrap();
    let target = GarbageTarget::Lease(LeaseId(9));
    let first = Garbage { target: target.clone(), below: Sequence(2), then: Some(Sequence(3)) };
    assert_eq!(garbage(&machine), std::slice::from_ref(&first));
    machine.state.collected(&[first]);
    assert_eq!(garbage(&machine), [Garbage { target, below: Sequence(3), then: None }]);
}

#[test]
fn a_tombstones_message_waits_for_all_of_its_keys_and_those_before_it() {
    let mut machine = Machine::new();
    for key in ["a", "b", "c", "d", "e", "f"] {
        machine.put(key, "1");
    }
    machine.delete(between("a", "d"));
    machine.delete(between("d", "g"));
    machine.put("b", "2");
    machine.put("z", "1");
    machine.compact(11);
    let tombstones = |below| Garbage { target: GarbageTarget::Tombstones, below: Sequence(below), then: None };
    let keys = [key("a", 7, None), key("b", 9, None), key("c", 7, None)];
    let later = [key("d", 8, None), key("e", 8, None), key("f", 8, None)];
    assert_eq!(garbage(&machine), [&keys[..], &later].concat());
    machine.state.collected(&later);
    assert_eq!(garbage(&machine), keys, "the second message stands behind the first");
    machine.state.collected(&keys[..2]);
    assert_eq!(garbage(&machine), &keys[2..]);
    machine.state.collected(&keys[2..]);
    assert_eq!(machine.state.garbage(Sequence(7), None, 9), [tombstones(8)]);
    assert_eq!(garbage(&machine), [tombstones(9)]);
    machine.state.collected(&[tombstones(9)]);
    assert_eq!(garbage(&machine), []);
}

#[test]
fn tombstones_left_alone_in_a_purged_log_are_found_again() {
    let mut state = State::new(Revision(9), Revision(9));
    state.apply(&Entry { revision: Revision(5), ops: vec![Op::Delete { key: bytes("a"), sub: 0 }] }, &[Sequence(50)]);
    let both = Op::Tombstones { keys: vec![bytes("b"), bytes("c")], sub: 0 };
    state.apply(&Entry { revision: Revision(6), ops: vec![both] }, &[Sequence(60)]);
    state.apply(&Entry { revision: Revision(6), ops: vec![Op::LeaseRevoke { id: LeaseId(1) }] }, &[Sequence(61)]);
    let lease = Garbage { target: GarbageTarget::Lease(LeaseId(1)), below: Sequence(61), then: Some(Sequence(62)) };
    let first = [key("a", 50, Some(51)), key("b", 60, None), key("c", 60, None), lease];
    assert_eq!(state.garbage(END, None, 9), first);
    state.collected(&first);
    let second = state.garbage(END, None, 9);
    assert_eq!(second.iter().map(|garbage| garbage.below.0).collect::<Vec<_>>(), [51, 62, 61]);
    state.collected(&second);
    assert_eq!(state.garbage(END, None, 9), []);
}

#[test]
fn many_deletes_are_split_into_messages_that_fit() {
    let mut machine = Machine::new();
    for n in 0..9 {
        machine.run(put(&format!("key-{n}"), "")).unwrap();
    }
    machine.delete(between("key-", "key."));
    let (entry, _) = machine.log.last().unwrap();
    // 5 bytes and 8 of overhead each, 40 at most.
    let sizes: Vec<_> =
        entry.ops.iter().map(|op| matches!(op, Op::Tombstones { keys, .. } if keys.len() == 3)).collect();
    assert_eq!(sizes, [true; 3]);
    assert_eq!(machine.state.revision(), Revision(11));
    assert_eq!(machine.state.events_from(Revision(11), 1).unwrap()[0].events.len(), 9);
}

/// Two jine: one removes, the other is told from time to time how far it is.
struct Pair {
    lessor: Machine,
    follower: State,
    removed: (Vec<Garbage>, Sequence),
    collected: Sequence,
}

impl Pair {
    fn new() -> Pair {
        let lessor = Machine::new();
        let follower = lessor.state.clone();
        Pair { lessor, follower, removed: Default::default(), collected: Sequence::ZERO }
    }

    fn write(&mut self, request: &Request) {
        let before = self.lessor.log.len();
        let _ = self.lessor.run(request.clone());
        for (entry, at) in &self.lessor.log[before..] {
            self.follower.apply(entry, at);
        }
    }

    /// As the compactor does it.
    fn round(&mut self) {
        let checkpoint = self.lessor.last;
        // It takes a place of its own.
        self.lessor.last = self.lessor.last.next();
        let (removed, at) = std::mem::take(&mut self.removed);
        self.lessor.state.collected(&removed);
        self.collected = self.collected.max(at);
        while self.lessor.state.find_garbage(3) {}
        self.removed = (self.lessor.state.garbage(checkpoint, None, usize::MAX), checkpoint);
    }

    fn tell(&mut self) {
        while self.follower.find_garbage(3) {}
        self.follower.collected_elsewhere(self.collected);
    }

    /// Were the lessor gone now, the follower would remove all that the lessor has not.
    fn check(&self) {
        let others = self.follower.garbage(END, None, usize::MAX);
        for garbage in garbage(&self.lessor).iter().filter(|garbage| garbage.target != GarbageTarget::Tombstones) {
            let other = others.iter().find(|other| other.target == garbage.target);
            assert!(other.is_some_and(|other| other.below <= garbage.below), "{garbage:?} {other:?}");
        }
    }
}

proptest! {
    #[test]
    fn who_is_told_of_removals_keeps_what_is_not_removed_and_nothing_else(
        program in vec((super::strategy::requests(12), any::<bool>(), any::<bool>()), 1..8),
    ) {
        let mut pair = Pair::new();
        for (requests, round, tell) in &program {
            requests.iter().for_each(|request| pair.write(request));
            if *round {
                pair.round();
            }
            if *tell {
                pair.tell();
                pair.check();
            }
        }
        for _ in 0..5 {
            pair.round();
            pair.tell();
            pair.check();
        }
        prop_assert_eq!(garbage(&pair.lessor), []);
        prop_assert_eq!(pair.follower.garbage(END, None, usize::MAX), []);
    }
}
