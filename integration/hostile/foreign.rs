//! Messages in the bucket that no jine wrote.

use super::on_external;
use crate::support::jine::{Jine, external, finish};
use crate::support::nats::NatsServer;

#[tokio::test]
async fn foreign_messages_between_writes_are_ignored_and_told() {
    let (server, mut jine, client) = on_external().await;
    let mut watch = client.watch(0).await.unwrap();
    server.foreign_put("registry.pods.default.web-0", "not mine").await;
    assert_eq!(client.put("/registry/pods/default/web-0", "mine").await.unwrap(), 2);
    // On the same key, on jine's own subjects, on what no key gives, and with what looks like jine's header.
    for key in
        ["registry.pods.default.web-0", "=jine.genesis", "=jine.claim", "=jine.checkpoint", "a", "==.x", "=long.1"]
    {
        server.foreign_put(key, "not mine").await;
        client.put("/other", key.to_owned()).await.unwrap();
    }
    let found = client.get("/registry/pods/default/web-0").await.unwrap().unwrap();
    assert_eq!((found.value.as_ref(), found.version), (b"mine".as_slice(), 1));
    assert_eq!(watch.events(8).await.unwrap().len(), 8);
    jine.wait_for("a message that no jine wrote is in the bucket; it is ignored");
    server.foreign_put("last", "not mine").await;
    let before = client.all().await.unwrap();
    assert_eq!(before.1, 9);
    jine.stop("KILL");

    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    assert_eq!(client.all().await.unwrap(), before);
    assert_eq!(client.put("/after", "v").await.unwrap(), 10);
}

/// Somebody deletes a key with `nats kv del`, or purges one with `nats kv purge`.
#[tokio::test]
async fn a_foreign_delete_deletes_nothing_and_a_foreign_purge_is_refused() {
    let (server, mut jine, client) = on_external().await;
    client.put("/a", "1").await.unwrap();
    let publisher = server.client().await;
    let headers = |value: &str| {
        async_nats::HeaderMap::from_iter([(
            async_nats::HeaderName::from_static("KV-Operation"),
            async_nats::HeaderValue::from(value),
        )])
    };
    let jetstream = async_nats::jetstream::new(publisher);
    jetstream.publish_with_headers("$KV.jine.a", headers("DEL"), "".into()).await.unwrap().await.unwrap();
    let mut purge = headers("PURGE");
    purge.insert("Nats-Rollup", "sub");
    assert!(jetstream.publish_with_headers("$KV.jine.a", purge, "".into()).await.unwrap().await.is_err());
    assert_eq!(client.get("/a").await.unwrap().unwrap().value, "1");
    jine.stop("KILL");
    let mut jine = Jine::start(external(&server.url()));
    assert_eq!(jine.client().get("/a").await.unwrap().unwrap().value, "1");
}

/// Headers of ours in a form that no jine writes: a copy of a message of the log, at another place, and broken ones.
#[tokio::test]
async fn forged_and_copied_records_do_not_count() {
    let (server, mut jine, client) = on_external().await;
    client.put("/a", "1").await.unwrap();
    client.put("/a", "2").await.unwrap();
    let jetstream = async_nats::jetstream::new(server.client().await);
    let stream = jetstream.get_stream("KV_jine").await.unwrap();
    let copied = stream.get_last_raw_message_by_subject("$KV.jine.a").await.unwrap();
    for _ in 0..3 {
        let (subject, payload) = (copied.subject.clone(), copied.payload.clone());
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Jine", copied.headers.get("Jine").unwrap().clone());
        jetstream.publish_with_headers(subject, headers, payload).await.unwrap().await.unwrap();
        client.put("/b", "x").await.unwrap();
    }
    assert_eq!(client.get("/a").await.unwrap().unwrap().version, 2);
    let before = client.all().await.unwrap();
    assert_eq!(before.1, 6);
    jine.stop("KILL");
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    assert_eq!(client.all().await.unwrap(), before);
    client.put("/c", "1").await.unwrap();
}

#[tokio::test]
async fn a_foreign_message_before_everything_makes_the_bucket_another_programs() {
    let (server, mut jine, client) = on_external().await;
    client.put("/a", "1").await.unwrap();
    jine.stop("TERM");
    let config = server.stream().await["config"].clone();
    server.api("STREAM.DELETE.KV_jine", serde_json::Value::Null).await;
    server.api("STREAM.CREATE.KV_jine", config).await;
    server.foreign_put("mine", "not jine's").await;
    let (code, text) = finish(&mut external(&server.url()));
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("it holds another program's messages; choose another bucket with ?bucket=NAME"), "{text}");
}

/// A jine of another log in the same bucket, as after a careless restore: the cluster id tells them apart.
#[tokio::test]
async fn a_server_that_is_full_of_foreign_messages_still_starts() {
    let server = NatsServer::start().await;
    let mut jine = Jine::start(external(&server.url()));
    jine.client().put("/a", "1").await.unwrap();
    jine.stop("TERM");
    let client = server.client().await;
    for i in 0..20_000 {
        client.publish(format!("$KV.jine.noise.{}", i % 500), "x".into()).await.unwrap();
    }
    client.flush().await.unwrap();
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    assert_eq!(client.all().await.unwrap().0.len(), 1);
    assert_eq!(client.put("/b", "1").await.unwrap(), 3);
    let lines = jine.log().lines().filter(|line| line.contains("no jine wrote")).count();
    assert!(lines <= 500, "{lines} lines about foreign messages");
}
