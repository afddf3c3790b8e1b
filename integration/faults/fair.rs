//! Two jine on one bucket, of which one is much busier: the other's writes get their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::support::client::Client;
use crate::support::jine::{Jine, external};
use crate::support::nats::{NatsCluster, NatsServer};

const BUSY: usize = 64;
const QUIET: usize = 4;

/// Writes of one client: how long each took, and how many failed.
#[derive(Default)]
struct Writes {
    took: Vec<Duration>,
    failed: usize,
}

async fn write(client: Client, key: String, stop: Arc<AtomicBool>, enough: usize) -> Writes {
    let mut writes = Writes::default();
    while !stop.load(Ordering::SeqCst) && writes.took.len() + writes.failed < enough {
        let began = Instant::now();
        match client.put(key.clone(), "x".repeat(100)).await {
            Ok(_) => writes.took.push(began.elapsed()),
            Err(error) => {
                say!("{key}: {error}");
                writes.failed += 1;
            }
        }
    }
    writes
}

fn start(address: &str, name: &str, clients: usize, stop: &Arc<AtomicBool>, enough: usize) -> Vec<JoinHandle<Writes>> {
    let one = |i| tokio::spawn(write(Client::new(address), format!("/{name}/{i}"), stop.clone(), enough));
    (0..clients).map(one).collect()
}

async fn all(tasks: Vec<JoinHandle<Writes>>) -> Writes {
    let mut all = Writes::default();
    for task in tasks {
        let writes = task.await.unwrap();
        all.took.extend(writes.took);
        all.failed += writes.failed;
    }
    all.took.sort();
    all
}

impl Writes {
    fn tell(&self, who: &str, clients: usize, seconds: f64) {
        let at = |part: f64| self.took.get((self.took.len() as f64 * part) as usize).copied().unwrap_or_default();
        let (rate, failed) = (self.took.len() as f64 / seconds, self.failed);
        say!("{who}: {clients} clients, {rate:.0} writes/s, p50 {:?}, p99 {:?}, {failed} failed", at(0.5), at(0.99));
    }
}

async fn gets_its_turn(endpoint: &str) {
    let (mut one, mut two) = (Jine::start(external(endpoint)), Jine::start(external(endpoint)));
    let (busy, quiet) = (one.address(), two.address());
    let stop = Arc::new(AtomicBool::new(false));
    let began = Instant::now();
    let many = start(&busy, "busy", BUSY, &stop, usize::MAX);
    let few = all(start(&quiet, "quiet", QUIET, &stop, 100)).await;
    let seconds = began.elapsed().as_secs_f64();
    stop.store(true, Ordering::SeqCst);
    let many = all(many).await;
    many.tell("the busy one", BUSY, seconds);
    few.tell("the quiet one", QUIET, seconds);
    assert_eq!((many.failed, few.failed), (0, 0));
    // A client of the one gets less than one of the other, but not nothing.
    let each = |writes: &Writes, clients| writes.took.len() / clients;
    assert!(each(&few, QUIET) * 20 >= each(&many, BUSY), "{} and {}", each(&few, QUIET), each(&many, BUSY));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quieter_of_two_gets_its_turn() {
    gets_its_turn(&NatsServer::start().await.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quieter_of_two_gets_its_turn_where_the_server_syncs_always() {
    let server = NatsServer::start_with("jetstream { store_dir: \"{folder}/store\", sync_interval: always }\n").await;
    gets_its_turn(&server.url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_quieter_of_two_gets_its_turn_on_three_replicas() {
    let cluster = NatsCluster::start().await;
    gets_its_turn(&format!("{}?replicas=3", cluster.urls().join(","))).await;
}
