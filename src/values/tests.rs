//! The bound, and a state whose values are in the file beside one whose values are in memory.

use std::fs::File;

use proptest::prelude::*;

use super::*;
use crate::state::*;

fn values(limit: u64) -> BoundedValues {
    BoundedValues::new(limit, &std::env::temp_dir()).unwrap()
}

fn memory(values: &BoundedValues) -> u64 {
    values.memory.load(Ordering::Relaxed)
}

fn is_in_memory(value: &Value) -> bool {
    matches!(value, Value::Memory(_))
}

#[test]
fn memory_takes_no_more_than_the_bound() {
    let values = values(1000);
    let [first, second] = [values.keep(&[1; 600]), values.keep(&[2; 600])];
    assert_eq!((is_in_memory(&first), is_in_memory(&second), memory(&values)), (true, false, 600));
    assert_eq!((second.len(), second.bytes()), (600, vec![2; 600].into()));
    let third = values.keep(&[3; 400]);
    assert_eq!((is_in_memory(&third), memory(&values)), (true, 1000));
    assert!(first == first.clone() && first != second && first != third);
}

#[test]
fn what_is_dropped_makes_room() {
    let values = values(1000);
    let first = values.keep(&[1; 600]);
    let clone = first.bytes();
    drop(first);
    assert_eq!(memory(&values), 600, "somebody has it still");
    drop(clone);
    assert_eq!(memory(&values), 0);
    assert!(is_in_memory(&values.keep(&[2; 600])));
}

#[test]
fn small_values_are_always_in_memory_and_count() {
    let values = values(0);
    let kept: Vec<_> = (0..10).map(|_| values.keep(&[1; SMALL - 1])).collect();
    assert!(kept.iter().all(is_in_memory));
    assert_eq!(memory(&values), 10 * (SMALL as u64 - 1));
    assert!(!is_in_memory(&values.keep(&[1; SMALL])));
    assert!(is_in_memory(&values.keep(b"")));
}

#[test]
fn what_the_file_does_not_take_is_in_memory() {
    let values = values(0);
    let values = BoundedValues { file: Arc::new(ValueFile::on(File::open("/dev/null").unwrap())), ..values };
    let kept = [values.keep(&[1; 600]), values.keep(&[2; 600])];
    assert!(kept.iter().all(is_in_memory));
    assert_eq!((memory(&values), values.unwritten.load(Ordering::Relaxed)), (1200, 2));
}

fn request() -> impl Strategy<Value = Request> {
    let key = || (0..6u8).prop_map(|n| Bytes::from(vec![b'a' + n]));
    let value = (any::<u8>(), prop_oneof![Just(0), 1..300usize, 100..5000usize]);
    let put =
        (key(), value, proptest::bool::weighted(0.1)).prop_map(|(key, (letter, length), ignore_value)| PutRequest {
            key,
            value: if ignore_value { Bytes::new() } else { vec![letter; length].into() },
            lease: LeaseId::NONE,
            prev_kv: true,
            ignore_value,
            ignore_lease: false,
        });
    let delete =
        (key(), key()).prop_map(|(from, to)| DeleteRangeRequest { range: KeyRange::Between(from, to), prev_kv: true });
    let result = proptest::sample::select(vec![CompareResult::Equal, CompareResult::NotEqual, CompareResult::Less]);
    let compare = (key(), result, any::<u8>(), 0..300usize).prop_map(|(key, result, letter, length)| Compare {
        range: KeyRange::Single(key),
        result,
        target: CompareTarget::Value(vec![letter; length].into()),
    });
    let ops = || proptest::collection::vec(by_value().prop_map(RequestOp::Range), 0..2);
    let txn = (compare, ops(), ops());
    prop_oneof![
        10 => put.prop_map(Request::Put),
        2 => delete.prop_map(Request::DeleteRange),
        2 => txn.prop_map(|(compare, success, failure)| Request::Txn(TxnRequest { compare: vec![compare], success, failure })),
        1 => (1..60i64).prop_map(|revision| Request::Compact { revision: Revision(revision) }),
    ]
}

fn by_value() -> impl Strategy<Value = RangeRequest> {
    (0..4i64, any::<bool>()).prop_map(|(limit, down)| RangeRequest {
        limit,
        sort_target: SortTarget::Value,
        sort_order: if down { SortOrder::Descend } else { SortOrder::Ascend },
        ..everything(Revision::ZERO)
    })
}

fn everything(revision: Revision) -> RangeRequest {
    RangeRequest { revision, ..RangeRequest::new(KeyRange::From(Bytes::new())) }
}

fn hash(state: &State) -> u32 {
    let mut input =
        HashInput::new(HashScope { compacted: state.compacted(), revision: state.revision(), compaction: false });
    while state.gather_for_hash(&mut input, 2) {}
    input.hash()
}

/// What a state answers to the request, and does.
fn run(state: &mut State, request: &Request) -> String {
    let limits = Limits { max_delete_ops: 100, max_tombstones_bytes: 1000 };
    let planned = plan(&View::new(state, &[]), request, limits);
    let applied =
        planned.iter().flat_map(|planned| &planned.entry).map(|entry| state.apply(entry, &[])).collect::<Vec<_>>();
    format!("{planned:?} {applied:?}")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_state_is_the_same_wherever_its_values_are(requests in proptest::collection::vec(request(), 1..60), limit in 0..20_000u64) {
        let values = Arc::new(values(limit));
        let mut plain = State::new(Revision::FIRST, Revision::ZERO);
        let mut bounded = plain.clone().keeping(Some(values.clone()));
        for request in &requests {
            prop_assert_eq!(run(&mut plain, request), run(&mut bounded, request));
            // A small one comes in however much there is.
            prop_assert!(memory(&values) <= limit + (requests.len() * SMALL) as u64);
        }
        while plain.find_garbage(1) | bounded.find_garbage(1) {}
        prop_assert_eq!(hash(&plain), hash(&bounded));
        for revision in plain.compacted().0.max(1)..=plain.revision().0 {
            let request = everything(Revision(revision));
            prop_assert_eq!(plain.range(&request).unwrap().kvs, bounded.range(&request).unwrap().kvs);
        }
        prop_assert_eq!(plain.live_bytes(), bounded.live_bytes());
        drop(bounded);
        prop_assert_eq!((memory(&values), values.file.size().1), (0, 0));
    }
}
