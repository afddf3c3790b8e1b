//! Buckets and servers that jine cannot use. (Wrong credentials and a NATS without JetStream: see cli/external.)

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::on_external;
use crate::support::client::until;
use crate::support::jine::{Jine, external, finish};
use crate::support::nats::NatsServer;

fn kv() -> Value {
    json!({
        "name": "KV_jine", "subjects": ["$KV.jine.>"], "max_msgs_per_subject": 64, "discard": "new",
        "allow_rollup_hdrs": true, "deny_delete": true, "allow_direct": true,
    })
}

async fn refused(server: &NatsServer) -> String {
    let (code, text) = finish(&mut external(&server.url()));
    assert_eq!(code, 78, "{text}");
    text
}

#[tokio::test]
async fn another_programs_bucket_is_refused_and_left_as_it_is() {
    let server = NatsServer::start().await;
    server.api("STREAM.CREATE.KV_jine", kv()).await;
    server.foreign_put("config", "somebody's").await;
    let before = server.stream().await;
    let text = refused(&server).await;
    assert!(text.contains("the bucket jine cannot be used"), "{text}");
    let after = server.stream().await;
    assert_eq!((&after["config"], &after["state"]), (&before["config"], &before["state"]));
}

#[tokio::test]
async fn kines_bucket_is_refused_and_left_as_it_is() {
    let server = NatsServer::start().await;
    let mut config = kv();
    config["description"] = "Holds kine key/values".into();
    server.api("STREAM.CREATE.KV_jine", config).await;
    let before = server.stream().await;
    let text = refused(&server).await;
    assert!(text.contains("it is kine's") && text.contains("?bucket=NAME"), "{text}");
    assert_eq!(server.stream().await["config"], before["config"]);
}

#[tokio::test]
async fn settings_that_lose_data_are_refused_with_what_to_do_and_served_when_changed() {
    let (server, mut jine, client) = on_external().await;
    client.put("/a", "1").await.unwrap();
    jine.stop("TERM");
    for (bad, good) in [
        (json!({"max_age": 3_600_000_000_000i64}), json!({"max_age": 0})),
        (json!({"discard": "old"}), json!({"discard": "new"})),
        (json!({"max_msgs_per_subject": 1}), json!({"max_msgs_per_subject": 1_000_000_000})),
        (json!({"max_msgs": 1000}), json!({"max_msgs": -1})),
    ] {
        server.edit(bad.clone()).await;
        let text = refused(&server).await;
        assert!(text.contains("change it with `nats stream edit KV_jine"), "{bad}: {text}");
        server.edit(good).await;
        let mut jine = Jine::start(external(&server.url()));
        assert_eq!(jine.client().get("/a").await.unwrap().unwrap().value, "1");
    }
}

/// A setting that loses data, made while jine serves.
#[tokio::test]
async fn settings_that_lose_data_end_a_running_jine() {
    let (server, mut jine, client) = on_external().await;
    client.put("/a", "1").await.unwrap();
    server.edit(json!({"max_age": 3_600_000_000_000i64})).await;
    let code = jine.end();
    assert_eq!(code, Some(78), "{}", jine.log());
    assert!(jine.log().contains("nats stream edit KV_jine --max-age=0"), "{}", jine.log());
}

/// Whether it is gone for good NATS cannot tell for certain; and the next start would make an empty one.
#[tokio::test]
async fn a_stream_that_is_deleted_is_waited_for_and_told_and_not_made_anew() {
    let (server, mut jine, client) = on_external().await;
    client.put("/a", "1").await.unwrap();
    server.api("STREAM.DELETE.KV_jine", Value::Null).await;
    until("an end of the service", || async { client.put("/b", "1").await.is_err() }).await;
    // It has asked on a connection of its own by then.
    jine.wait_for("the stream does not exist");
    assert_eq!(server.stream().await["error"]["err_code"], 10059);
    assert_eq!(jine.ended(), None);
    // An empty one in its place is not taken for it, and nothing is written to it.
    server.api("STREAM.CREATE.KV_jine", kv()).await;
    assert_eq!(jine.end(), Some(78), "{}", jine.log());
    assert!(jine.log().contains("the stream was deleted and made anew"), "{}", jine.log());
    let stream = server.stream().await;
    assert_eq!((&stream["state"]["last_seq"], &stream["config"]["max_msgs_per_subject"]), (&json!(0), &json!(64)));
}

/// As on a machine whose disk was not mounted, or with another account's credentials.
#[tokio::test]
async fn a_bucket_that_must_exist_is_not_created() {
    let server = NatsServer::start().await;
    let existing = || {
        let mut command = external(&server.url());
        command.arg("--initial-cluster-state=existing");
        command
    };
    let mut jine = Jine::start(existing());
    jine.wait_for("the bucket jine does not exist");
    assert_eq!(server.stream().await["error"]["err_code"], 10059);
    let mut other = Jine::start(external(&server.url()));
    other.client().put("/a", "1").await.unwrap();
    assert_eq!(jine.client().get("/a").await.unwrap().unwrap().value, "1");
}

#[tokio::test]
async fn a_stream_that_is_deleted_and_made_anew_is_not_served_as_if_it_were_the_same() {
    let (server, mut jine, client) = on_external().await;
    client.put("/a", "1").await.unwrap();
    jine_is_stopped_while(&jine, async {
        server.api("STREAM.DELETE.KV_jine", Value::Null).await;
        let mut other = Jine::start(external(&server.url()));
        let client = other.client();
        for i in 0..10 {
            client.put("/other", format!("{i}")).await.unwrap();
        }
    })
    .await;
    until("an end of the service", || async { client.put("/b", "1").await.is_err() }).await;
    assert_eq!(jine.end(), Some(78), "{}", jine.log());
    assert!(jine.log().contains("the stream was deleted"), "{}", jine.log());
}

async fn jine_is_stopped_while(jine: &Jine, work: impl Future<Output = ()>) {
    crate::support::kill(jine.pid(), "STOP");
    work.await;
    crate::support::kill(jine.pid(), "CONT");
}

/// Says that it is a nats-server of that version.
fn old_server(version: &'static str) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut out = stream.try_clone().unwrap();
            let info = json!({"server_id": "x", "server_name": "x", "version": version, "max_payload": 1_048_576, "headers": true, "proto": 1, "jetstream": true});
            let _ = write!(out, "INFO {info}\r\n");
            for line in BufReader::new(stream).lines().map_while(Result::ok) {
                if line == "PING" {
                    let _ = out.write_all(b"PONG\r\n");
                }
            }
        }
    });
    format!("nats://{address}")
}

#[test]
fn an_old_nats_server_is_refused() {
    for version in ["2.10.29", "2.15.0", "no version"] {
        let (code, text) = finish(&mut external(&old_server(version)));
        assert_eq!(code, 78, "{text}");
        assert!(text.contains(&format!("nats-server {version} at ")), "{text}");
        assert!(text.contains("is too old: jine needs 2.15.1 or later"), "{text}");
    }
}

/// Something else than NATS listens there.
#[test]
fn what_is_no_nats_is_told() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        }
    });
    let mut jine = Jine::start(external(&format!("nats://{address}")));
    jine.wait_for("trying again until it works");
    assert_eq!(jine.stop("TERM"), Some(0));
}
