//! Points 4 and 9: what is written to the log.

use async_nats::jetstream::message::StreamMessage;
use rand::RngExt;
use serde_json::json;

use super::Point;
use super::history::right;
use super::server::{Kind, Server, held, nats_server};

const KEY: &str = "/registry/pods/default/web-0";

/// kine writes that the key is to be deleted, and then that it is; either may be the last that it writes.
pub(super) async fn a_delete_is_one_revision_and_one_message(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    let revision = client.put("/k", "x").await.unwrap();
    let (.., before) = held(&nats).await;
    let deleted = client.delete_at("/k", revision).await.unwrap();
    let (.., after) = held(&nats).await;
    let (_, now) = client.all().await.unwrap();
    // What else jine may write is no entry: only the one may be for the key.
    let messages = after - before;
    let one = deleted == revision + 1 && now == deleted && messages == 1;
    right(one, || format!("the delete said revision {deleted}, the store is at {now}; it was {messages} messages"))
}

/// kine's are JSON with base64 in it.
pub(super) async fn a_value_may_have_a_million_bytes(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let mut value = vec![0; 1_000_000];
    rand::rng().fill(&mut value[..]);
    server.client().put(KEY, value.clone()).await.map_err(|status| status.message().to_owned())?;
    server.restart().await;
    let seen = server.client().get(KEY).await.unwrap().expect("the key");
    assert!(seen.value == value);
    Ok(())
}

/// kine's keys are base58, its values compressed JSON.
pub(super) async fn keys_and_values_can_be_read_with_nats(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    server.client().put(KEY, "apiVersion: v1").await.unwrap();
    let subjects = nats.api("STREAM.INFO.KV_jine", json!({"subjects_filter": ">"})).await;
    let all: Vec<_> = subjects["state"]["subjects"].as_object().unwrap().keys().cloned().collect();
    let jetstream = async_nats::jetstream::new(nats.client().await);
    let stream = jetstream.get_stream("KV_jine").await.unwrap();
    let message = stream.get_last_raw_message_by_subject("$KV.jine.registry.pods.default.web-0").await;
    let text = |message: StreamMessage| String::from_utf8_lossy(&message.payload).into_owned();
    match message.map(text) {
        Ok(value) => right(value == "apiVersion: v1", || format!("the value is {value}")),
        Err(error) => Err(format!("{error}; the subjects are {all:?}")),
    }
}
