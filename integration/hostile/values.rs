//! Values as large as etcd takes them, whatever the server's limit for a message is.

use bytes::Bytes;

use crate::support::client::{Client, put_op};
use crate::support::jine::{Jine, embedded, external};
use crate::support::nats::NatsServer;

/// etcd's limit, less the key and what encodes the request.
const LARGEST: usize = 1536 * 1024 - 100;

fn value(length: usize) -> Bytes {
    (0..length as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

async fn holds(client: &Client, key: &'static str, value: &Bytes) {
    let found = client.get(key).await.unwrap().unwrap();
    assert!(found.value == value, "{key}: {} bytes", found.value.len());
}

async fn survive(mut start: impl FnMut() -> Jine) {
    let mut jine = start();
    let client = jine.client();
    let mut watch = client.watch(0).await.unwrap();
    let mut sizes = vec![1 << 20, LARGEST, 1_000_000, 1, LARGEST];
    for size in &sizes {
        client.put("/big", value(*size)).await.unwrap();
        holds(&client, "/big", &value(*size)).await;
        let event = watch.events(1).await.unwrap().remove(0);
        assert!(event.kv.unwrap().value == value(*size));
    }
    let (one, two) = (value(700_000), value(800_000));
    client.txn(vec![], vec![put_op("/one", one.clone()), put_op("/two", two.clone())]).await.unwrap();
    jine.stop("KILL");

    let mut jine = start();
    let client = jine.client();
    let last = sizes.pop().unwrap();
    holds(&client, "/big", &value(last)).await;
    holds(&client, "/one", &one).await;
    holds(&client, "/two", &two).await;
    // The history, too: revisions 2 to 5.
    for (size, revision) in sizes.iter().zip(2..) {
        let found = client.all_at(revision).await.unwrap().0;
        assert!(found[0].value == value(*size), "{revision}");
    }
    client.delete("/big").await.unwrap();
    assert_eq!(client.get("/big").await.unwrap(), None);
}

#[tokio::test]
async fn large_values_are_kept_by_the_own_server() {
    let data = tempfile::tempdir().unwrap();
    survive(|| Jine::start(embedded(data.path()))).await;
}

#[tokio::test]
async fn large_values_are_kept_by_a_server_that_takes_messages_of_a_megabyte() {
    let server = NatsServer::start().await;
    survive(|| Jine::start(external(&server.url()))).await;
}

#[tokio::test]
async fn large_values_are_kept_by_a_server_that_takes_only_small_messages() {
    let server = NatsServer::start_with("jetstream {}\nmax_payload: 128KB\n").await;
    survive(|| Jine::start(external(&server.url()))).await;
}
