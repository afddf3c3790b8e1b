//! etcd's transactions, by the cases that clients depend on.

use super::super::*;
use super::{Machine, all, between, bytes, compare, delete, keys, put, range, single};
use CompareResult::{Equal, Greater, Less, NotEqual};

fn ops(success: Vec<RequestOp>) -> TxnRequest {
    TxnRequest { success, ..TxnRequest::default() }
}

fn succeeds(machine: &mut Machine, range: KeyRange, result: CompareResult, target: CompareTarget) -> bool {
    let compare = vec![compare(range, result, target)];
    machine.txn(TxnRequest { compare, ..TxnRequest::default() }).unwrap().succeeded
}

#[test]
fn create_update_and_delete_as_kubernetes_does_them() {
    let mut machine = Machine::new();
    let guarded = |revision, op| TxnRequest {
        compare: vec![compare(single("pod"), Equal, CompareTarget::Mod(Revision(revision)))],
        success: vec![op],
        failure: vec![RequestOp::Range(range(single("pod")))],
    };
    let create = guarded(0, RequestOp::Put(put("pod", "1")));
    assert!(machine.txn(create.clone()).unwrap().succeeded);
    let conflict = machine.txn(create).unwrap();
    let ResponseOp::Range(found) = &conflict.responses[0] else { panic!("another answer") };
    assert_eq!((conflict.succeeded, conflict.revision, found.kvs[0].mod_revision), (false, Revision(2), Revision(2)));
    let update = machine.txn(guarded(2, RequestOp::Put(put("pod", "2")))).unwrap();
    assert_eq!((update.succeeded, update.revision), (true, Revision(3)));
    let delete = machine.txn(guarded(3, RequestOp::DeleteRange(delete(single("pod"))))).unwrap();
    let ResponseOp::DeleteRange(deleted) = &delete.responses[0] else { panic!("another answer") };
    assert_eq!((deleted.deleted, &deleted.prev_kvs[0].value.bytes()[..]), (1, &b"2"[..]));
}

#[test]
fn a_missing_key_compares_as_zeros_but_has_no_value() {
    let machine = &mut Machine::new();
    assert!(succeeds(machine, single("a"), Equal, CompareTarget::Mod(Revision(0))));
    assert!(succeeds(machine, single("a"), Equal, CompareTarget::Create(Revision(0))));
    assert!(succeeds(machine, single("a"), Less, CompareTarget::Version(1)));
    assert!(succeeds(machine, single("a"), Equal, CompareTarget::Lease(LeaseId(0))));
    for result in [Equal, NotEqual, Greater, Less] {
        assert!(!succeeds(machine, single("a"), result, CompareTarget::Value(bytes(""))));
        assert!(!succeeds(machine, all(), result, CompareTarget::Value(bytes(""))));
    }
}

#[test]
fn every_key_of_a_compared_range_must_match() {
    let machine = &mut Machine::new();
    machine.put("a", "1");
    machine.put("b", "1");
    machine.put("b", "2");
    assert!(succeeds(machine, all(), Greater, CompareTarget::Version(0)));
    assert!(!succeeds(machine, all(), Equal, CompareTarget::Version(1)));
    assert!(succeeds(machine, between("a", "b"), Equal, CompareTarget::Version(1)));
    assert!(succeeds(machine, between("x", "z"), Equal, CompareTarget::Version(0)));
}

#[test]
fn a_lease_can_be_compared() {
    let machine = &mut Machine::new();
    machine.grant(5);
    machine.run(PutRequest { lease: LeaseId(5), ..put("a", "1") }).unwrap();
    assert!(succeeds(machine, single("a"), Equal, CompareTarget::Lease(LeaseId(5))));
    assert!(!succeeds(machine, single("a"), Greater, CompareTarget::Lease(LeaseId(5))));
}

#[test]
fn a_range_after_a_put_sees_it_and_one_before_does_not() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    let list = || RequestOp::Range(range(all()));
    let response = machine.txn(ops(vec![list(), RequestOp::Put(put("b", "1")), list()])).unwrap();
    let [ResponseOp::Range(before), ResponseOp::Put(put), ResponseOp::Range(after)] = &response.responses[..] else {
        panic!("another answer")
    };
    assert_eq!((keys(before), before.revision), (vec!["a".into()], Revision(2)));
    assert_eq!(put.revision, Revision(3));
    assert_eq!((keys(after), after.revision), (vec!["a".into(), "b".into()], Revision(3)));
}

#[test]
fn headers_inside_say_how_far_the_transaction_was() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    let nothing = || RequestOp::DeleteRange(delete(single("none")));
    let old = || RequestOp::Range(RangeRequest { revision: Revision(2), ..range(all()) });
    let nested = RequestOp::Txn(ops(vec![nothing()]));
    let response = machine.txn(ops(vec![nothing(), RequestOp::Put(put("b", "1")), nothing(), old(), nested])).unwrap();
    let revision = |op: &ResponseOp| match op {
        ResponseOp::Range(range) => range.revision.0,
        ResponseOp::Put(put) => put.revision.0,
        ResponseOp::DeleteRange(delete) => delete.revision.0,
        ResponseOp::Txn(txn) => txn.revision.0,
    };
    // A nested transaction's own header stays empty in etcd.
    assert_eq!(response.responses.iter().map(revision).collect::<Vec<_>>(), [2, 3, 3, 3, 0]);
    assert_eq!(response.revision, Revision(3));
    let ResponseOp::Range(old) = &response.responses[3] else { panic!("another answer") };
    assert_eq!(keys(old), ["a"]);
}

#[test]
fn all_compares_are_on_the_state_before() {
    let mut machine = Machine::new();
    let exists = TxnRequest {
        compare: vec![compare(single("a"), Greater, CompareTarget::Version(0))],
        success: vec![RequestOp::Put(put("seen", "1"))],
        failure: vec![RequestOp::Put(put("not seen", "1"))],
    };
    let response = machine.txn(ops(vec![RequestOp::Put(put("a", "1")), RequestOp::Txn(exists)])).unwrap();
    let ResponseOp::Txn(nested) = &response.responses[1] else { panic!("another answer") };
    assert!(response.succeeded && !nested.succeeded);
    assert_eq!(machine.keys(range(all())), ["a", "not seen"]);
    assert_eq!(machine.state.revision(), Revision(2));
}

#[test]
fn an_error_anywhere_that_is_executed_leaves_no_effect() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    machine.compact(2);
    let failing: [(RequestOp, Error); 4] = [
        (RequestOp::Put(PutRequest { lease: LeaseId(9), ..put("b", "1") }), Error::LeaseNotFound),
        (RequestOp::Put(PutRequest { ignore_value: true, ..put("b", "") }), Error::KeyNotFound),
        (RequestOp::Range(RangeRequest { revision: Revision(1), ..range(all()) }), Error::Compacted(Revision(2))),
        (RequestOp::Range(RangeRequest { revision: Revision(3), ..range(all()) }), Error::FutureRevision(Revision(2))),
    ];
    for (op, error) in failing {
        let nested = RequestOp::Txn(ops(vec![op.clone()]));
        let txn = ops(vec![RequestOp::Put(put("b", "1")), nested]);
        assert_eq!(machine.txn(txn).unwrap_err(), error);
        // In a branch that is not taken it does not matter.
        let other = TxnRequest { failure: vec![op], ..TxnRequest::default() };
        assert!(machine.txn(other).unwrap().succeeded);
    }
    assert_eq!((machine.state.revision(), machine.keys(range(all()))), (Revision(2), vec!["a".into()]));
}

#[test]
fn errors_come_in_the_order_of_the_ops() {
    let mut machine = Machine::new();
    let lease = RequestOp::Put(PutRequest { lease: LeaseId(9), ..put("b", "1") });
    let future = RequestOp::Range(RangeRequest { revision: Revision(3), ..range(all()) });
    assert_eq!(machine.txn(ops(vec![lease.clone(), future.clone()])).unwrap_err(), Error::LeaseNotFound);
    assert_eq!(machine.txn(ops(vec![future, lease])).unwrap_err(), Error::FutureRevision(Revision(1)));
}

#[test]
fn a_transaction_that_changes_nothing_writes_nothing() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    let txn = ops(vec![RequestOp::DeleteRange(delete(single("b"))), RequestOp::Range(range(all()))]);
    let planned = plan(&View::new(&machine.state, &[]), &txn.into(), super::LIMITS).unwrap();
    assert!(planned.entry.is_none());
}

#[test]
fn a_put_in_a_transaction_keeps_a_value_that_was_there_before_it() {
    let mut machine = Machine::new();
    machine.put("a", "1");
    let again = PutRequest { ignore_value: true, ..put("a", "") };
    let response = machine.txn(ops(vec![RequestOp::Put(put("a", "2")), RequestOp::Put(again)])).unwrap();
    let ResponseOp::Put(second) = &response.responses[1] else { panic!("another answer") };
    assert_eq!(second.prev_kv.as_ref().unwrap().value.bytes(), "2");
    let kv = machine.state.get(b"a").unwrap();
    assert_eq!((&kv.value.bytes()[..], kv.version, kv.mod_revision), (&b"2"[..], 3, Revision(3)));
}
