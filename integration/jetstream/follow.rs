use std::time::Duration;

use jine::jetstream::{Options, open};
use jine::state::Sequence;
use jine::store::log::{Content, Follow, Followed, Identity, Log, LogError, Record, Target};

use super::{append, fresh, group, next_message, options, put, replay};
use crate::support::nats::NatsServer;

/// No heartbeat comes within a test.
fn without_heartbeats(server: &NatsServer) -> Options {
    Options { heartbeat: Duration::from_secs(60), ..options(server) }
}

#[tokio::test]
async fn a_replay_ends_without_waiting_for_a_heartbeat() {
    let server = NatsServer::start().await;
    let log = open(without_heartbeats(&server)).await.expect("it opens");
    append(&log, vec![put("/a", ""), put("/b", "")]).await;
    for (from, messages) in [(1, 3), (3, 1)] {
        let (followed, end) = replay(&log, from).await;
        assert_eq!((followed.len(), end), (messages, Sequence(3)), "from {from}");
    }
}

#[tokio::test]
async fn a_heartbeat_tells_of_an_end_that_was_removed_before() {
    let (_server, log) = fresh().await;
    append(&log, vec![put("/a", ""), put("/b", "")]).await;
    append(&log, vec![Record::Fence]).await;
    append(&log, vec![Record::Fence]).await;
    assert_eq!(log.purge(&Target::Fences, Sequence(100)).await, Ok(2));
    for (from, messages) in [(1, 3), (4, 0), (5, 0)] {
        let (followed, end) = replay(&log, from).await;
        assert_eq!((followed.len(), end), (messages, Sequence(5)), "from {from}");
    }
}

#[tokio::test]
async fn a_follower_gets_every_message_once_and_in_order() {
    let (_server, log) = fresh().await;
    let mut follower = log.follow(Sequence(1)).await.expect("following");
    let mut at = 2;
    for size in [1, 2, 1000, 1, 500, 3] {
        let records = (0..size).map(|i| put(&format!("/k/{i}"), vec![1; i])).collect();
        log.append(group(at, at, records)).await.expect("appended");
        at += size as u64;
    }
    for expected in 1..at {
        let message = next_message(&mut follower).await.expect("a message");
        assert_eq!(message.sequence, Sequence(expected));
    }
    // Resumed at the last one.
    drop(follower);
    let mut follower = log.follow(Sequence(at - 1)).await.expect("following");
    assert_eq!(next_message(&mut follower).await.expect("a message").sequence, Sequence(at - 1));
    append(&log, vec![put("/after", "")]).await;
    assert_eq!(next_message(&mut follower).await.expect("a message").sequence, Sequence(at));
}

#[tokio::test]
async fn a_replay_of_many_messages_is_held_back_by_flow_control_and_loses_none() {
    let (_server, log) = fresh().await;
    let groups = 60;
    for i in 0..groups {
        let records = (0..1000).map(|k| put(&format!("/k/{k}"), vec![7; 300])).collect();
        log.append(group(2 + i * 1000, 2 + i * 1000, records)).await.expect("appended");
    }
    let (messages, end) = replay(&log, 1).await;
    assert_eq!(end, Sequence(1 + groups * 1000));
    assert!(messages.iter().map(|message| message.sequence.0).eq(1..=end.0));
}

#[tokio::test]
async fn heartbeats_tell_of_a_tail_that_was_removed_while_following() {
    let (_server, log) = fresh().await;
    let mut follower = log.follow(Sequence(1)).await.expect("following");
    append(&log, vec![put("/a", "")]).await;
    while next_message(&mut follower).await.expect("a message").sequence != Sequence(2) {}
    // Written and removed before it can be delivered, now and then; the end is reached either way.
    append(&log, vec![Record::Fence]).await;
    log.purge(&Target::Fences, Sequence(100)).await.expect("purged");
    loop {
        if let Followed::Reached(Sequence(3)) = follower.next().await.expect("the log goes on") {
            break;
        }
    }
}

#[tokio::test]
async fn foreign_messages_are_told_from_ours_and_have_an_identity() {
    let (server, log) = fresh().await;
    let client = server.client().await;
    for value in ["1", "1", "2"] {
        client.request("$KV.jine.some.key", value.into()).await.expect("stored");
    }
    append(&log, vec![put("/a", "")]).await;
    let (messages, _) = replay(&log, 2).await;
    let identities: Vec<Identity> = messages.iter().map(|message| message.identity).collect();
    assert_ne!(identities[0], identities[1]);
    for message in &messages[..3] {
        assert_eq!(message.content, Content::Foreign { subject: "some.key".into() });
        assert_eq!(log.get(message.sequence).await.expect("an answer").as_ref(), Some(message));
    }
    assert!(matches!(identities[3], Identity::Ours(..)));
}

#[tokio::test]
async fn a_log_that_ends_before_the_start_is_not_waited_for() {
    let (_server, log) = fresh().await;
    assert!(matches!(log.follow(Sequence(3)).await, Err(LogError::Unavailable(_))));
    assert!(log.follow(Sequence(2)).await.is_ok());
}

#[tokio::test]
async fn a_follower_of_a_stream_that_is_deleted_ends() {
    let (server, log) = fresh().await;
    let mut follower = log.follow(Sequence(1)).await.expect("following");
    let client = server.client().await;
    client.request("$JS.API.STREAM.DELETE.KV_jine", "".into()).await.expect("deleted");
    let ended = loop {
        if let Err(error) = next_message(&mut follower).await {
            break error;
        }
    };
    assert!(matches!(ended, LogError::Unavailable(_)));
    assert!(log.disturbed().await.contains("deleted"));
    assert_eq!(log.follow(Sequence(1)).await.err(), Some(LogError::StreamMissing));
    assert_eq!(log.info().await.err(), Some(LogError::StreamMissing));
    // It is never made anew behind the store's back.
    assert_eq!(log.reconnect().await, Err(LogError::StreamMissing));
}

#[tokio::test]
async fn a_dropped_follower_leaves_no_consumer() {
    let (server, log) = fresh().await;
    let follower = log.follow(Sequence(1)).await.expect("following");
    drop(follower);
    let client = server.client().await;
    loop {
        let info = client.request("$JS.API.CONSUMER.NAMES.KV_jine", "".into()).await.expect("an answer");
        let info: serde_json::Value = serde_json::from_slice(&info.payload).expect("json");
        if info["total"] == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_follower_that_cannot_keep_up_notices_that_messages_are_missing() {
    let server = NatsServer::start().await;
    let log = open(Options { subscription_capacity: 10, ..options(&server) }).await.expect("it opens");
    append(&log, (0..500).map(|i| put(&format!("/k/{i}"), "v")).collect()).await;
    let mut follower = log.follow(Sequence(1)).await.expect("following");
    // It is read only when more than fits has come.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut expected = 1;
    let ended = loop {
        match next_message(&mut follower).await {
            Ok(message) => assert_eq!(message.sequence, Sequence(expected)),
            Err(error) => break error,
        }
        expected += 1;
    };
    assert!(matches!(&ended, LogError::Unavailable(why) if why.contains("missed")), "{ended:?}");
}

#[tokio::test]
async fn what_another_log_or_a_newer_jine_wrote_is_told_as_such() {
    let (server, log) = fresh().await;
    let client = server.client().await;
    for header in
        ["1 claim id=1-1 log=abc n=1 at=2", "2 claim id=1-1 log=9 n=1 at=3", "1 conquest id=1-1 log=9 n=1 at=4"]
    {
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Jine", header);
        client.request_with_headers("$KV.jine.=jine.claim", headers, "".into()).await.expect("stored");
    }
    let (messages, _) = replay(&log, 2).await;
    assert!(matches!(&messages[0].content, Content::Ours(stamp, Record::Claim) if stamp.cluster.0 == 0xabc));
    for message in &messages[1..] {
        assert!(
            matches!(&message.content, Content::Unreadable { subject, .. } if subject == "=jine.claim"),
            "{message:?}"
        );
        assert_eq!(log.get(message.sequence).await.expect("an answer").as_ref(), Some(message));
    }
}
