//! The server is kept running.

use std::path::Path;

use jine::nats_server::{NatsServer, Options};

use crate::support::bucket::Bucket;
use crate::support::jine::nats_server_pid;
use crate::support::{eventually, is_alive, kill, tool};

async fn server(data: &Path) -> NatsServer {
    let program = Some(tool("nats-server"));
    NatsServer::start(Options { data_dir: data.to_owned(), program, stream: "KV_jine".into() }).await.unwrap()
}

async fn connect(server: &NatsServer) -> async_nats::Client {
    let options = async_nats::ConnectOptions::new().nkey(server.nkey_seed().to_owned());
    options.connect(server.url()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_comes_back_at_the_same_place_with_what_it_had() {
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path()).await;
    Bucket::open(&server, "jine").await.put("a", "1").await;

    let mut up = server.up();
    let first = nats_server_pid(data.path()).unwrap();
    kill(first, "KILL");
    up.wait_for(|up| !up).await.unwrap();
    up.wait_for(|up| *up).await.unwrap();
    assert_ne!(nats_server_pid(data.path()), Some(first));

    assert_eq!(Bucket::open(&server, "jine").await.get("a").await, "1");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_it_ends_the_process() {
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path()).await;
    let pid = nats_server_pid(data.path()).unwrap();
    drop(server);
    tokio::task::spawn_blocking(move || eventually("the end of nats-server", || (!is_alive(pid)).then_some(())))
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_of_etcds_size_are_taken() {
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path()).await;
    let client = connect(&server).await;
    assert_eq!(client.server_info().max_payload, 8 << 20);
    assert!(client.server_info().jetstream);
    server.stop().await;
}
