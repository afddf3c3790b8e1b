//! Foreign messages between plan and append.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Tally, assert_counted, history, keep_incrementing};
use crate::support::client::{Client, until};
use crate::support::jine::{Jine, external};
use crate::support::nats::NatsServer;

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_that_hammers_the_stream_costs_no_write() {
    let server = NatsServer::start().await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let hammer = tokio::spawn(hammer(server.client().await, stop.clone(), sent.clone()));
    let counters = (0..8)
        .map(|_| tokio::spawn(keep_incrementing(Client::clone(&client), "/counter", |tally| tally.acknowledged >= 25)));
    let mut total = Tally::default();
    for counter in counters.collect::<Vec<_>>() {
        total += counter.await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    hammer.await.unwrap();
    println!("{total:?} between {} foreign messages", sent.load(Ordering::Relaxed));
    assert_eq!(total.unknown, 0);
    assert_counted(&client, "/counter", total).await;
    let before = history(&client, 2).await;
    jine.stop("KILL");
    let mut jine = Jine::start(external(&server.url()));
    assert!(history(&jine.client(), 2).await == before);
}

/// Publishes one message after the other, each acknowledged: about as often as jine's own appends.
async fn hammer(client: async_nats::Client, stop: Arc<AtomicBool>, sent: Arc<AtomicU64>) {
    let jetstream = async_nats::jetstream::new(client);
    while !stop.load(Ordering::Relaxed) {
        let subject = format!("$KV.jine.noise.{}", sent.fetch_add(1, Ordering::Relaxed) % 10);
        jetstream.publish(subject, "x".into()).await.unwrap().await.unwrap();
    }
}

/// Batches, too: transactions of several keys are whole or absent at every revision.
#[tokio::test(flavor = "multi_thread")]
async fn transactions_stay_whole_between_foreign_messages() {
    let server = NatsServer::start().await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    let (stop, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let hammer = tokio::spawn(hammer(server.client().await, stop.clone(), sent.clone()));
    until("foreign messages", || async { sent.load(Ordering::Relaxed) > 10 }).await;
    for round in 0..60 {
        let puts = ["/a", "/b", "/c"].map(|key| crate::support::client::put_op(key, format!("{round}")));
        client.txn(vec![], puts.to_vec()).await.unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    hammer.await.unwrap();
    let states = history(&client, 2).await;
    assert_eq!(states.len(), 60);
    for (round, state) in states.iter().enumerate() {
        assert!(state.len() == 3 && state.iter().all(|kv| kv.value == round.to_string()), "{round}: {state:?}");
    }
    jine.stop("KILL");
    let mut jine = Jine::start(external(&server.url()));
    assert!(history(&jine.client(), 2).await == states);
}
