//! Everything at once, at random. `JINE_SEED=n` repeats one run, `JINE_SEEDS=n` makes so many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::fake::{Fault, Stream, Timing};
use super::history::History;
use super::support::*;
use crate::state::{LeaseId, Revision};
use crate::store::{Consistency, Error, Store, WatchOutput};

/// splitmix64.
#[derive(Clone)]
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let n = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        n ^ (n >> 31)
    }

    /// 0 to `n` - 1.
    fn below(&mut self, n: u64) -> u64 {
        self.roll() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn split(&mut self) -> Dice {
        Dice(self.roll())
    }
}

/// What clients were told.
#[derive(Default)]
struct Told {
    /// By the value that was written.
    writes: Mutex<HashMap<String, Result<i64, Error>>>,
    /// Until when a lease was promised to live.
    promises: Mutex<HashMap<i64, Instant>>,
    newest_acknowledged: AtomicI64,
}

impl Told {
    fn write(&self, value: String, result: Result<i64, Error>) {
        if let Ok(revision) = &result {
            self.newest_acknowledged.fetch_max(*revision, Ordering::Relaxed);
        }
        assert!(self.writes.lock().unwrap().insert(value, result).is_none());
    }

    fn promise(&self, lease: i64, until: Instant) {
        let mut promises = self.promises.lock().unwrap();
        let promised = promises.entry(lease).or_insert(until);
        *promised = (*promised).max(until);
    }
}

struct Client {
    name: String,
    store: Store,
    told: Arc<Told>,
    dice: Dice,
    lease: i64,
}

impl Client {
    async fn run(mut self, steps: u64) {
        for step in 0..steps {
            let value = format!("{}-{step}", self.name);
            match self.dice.below(12) {
                0..4 => self.put(value).await,
                4..7 => self.swap(value).await,
                7 => self.delete().await,
                8 => self.read().await,
                9 => self.lease(value).await,
                10 => self.keep_alive().await,
                // A full log is emptied some time.
                _ if self.dice.one_in(3) => lift_alarms(&self.store).await,
                _ if self.dice.one_in(4) => self.compact().await,
                _ => sleep(Duration::from_millis(self.dice.below(1500))).await,
            }
        }
    }

    fn key(&mut self) -> String {
        format!("k{}", self.dice.below(6))
    }

    async fn put(&mut self, value: String) {
        let key = self.key();
        let result = self.store.put(put_request(&key, &value)).await;
        self.told.write(value, result.map(|response| response.revision.0));
    }

    /// Reads a key's version and writes it and another key only if it is still that.
    async fn swap(&mut self, value: String) {
        let (key, other) = (self.key(), self.key());
        let range = range_request(crate::state::KeyRange::Single(bytes(&key)));
        let Ok(found) = self.store.range(range, Consistency::Serializable).await else { return };
        let version = found.kvs.first().map_or(0, |kv| kv.version);
        let second = format!("{value}b");
        let mut pairs = vec![(key.as_str(), value.as_str())];
        if other != key {
            pairs.push((&other, &second));
        }
        let txn = put_if_version(&key, version, &pairs);
        match self.store.txn(txn, Consistency::Linearizable).await {
            Ok(response) if response.succeeded => self.told.write(value, Ok(response.revision.0)),
            // Not executed, which is as definite as a refusal.
            Ok(_) => self.told.write(value, Err(Error::NoLeader)),
            Err(error) => self.told.write(value, Err(error)),
        }
    }

    async fn delete(&mut self) {
        let range = crate::state::KeyRange::Single(bytes(&self.key()));
        let _ = self.store.delete_range(crate::state::DeleteRangeRequest { range, prev_kv: false }).await;
    }

    async fn read(&mut self) {
        let at_least = self.told.newest_acknowledged.load(Ordering::Relaxed);
        let range = range_request(everything());
        if let Ok(response) = self.store.range(range, Consistency::Linearizable).await {
            let found = response.revision.0;
            assert!(found >= at_least, "{}: a read at {found} after a write at {at_least}", self.name);
        }
    }

    async fn lease(&mut self, value: String) {
        let began = Instant::now();
        // Not chosen by the store, so that a seed repeats a run.
        let id = LeaseId((self.dice.roll() >> 1 | 1) as i64);
        let Ok(granted) = self.store.lease_grant(id, 5 + self.dice.below(20) as i64).await else { return };
        self.lease = granted.id.0;
        self.told.promise(self.lease, began + Duration::from_secs(granted.ttl as u64));
        let request =
            crate::state::PutRequest { lease: granted.id, ..put_request(&format!("l{}", self.dice.below(4)), &value) };
        let result = self.store.put(request).await;
        self.told.write(value, result.map(|response| response.revision.0));
    }

    async fn keep_alive(&mut self) {
        let began = Instant::now();
        if let Ok(Some(ttl)) = self.store.lease_keep_alive(LeaseId(self.lease)).await {
            self.told.promise(self.lease, began + Duration::from_secs(ttl as u64));
        }
    }

    async fn compact(&mut self) {
        let revision = self.store.revision().0 - self.dice.below(8) as i64;
        let _ = self.store.compact(Revision(revision), false).await;
    }
}

/// Watches everything for ever, as an informer does: comes again where it was cut off, from where it was.
async fn lift_alarms(store: &Store) {
    for alarm in store.alarms_now().unwrap_or_default() {
        let _ = store.disarm(alarm).await;
    }
}

async fn watch(store: Store, seen: Arc<Mutex<Vec<i64>>>, mut dice: Dice) {
    let mut next = 2;
    loop {
        let stream = store.watch_stream();
        stream.create(watch_request(everything(), next));
        while let Some(output) = stream.next().await {
            match output {
                WatchOutput::Events { revision, events, .. } => {
                    assert!(revision.0 >= next, "revision {revision} again, after {}", next - 1);
                    assert!(events.iter().all(|event| event.kv.mod_revision == revision));
                    next = revision.0 + 1;
                    seen.lock().unwrap().push(revision.0);
                    if dice.one_in(40) {
                        sleep(Duration::from_millis(dice.below(3000))).await;
                    }
                }
                WatchOutput::Compacted { compact_revision, .. } => {
                    // What is between was compacted: negative, to be told from what was seen.
                    seen.lock().unwrap().push(-compact_revision.0);
                    next = next.max(compact_revision.0);
                    break;
                }
                WatchOutput::Created { .. } | WatchOutput::Progress { .. } => {}
                other => panic!("unexpected {other:?}"),
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Several,
    Replicated,
    Exclusive,
}

fn fate(dice: &mut Dice, kind: Kind, messages: usize) -> Fault {
    if !dice.one_in(6) {
        return Fault::NONE;
    }
    let fault = match dice.below(8) {
        0 => Fault::ack_lost(),
        1 => Fault::swallowed(),
        2 => Fault::late(),
        3 if messages > 1 => Fault::prefix(dice.below(messages as u64) as usize),
        4 => Fault::no_space(),
        5 => Fault::acknowledged_at(1_000_000 + dice.below(50)),
        _ if kind == Kind::Exclusive => Fault::ack_lost(),
        _ => Fault::foreign(1 + dice.below(2) as usize),
    };
    let fault = if dice.one_in(3) { fault.and_disconnect() } else { fault };
    if kind == Kind::Several && dice.one_in(10) { fault.and_unfenced() } else { fault }
}

/// The world around: connections break, stand still, servers start again, sockets give up what they held.
async fn weather(stream: Stream, nodes: Vec<Arc<super::fake::FakeLog>>, mut dice: Dice) {
    loop {
        sleep(Duration::from_millis(dice.below(1500))).await;
        let node = nodes[dice.below(nodes.len() as u64) as usize].clone();
        match dice.below(8) {
            0 => node.lose(),
            1 => node.gap(),
            2 => {
                node.refuse_reconnects(dice.below(30) as usize);
                node.lose();
            }
            3 => drop(stream.release_late(!dice.one_in(4))),
            4 => stream.finish_batches(),
            5 => {
                let pause = Duration::from_millis(dice.below(12_000));
                node.freeze(true);
                tokio::spawn(async move {
                    sleep(pause).await;
                    node.freeze(false);
                });
            }
            6 if dice.one_in(3) => {
                stream.set_full(true);
                sleep(Duration::from_millis(dice.below(4000))).await;
                stream.set_full(false);
            }
            _ => {}
        }
    }
}

async fn run(seed: u64, kind: Kind) {
    let mut dice = Dice(seed);
    let stream = match kind {
        Kind::Several => Stream::new(),
        Kind::Replicated => Stream::replicated(),
        Kind::Exclusive => Stream::exclusive(),
    };
    let stream = stream.with_limits(8, 5);
    let told = Arc::new(Told::default());
    let (mut nodes, mut seen) = (Vec::new(), Vec::new());
    let count = if kind == Kind::Exclusive { 1 } else { 2 + dice.below(2) };
    for n in 0..count {
        let node = open(&stream, 10 + n).await;
        let ms = |dice: &mut Dice| Duration::from_millis(dice.below(6));
        let timing = Timing {
            append: ms(&mut dice),
            batch: ms(&mut dice) * 4,
            read: ms(&mut dice),
            deliver: ms(&mut dice),
            ..Timing::default()
        };
        node.log.set_timing(timing);
        let mut fates = dice.split();
        node.log.set_chaos(move |messages| fate(&mut fates, kind, messages));
        seen.push(Arc::<Mutex<Vec<i64>>>::default());
        tokio::spawn(watch(node.store.clone(), seen[n as usize].clone(), dice.split()));
        nodes.push(node);
    }
    let weather = tokio::spawn(weather(stream.clone(), nodes.iter().map(|n| n.log.clone()).collect(), dice.split()));
    let mut clients = Vec::new();
    for (n, node) in nodes.iter().enumerate() {
        for c in 0..3 {
            let client = Client {
                name: format!("n{n}c{c}"),
                store: node.store.clone(),
                told: told.clone(),
                dice: dice.split(),
                lease: 0,
            };
            clients.push(tokio::spawn(client.run(60)));
        }
    }
    for client in clients {
        client.await.expect("a client's checks hold");
    }
    weather.abort();
    if std::env::var("JINE_DUMP").is_ok() {
        for (message, stored) in stream.archive() {
            eprintln!("{stored:?} {message:?}");
        }
    }
    stream.set_full(false);
    for node in &nodes {
        node.log.end_chaos();
        node.log.refuse_reconnects(0);
        node.log.freeze(false);
        assert!(!node.ended.is_finished(), "a store has ended: {:?}", node.store.unavailable());
    }
    // All leases run out, all settle.
    sleep(Duration::from_secs(200)).await;
    stream.release_late(true);
    stream.finish_batches();
    check(&stream, &nodes, &told, &seen).await;
}

async fn check(stream: &Stream, nodes: &[Node], told: &Told, seen: &[Arc<Mutex<Vec<i64>>>]) {
    for node in nodes {
        lift_alarms(&node.store).await;
    }
    for (n, node) in nodes.iter().enumerate() {
        let put = node.put("end", &format!("end {n}")).await;
        assert!(put.is_ok(), "it serves again: {put:?}, {:?}", node.store.unavailable());
    }
    let fresh = open(stream, 99).await;
    let all = fresh.all().await.unwrap();
    for node in nodes {
        assert_eq!(node.all().await.unwrap(), all);
        assert_eq!(node.fingerprint(), fresh.fingerprint());
        assert_eq!(node.revision(), fresh.revision());
        assert_eq!(node.store.leases().await.unwrap(), []);
    }
    let history = History::of(stream);
    assert_eq!(history.state.revision().0, fresh.revision());
    assert_eq!(history.state.fingerprint(), fresh.fingerprint());
    for (value, result) in told.writes.lock().unwrap().iter() {
        let written = history.puts.get(value.as_bytes()).cloned().unwrap_or_default();
        match result {
            Ok(revision) => assert_eq!(written, [*revision], "{value}"),
            Err(Error::TimedOut) => assert!(written.len() <= 1, "{value}"),
            Err(error) => assert!(written.is_empty(), "{value} was answered with {error} and is in the log"),
        }
    }
    for (lease, until) in told.promises.lock().unwrap().iter() {
        for revoked in history.revoked.get(&LeaseId(*lease)).into_iter().flatten() {
            let early = until.saturating_duration_since(*revoked);
            assert!(early.is_zero(), "lease {lease} was expired {early:?} before its time");
        }
    }
    // Watchers dawdle.
    sleep(Duration::from_secs(300)).await;
    for seen in seen {
        check_seen(&seen.lock().unwrap(), &history);
    }
}

/// Every revision exactly once and in order, but for what was compacted before the watcher got there.
fn check_seen(seen: &[i64], history: &History) {
    let mut next = 2;
    for revision in seen {
        if *revision < 0 {
            next = next.max(-revision);
            continue;
        }
        assert_eq!(*revision, next, "a watcher missed a revision");
        next += 1;
    }
    assert_eq!(Some(&(next - 1)), history.entries.keys().last(), "a watcher has not got the end");
}

/// On a runtime of its own: time begins anew, and nothing of one run reaches into the next.
fn run_seed(seed: u64, kind: Kind) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(run(seed, kind))));
    if let Err(panic) = outcome {
        eprintln!("{kind:?}: to repeat, run with JINE_SEED={seed}");
        std::panic::resume_unwind(panic);
    }
}

fn run_seeds(kind: Kind) {
    let _ = tracing_subscriber::fmt()
        .with_env_filter(tracing_subscriber::EnvFilter::from_env("JINE_LOG"))
        .with_test_writer()
        .try_init();
    let number = |name| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
    let seeds = match number("JINE_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("JINE_SEEDS").unwrap_or(12),
    };
    seeds.for_each(|seed| run_seed(seed, kind));
}

#[test]
fn several_jine_on_one_replica_agree_whatever_happens() {
    run_seeds(Kind::Several);
}

#[test]
fn several_jine_on_three_replicas_agree_whatever_happens() {
    run_seeds(Kind::Replicated);
}

#[test]
fn one_jine_alone_loses_nothing_whatever_happens() {
    run_seeds(Kind::Exclusive);
}
