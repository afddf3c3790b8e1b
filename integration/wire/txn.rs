//! Transactions.

use bytes::Bytes;
use jine::pb::etcdserverpb::compare::{CompareResult, TargetUnion};
use jine::pb::etcdserverpb::request_op::Request as Op;
use jine::pb::etcdserverpb::response_op::Response;
use jine::pb::etcdserverpb::*;
use tonic::Code;

use super::client::*;
use super::target::{Target, behaviours};

behaviours! {
    an_unknown_comparison_matches_all_but_the_value_of_a_missing_key
    a_revision_below_zero_is_compacted_in_a_transaction
    all_writes_are_one_revision
    a_read_sees_the_writes_before_it
    reading_takes_no_revision
    every_field_can_be_compared
    a_missing_key_compares_as_zero
    a_compare_of_a_range_needs_all_of_it
    compares_must_all_hold
    nested_compares_see_the_state_before_all
    create_update_and_delete_as_kubernetes_does
    answers_have_headers_of_their_own
    a_put_and_a_delete_from_a_key_on_take_their_turn
}

fn kvs(response: &ResponseOp) -> Vec<(Bytes, Bytes)> {
    let Some(Response::ResponseRange(range)) = &response.response else { panic!("{response:?}") };
    range.kvs.iter().map(|kv| (kv.key.clone(), kv.value.clone())).collect()
}

async fn holds(client: &mut Client, compares: Vec<Compare>) -> bool {
    client.txn(TxnRequest { compare: compares, ..Default::default() }).await.succeeded
}

async fn all_writes_are_one_revision(target: &Target) {
    let mut client = target.client().await;
    client.put("old", "x").await;
    let success = vec![put_op("a", "1"), delete_op("old", ""), put_op("b", "2")];
    let response = client.txn(TxnRequest { success, ..Default::default() }).await;
    assert_eq!((response.succeeded, revision(&response.header)), (true, 3));
    let kvs = client.range(between("a", "z")).await.kvs;
    assert_eq!(kvs.iter().map(|kv| kv.mod_revision).collect::<Vec<_>>(), [3, 3]);
    let Some(Response::ResponseDeleteRange(deleted)) = &response.responses[1].response else { panic!() };
    assert_eq!((deleted.deleted, &deleted.prev_kvs[0].value[..]), (1, &b"x"[..]));
}

async fn a_read_sees_the_writes_before_it(target: &Target) {
    let mut client = target.client().await;
    client.put("a", "1").await;
    let success = vec![range_op("a"), put_op("a", "2"), range_op("a"), delete_op("b", "c"), range_op("b")];
    let response = client.txn(TxnRequest { success, ..Default::default() }).await;
    assert_eq!(kvs(&response.responses[0]), [(Bytes::from("a"), Bytes::from("1"))]);
    assert_eq!(kvs(&response.responses[2]), [(Bytes::from("a"), Bytes::from("2"))]);
    assert_eq!(kvs(&response.responses[4]), []);
}

async fn reading_takes_no_revision(target: &Target) {
    let mut client = target.client().await;
    client.put("a", "1").await;
    for success in [vec![range_op("a")], vec![], vec![delete_op("none", "")]] {
        assert_eq!(revision(&client.txn(TxnRequest { success, ..Default::default() }).await.header), 2);
    }
    assert_eq!(client.put("a", "2").await, 3);
}

async fn every_field_can_be_compared(target: &Target) {
    use CompareResult::{Equal, Greater, Less, NotEqual};
    let mut client = target.client().await;
    let lease = client.grant(100).await;
    client.put("a", "0").await;
    let put = PutRequest { key: "a".into(), value: "m".into(), lease, ..Default::default() };
    client.kv.put(put).await.unwrap();
    // created 2, modified 3, version 2
    let operands = |delta: i64| {
        let value = match delta {
            -1 => "a",
            0 => "m",
            _ => "z",
        };
        [
            TargetUnion::Version(2 + delta),
            TargetUnion::CreateRevision(2 + delta),
            TargetUnion::ModRevision(3 + delta),
            TargetUnion::Value(value.into()),
            TargetUnion::Lease(lease + delta),
        ]
    };
    for (delta, expected) in
        [(-1, [false, true, true, false]), (0, [true, false, false, false]), (1, [false, true, false, true])]
    {
        for operand in operands(delta) {
            for (result, expected) in [Equal, NotEqual, Greater, Less].into_iter().zip(expected) {
                let compares = vec![compare("a", result, operand.clone())];
                assert_eq!(holds(&mut client, compares).await, expected, "{result:?} {operand:?}");
            }
        }
    }
}

async fn a_missing_key_compares_as_zero(target: &Target) {
    let mut client = target.client().await;
    for operand in
        [TargetUnion::Version(0), TargetUnion::CreateRevision(0), TargetUnion::ModRevision(0), TargetUnion::Lease(0)]
    {
        assert!(holds(&mut client, vec![compare("none", CompareResult::Equal, operand.clone())]).await);
        assert!(!holds(&mut client, vec![compare("none", CompareResult::NotEqual, operand)]).await);
    }
    // Nothing can be said of a value that is not there.
    for result in [CompareResult::Equal, CompareResult::NotEqual, CompareResult::Less, CompareResult::Greater] {
        assert!(!holds(&mut client, vec![compare("none", result, TargetUnion::Value("".into()))]).await);
    }
}

async fn a_compare_of_a_range_needs_all_of_it(target: &Target) {
    let mut client = target.client().await;
    client.put("a", "1").await;
    client.put("b", "1").await;
    let of_range = |end: &'static str, value: &'static str| {
        let one = compare("a", CompareResult::Equal, TargetUnion::Value(value.into()));
        vec![Compare { range_end: end.into(), ..one }]
    };
    assert!(holds(&mut client, of_range("c", "1")).await);
    client.put("b", "2").await;
    assert!(!holds(&mut client, of_range("c", "1")).await);
    assert!(holds(&mut client, of_range("b", "1")).await);
    assert!(!holds(&mut client, of_range("\0", "1")).await);
}

async fn compares_must_all_hold(target: &Target) {
    let mut client = target.client().await;
    client.put("a", "1").await;
    let yes = compare("a", CompareResult::Equal, TargetUnion::Version(1));
    let no = compare("a", CompareResult::Equal, TargetUnion::Version(2));
    assert!(holds(&mut client, vec![]).await);
    assert!(holds(&mut client, vec![yes.clone(), yes.clone()]).await);
    assert!(!holds(&mut client, vec![yes, no]).await);
}

async fn nested_compares_see_the_state_before_all(target: &Target) {
    let mut client = target.client().await;
    let absent = compare("a", CompareResult::Equal, TargetUnion::Version(0));
    let inner =
        TxnRequest { compare: vec![absent], success: vec![put_op("b", "yes")], failure: vec![put_op("b", "no")] };
    let success = vec![put_op("a", "1"), txn_op(inner), range_op("b")];
    let response = client.txn(TxnRequest { success, ..Default::default() }).await;
    let Some(Response::ResponseTxn(inner)) = &response.responses[1].response else { panic!() };
    assert!(inner.succeeded);
    assert_eq!(kvs(&response.responses[2]), [(Bytes::from("b"), Bytes::from("yes"))]);
    assert_eq!(client.get("b").await.unwrap().mod_revision, 2);
}

async fn create_update_and_delete_as_kubernetes_does(target: &Target) {
    let mut client = target.client().await;
    let at = |revision| vec![compare("/r/pod", CompareResult::Equal, TargetUnion::ModRevision(revision))];
    let create = TxnRequest { compare: at(0), success: vec![put_op("/r/pod", "v1")], failure: vec![] };
    assert!(client.txn(create.clone()).await.succeeded);
    assert!(!client.txn(create).await.succeeded);

    let update = |revision| TxnRequest {
        compare: at(revision),
        success: vec![put_op("/r/pod", "v2")],
        failure: vec![range_op("/r/pod")],
    };
    let lost = client.txn(update(1)).await;
    assert_eq!((lost.succeeded, kvs(&lost.responses[0])), (false, vec![("/r/pod".into(), "v1".into())]));
    assert_eq!(revision(&client.txn(update(2)).await.header), 3);

    let delete = |revision| TxnRequest {
        compare: at(revision),
        success: vec![delete_op("/r/pod", "")],
        failure: vec![range_op("/r/pod")],
    };
    assert!(!client.txn(delete(2)).await.succeeded);
    assert_eq!(revision(&client.txn(delete(3)).await.header), 4);
}

async fn answers_have_headers_of_their_own(target: &Target) {
    let mut client = target.client().await;
    let inner = TxnRequest { success: vec![put_op("b", "2")], ..Default::default() };
    let success = vec![put_op("a", "1"), range_op("a"), delete_op("none", ""), txn_op(inner)];
    let response = client.txn(TxnRequest { success, ..Default::default() }).await;
    let headers: Vec<_> = response
        .responses
        .iter()
        .map(|r| match r.response.clone().unwrap() {
            Response::ResponsePut(r) => r.header.unwrap(),
            Response::ResponseRange(r) => r.header.unwrap(),
            Response::ResponseDeleteRange(r) => r.header.unwrap(),
            Response::ResponseTxn(r) => r.header.unwrap(),
        })
        .collect();
    assert!(headers.iter().all(|header| header.cluster_id == 0 && header.member_id == 0));
    assert_eq!(headers.iter().map(|header| header.revision).collect::<Vec<_>>(), [2, 2, 2, 0]);
}

async fn a_put_and_a_delete_from_a_key_on_take_their_turn(target: &Target) {
    let mut client = target.client().await;
    let mut watch = client.watch().await;
    watch.create(WatchCreateRequest { prev_kv: true, ..watch_all() }).await;
    let delete =
        op(Op::RequestDeleteRange(DeleteRangeRequest { key: "a".into(), range_end: b"\0"[..].into(), prev_kv: true }));
    let response = client.txn(TxnRequest { success: vec![put_op("b", "1"), delete], ..Default::default() }).await;
    let Some(Response::ResponseDeleteRange(deleted)) = &response.responses[1].response else { panic!() };
    assert_eq!((deleted.deleted, deleted.prev_kvs.len()), (1, 1));
    assert_eq!(client.get("b").await, None);
    assert_eq!(revision(&response.header), 2);
    // What was before is what was before the revision.
    let events = watch.events(2).await;
    assert_eq!(events.iter().map(shape).collect::<Vec<_>>(), ["PUT b@2", "DELETE b@2"]);
    assert!(events.iter().all(|event| event.prev_kv.is_none()));
}

async fn a_revision_below_zero_is_compacted_in_a_transaction(target: &Target) {
    let mut client = target.client().await;
    client.put("a", "1").await;
    let below = |revision| RangeRequest { revision, ..one("a") };
    let txn = |revision| TxnRequest { success: vec![op(Op::RequestRange(below(revision)))], ..Default::default() };
    assert_eq!(client.range(below(-7)).await.count, 1);
    // A store that was never compacted is at -1 in etcd.
    assert_eq!(client.txn(txn(-1)).await.responses.len(), 1);
    let refused = (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted".to_owned());
    assert_eq!(said(client.kv.txn(txn(-2)).await), refused);
    client.compact(2).await;
    assert_eq!(said(client.kv.txn(txn(-1)).await), refused);
    assert_eq!(client.range(below(-1)).await.count, 1);
}

async fn an_unknown_comparison_matches_all_but_the_value_of_a_missing_key(target: &Target) {
    let mut client = target.client().await;
    client.put("there", "1").await;
    let mut holds = async |key: &'static str, operand: TargetUnion| {
        let compare = Compare { result: 17, ..compare(key, CompareResult::Equal, operand) };
        client.txn(TxnRequest { compare: vec![compare], ..Default::default() }).await.succeeded
    };
    assert!(holds("there", TargetUnion::Value("2".into())).await);
    assert!(holds("missing", TargetUnion::Version(7)).await);
    assert!(!holds("missing", TargetUnion::Value("".into())).await);
}
