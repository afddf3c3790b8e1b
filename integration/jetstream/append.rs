use bytes::Bytes;
use jine::jetstream::{JetStream, Options, open};
use jine::state::{Alarm, AlarmKind, LeaseId, Revision, Sequence};
use jine::store::log::{AppendError, Checkpoint, Content, Log, Outgoing, Record, Refusal, SessionId, Target};

use super::{append, delete, fresh, group, open_on, options, put, record_of, replay};
use crate::support::nats::NatsServer;

fn every_kind() -> Vec<Record> {
    let alarm = Alarm { member: 3, kind: AlarmKind::NoSpace };
    vec![
        put("/registry/pods/default/web-0", "v"),
        put("compact_rev_key", Bytes::from_static(&[0, 255, 13, 10])),
        put(&"/long".repeat(800), "long"),
        put("/\u{0}\u{7f} *.>\r\n:é", ""),
        delete("/registry/pods/default/web-0"),
        Record::Tombstones { keys: vec!["/a".into(), "b".into()], revision: Revision(4), sub: 0 },
        Record::LeaseGrant { id: LeaseId(5), ttl: 60 },
        Record::LeaseRevoke { id: LeaseId(5) },
        Record::Compact { revision: Revision(2) },
        Record::AlarmRaise(alarm),
        Record::AlarmDisarm(alarm),
        Record::Claim,
        Record::Fence,
        Record::Checkpoint(Checkpoint {
            at: Sequence(3),
            entry: 2,
            revision: Revision(2),
            compacted: Revision(1),
            keys: 1,
            keys_hash: 2,
            leases: 3,
            leases_hash: 4,
            claim: Some(SessionId(7)),
            void: vec![Sequence(2)],
        }),
    ]
}

/// Groups travel by the client library, or, where nobody else writes, over a connection of their own: both must do the same.
async fn both_ways<T: Future<Output = ()>>(test: impl Fn(NatsServer, JetStream) -> T) {
    for exclusive in [false, true] {
        let server = NatsServer::start().await;
        let log = open(Options { exclusive, ..options(&server) }).await.expect("the bucket opens");
        test(server, log).await;
    }
}

#[tokio::test]
async fn every_record_comes_back_as_it_was_written() {
    both_ways(|server, log| async move {
        let _server = server;
        let sent = group(2, 1, every_kind());
        // One by one, then all in a batch.
        for (i, message) in sent.iter().enumerate() {
            let at = Sequence(2 + i as u64);
            let mut message = message.clone();
            message.stamp.group = at;
            assert_eq!(log.append(vec![message.clone()]).await, Ok(at));
            let found = log.get(at).await.expect("an answer").expect("a message");
            assert_eq!(found.content, Content::Ours(message.stamp, message.record));
        }
        let at = 2 + sent.len() as u64;
        let batch = group(at, 100, every_kind());
        assert_eq!(log.append(batch.clone()).await, Ok(Sequence(at + sent.len() as u64 - 1)));
        let (followed, end) = replay(&log, at).await;
        assert_eq!(end, Sequence(at + sent.len() as u64 - 1));
        for (message, Outgoing { stamp, record }) in followed.iter().zip(batch) {
            assert_eq!(message.content, Content::Ours(stamp, record));
            // Read by sequence and followed, a message is the same.
            assert_eq!(log.get(message.sequence).await.expect("an answer").as_ref(), Some(message));
        }
    })
    .await;
}

#[tokio::test]
async fn a_group_meant_for_another_place_is_refused_whole() {
    both_ways(|server, log| async move {
        let _server = server;
        append(&log, vec![put("/a", "1")]).await;
        for at in [1, 2, 4, 100] {
            for records in [vec![put("/x", "1")], vec![put("/x", "1"), put("/y", "1")]] {
                let refused = log.append(group(at, 50, records)).await;
                assert_eq!(refused, Err(AppendError::Refused(Refusal::Sequence)), "at {at}");
            }
        }
        assert_eq!(log.last().await, Ok(Sequence(2)));
        assert_eq!(append(&log, vec![put("/b", "1"), put("/c", "1")]).await, Sequence(4));
    })
    .await;
}

#[tokio::test]
async fn a_batch_may_have_a_thousand_messages_and_no_more() {
    both_ways(|server, log| async move {
        let _server = server;
        let records: Vec<Record> = (0..1000).map(|i| put(&format!("/k/{i}"), "v")).collect();
        assert_eq!(append(&log, records.clone()).await, Sequence(1001));
        let too_many = [records, vec![put("/one-more", "")]].concat();
        assert!(matches!(log.append(group(1002, 5000, too_many)).await, Err(AppendError::Refused(Refusal::Other(_)))));
        assert_eq!(log.last().await, Ok(Sequence(1001)));
    })
    .await;
}

#[tokio::test]
async fn what_is_too_large_is_refused_and_the_connection_stays() {
    both_ways(|server, log| async move {
        let _server = server;
        let largest = log.traits().max_record_bytes;
        let records = vec![put("/small", ""), put(&"k".repeat(32 * 1024), vec![0; largest])];
        append(&log, records).await;
        let two_mib = vec![put("/small", ""), put("/large", vec![0; 2 << 20])];
        assert!(matches!(log.append(group(4, 10, two_mib)).await, Err(AppendError::Refused(Refusal::Other(_)))));
        let key = put(&"k".repeat(64 * 1024), "");
        assert!(matches!(log.append(group(4, 20, vec![key])).await, Err(AppendError::Refused(Refusal::Other(_)))));
        append(&log, vec![put("/after", "")]).await;
    })
    .await;
}

#[tokio::test]
async fn a_full_stream_refuses_and_says_so() {
    both_ways(|server, log| async move {
        let client = server.client().await;
        let info = client.request("$JS.API.STREAM.INFO.KV_jine", "".into()).await.expect("info");
        let info: serde_json::Value = serde_json::from_slice(&info.payload).expect("json");
        let mut config = info["config"].clone();
        config["max_bytes"] = 300_000.into();
        let updated =
            client.request("$JS.API.STREAM.UPDATE.KV_jine", config.to_string().into()).await.expect("an answer");
        assert!(!String::from_utf8_lossy(&updated.payload).contains("error"));

        append(&log, vec![put("/a", vec![0; 200_000])]).await;
        for records in [
            vec![put("/b", vec![0; 200_000])],
            vec![put("/b", vec![0; 200_000]), put("/c", "")],
            vec![put("/b", ""), put("/c", vec![0; 200_000])],
        ] {
            let refused = log.append(group(3, 10, records)).await;
            assert!(matches!(refused, Err(AppendError::Refused(Refusal::NoSpace(_)))), "{refused:?}");
        }
        assert_eq!(log.last().await, Ok(Sequence(2)));
        assert_eq!(log.info().await.expect("info").max_bytes, Some(300_000));
        // Each fits alone, together they do not: the server may notice in the middle, and then it is not a refusal.
        let half: Vec<Record> = (0..10).map(|i| put(&format!("/h/{i}"), vec![0; 20_000])).collect();
        let outcome = log.append(group(3, 100, half)).await;
        let stored = log.get(Sequence(3)).await.expect("an answer").is_some();
        assert_eq!(matches!(outcome, Err(AppendError::Refused(_))), !stored, "{outcome:?}");
    })
    .await;
}

#[tokio::test]
async fn purging_removes_one_targets_messages_below_a_place_and_nothing_else() {
    let (_server, log) = fresh().await;
    let long = "/long".repeat(800);
    for _ in 0..3 {
        append(&log, vec![put("/a", ""), put("/a/b", ""), put(&long, ""), Record::Fence]).await;
    }
    let key = |key: &str| Target::Key(Bytes::copy_from_slice(key.as_bytes()));
    assert_eq!(log.purge(&key("/a"), Sequence(0)).await, Ok(0));
    assert_eq!(log.purge(&key("/a"), Sequence(1)).await, Ok(0));
    assert_eq!(log.purge(&key("/a"), Sequence(6)).await, Ok(1));
    assert_eq!(log.purge(&key("/a"), Sequence(6)).await, Ok(0));
    assert_eq!(log.purge(&key(&long), Sequence(9)).await, Ok(2));
    assert_eq!(log.purge(&Target::Fences, Sequence(14)).await, Ok(3));
    assert_eq!(log.purge(&key("/none"), Sequence(100)).await, Ok(0));
    let (left, end) = replay(&log, 1).await;
    let places: Vec<u64> = left.iter().map(|message| message.sequence.0).collect();
    assert_eq!(places, [1, 3, 6, 7, 10, 11, 12]);
    // The last message of all was a fence.
    assert_eq!(end, Sequence(13));
    assert_eq!(log.last().await, Ok(Sequence(13)));
    assert_eq!(log.get(Sequence(13)).await, Ok(None));
    let next = log.next_about(&key("/a"), Sequence(2)).await.expect("an answer").expect("one is left");
    assert_eq!(next.sequence, Sequence(6));
    assert_eq!(log.next_about(&key("/a"), Sequence(11)).await, Ok(None));
    append(&log, vec![put("/after", "")]).await;
}

#[tokio::test]
async fn two_logs_on_one_bucket_share_one_beginning() {
    let server = NatsServer::start().await;
    let opened = futures_util::future::join_all((0..5).map(|_| open_on(&server))).await;
    let mut first = None;
    for log in &opened {
        assert_eq!(log.last().await, Ok(Sequence(1)));
        let genesis = log.get(Sequence(1)).await.expect("an answer").expect("a message");
        assert!(matches!(record_of(&genesis), Record::Genesis(_)));
        assert_eq!(first.get_or_insert(genesis.clone()), &genesis);
    }
    let log = jine::jetstream::open(options(&server)).await.expect("it opens again");
    assert_eq!(log.last().await, Ok(Sequence(1)));
}
