//! The server is kept running.

use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use jine::nats_server::{NatsServer, Options};

use crate::support::bucket::{Bucket, url};
use crate::support::jine::nats_server_pid;
use crate::support::{eventually, is_alive, kill, tool};

async fn server(data: &Path) -> NatsServer {
    start(data, tool("nats-server")).await
}

async fn start(data: &Path, program: PathBuf) -> NatsServer {
    let program = Some(program);
    NatsServer::start(Options { data_dir: data.to_owned(), program, stream: "KV_jine".into() }).await.unwrap()
}

async fn connect(server: &NatsServer) -> async_nats::Client {
    let options = async_nats::ConnectOptions::new().nkey(server.nkey_seed().to_owned());
    options.connect(url(server)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_comes_back_at_the_same_place_with_what_it_had() {
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path()).await;
    Bucket::open(&server, "jine").await.put("a", "1").await;

    let mut up = server.up();
    let first = nats_server_pid(data.path()).unwrap();
    kill(first, "KILL");
    up.wait_for(Option::is_none).await.unwrap();
    up.wait_for(Option::is_some).await.unwrap();
    assert_ne!(nats_server_pid(data.path()), Some(first));

    assert_eq!(Bucket::open(&server, "jine").await.get("a").await, "1");
    server.stop().await;
}

/// The port is chosen at random, so anybody's may be the same while the server is down.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_port_is_taken_meanwhile_gets_another() {
    let data = tempfile::tempdir().unwrap();
    let program = data.path().join("nats-server");
    symlink(tool("nats-server"), &program).unwrap();
    let server = start(data.path(), program.clone()).await;
    Bucket::open(&server, "jine").await.put("a", "1").await;

    // It cannot come back before the port is taken.
    std::fs::remove_file(&program).unwrap();
    let (mut up, before) = (server.up(), url(&server));
    kill(nats_server_pid(data.path()).unwrap(), "KILL");
    up.wait_for(Option::is_none).await.unwrap();
    let _taken = TcpListener::bind(before.strip_prefix("nats://").unwrap()).unwrap();
    symlink(tool("nats-server"), &program).unwrap();
    up.wait_for(Option::is_some).await.unwrap();
    assert_ne!(url(&server), before);
    assert_eq!(Bucket::open(&server, "jine").await.get("a").await, "1");
    // The access for people goes along.
    let context = std::fs::read_to_string(data.path().join("reader/nats/context/jine.json")).unwrap();
    assert!(context.contains(&url(&server)), "{context}");
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
