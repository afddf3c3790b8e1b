//! Compaction, with etcd's bounds.

use super::super::*;
use super::{Machine, all, range, single};

fn compact(machine: &mut Machine, revision: i64) -> Result<Response, Error> {
    machine.run(Request::Compact { revision: Revision(revision) })
}

/// a=1 (2), b=1 (3), a=2 (4), delete b (5), c=1 (6)
fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.put("a", "1");
    machine.put("b", "1");
    machine.put("a", "2");
    machine.delete(single("b"));
    machine.put("c", "1");
    machine
}

#[test]
fn reading_at_the_compacted_revision_works_and_below_it_not() {
    let mut machine = machine();
    machine.compact(4);
    assert_eq!(machine.value("a", 4), Some("2".into()));
    assert_eq!(machine.value("b", 4), Some("1".into()));
    let below = machine.state.range(&RangeRequest { revision: Revision(3), ..range(all()) });
    assert_eq!(below.unwrap_err(), Error::Compacted(Revision(4)));
    let future = machine.state.range(&RangeRequest { revision: Revision(7), ..range(all()) });
    assert_eq!(future.unwrap_err(), Error::FutureRevision(Revision(6)));
}

#[test]
fn compacting_twice_or_in_the_future_is_refused() {
    let mut machine = machine();
    assert!(matches!(compact(&mut machine, 5), Ok(Response::Compact { revision: Revision(6) })));
    assert_eq!(compact(&mut machine, 5).unwrap_err(), Error::Compacted(Revision(5)));
    assert_eq!(compact(&mut machine, 1).unwrap_err(), Error::Compacted(Revision(5)));
    assert_eq!(compact(&mut machine, 7).unwrap_err(), Error::FutureRevision(Revision(6)));
    assert!(compact(&mut machine, 6).is_ok());
}

#[test]
fn compacting_what_never_was_at_zero_is_no_error() {
    let mut machine = Machine::new();
    assert!(compact(&mut machine, 0).is_ok());
    assert_eq!(compact(&mut machine, -1).unwrap_err(), Error::Compacted(Revision(0)));
    assert!(machine.log.is_empty());
}

#[test]
fn a_watcher_may_start_at_the_compacted_revision_without_prev_and_not_below() {
    let mut machine = machine();
    machine.compact(5);
    let events = machine.state.events_from(Revision(5), 9).unwrap();
    assert_eq!(events.iter().map(|events| events.revision.0).collect::<Vec<_>>(), [5, 6]);
    assert_eq!(events[0].events[0].prev, None, "it belongs to a revision that is compacted");
    assert_eq!(machine.state.events_from(Revision(4), 9).unwrap_err(), Error::Compacted(Revision(5)));
}

#[test]
fn what_nobody_can_read_is_held_no_longer() {
    let mut machine = machine();
    assert_eq!(machine.state.live_bytes(), 2 + 2 + 2 + 1 + 2);
    machine.compact(6);
    assert_eq!(machine.state.live_bytes(), 2 + 2);
    assert_eq!(machine.state.index.len(), 2);
    assert_eq!(machine.state.history.len(), 1);
}

#[test]
fn compaction_is_told_once() {
    let mut machine = machine();
    let entry = Entry { revision: Revision(6), ops: vec![Op::Compact { revision: Revision(4) }] };
    assert_eq!(machine.apply(&entry).compacted, Some(Revision(4)));
    assert_eq!(machine.apply(&entry).compacted, None);
}

#[test]
fn a_long_compaction_is_settled_piece_by_piece_and_seen_at_once() {
    let mut machine = Machine::new();
    for n in 0..200 {
        machine.put(&format!("{}", n % 2), "x");
    }
    machine.run(Request::Compact { revision: Revision(200) }).unwrap();
    assert_eq!(machine.value("1", 200), Some("x".into()));
    let below = machine.state.range(&RangeRequest { revision: Revision(199), ..range(all()) });
    assert_eq!(below.unwrap_err(), Error::Compacted(Revision(200)));
    let held = machine.state.live_bytes();
    assert!(machine.state.find_garbage(10));
    assert!(machine.state.live_bytes() <= held);
    // Others write meanwhile, and compact again.
    machine.put("0", "y");
    machine.compact(202);
    assert_eq!(machine.state.live_bytes(), 4);
    assert_eq!(machine.state.garbage_len(), 2);
}

#[test]
fn a_hot_key_is_read_at_any_of_100_000_revisions() {
    let mut machine = Machine::new();
    machine.put("hot", "0");
    let versions = 100_000;
    for n in 2..=versions {
        let op = Op::Put {
            key: "hot".into(),
            value: n.to_string().into(),
            lease: LeaseId::NONE,
            create_revision: Revision(2),
            version: n,
            sub: 0,
        };
        machine.apply(&Entry { revision: Revision(n + 1), ops: vec![op] });
    }
    for revision in 2..=versions + 1 {
        let kv = machine.state.range(&RangeRequest { revision: Revision(revision), ..range(single("hot")) }).unwrap();
        assert_eq!(kv.kvs[0].version, revision - 1);
    }
    machine.compact(versions);
    assert_eq!(machine.state.index[&b"hot"[..]].versions().count(), 2);
    machine.compact(versions + 1);
    assert_eq!(machine.state.index[&b"hot"[..]].versions().count(), 1);
}
