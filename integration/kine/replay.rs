//! Points 1 and 7: what a restart forgets, and what it has no patience for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rand::RngExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::Point;
use super::history::{comes_true, right};
use super::server::{Kind, Server, nats_server};
use crate::support::client::until_ok;
use crate::support::nats::NatsServer;

/// kine keeps in memory what is to expire, and a new process has nothing in it.
pub(super) async fn keys_of_a_lease_go_after_a_restart(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    let lease = client.grant(4).await.unwrap();
    client.put_leased("/leased", "x", lease).await.unwrap();
    server.restart().await;
    let client = server.client();
    assert!(client.get("/leased").await.unwrap().is_some(), "the restart took longer than the lease");
    let gone = comes_true(|| async { client.get("/leased").await.unwrap().is_none() }).await;
    right(gone, || "a key of a lease of 4 s is still there 25 s after a restart".into())
}

/// kine gives its replay a minute, and ends.
pub(super) async fn a_replay_may_take_longer_than_a_minute(kind: Kind) -> Point {
    let nats = nats_server().await;
    let mut server = Server::start(kind, &nats).await;
    let client = server.client();
    for number in 0..40 {
        let mut value = vec![0; 50_000];
        rand::rng().fill(&mut value[..]);
        client.put(format!("/keys/{number}"), value).await.unwrap();
    }
    drop(server);
    let gate = Gate::before(&nats, 500_000).await;
    let mut slow = Server::begin(kind, &gate.url());
    let started = std::time::Instant::now();
    while started.elapsed() < Duration::from_secs(65) {
        if let Some(code) = slow.ended() {
            let seconds = started.elapsed().as_secs();
            let last = slow.log().lines().last().unwrap_or_default().to_owned();
            return Err(format!("it ended after {seconds} s of a replay, with {code}: {last}"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    gate.open();
    let client = slow.client();
    let (kvs, _) = until_ok("it has read all", || client.all()).await;
    assert_eq!(kvs.iter().filter(|kv| kv.key.starts_with(b"/keys/")).count(), 40);
    Ok(())
}

/// A way to a nats-server that lets so many bytes come back, and no more until it is opened.
struct Gate {
    port: u16,
    open: Arc<Notify>,
    left: Arc<AtomicUsize>,
}

impl Gate {
    async fn before(nats: &NatsServer, bytes: usize) -> Gate {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let target = nats.url().trim_start_matches("nats://").to_owned();
        let (open, left) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(bytes)));
        let shared = (open.clone(), left.clone());
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&target).await else { continue };
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                let (open, left) = shared.clone();
                tokio::spawn(pass(
                    near_read,
                    far_write,
                    Arc::new(Notify::new()),
                    Arc::new(AtomicUsize::new(usize::MAX)),
                ));
                tokio::spawn(pass(far_read, near_write, open, left));
            }
        });
        Gate { port, open, left }
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    fn open(&self) {
        self.left.store(usize::MAX, Ordering::SeqCst);
        self.open.notify_waiters();
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    open: Arc<Notify>,
    left: Arc<AtomicUsize>,
) {
    let mut some = vec![0; 4096];
    while let Ok(n @ 1..) = from.read(&mut some).await {
        let waits = open.notified();
        if left.load(Ordering::SeqCst) < n {
            waits.await;
        } else if left.load(Ordering::SeqCst) != usize::MAX {
            left.fetch_sub(n, Ordering::SeqCst);
        }
        if to.write_all(&some[..n]).await.is_err() {
            return;
        }
    }
}
