//! The oracle: random programs run on jine and on etcd, which must give the same answers in every field.
//!
//! `JINE_SEED=n` starts with the program of that seed, `JINE_LONG=1` runs a million operations from a seed of its own. A program on which
//! the servers differ is made smaller and printed.

mod generate;
mod pair;
mod program;
mod rng;
mod shrink;
mod side;
mod watching;

use std::time::{Duration, Instant};

use bytes::Bytes;
use jine::pb::etcdserverpb::{LeaseGrantRequest, PutRequest, RangeRequest, WatchCreateRequest};

use pair::{Kind, Pair};
use program::Step;
use side::Outcome;

/// How much a run does: it ends with whichever comes first.
#[derive(Clone, Copy)]
struct Extent {
    operations: usize,
    time: Duration,
}

const SLICE: Extent = Extent { operations: 20_000, time: Duration::from_secs(35) };
const COMPARATOR: Extent = Extent { operations: 2_000, time: Duration::from_secs(10) };
const HASHES: Extent = Extent { operations: 4_000, time: Duration::from_secs(15) };
const HASHES_LONG: Extent = Extent { operations: 200_000, time: Duration::from_secs(1800) };
const LONG: Extent = Extent { operations: 1_000_000, time: Duration::from_secs(24 * 3600) };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jine_answers_as_etcd_does() {
    let seed = std::env::var("JINE_SEED").ok().and_then(|seed| seed.parse().ok());
    if std::env::var_os("JINE_LONG").is_some() {
        let since_epoch = std::time::UNIX_EPOCH.elapsed().unwrap();
        return run(Kind::Jine, seed.unwrap_or(since_epoch.as_secs() << 20), LONG, generate::program).await;
    }
    run(Kind::Jine, seed.unwrap_or(1), SLICE, generate::program).await;
}

/// Of all keys, at any revision, before and after compactions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jine_hashes_as_etcd_does() {
    let seed = std::env::var("JINE_SEED").ok().and_then(|seed| seed.parse().ok());
    let extent = if std::env::var_os("JINE_LONG").is_some() { HASHES_LONG } else { HASHES };
    run(Kind::Jine, seed.unwrap_or(1), extent, generate::hashing_program).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_answers_as_etcd_does() {
    run(Kind::Etcd, 1, COMPARATOR, generate::program).await;
}

async fn run(kind: Kind, first_seed: u64, extent: Extent, generate: impl Fn(u64) -> Vec<Step>) {
    let start = Instant::now();
    let mut pair = Pair::start(kind).await;
    let (mut operations, mut effects, mut seed) = (0, 0, first_seed);
    let mut counts = std::collections::BTreeMap::<String, usize>::new();
    while operations < extent.operations && start.elapsed() < extent.time {
        let program = generate(seed);
        let before = pair.revision();
        match pair.compare(&program).await {
            Ok(report) => {
                effects += usize::try_from(report.revision - before).unwrap();
                operations += program.len();
                for (step, outcome) in program.iter().zip(&report.outcomes) {
                    *counts.entry(cell(step, outcome)).or_default() += 1;
                }
            }
            Err(why) => pair::fail(kind, seed, program, &why).await,
        }
        seed += 1;
    }
    let rate = operations as f64 / start.elapsed().as_secs_f64();
    println!("seeds {first_seed}..{seed}: {operations} operations, {effects} revisions, no difference; {rate:.0}/s");
    counts.iter().for_each(|(cell, count)| println!("{count:8} {cell}"));
}

/// What a step asked and what came of it, for the table.
fn cell(step: &Step, outcome: &Outcome) -> String {
    let step = format!("{step:?}");
    let name = step.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    match outcome {
        Outcome::Answer(_) => format!("{name}: answered"),
        Outcome::Error(words) => format!("{name}: {words}"),
        Outcome::Skipped => format!("{name}: skipped"),
    }
}

/// Expiry takes seconds, so that random programs are without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_expires_is_told_as_etcd_does() {
    let short = |id| Step::Grant(LeaseGrantRequest { id, ttl: 1 });
    let put = |key: &'static str, lease| Step::Put(PutRequest { key: key.into(), lease, ..Default::default() });
    let all = || Bytes::from_static(b"\0");
    let watch = WatchCreateRequest { key: all(), range_end: all(), prev_kv: true, ..Default::default() };
    let program = [
        Step::Watch(0, watch),
        short(11),
        put("b", 11),
        put("a", 11),
        put("c", 11),
        put("c", 0),
        Step::AwaitExpiry,
        Step::Range(RangeRequest { key: all(), range_end: all(), ..Default::default() }),
        Step::Revoke(11),
        Step::KeepAlive(11),
        Step::TimeToLive(11, true),
    ];
    if let Err(difference) = Pair::start(Kind::Jine).await.compare(&program).await {
        panic!("{difference}");
    }
}
