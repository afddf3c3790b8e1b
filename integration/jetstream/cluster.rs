use jine::jetstream::{JetStream, Options, open};
use jine::state::Sequence;
use jine::store::log::{AppendError, Log, LogError, Refusal};

use super::{append, group, next_message, put, try_replay};
use crate::support::client::until;
use crate::support::nats::NatsCluster;

async fn open_on_three(cluster: &NatsCluster) -> JetStream {
    open(Options { servers: cluster.urls(), replicas: 3, ..Options::default() }).await.expect("the bucket opens")
}

#[tokio::test]
async fn three_replicas_take_singles_and_batches_and_refuse_as_one() {
    let cluster = NatsCluster::start().await;
    let log = open_on_three(&cluster).await;
    assert!(log.traits().replicated && log.traits().synced_after.is_zero());
    let mut follower = log.follow(Sequence(1)).await.expect("following");
    let mut at = 2;
    for size in [1usize, 2, 1000, 1, 300] {
        let records = (0..size).map(|i| put(&format!("/k/{i}"), "v")).collect();
        let last = Sequence(at + size as u64 - 1);
        assert_eq!(log.append(group(at, at, records)).await, Ok(last));
        at = last.0 + 1;
    }
    for records in [vec![put("/x", "1")], vec![put("/x", "1"), put("/y", "1")]] {
        for wrong in [at - 1, at + 1] {
            let refused = log.append(group(wrong, 90_000 + wrong, records.clone())).await;
            assert_eq!(refused, Err(AppendError::Refused(Refusal::Sequence)));
        }
    }
    for expected in 1..at {
        assert_eq!(next_message(&mut follower).await.expect("a message").sequence, Sequence(expected));
    }
    assert_eq!(log.info().await.expect("info").replicas, 3);
}

/// One that starts with its cluster, before all servers are there, must not give up for good.
#[tokio::test]
async fn a_bucket_that_finds_no_place_yet_is_asked_for_again() {
    let mut cluster = NatsCluster::start_two().await;
    let options = Options { servers: cluster.urls()[..2].to_vec(), replicas: 3, ..Options::default() };
    until("two servers have no place for three copies", || async {
        match open(options.clone()).await {
            Err(LogError::Unavailable(why)) => why.contains("no place"),
            other => panic!("{:?}", other.err()),
        }
    })
    .await;
    cluster.servers[2].restart().await;
    until("three have", || async { open(options.clone()).await.is_ok() }).await;
}

#[tokio::test]
async fn nothing_acknowledged_is_lost_when_the_streams_leader_is_killed() {
    let mut cluster = NatsCluster::start().await;
    let log = open_on_three(&cluster).await;
    let mut last = append(&log, vec![put("/a", "1"), put("/b", "1")]).await;
    let leader = log.info().await.expect("info").leader;
    cluster.named(&leader).kill();
    let mut attempt = 1_000;
    // The same place until a message stands there: so nothing is written twice.
    loop {
        attempt += 1_000;
        match log.append(group(last.0 + 1, attempt, vec![put("/c", "1"), put("/d", "1")])).await {
            Ok(end) => {
                last = end;
                break;
            }
            Err(AppendError::Refused(Refusal::Sequence)) => {
                last = Sequence(last.0 + 2);
                break;
            }
            Err(_) if log.reconnect().await.is_ok() => {}
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
        }
    }
    let (messages, end) = loop {
        match try_replay(&log, 1).await {
            // A replica may be behind, and a cluster that has just lost a server slow to answer.
            Ok((messages, end)) if end >= last => break (messages, end),
            Ok(_) | Err(LogError::Unavailable(_)) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(end, last);
    assert_eq!(messages.len(), 5);
    cluster.named(&leader).restart().await;
    append(&log, vec![put("/e", "1")]).await;
}
