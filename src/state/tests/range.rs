//! etcd's Range, by the cases that clients depend on.

use super::super::*;
use super::elsewhere::state_without_values;
use super::{Machine, all, between, keys, put, range, single};

/// a (created 2, modified 5, version 2), b (3), c (4)
fn machine() -> Machine {
    let mut machine = Machine::new();
    machine.put("a", "3");
    machine.put("b", "2");
    machine.put("c", "1");
    machine.put("a", "3");
    machine
}

#[test]
fn count_ignores_the_limit_and_more_tells_that_there_is_more() {
    let machine = machine();
    let response = machine.state.range(&RangeRequest { limit: 2, ..range(all()) }).unwrap();
    assert_eq!((keys(&response), response.count, response.more), (vec!["a".into(), "b".into()], 3, true));
    let response = machine.state.range(&RangeRequest { limit: 3, ..range(all()) }).unwrap();
    assert_eq!((response.kvs.len(), response.count, response.more), (3, 3, false));
}

#[test]
fn count_ignores_filters_and_more_does_not() {
    let machine = machine();
    let filtered = RangeRequest { min_mod_revision: Revision(4), limit: 1, ..range(all()) };
    let response = machine.state.range(&filtered).unwrap();
    assert_eq!((keys(&response), response.count, response.more), (vec!["a".into()], 3, true));
    let filtered = RangeRequest { max_create_revision: Revision(2), limit: 1, ..range(all()) };
    let response = machine.state.range(&filtered).unwrap();
    assert_eq!((keys(&response), response.count, response.more), (vec!["a".into()], 3, false));
}

#[test]
fn count_only_returns_no_keys_and_never_more() {
    let machine = machine();
    let response = machine.state.range(&RangeRequest { count_only: true, limit: 1, ..range(all()) }).unwrap();
    assert_eq!((response.kvs.len(), response.count, response.more), (0, 3, false));
}

#[test]
fn a_limit_comes_after_a_sort() {
    let machine = machine();
    let by = |sort_target, sort_order| machine.keys(RangeRequest { sort_target, sort_order, limit: 2, ..range(all()) });
    assert_eq!(by(SortTarget::Value, SortOrder::Ascend), ["c", "b"]);
    assert_eq!(by(SortTarget::Mod, SortOrder::Descend), ["a", "c"]);
    assert_eq!(by(SortTarget::Create, SortOrder::Descend), ["c", "b"]);
    assert_eq!(by(SortTarget::Version, SortOrder::Descend), ["a", "b"]);
    assert_eq!(by(SortTarget::Key, SortOrder::Descend), ["c", "b"]);
}

#[test]
fn a_target_without_an_order_sorts_what_the_limit_has_left() {
    let machine = machine();
    let request = RangeRequest { sort_target: SortTarget::Value, ..range(all()) };
    assert_eq!(machine.keys(request.clone()), ["c", "b", "a"]);
    assert_eq!(machine.keys(RangeRequest { limit: 1, ..request }), ["b"]);
}

#[test]
fn the_header_says_the_current_revision_when_an_old_one_is_read() {
    let machine = machine();
    let response = machine.state.range(&RangeRequest { revision: Revision(3), ..range(all()) }).unwrap();
    assert_eq!((keys(&response), response.revision), (vec!["a".into(), "b".into()], Revision(5)));
    assert_eq!(response.kvs[0].version, 1);
}

#[test]
fn ranges_are_half_open_and_an_inverted_one_is_empty() {
    let machine = machine();
    assert_eq!(machine.keys(range(between("a", "c"))), ["a", "b"]);
    assert_eq!(machine.keys(range(between("c", "a"))), [""; 0]);
    assert_eq!(machine.keys(range(between("b", "b"))), [""; 0]);
    assert_eq!(machine.keys(range(KeyRange::From("b".into()))), ["b", "c"]);
    assert_eq!(machine.keys(range(single("b"))), ["b"]);
    assert_eq!(machine.keys(range(single("bb"))), [""; 0]);
}

#[test]
fn a_chunk_ends_with_the_key_that_fills_it() {
    let machine = machine();
    let chunk = |after: Option<&[u8]>, keys, bytes| {
        let chunk = machine.state.range_chunk(&all(), Revision(5), after, keys, bytes).unwrap();
        (chunk.kvs.iter().map(|kv| super::text(&kv.key)).collect::<Vec<_>>().concat(), chunk.more)
    };
    assert_eq!(chunk(None, 2, 99), ("ab".into(), true));
    assert_eq!(chunk(Some(b"b"), 2, 99), ("c".into(), false));
    assert_eq!(chunk(None, 9, 3), ("ab".into(), true));
    assert_eq!(chunk(None, 3, 99), ("abc".into(), false));
}

#[test]
fn a_chunk_sees_its_revision_until_compaction_overtakes_it() {
    let mut machine = machine();
    machine.run(put("bb", "1")).unwrap();
    machine.delete(single("c"));
    let chunk = |machine: &Machine| machine.state.range_chunk(&all(), Revision(5), Some(b"a"), 9, 99);
    assert_eq!(chunk(&machine).unwrap().kvs.len(), 2);
    machine.compact(6);
    assert_eq!(chunk(&machine).unwrap_err(), Error::Compacted(Revision(6)));
}

#[test]
fn values_that_begin_alike_are_sorted_by_the_whole() {
    let elsewhere = Machine { state: state_without_values(), ..Machine::new() };
    for mut machine in [Machine::new(), elsewhere] {
        for (key, value) in
            [("a", "xb"), ("b", "xa"), ("c", "x"), ("d", "w"), ("e", "xab"), ("f", "xa"), ("g", ""), ("h", "xb")]
        {
            machine.put(key, value);
        }
        let by = |sort_order| {
            machine.keys(RangeRequest { sort_target: SortTarget::Value, sort_order, ..range(all()) }).concat()
        };
        assert_eq!(by(SortOrder::Ascend), "gdcbfeah");
        assert_eq!(by(SortOrder::Descend), "ahebfcdg");
    }
}
