//! A large store, and how long its restart takes.

use std::time::Instant;

use crate::support::client::{Client, put_op};
use crate::support::jine::{Jine, embedded};

const KEYS: usize = 100_000;
const VALUE: usize = 1024;

async fn fill(client: &Client) {
    let workers = (0..32).map(|worker| {
        let client = client.clone();
        tokio::spawn(async move {
            // 100 keys a transaction.
            for first in (worker * 100..KEYS).step_by(3200) {
                let puts =
                    (first..(first + 100).min(KEYS)).map(|i| put_op(format!("/key/{i:06}"), vec![i as u8; VALUE]));
                client.txn(vec![], puts.collect()).await.unwrap();
            }
        })
    });
    for worker in workers.collect::<Vec<_>>() {
        worker.await.unwrap();
    }
}

/// Prints the seconds from the start of the process to the first linearizable read.
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_keys_are_there_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let mut jine = Jine::start(embedded(data.path()));
    let client = jine.client();
    let began = Instant::now();
    fill(&client).await;
    say!("{KEYS} keys of {VALUE} bytes written in {:.1} s", began.elapsed().as_secs_f64());
    let revision = client.all().await.unwrap().1;
    for signal in ["TERM", "KILL"] {
        jine.stop(signal);
        let began = Instant::now();
        jine = Jine::start(embedded(data.path()));
        let client = jine.client();
        let first = client.get("/key/099999").await.unwrap().unwrap();
        say!("ready {:.1} s after a restart (SIG{signal})", began.elapsed().as_secs_f64());
        assert_eq!(first.value.len(), VALUE);
        let (kvs, after) = client.all().await.unwrap();
        assert_eq!((kvs.len(), after), (KEYS, revision));
    }
}
