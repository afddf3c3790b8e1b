//! Differences that were found, each as a program on which jine and etcd must agree.

use jine::pb::etcdserverpb::*;

use super::pair::Pair;
use super::program::Step;

async fn same(program: &[Step]) {
    if let Err(difference) = Pair::start(&super::program_under_test()).await.compare(program).await {
        panic!("{}", difference.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_is_told() {
    let put = |key: &'static str, lease| Step::Put(PutRequest { key: key.into(), lease, ..Default::default() });
    let all = || bytes::Bytes::from_static(b"\0");
    same(&[
        Step::Watch(0, WatchCreateRequest { key: all(), range_end: all(), prev_kv: true, ..Default::default() }),
        Step::Grant(LeaseGrantRequest { id: 11, ttl: 1 }),
        put("b", 11),
        put("a", 11),
        put("c", 11),
        put("c", 0),
        Step::AwaitExpiry,
        Step::Range(RangeRequest { key: all(), range_end: all(), ..Default::default() }),
        Step::Revoke(11),
        Step::KeepAlive(11),
        Step::TimeToLive(11, true),
    ])
    .await;
}

/// Seed 25: etcd counts what its log adds to a request.
#[tokio::test(flavor = "multi_thread")]
async fn the_largest_request_is_as_large_as_etcd_s() {
    let put =
        |len: usize| Step::Put(PutRequest { key: "a".into(), value: vec![b'v'; len].into(), ..Default::default() });
    same(&[put(65_511), put(65_512), put(65_513), put(65_514)]).await;
}

/// Seed 131: an alarm is looked at before the TTL is.
#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_comes_before_a_ttl_that_is_too_long() {
    let alarm = |action, alarm| Step::Alarm(AlarmRequest { action, alarm, ..Default::default() });
    let grant = |id| Step::Grant(LeaseGrantRequest { ttl: i64::MAX, id });
    let granted = Step::Grant(LeaseGrantRequest { ttl: 1000, id: 11 });
    same(&[granted, alarm(1, 2), grant(0), alarm(2, 2), alarm(1, 1), grant(0), alarm(2, 1), grant(11)]).await;
}
