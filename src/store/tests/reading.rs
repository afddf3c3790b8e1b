//! Rules 2, 6, 7 and 9: which messages count.

use super::fake::{CLUSTER, put_record};
use crate::state::{Revision, Sequence};
use crate::store::log::{
    Checkpoint, ClusterId, Content, EntryId, Identity, Incoming, Outgoing, Record, SessionId, Stamp,
};
use crate::store::reader::{Broken, Reader, Written};

/// Message `part` of `parts` of the session's entry `id`, number `entry`, meant for `at` in the group that begins at `group`.
fn message(id: u64, entry: u64, (part, parts): (u32, u32), at: u64, group: u64) -> Outgoing {
    let stamp = Stamp {
        id: EntryId { session: SessionId(7), counter: id },
        cluster: CLUSTER,
        entry,
        part,
        parts,
        meant_for: Sequence(at),
        group: Sequence(group),
    };
    Outgoing { stamp, record: put_record(&format!("k{id}.{part}"), 1 + entry as i64, "v") }
}

fn at(place: u64, message: Outgoing) -> Incoming {
    Incoming {
        sequence: Sequence(place),
        identity: Identity::Ours(message.stamp.id, message.stamp.part),
        content: Content::Ours(message.stamp, message.record),
    }
}

fn foreign(place: u64) -> Incoming {
    let content = Content::Foreign { subject: "x".into() };
    Incoming { sequence: Sequence(place), content, identity: Identity::Foreign(place) }
}

fn reader() -> Reader {
    Reader::new(CLUSTER, Sequence(6), None)
}

const NONE: [u64; 0] = [];

/// The ids of the entries that are decided.
fn read(reader: &mut Reader, messages: Vec<Incoming>) -> Vec<u64> {
    messages.into_iter().flat_map(|m| reader.receive(m).unwrap()).map(|decided| decided.id.counter).collect()
}

/// The example of the reader's own description: A meant for 7, B for 8 and 9 of the same group.
#[test]
fn an_entry_counts_if_all_of_it_and_all_before_it_in_its_group_stand() {
    let a = || message(1, 1, (1, 1), 7, 7);
    let b = |part| message(2, 2, (part, 2), 7 + u64::from(part), 7);
    let mut r = reader();
    assert_eq!(read(&mut r, vec![at(7, a()), at(8, b(1)), at(9, b(2))]), [1, 2]);

    let mut r = reader();
    assert_eq!(read(&mut r, vec![foreign(7), at(8, a()), at(9, b(2))]), NONE);
    assert_eq!(r.entry(), 0);

    // The place was taken by another, and the server stored the rest where it was meant for all the same.
    let mut r = reader();
    assert_eq!(read(&mut r, vec![foreign(7), at(8, b(1)), at(9, b(2))]), NONE);
    assert_eq!(r.void(), [Sequence(8), Sequence(9)]);

    let mut r = reader();
    assert_eq!(read(&mut r, vec![at(7, a()), at(8, b(1))]), [1]);
    assert!(r.undecided());
    assert_eq!(read(&mut r, vec![foreign(9)]), NONE);
    assert!(!r.undecided());
    assert_eq!(r.void(), [Sequence(8)]);
    // Another group takes it up from there, with the number that B would have had.
    assert_eq!(read(&mut r, vec![at(10, message(3, 2, (1, 1), 10, 10))]), [3]);
}

/// Another log's messages are nobody's, wherever they stand.
#[test]
fn a_message_of_another_cluster_is_foreign() {
    let mut r = reader();
    let mut other = message(1, 1, (1, 1), 7, 7);
    other.stamp.cluster = ClusterId(1);
    assert_eq!(read(&mut r, vec![at(7, other)]), NONE);
    assert_eq!(read(&mut r, vec![at(8, message(2, 1, (1, 1), 8, 8))]), [2]);
}

/// A jump in sequence is passed while the entries' numbers are dense.
#[test]
fn a_removed_place_counts_as_taken() {
    let mut r = reader();
    assert_eq!(read(&mut r, vec![at(7, message(1, 1, (1, 2), 7, 7))]), NONE);
    // 8, where the rest of it was meant to stand, was removed.
    assert_eq!(r.reached(Sequence(8)), None);
    assert_eq!(r.void(), [Sequence(7)]);
    assert_eq!(read(&mut r, vec![at(20, message(2, 1, (1, 1), 20, 20))]), [2]);
    let gap = r.receive(at(30, message(9, 4, (1, 1), 30, 30)));
    assert_eq!(gap, Err(Broken::Missing { at: Sequence(30), expected: 2, found: 4 }));
    assert!(matches!(r.receive(at(30, message(9, 1, (1, 1), 30, 30))), Err(Broken::Damaged { .. })));
}

/// Rules 7 and 9: below a checkpoint what is left of an entry counts, unless it is listed.
#[test]
fn below_a_checkpoint_what_is_left_counts_unless_it_is_listed() {
    for (void, left) in [(vec![], vec![1, 2, 3]), (vec![Sequence(9)], vec![1, 3])] {
        let base = Checkpoint {
            at: Sequence(12),
            entry: 40,
            revision: Revision(90),
            compacted: Revision(80),
            keys: 0,
            keys_hash: 0,
            leases: 0,
            leases_hash: 0,
            claim: None,
            void: void.clone(),
        };
        let mut r = Reader::new(CLUSTER, Sequence(1), Some(base.clone()));
        // Of entry 1 the second message is gone, of entry 2 the first.
        let messages = vec![
            at(5, message(1, 20, (1, 2), 5, 5)),
            at(9, message(2, 30, (2, 2), 9, 8)),
            at(12, message(3, 40, (1, 1), 12, 12)),
        ];
        assert_eq!(read(&mut r, messages), left);
        assert_eq!(r.cross_base(Sequence(12)), None);
        assert_eq!(r.cross_base(Sequence(13)), Some((None, base)));
        assert_eq!(r.void(), void);
        assert_eq!(read(&mut r, vec![at(13, message(4, 41, (1, 1), 13, 13))]), [4]);
    }
}

#[test]
fn places_that_were_received_are_ignored_and_unreadable_ones_stop() {
    let mut r = reader();
    assert_eq!(read(&mut r, vec![at(7, message(1, 1, (1, 1), 7, 7))]), [1]);
    assert_eq!(read(&mut r, vec![at(7, message(1, 1, (1, 1), 7, 7))]), NONE);
    let content = Content::Unreadable { subject: "s".into(), why: "newer".into() };
    let newer = Incoming { sequence: Sequence(8), content, identity: Identity::Foreign(8) };
    assert!(matches!(r.receive(newer), Err(Broken::Unreadable { at: Sequence(8), .. })));
}

#[test]
fn claims_and_fences_are_entries_that_change_no_key() {
    let mut r = reader();
    let mut claim = message(1, 1, (1, 1), 7, 7);
    claim.record = Record::Claim;
    assert_eq!(r.receive(at(7, claim)).unwrap()[0].content, Written::Claim);
    let mut fence = message(2, 2, (1, 1), 8, 8);
    fence.record = Record::Fence;
    assert_eq!(r.receive_own(fence).unwrap()[0].content, Written::Nothing);
    assert_eq!(r.entry(), 2);
}
