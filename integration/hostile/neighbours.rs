//! One client that asks for as much as it may, among others that ask for little.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

use crate::support::client::{Client, put_op};
use crate::support::jine::{Jine, embedded, external};
use crate::support::nats::NatsServer;

/// What etcd takes by default.
const MAX_REQUEST: usize = 3 << 19;
const MAX_OPS: usize = 128;

const SMALL: usize = 63;

/// The largest value, the largest transactions of many and of large puts, and what is beyond them, until told to stop. Returns how many were taken and
/// how many refused.
async fn greedy(client: Client, stop: Arc<AtomicBool>) -> (usize, usize) {
    let (mut taken, mut refused) = (0, 0);
    for round in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let puts = |count: usize, size: usize| {
            (0..count).map(|i| put_op(format!("/greedy/{i}/{}", "k".repeat(500)), vec![round as u8; size])).collect()
        };
        let result = match round % 5 {
            0 => client.put("/greedy", vec![0; MAX_REQUEST - 1000]).await.map(drop),
            1 => client.txn(vec![], puts(MAX_OPS, 10_000)).await.map(drop),
            2 => client.txn(vec![], puts(3, 500_000)).await.map(drop),
            3 => client.put("/greedy", vec![0; MAX_REQUEST + 1]).await.map(drop),
            _ => client.txn(vec![], puts(MAX_OPS + 1, 1)).await.map(drop),
        };
        match result {
            Ok(()) => taken += 1,
            Err(_) => refused += 1,
        }
    }
    (taken, refused)
}

/// Each of its writes must be taken.
async fn modest(client: Client, name: usize) {
    for i in 0..60 {
        client
            .put(format!("/small/{name}"), format!("{i}"))
            .await
            .unwrap_or_else(|error| panic!("{name}, {i}: {error}"));
    }
}

async fn nobody_suffers(jine: &mut Jine) {
    let address = jine.address();
    let stop = Arc::new(AtomicBool::new(false));
    let greedy = tokio::spawn(greedy(Client::new(&address), stop.clone()));
    let small: Vec<JoinHandle<()>> = (0..SMALL).map(|i| tokio::spawn(modest(Client::new(&address), i))).collect();
    for client in small {
        client.await.unwrap();
    }
    stop.store(true, Ordering::SeqCst);
    let (taken, refused) = greedy.await.unwrap();
    assert!(taken > 2 && refused > 1, "{taken} large ones were taken and {refused} refused");
    println!("{taken} large requests taken, {refused} refused, no small one");
}

#[tokio::test(flavor = "multi_thread")]
async fn small_writes_do_not_suffer_from_large_ones_on_an_own_server() {
    let data = tempfile::tempdir().unwrap();
    nobody_suffers(&mut Jine::start(embedded(data.path()))).await;
}

/// Here messages have at most 1 MiB, so that large values travel in pieces.
#[tokio::test(flavor = "multi_thread")]
async fn small_writes_do_not_suffer_from_large_ones_on_an_external_server() {
    let server = NatsServer::start().await;
    nobody_suffers(&mut Jine::start(external(&server.url()))).await;
}
