//! A range in two steps, and what comes between them.

use proptest::prelude::*;
use proptest::sample::Index;

use super::super::*;
use super::elsewhere::state_without_values;
use super::random::{places, show};
use super::strategy::{range_request, requests, txn};
use super::{LIMITS, Machine, all, range};

/// Does what is not refused; no compaction beyond `readable`.
fn write(state: &mut State, requests: &[Request], readable: Revision, next: &mut u64) {
    for request in requests {
        if matches!(request, Request::Compact { revision } if *revision > readable) {
            continue;
        }
        if let Ok(Planned { entry: Some(entry), .. }) = plan(&View::new(state, &[]), request, LIMITS) {
            let at = places(&entry, next);
            state.apply(&entry, &at);
        }
    }
    while state.find_garbage(3) {}
}

fn states(elsewhere: bool) -> State {
    if elsewhere { state_without_values() } else { State::new(Revision::FIRST, Revision::ZERO) }
}

/// Of a transaction that writes, the same that only reads.
fn only_reads(mut txn: TxnRequest) -> TxnRequest {
    for branch in [&mut txn.success, &mut txn.failure] {
        let ops = std::mem::take(branch).into_iter().filter_map(|op| match op {
            RequestOp::Range(range) => Some(RequestOp::Range(range)),
            RequestOp::Txn(txn) => Some(RequestOp::Txn(only_reads(txn))),
            RequestOp::Put(_) | RequestOp::DeleteRange(_) => None,
        });
        *branch = ops.collect();
    }
    txn
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_written_after_collecting_is_not_in_the_answer(
        before in requests(40), request in range_request(), meanwhile in requests(20), elsewhere: bool,
    ) {
        let (mut state, mut next) = (states(elsewhere), 1);
        write(&mut state, &before, Revision(i64::MAX), &mut next);
        let (expected, collected) = (state.range(&request), state.collect(&request));
        write(&mut state, &meanwhile, Revision(i64::MAX), &mut next);
        let answer = collected.map(|collected| collected.finish(&request));
        prop_assert_eq!(format!("{answer:?}"), format!("{expected:?}"));
    }

    #[test]
    fn a_range_that_is_collected_in_pieces_is_of_one_revision(
        before in requests(40), request in range_request(), with_total_count: bool,
        meanwhile in requests(20), max_keys in 1..4usize, max_bytes in 1..8u64, between: Index, elsewhere: bool,
    ) {
        let request = RangeRequest { with_total_count, ..request };
        let (mut state, mut next) = (states(elsewhere), 1);
        write(&mut state, &before, Revision(i64::MAX), &mut next);
        let expected = state.range(&request);
        let read = if request.revision > Revision::ZERO { request.revision } else { state.revision() };
        let (mut collected, mut meanwhile) = (Collected::default(), &meanwhile[..]);
        let more = loop {
            match state.collect_piece(&request, &mut collected, max_keys, max_bytes) {
                Ok(true) => {
                    let (now, later) = meanwhile.split_at(between.index(meanwhile.len() + 1));
                    write(&mut state, now, read, &mut next);
                    meanwhile = later;
                }
                done => break done,
            }
        };
        let answer = more.map(|_| collected.finish(&request));
        prop_assert_eq!(format!("{answer:?}"), format!("{expected:?}"));
    }

    #[test]
    fn a_transaction_that_only_reads_can_be_finished_later(
        before in requests(40), txn in txn(), meanwhile in requests(20), elsewhere: bool,
    ) {
        let txn = only_reads(txn);
        let (mut state, mut next) = (states(elsewhere), 1);
        write(&mut state, &before, Revision(i64::MAX), &mut next);
        let planned = plan(&View::new(&state, &[]), &Request::Txn(txn.clone()), LIMITS);
        let collected = read(&state, &txn);
        write(&mut state, &meanwhile, Revision(i64::MAX), &mut next);
        let answer = collected.map(|collected| Response::Txn(collected.finish(&txn)));
        prop_assert_eq!(show(&answer), show(&planned.map(|planned| planned.response)));
    }

    #[test]
    fn without_the_total_only_the_count_is_another(before in requests(40), request in range_request()) {
        let (mut state, mut next) = (states(false), 1);
        write(&mut state, &before, Revision(i64::MAX), &mut next);
        let counted = state.range(&request);
        let answer = state.range(&RangeRequest { with_total_count: false, ..request.clone() });
        if let (Ok(counted), Ok(answer)) = (&counted, &answer) {
            let looked_at = i64::try_from(request.wanted()).unwrap_or(i64::MAX);
            prop_assert_eq!(answer.count, if request.count_only { counted.count } else { counted.count.min(looked_at) });
        }
        let count = counted.as_ref().map_or(0, |counted| counted.count);
        let answer = answer.map(|answer| RangeResponse { count, ..answer });
        prop_assert_eq!(format!("{answer:?}"), format!("{counted:?}"));
    }
}

#[test]
fn only_what_looks_at_keys_one_by_one_takes_an_effort() {
    let mut machine = Machine::new();
    for key in ["a", "b", "c"] {
        machine.put(key, "1");
    }
    let state = &machine.state;
    let effort = |request: RangeRequest| {
        let collected = state.collect(&request).unwrap().effort(&request);
        let txn = TxnRequest {
            success: vec![RequestOp::Range(request.clone()), RequestOp::Range(request)],
            ..TxnRequest::default()
        };
        assert_eq!(read(state, &txn).unwrap().effort(&txn), 2 * collected);
        collected
    };
    let by = |sort_target, sort_order| RangeRequest { sort_target, sort_order, ..range(all()) };
    assert_eq!(effort(range(all())), 0);
    assert_eq!(effort(RangeRequest { limit: 1, ..by(SortTarget::Key, SortOrder::Ascend) }), 0);
    assert_eq!(effort(RangeRequest { count_only: true, ..by(SortTarget::Value, SortOrder::Ascend) }), 0);
    assert_eq!(effort(RangeRequest { range: super::single("a"), ..by(SortTarget::Value, SortOrder::Ascend) }), 0);
    assert_eq!(effort(by(SortTarget::Key, SortOrder::Descend)), 3);
    assert_eq!(effort(RangeRequest { min_mod_revision: Revision(9), ..range(all()) }), 3);
    assert!(effort(by(SortTarget::Value, SortOrder::None)) > 1000);
}
