//! Long ranges in many messages.

use jine::pb::etcdserverpb::range_request::{SortOrder, SortTarget};
use jine::pb::etcdserverpb::*;
use tonic::Code;

use super::client::*;
use super::target::{Target, behaviours};

behaviours! {
    a_short_range_is_one_message
    a_long_range_is_many_messages_of_one_revision
    a_limit_ends_the_stream
    a_count_is_one_message
    large_values_do_not_make_large_messages
    errors_are_those_of_a_range
}

/// As a range does it. (Not asked of etcd, which sorts each message by itself and goes on from the wrong key.)
#[tokio::test]
async fn a_sort_target_without_an_order_sorts_the_whole() {
    let target = Target::jine();
    let mut client = filled(&target, 100).await;
    for i in (0..100).rev() {
        client.put(format!("k{i:05}"), "new").await;
    }
    let request = RangeRequest { sort_target: SortTarget::Mod as i32, ..between("k", "l") };
    let kvs: Vec<_> = read(&mut client, request.clone()).await.into_iter().flat_map(|message| message.kvs).collect();
    assert_eq!(kvs[0].key, "k00099");
    assert_eq!(kvs, client.kv.range(request).await.unwrap().into_inner().kvs);
}

async fn read(client: &mut Client, request: RangeRequest) -> Vec<RangeResponse> {
    let mut stream = client.kv.range_stream(request).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(message) = stream.message().await.unwrap() {
        all.push(message.range_response.unwrap());
    }
    all
}

async fn filled(target: &Target, keys: usize) -> Client {
    let mut client = target.client().await;
    for part in (0..keys).collect::<Vec<_>>().chunks(100) {
        let success = part.iter().map(|i| put_op(format!("k{i:05}"), format!("v{i}"))).collect();
        client.txn(TxnRequest { success, ..Default::default() }).await;
    }
    client
}

async fn a_short_range_is_one_message(target: &Target) {
    let mut client = filled(target, 3).await;
    let [message] = read(&mut client, between("k", "l")).await.try_into().unwrap();
    assert_eq!((message.kvs.len(), message.count, message.more, revision(&message.header)), (3, 3, false, 2));
    assert_ne!(message.header.unwrap().cluster_id, 0);
    let [message] = read(&mut client, one("none")).await.try_into().unwrap();
    assert_eq!((message.kvs.len(), message.count, message.more, revision(&message.header)), (0, 0, false, 2));
}

async fn a_long_range_is_many_messages_of_one_revision(target: &Target) {
    let mut client = filled(target, 1000).await;
    let mut stream = client.kv.range_stream(between("k", &b"\0"[..])).await.unwrap().into_inner();
    let mut messages = vec![stream.message().await.unwrap().unwrap().range_response.unwrap()];
    assert_eq!(messages[0].kvs.len(), 10);
    client.put("k00500", "new").await;
    client.put("k99999", "new").await;
    while let Some(message) = stream.message().await.unwrap() {
        messages.push(message.range_response.unwrap());
    }
    let last = messages.pop().unwrap();
    assert!(!messages.is_empty());
    assert!(messages.iter().all(|m| m.header.is_none() && m.count == 0 && !m.more));
    assert_eq!((revision(&last.header), last.count, last.more), (11, 1000, false));
    let kvs: Vec<_> = messages.into_iter().chain([last]).flat_map(|m| m.kvs).collect();
    assert_eq!(kvs.len(), 1000);
    assert!(kvs.iter().enumerate().all(|(i, kv)| kv.key == format!("k{i:05}") && kv.value == format!("v{i}")));
}

async fn a_limit_ends_the_stream(target: &Target) {
    let mut client = filled(target, 100).await;
    for limit in [1, 5, 10, 11, 50, 100, 1000] {
        let messages = read(&mut client, RangeRequest { limit, ..between("k", "l") }).await;
        let sent: usize = messages.iter().map(|m| m.kvs.len()).sum();
        assert_eq!(sent as i64, limit.min(100));
        let last = messages.last().unwrap();
        assert_eq!((last.more, last.count), (limit < 100, 100), "limit {limit}");
    }
}

async fn a_count_is_one_message(target: &Target) {
    let mut client = filled(target, 100).await;
    let [message] = read(&mut client, RangeRequest { count_only: true, ..between("k", "l") }).await.try_into().unwrap();
    assert_eq!((message.kvs.len(), message.count, message.more, revision(&message.header)), (0, 100, false, 2));
}

async fn large_values_do_not_make_large_messages(target: &Target) {
    let mut client = target.client().await;
    for i in 0..30 {
        client.put(format!("k{i:02}"), vec![b'v'; 400_000]).await;
    }
    let messages = read(&mut client, between("k", "l")).await;
    assert!(messages.len() >= 4, "{}", messages.len());
    assert_eq!(messages.iter().flat_map(|m| &m.kvs).map(|kv| kv.value.len()).sum::<usize>(), 30 * 400_000);
    let messages = read(&mut client, RangeRequest { keys_only: true, ..between("k", "l") }).await;
    assert_eq!(messages.iter().flat_map(|m| &m.kvs).filter(|kv| kv.value.is_empty()).count(), 30);
}

async fn errors_are_those_of_a_range(target: &Target) {
    let mut client = filled(target, 3).await;
    let answer = async |client: &mut Client, request| match client.kv.range_stream(request).await {
        Ok(stream) => said(stream.into_inner().message().await),
        Err(status) => (status.code(), status.message().to_owned()),
    };
    let cases = [
        (RangeRequest::default(), Code::InvalidArgument, "etcdserver: key is not provided"),
        (
            RangeRequest { revision: 9, ..one("k") },
            Code::OutOfRange,
            "etcdserver: mvcc: required revision is a future revision",
        ),
        (
            RangeRequest { sort_order: SortOrder::Descend as i32, ..one("k") },
            Code::Unimplemented,
            "RangeStream does not support custom sort orders",
        ),
        (
            RangeRequest { sort_order: 1, sort_target: SortTarget::Mod as i32, ..one("k") },
            Code::Unimplemented,
            "RangeStream does not support custom sort orders",
        ),
        (
            RangeRequest { max_create_revision: 1, ..one("k") },
            Code::Unimplemented,
            "RangeStream does not support revision filters",
        ),
        (RangeRequest { sort_order: 7, ..one("k") }, Code::InvalidArgument, "etcdserver: invalid sort option"),
    ];
    for (request, code, text) in cases {
        assert_eq!(answer(&mut client, request).await, (code, text.to_owned()));
    }
}
