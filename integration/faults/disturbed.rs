//! Somebody changes the stream while clients write to it all the time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::task::JoinHandle;

use super::{Tally, assert_counted, keep_incrementing};
use crate::support::client::{Client, until};
use crate::support::jine::{Jine, external, finish};
use crate::support::nats::NatsServer;

/// Several clients that write without a pause.
struct Writers {
    stop: Arc<AtomicBool>,
    running: Vec<JoinHandle<Tally>>,
}

impl Writers {
    /// Returns when they are at it.
    async fn start(client: &Client) -> Writers {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = |_| {
            let (client, stop) = (Client::clone(client), stop.clone());
            tokio::spawn(keep_incrementing(client, "/counter", move |_| stop.load(Ordering::Relaxed)))
        };
        let running = (0..8).map(writer).collect();
        more_writes(client).await;
        Writers { stop, running }
    }

    async fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut total = Tally::default();
        for writer in self.running {
            total += writer.await.unwrap();
        }
        total
    }
}

async fn version(client: &Client) -> i64 {
    client.get("/counter").await.ok().flatten().map_or(0, |kv| kv.version)
}

async fn more_writes(client: &Client) {
    let before = version(client).await;
    until("more writes", || async { version(client).await > before + 20 }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_harmless_change_is_looked_at_and_costs_no_write() {
    let server = NatsServer::start().await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    let writers = Writers::start(&client).await;
    for description in ["one", "another", "a third"] {
        server.edit(json!({ "description": description })).await;
        more_writes(&client).await;
    }
    let total = writers.stop().await;
    assert_eq!(jine.log().matches("the stream was updated").count(), 3, "{}", jine.log());
    assert_eq!(total.unknown, 0);
    assert_counted(&client, "/counter", total).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_loses_data_ends_it_and_what_was_acknowledged_is_there() {
    let server = NatsServer::start().await;
    let mut jine = Jine::start(external(&server.url()));
    let client = jine.client();
    let writers = Writers::start(&client).await;
    server.edit(json!({ "max_age": 3_600_000_000_000i64 })).await;
    assert_eq!(jine.end(), Some(78), "{}", jine.log());
    assert!(jine.log().contains("nats stream edit KV_jine --max-age=0"), "{}", jine.log());
    let total = writers.stop().await;
    server.edit(json!({ "max_age": 0 })).await;
    assert_counted(&Jine::start(external(&server.url())).client(), "/counter", total).await;
}

/// No message tells of a purge. What was read is served on; it can only not be read again.
#[tokio::test(flavor = "multi_thread")]
async fn a_purge_is_told_and_loses_nothing_before_the_log_is_read_again() {
    let server = NatsServer::start().await;
    let mut command = external(&server.url());
    // With a quota it looks at the stream all the time.
    command.args(["--quota-backend-bytes", "1GiB"]);
    let mut jine = Jine::start(command);
    let client = jine.client();
    let writers = Writers::start(&client).await;
    let purged = server.api("STREAM.PURGE.KV_jine", json!({})).await;
    assert_eq!(purged["success"], true, "{purged}");
    more_writes(&client).await;
    jine.wait_for("the beginning of the stream was removed");
    let total = writers.stop().await;
    assert_eq!(total.unknown, 0);
    assert_counted(&client, "/counter", total).await;
    assert_eq!(jine.stop("TERM"), Some(0));
    let (code, text) = finish(&mut external(&server.url()));
    assert_eq!(code, 78, "{text}");
    assert!(text.contains("its first message was removed"), "{text}");
}
