//! What only real nats-servers can show about the rules of the log (`src/store/reader.rs`).
//!
//! Elsewhere: a second jine on one directory is refused (nats_server/ownership), half a batch is no refusal (jetstream/append).

/// Figures are for the reader of a run that passed too; `println!` would be kept from him.
macro_rules! say {
    ($($text:tt)*) => { std::io::Write::write_fmt(&mut std::io::stdout(), format_args!("{}\n", format_args!($($text)*))).expect("an open stdout") };
}

mod account;
mod atomic;
mod away;
mod big;
mod both;
mod compaction;
mod cut;
mod disturbed;
mod fair;
mod foreign;
mod inside;
mod kills;
mod late;
mod load;
mod peers;
mod power;
mod torn;

use bytes::Bytes;
use jine::pb::etcdserverpb::HashKvResponse;
use jine::pb::mvccpb::KeyValue;

use crate::support::client::{Client, put_op, written_at};

/// Everything that can be read: each revision from `from` on, as a full range; what two jine must agree on.
async fn history(client: &Client, from: i64) -> Vec<Vec<KeyValue>> {
    let (now, last) = client.all().await.unwrap();
    let mut states = Vec::new();
    for revision in from..last {
        states.push(client.all_at(revision).await.unwrap().0);
    }
    states.push(now);
    states
}

/// What must be the same after a restart without a write.
fn hash_of(response: &HashKvResponse) -> (u32, i64, i64) {
    (response.hash, response.hash_revision, response.compact_revision)
}

/// Adds one to a counter by compare-and-swap. `Ok(false)`: somebody else was quicker. An error: it may have happened or not.
async fn increment(client: &Client, key: &'static str) -> Result<bool, tonic::Status> {
    let (value, revision) = match client.get(key).await? {
        Some(kv) => (number(&kv.value), kv.mod_revision),
        None => (0, 0),
    };
    let put = put_op(key, (value + 1).to_string());
    Ok(client.txn(vec![written_at(key, revision)], vec![put]).await?.succeeded)
}

fn number(value: &Bytes) -> u64 {
    std::str::from_utf8(value).unwrap().parse().unwrap()
}

/// What somebody did to a counter as far as he knows.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    acknowledged: u64,
    unknown: u64,
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.acknowledged += other.acknowledged;
        self.unknown += other.unknown;
    }
}

/// Increments until `enough` says so; errors are counted and followed by another attempt.
async fn keep_incrementing(client: Client, key: &'static str, enough: impl Fn(Tally) -> bool) -> Tally {
    let mut tally = Tally::default();
    while !enough(tally) {
        match increment(&client, key).await {
            Ok(true) => tally.acknowledged += 1,
            Ok(false) => {}
            Err(_) => {
                tally.unknown += 1;
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        }
    }
    tally
}

async fn assert_counted(client: &Client, key: &'static str, tally: Tally) {
    let kv = client.get(key).await.unwrap().unwrap();
    let counted = number(&kv.value);
    let possible = tally.acknowledged..=tally.acknowledged + tally.unknown;
    assert!(possible.contains(&counted), "{key}: {counted}, {tally:?}");
    // One version for each increment: none was executed twice.
    assert_eq!(kv.version as u64, counted);
}
