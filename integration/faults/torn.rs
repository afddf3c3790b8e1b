//! Batches of which only a part is stored.

use serde_json::{Value, json};

use super::history;
use crate::support::client::{Client, put_op, until_ok};
use crate::support::jine::{Jine, external};
use crate::support::nats::NatsServer;

async fn last_sequence(server: &NatsServer) -> u64 {
    server.stream().await["state"]["last_seq"].as_u64().unwrap()
}

/// The stream's limit is met in the middle of a batch. What the server has stored of it stays, and the server finishes the batch at its
/// next start: a jine that has gone on meanwhile, and one that reads it all later, must agree that it never was.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_a_limit_cuts_is_void_also_when_it_is_finished_at_the_next_start() {
    let mut server = NatsServer::start().await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    client.put("/first", "1").await.unwrap();
    let used = server.stream().await["state"]["bytes"].as_u64().unwrap();
    server.edit(json!({"max_bytes": used + 100_000})).await;
    let before = last_sequence(&server).await;
    // Each fits alone, together they do not.
    let puts = (0..8).map(|i| put_op(format!("/torn/{i}"), vec![i; 20_000])).collect();
    let outcome = client.txn(vec![], puts).await;
    let stored = last_sequence(&server).await - before;
    println!("{stored} of 8 messages were stored; the client was told {outcome:?}");
    assert!(outcome.is_err());
    // Reads go on, and nothing of it is to be seen.
    let (kvs, revision) = until_ok("a read", || client.all()).await;
    assert_eq!((kvs.len(), revision), (1, 2));
    server.edit(json!({"max_bytes": -1})).await;
    until_ok("disarming", || client.disarm()).await;
    let second = until_ok("a write", || client.put("/second", "1")).await;
    let before = history(&client, 2).await;
    server.restart().await;
    until_ok("a read after the restart", || client.all()).await;
    until_ok("a write after the restart", || client.put("/third", "1")).await;
    let mut fresh = Jine::start(external(&server.url()));
    let fresh = fresh.client();
    let after = history(&fresh, 2).await;
    assert!(after == history(&client, 2).await);
    assert_eq!(after[..before.len()], before);
    assert_eq!(fresh.get("/second").await.unwrap().unwrap().mod_revision, second);
    assert!(fresh.get("/torn/0").await.unwrap().is_none() == (second == 3), "torn in part");
}

/// The same, but the server dies before anybody could put anything behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_a_limit_cuts_is_whole_or_absent_after_a_restart_at_once() {
    let mut server = NatsServer::start().await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    client.put("/first", "1").await.unwrap();
    let used = server.stream().await["state"]["bytes"].as_u64().unwrap();
    server.edit(json!({"max_bytes": used + 100_000})).await;
    // jine sleeps as soon as its batch is out.
    let sending = tokio::spawn(send(client.clone()));
    let before = last_sequence(&server).await;
    while last_sequence(&server).await == before && !sending.is_finished() {
        tokio::task::yield_now().await;
    }
    crate::support::kill(jine.pid(), "STOP");
    server.kill();
    server.restart().await;
    server.edit(json!({"max_bytes": -1})).await;
    let mut other = Jine::start(external(&server.url()));
    let other = other.client();
    // If jine found the bucket too full before it slept, there is an alarm.
    other.disarm().await.unwrap();
    other.put("/second", "1").await.unwrap();
    crate::support::kill(jine.pid(), "CONT");
    println!("the client was told {:?}", sending.await.unwrap());
    until_ok("a write", || client.put("/third", "1")).await;
    let torn = other.all().await.unwrap().0.iter().filter(|kv| kv.key.starts_with(b"/torn/")).count();
    println!("{torn} of 8 keys are there");
    assert!(torn == 0 || torn == 8, "{torn}");
    assert!(history(&other, 2).await == history(&client, 2).await);
}

async fn send(client: Client) -> Result<i64, tonic::Status> {
    let puts = (0..8).map(|i| put_op(format!("/torn/{i}"), vec![i; 20_000])).collect();
    Ok(client.txn(vec![], puts).await?.header.unwrap().revision)
}

/// Somebody removes the last messages; what was read stays, the places stay taken, and everybody goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_removed_tail_is_passed_while_running_and_stops_a_start_that_could_not_know() {
    let server = NatsServer::start().await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    for i in 0..5 {
        client.put("/a", format!("{i}")).await.unwrap();
    }
    // A fence record, which nobody misses, is the last: that of an outage.
    let jetstream = async_nats::jetstream::new(server.client().await);
    jetstream.publish("$KV.jine.noise", "x".into()).await.unwrap().await.unwrap();
    let last = last_sequence(&server).await;
    let answer = server.api("STREAM.MSG.DELETE.KV_jine", json!({"seq": last})).await;
    assert_eq!(answer["success"], Value::Bool(true));
    assert_eq!(client.get("/a").await.unwrap().unwrap().value, "4");
    assert_eq!(client.put("/b", "1").await.unwrap(), 7);

    let foreign = jetstream.publish("$KV.jine.noise", "x".into()).await.unwrap().await.unwrap().sequence;
    server.api("STREAM.MSG.DELETE.KV_jine", json!({"seq": foreign})).await;
    jine.stop("KILL");
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    assert_eq!(client.all().await.unwrap().1, 7);
    assert_eq!(client.put("/c", "1").await.unwrap(), 8);
    let before = history(&client, 2).await;
    let mut fresh = Jine::start(external(&server.url()));
    assert!(history(&fresh.client(), 2).await == before);
}

/// A message in the middle that somebody has removed is damage, and is told instead of served.
#[tokio::test]
async fn a_removed_message_in_the_middle_is_told() {
    let server = NatsServer::start().await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    for i in 0..5 {
        client.put("/a", format!("{i}")).await.unwrap();
    }
    jine.stop("TERM");
    server.api("STREAM.MSG.DELETE.KV_jine", json!({"seq": 3})).await;
    let (code, text) = crate::support::jine::finish(&mut external(&server.url()));
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("the log is damaged"), "{text}");
}
