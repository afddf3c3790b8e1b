use async_nats::Client;
use jine::jetstream::{Options, open};
use jine::state::Sequence;
use jine::store::log::{Log, LogError, Record};
use serde_json::{Value, json};

use super::{append, open_error, open_on, options, put};
use crate::support::nats::NatsServer;

async fn api(client: &Client, what: &str, body: Value) -> Value {
    let answer = client.request(format!("$JS.API.{what}.KV_jine"), body.to_string().into()).await.expect("an answer");
    let answer: Value = serde_json::from_slice(&answer.payload).expect("json");
    assert_eq!(answer.get("error"), None, "{what}");
    answer
}

/// As `nats kv add` makes it, with some settings changed.
fn kv(changes: Value) -> Value {
    let mut config = json!({
        "name": "KV_jine", "subjects": ["$KV.jine.>"], "storage": "file", "retention": "limits", "discard": "new",
        "max_msgs_per_subject": 1, "num_replicas": 1, "allow_direct": true, "allow_rollup_hdrs": true, "deny_delete": true,
        "max_msgs": -1, "max_bytes": -1, "max_msg_size": -1, "max_consumers": -1
    });
    for (name, value) in changes.as_object().expect("an object") {
        config[name] = value.clone();
    }
    config
}

fn fatal(error: &LogError) -> &str {
    match error {
        LogError::Fatal(why) => why,
        other => panic!("{other:?} is not fatal"),
    }
}

#[tokio::test]
async fn a_new_bucket_is_made_as_the_format_says() {
    let server = NatsServer::start().await;
    let log = open_on(&server).await;
    let config = api(&server.client().await, "STREAM.INFO", json!({})).await["config"].clone();
    for (name, value) in [
        ("subjects", json!(["$KV.jine.>"])),
        ("retention", json!("limits")),
        ("storage", json!("file")),
        ("discard", json!("new")),
        ("max_age", json!(0)),
        ("max_msgs", json!(-1)),
        ("max_msgs_per_subject", json!(1_000_000_000)),
        ("allow_atomic", json!(true)),
        ("allow_direct", json!(true)),
        ("allow_rollup_hdrs", json!(false)),
        ("deny_delete", json!(false)),
        ("deny_purge", json!(false)),
    ] {
        assert_eq!(config[name], value, "{name}");
    }
    let genesis = log.get(Sequence(1)).await.expect("an answer").expect("a message");
    let Record::Genesis(genesis) = super::record_of(&genesis) else { panic!("{genesis:?}") };
    assert_eq!(genesis.format, 1);
}

#[tokio::test]
async fn an_empty_bucket_made_by_hand_is_mended() {
    let server = NatsServer::start().await;
    let client = server.client().await;
    api(&client, "STREAM.CREATE", kv(json!({"max_age": 3_600_000_000_000i64, "duplicate_window": 1_000_000_000})))
        .await;
    let log = open_on(&server).await;
    append(&log, vec![put("/a", "1"), put("/a", "2"), put("/a", "3")]).await;
    let info = api(&client, "STREAM.INFO", json!({})).await;
    assert_eq!(info["state"]["messages"], 4);
    assert_eq!(info["config"]["allow_atomic"], true);
    assert_eq!(info["config"]["allow_rollup_hdrs"], false);
    assert_eq!(info["config"]["max_age"], 0);
}

#[tokio::test]
async fn a_bucket_that_would_lose_messages_is_refused_with_what_to_do() {
    let server = NatsServer::start().await;
    let client = server.client().await;
    for (changes, words) in [
        (json!({"storage": "memory"}), "in memory"),
        (json!({"retention": "interest"}), "retention"),
        (json!({"subjects": ["$KV.jine.>", "other"]}), "subjects"),
        (json!({"allow_msg_ttl": true}), "expire"),
        (json!({"deny_purge": true, "allow_rollup_hdrs": false}), "denies purges"),
    ] {
        api(&client, "STREAM.CREATE", kv(changes)).await;
        let error = open_error(options(&server)).await;
        assert!(fatal(&error).contains(words), "{error}");
        assert!(fatal(&error).contains("bucket jine"), "{error}");
        api(&client, "STREAM.DELETE", json!({})).await;
    }
}

#[tokio::test]
async fn a_limit_set_later_is_refused_with_the_command_that_lifts_it() {
    let server = NatsServer::start().await;
    let client = server.client().await;
    let log = open_on(&server).await;
    append(&log, vec![put("/a", "1")]).await;
    let config = api(&client, "STREAM.INFO", json!({})).await["config"].clone();
    for (name, value, words) in [
        ("max_age", json!(3_600_000_000_000i64), "--max-age=0"),
        ("max_msgs", json!(1_000_000), "--max-msgs=-1"),
        ("discard", json!("old"), "--discard=new"),
        ("max_msgs_per_subject", json!(10), "--max-msgs-per-subject=1000000000"),
    ] {
        let mut changed = config.clone();
        changed[name] = value;
        api(&client, "STREAM.UPDATE", changed).await;
        let error = open_error(options(&server)).await;
        assert!(fatal(&error).contains(words), "{error}");
        api(&client, "STREAM.UPDATE", config.clone()).await;
    }
    let mut atomic_off = config.clone();
    atomic_off["allow_atomic"] = json!(false);
    api(&client, "STREAM.UPDATE", atomic_off).await;
    let log = open_on(&server).await;
    append(&log, vec![put("/b", "1"), put("/c", "1")]).await;
}

#[tokio::test]
async fn other_programs_buckets_are_refused() {
    let server = NatsServer::start().await;
    let client = server.client().await;
    api(&client, "STREAM.CREATE", kv(json!({"description": "Holds kine key/values", "max_msgs_per_subject": 10})))
        .await;
    let error = open_error(options(&server)).await;
    assert!(fatal(&error).contains("it is kine's"), "{error}");
    api(&client, "STREAM.DELETE", json!({})).await;

    api(&client, "STREAM.CREATE", kv(json!({"max_msgs_per_subject": 1_000_000_000}))).await;
    client.request("$KV.jine.a.key", "value".into()).await.expect("stored");
    let error = open_error(options(&server)).await;
    assert!(fatal(&error).contains("another program's messages"), "{error}");

    api(&client, "STREAM.PURGE", json!({})).await;
    let error = open_error(options(&server)).await;
    assert!(fatal(&error).contains("no beginning"), "{error}");
}

#[tokio::test]
async fn a_newer_format_is_refused() {
    let server = NatsServer::start().await;
    let client = server.client().await;
    for (header, payload) in [
        ("2 genesis id=1-1 log=1 n=0 at=1", "format=2\ncluster=1\nrevision=1\ncompacted=0\n"),
        ("1 genesis id=1-1 log=1 n=0 at=1", "format=2\ncluster=1\nrevision=1\ncompacted=0\n"),
        ("1 genesis id=1-1 log=1 n=0 at=1", "format=1\ncluster=1\nrevision=1\ncompacted=0\nnew=1\n"),
    ] {
        api(&client, "STREAM.CREATE", kv(json!({"max_msgs_per_subject": 1_000_000_000}))).await;
        let mut headers = async_nats::HeaderMap::new();
        headers.insert("Jine", header);
        let stored = client.request_with_headers("$KV.jine.=jine.genesis", headers, payload.into()).await;
        stored.expect("stored");
        let error = open_error(options(&server)).await;
        assert!(fatal(&error).contains("use a newer jine"), "{error}");
        api(&client, "STREAM.DELETE", json!({})).await;
    }
}

#[tokio::test]
async fn a_bucket_needs_a_name_that_kv_clients_take() {
    let server = NatsServer::start().await;
    for bucket in ["", "a.b", "a b", "*", ">"] {
        let error = open_error(Options { bucket: bucket.into(), ..options(&server) }).await;
        assert!(fatal(&error).contains("bucket's name"), "{error}");
    }
    let log = open(Options { bucket: "Other-1_x".into(), ..options(&server) }).await.expect("it opens");
    append(&log, vec![put("/a", "1")]).await;
}
