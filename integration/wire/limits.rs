//! What etcd's flags limit: the quota and its alarm, calls at a time, history that is compacted by itself. Asked of etcd and of jine, each
//! started with the same flags.

use std::time::Duration;

use jine::pb::etcdserverpb::alarm_request::AlarmAction;
use jine::pb::etcdserverpb::*;
use tonic::Code;

use super::client::*;
use super::http;
use super::target::Target;

fn both(flags: &'static [&'static str]) -> [Target; 2] {
    let jine = Target::jine_with(|jine| {
        jine.args(["--listen-address", "127.0.0.1:0"]).args(flags);
    });
    [Target::etcd_with(flags), jine]
}

const FULL: &str = "etcdserver: mvcc: database space exceeded";

fn is_full<T>(answer: &Result<T, tonic::Status>) -> bool {
    answer.as_ref().is_err_and(|status| status.code() == Code::ResourceExhausted && status.message() == FULL)
}

fn large(key: &'static str) -> PutRequest {
    PutRequest { key: key.into(), value: vec![7; 100_000].into(), ..Default::default() }
}

async fn alarms(client: &mut Client) -> Vec<AlarmMember> {
    client.maintenance.alarm(AlarmRequest::default()).await.unwrap().into_inner().alarms
}

async fn disarm(client: &mut Client) {
    for alarm in alarms(client).await {
        let action = AlarmAction::Deactivate as i32;
        let request = AlarmRequest { action, member_id: alarm.member_id, alarm: alarm.alarm };
        client.maintenance.alarm(request).await.unwrap();
    }
}

async fn status(client: &mut Client) -> StatusResponse {
    client.maintenance.status(StatusRequest {}).await.unwrap().into_inner()
}

const QUOTA: i64 = 3_000_000;

#[tokio::test]
async fn a_quota_that_is_reached_is_an_alarm() {
    for target in both(&["--quota-backend-bytes", "3000000"]) {
        let mut client = target.client().await;
        let lease = client.grant(1000).await;
        let before = status(&mut client).await;
        assert_eq!((before.db_size_quota, before.errors.len()), (QUOTA, 0));
        let mut revision = 1;
        loop {
            let answer = client.kv.put(large("k")).await;
            if is_full(&answer) {
                break;
            }
            answer.unwrap();
            revision += 1;
            // etcd's file grows every 100 ms only: a quick machine gets far beyond the quota until then.
            assert!(revision < 3000, "it is never full");
        }
        assert!(revision > 10, "{revision}");
        full(&target, &mut client, revision, lease).await;
        room_again(&mut client).await;
    }
}

/// What is refused, and what is not.
async fn full(target: &Target, client: &mut Client, revision: i64, lease: i64) {
    let member = client.cluster.member_list(MemberListRequest::default()).await.unwrap().into_inner().members[0].id;
    let raised = AlarmMember { member_id: member, alarm: AlarmType::Nospace as i32 };
    assert_eq!(alarms(client).await, [raised]);
    let told = status(client).await;
    assert_eq!(told.errors.len(), 1);
    assert!(
        told.errors[0].contains("NOSPACE") && told.db_size > QUOTA / 2 && told.db_size_in_use <= told.db_size,
        "{told:?}"
    );
    // However small.
    assert!(is_full(&client.kv.put(PutRequest { key: "small".into(), ..Default::default() }).await));
    assert!(is_full(&client.lease.lease_grant(LeaseGrantRequest { ttl: 10, id: 0 }).await));
    let put = |success: Vec<RequestOp>, failure| TxnRequest { success, failure, ..Default::default() };
    assert!(is_full(&client.kv.txn(put(vec![put_op("x", "y")], vec![])).await));
    // In the branch that is not taken.
    assert!(is_full(&client.kv.txn(put(vec![], vec![put_op("x", "y")])).await));
    client.kv.txn(put(vec![range_op("k")], vec![])).await.unwrap();
    client.kv.txn(put(vec![delete_op("none", "")], vec![])).await.unwrap();
    assert_eq!(client.get("k").await.unwrap().mod_revision, revision);
    client.lease.lease_revoke(LeaseRevokeRequest { id: lease }).await.unwrap();
    assert_eq!(client.delete("k").await, revision + 1);
    client.compact(revision + 1).await;
    client.maintenance.defragment(DefragmentRequest {}).await.unwrap();
    // The alarm stands until it is disarmed, whatever room there is.
    assert!(is_full(&client.kv.put(large("k")).await));
    let (code, _, health) = http::get(target, "/health").await;
    assert!(code == 503 && health.contains("ALARM NOSPACE"), "{code} {health}");
}

async fn room_again(client: &mut Client) {
    disarm(client).await;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while is_full(&client.kv.put(large("k")).await) {
        assert!(tokio::time::Instant::now() < deadline, "there is no room again");
        tokio::time::sleep(Duration::from_millis(100)).await;
        disarm(client).await;
    }
    assert_eq!(alarms(client).await, []);
    let told = status(client).await;
    assert!(told.errors.is_empty() && told.db_size < QUOTA / 2, "{told:?}");
}

#[tokio::test]
async fn history_is_compacted_after_a_period() {
    for target in both(&["--auto-compaction-retention", "1s"]) {
        let mut client = target.client().await;
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        let first = client.put("k", "v").await;
        client.put("k", "v").await;
        let at_first = || RangeRequest { revision: first, ..one("k") };
        while client.kv.range(at_first()).await.is_ok() {
            assert!(tokio::time::Instant::now() < deadline, "it is never compacted");
            // etcd compacts nothing where nothing was written since.
            client.put("k", "v").await;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let (code, text) = said(client.kv.range(at_first()).await);
        assert_eq!((code, text.as_str()), (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"));
    }
}

/// The third watch on a connection waits until one of the others has ended.
#[tokio::test]
async fn calls_above_the_limit_wait_for_their_turn() {
    for target in both(&["--max-concurrent-streams", "2"]) {
        let mut client = target.client().await;
        let mut first = client.watch().await;
        first.create(watch_one("k")).await;
        let mut second = client.watch().await;
        second.create(watch_one("k")).await;
        let mut other = client.clone();
        let mut put = tokio::spawn(async move { other.put("k", "v").await });
        assert!(tokio::time::timeout(Duration::from_millis(300), &mut put).await.is_err(), "a third call was served");
        drop(first);
        assert_eq!(put.await.unwrap(), 2);
        assert_eq!(second.next().await.events.len(), 1);
    }
}

/// As many operations as are allowed, of which one deletes many keys.
#[tokio::test]
async fn the_largest_transaction_may_delete_besides() {
    for target in both(&["--max-txn-ops", "900"]) {
        let mut client = target.client().await;
        let puts = |prefix: char, count: usize| (0..count).map(move |n| put_op(format!("{prefix}{n}"), "v"));
        client.kv.txn(TxnRequest { success: puts('a', 700).collect(), ..Default::default() }).await.unwrap();
        let success = puts('b', 899).chain([delete_op("a", "b")]).collect();
        let answer = client.kv.txn(TxnRequest { success, ..Default::default() }).await.unwrap().into_inner();
        assert_eq!((answer.responses.len(), revision(&answer.header)), (900, 3));
        let all = RangeRequest { key: "\0".into(), range_end: "\0".into(), count_only: true, ..Default::default() };
        assert_eq!(client.range(all).await.count, 899);
        let one_more = TxnRequest { success: puts('c', 901).collect(), ..Default::default() };
        let expected = "etcdserver: too many operations in txn request";
        assert_eq!(said(client.kv.txn(one_more).await), (Code::InvalidArgument, expected.to_owned()));
    }
}
