//! One round of one scenario on one target.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::background::{self, Progress};
use crate::drive::{Meter, Shared, Work, drive, shared};
use crate::expiry;
use crate::fanout::Fanout;
use crate::leases::{Grants, KeepAlives, Leases};
use crate::mix::{self, Mix};
use crate::pb;
use crate::process;
use crate::raw::Raw;
use crate::scenario::{Load, Scenario};
use crate::server::Server;
use crate::stored::{Gets, Lists, Rewrites, Store, Stored, Until};
use crate::targets::Kind;
use crate::writes::Writes;

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Round {
    pub scenario: String,
    pub target: String,
    pub round: usize,
    pub seconds: f64,
    pub units: u64,
    /// Microseconds.
    pub p50: u32,
    pub p99: u32,
    pub p999: u32,
    /// Of all server processes.
    pub cpu_seconds: f64,
    /// Of the load generator, which shares the machine.
    #[serde(default)]
    pub generator_seconds: f64,
    pub rss_bytes: u64,
    pub peak_rss_bytes: u64,
    pub disk_bytes: u64,
    /// What only some scenarios have.
    #[serde(default)]
    pub more: BTreeMap<String, f64>,
}

/// How long a round warms up and is measured.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub warm: Duration,
    pub measured: Duration,
}

/// What is kept of a server from round to round.
#[derive(Default)]
pub struct Memory {
    writes: HashMap<String, Shared<Writes>>,
    fanouts: HashMap<String, Shared<Vec<i64>>>,
    stored: HashMap<Store, Shared<Stored>>,
    raw: Option<Raw>,
}

const KIB: usize = 1024;
/// Any number but 0.
const SEED: u64 = 88172645463325252;
/// How often the compacting scenario does so.
const COMPACT: Duration = Duration::from_secs(1);
/// kube-apiserver's cache asks so often while a read waits for it.
const ASK_PROGRESS: Duration = Duration::from_millis(100);
/// Of each of the two prefixes of the mix.
const MIX_WATCHERS: usize = 10;

impl Scenario {
    /// Stores what has to be there.
    pub async fn prepare(&self, server: &Server, memory: &mut Memory) -> io::Result<()> {
        for store in self.stores() {
            if let Entry::Vacant(missing) = memory.stored.entry(store) {
                missing.insert(store.fill(server.address).await?);
            }
        }
        Ok(())
    }

    fn stores(&self) -> Vec<Store> {
        match self.load {
            Load::Rewrite { store } | Load::Get { store, .. } | Load::List { store, .. } | Load::Restart { store } => {
                vec![store]
            }
            Load::Idle { .. } => vec![Store::of(1000, KIB)],
            Load::Mix => vec![mix::LEASES, mix::PODS],
            _ => Vec::new(),
        }
    }

    /// Must be in a `LocalSet`.
    pub async fn run(
        &self,
        server: &mut Server,
        memory: &mut Memory,
        times: Times,
        staging: &Path,
    ) -> io::Result<Round> {
        if let Load::Restart { .. } = self.load {
            return restart(server, times.measured).await;
        }
        let meter = shared(Meter::default());
        let servers = server.cpu();
        let cpu = || [servers(), process::own(std::process::id()).cpu_seconds];
        let (seconds, [cpu_seconds, generator_seconds]) = if let Load::Expiry { leases } = self.load {
            let prefix = format!("/registry/{}/", self.name);
            expiry::run(server.address, &prefix, leases, &meter, cpu).await?
        } else {
            let load = self.load(server, memory, &meter, times, staging);
            tokio::try_join!(load, time(&meter, times, cpu))?.1
        };
        let mut meter = meter.borrow_mut();
        let [p50, p99, p999] = percentiles(&mut meter.latencies);
        Ok(Round { seconds, units: meter.units, p50, p99, p999, cpu_seconds, generator_seconds, ..figures(server) })
    }

    async fn load(
        &self,
        server: &Server,
        memory: &mut Memory,
        meter: &Shared<Meter>,
        times: Times,
        staging: &Path,
    ) -> io::Result<()> {
        let (address, clients) = (server.address, self.clients);
        let prefix = format!("/registry/{}/", self.name);
        match self.load {
            Load::Create { size } | Load::Update { size } if server.target.kind == Kind::Raw => {
                let raw = match memory.raw.take() {
                    Some(raw) => raw,
                    None => Raw::open(server, staging).await?,
                };
                memory.raw.insert(raw).run(clients, size, meter).await
            }
            Load::Create { size } | Load::Update { size } | Load::UpdateCompacting { size } => {
                let create = matches!(self.load, Load::Create { .. });
                let make = || shared(Writes::new(&prefix, clients, size, create));
                let work = memory.writes.entry(self.name.clone()).or_insert_with(make);
                let compacting = async {
                    match self.load {
                        Load::UpdateCompacting { .. } => {
                            background::compact(address, COMPACT.min(times.measured / 2), meter).await
                        }
                        _ => Ok(()),
                    }
                };
                tokio::try_join!(drive(address, clients, work, meter), compacting).map(drop)
            }
            Load::Rewrite { store } => {
                let work = Rewrites::new(&memory.stored[&store], clients, Until::Stopped);
                drive_new(address, clients.min(store.keys), work, meter).await
            }
            Load::Get { store, serializable } => {
                let how = pb::Range { serializable, ..pb::Range::default() };
                drive_new(address, clients, Gets { store, how, random: SEED }, meter).await
            }
            Load::List { store, how } => drive_new(address, clients, Lists::new(store, clients, how), meter).await,
            Load::Fanout { watchers, single } => {
                let revisions = memory.fanouts.entry(self.name.clone()).or_default().clone();
                Fanout { prefix, watchers, single, writers: clients, size: KIB, revisions }.run(address, meter).await
            }
            Load::Progress { writers } => {
                let make = || shared(Writes::new(&prefix, writers, KIB, false));
                let work = memory.writes.entry(self.name.clone()).or_insert_with(make);
                let asking = drive_new(address, clients, Progress::new(clients), meter);
                beside(asking, |other| async move { drive(address, writers, work, &other).await }).await
            }
            Load::Lease => drive_new(address, clients, Leases::new(clients), meter).await,
            Load::KeepAlive => {
                let grants = shared(Grants { granted: vec![0; clients] });
                drive(address, clients, &grants, &shared(Meter::default())).await?;
                let granted = grants.borrow().granted.clone();
                drive_new(address, clients, KeepAlives::new(granted), meter).await
            }
            Load::Mix => {
                let work = Mix::new(&memory.stored[&mix::LEASES], &memory.stored[&mix::PODS], clients);
                let prefixes = [mix::LEASES.prefix(), mix::PODS.prefix()];
                let watching = background::watch(address, &prefixes, MIX_WATCHERS, ASK_PROGRESS, meter);
                tokio::try_join!(drive_new(address, clients, work, meter), watching).map(drop)
            }
            Load::Restart { .. } | Load::Expiry { .. } | Load::Idle { .. } => Ok(()),
        }
    }
}

/// A load, and another beside it that is stopped when the first has ended.
async fn beside<F: Future<Output = io::Result<()>>>(
    measured: impl Future<Output = io::Result<()>>,
    other: impl FnOnce(Shared<Meter>) -> F,
) -> io::Result<()> {
    let meter = shared(Meter::default());
    let measured = async {
        let ended = measured.await;
        meter.borrow_mut().stop = true;
        ended
    };
    tokio::try_join!(measured, other(meter.clone())).map(drop)
}

async fn drive_new<W: Work + 'static>(
    address: SocketAddr,
    clients: usize,
    work: W,
    meter: &Shared<Meter>,
) -> io::Result<()> {
    drive(address, clients, &shared(work), meter).await
}

/// Switches the meter on and off, and no sooner than something was counted. Returns how long it was on, and what `cpu` rose by.
async fn time(meter: &Shared<Meter>, times: Times, cpu: impl Fn() -> [f64; 2]) -> io::Result<(f64, [f64; 2])> {
    while !meter.borrow().ready {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(times.warm).await;
    let (began, before) = (Instant::now(), cpu());
    meter.borrow_mut().on = true;
    tokio::time::sleep(times.measured).await;
    while meter.borrow().units == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut meter = meter.borrow_mut();
    (meter.on, meter.stop) = (false, true);
    let after = cpu();
    Ok((began.elapsed().as_secs_f64(), [0, 1].map(|n| after[n] - before[n])))
}

/// What the processes use when they have had time to settle, before and after.
async fn restart(server: &mut Server, settle: Duration) -> io::Result<Round> {
    tokio::time::sleep(settle).await;
    let (front, all) = (server.front_rss(), server.usage());
    let took = server.restart().await?;
    let cpu_seconds = server.usage().cpu_seconds;
    tokio::time::sleep(settle).await;
    let after = figures(server);
    let micros = took.as_micros().min(u32::MAX.into()) as u32;
    let more = [
        ("front_rss_before", front),
        ("rss_before", all.rss_bytes),
        ("peak_rss_before", all.peak_rss_bytes),
        ("front_rss_after", server.front_rss()),
        ("rss_after", after.rss_bytes),
    ];
    let more = more.into_iter().map(|(name, bytes)| (name.to_owned(), bytes as f64)).collect();
    Ok(Round {
        seconds: took.as_secs_f64(),
        units: 1,
        p50: micros,
        p99: micros,
        p999: micros,
        cpu_seconds,
        more,
        ..after
    })
}

/// A round in which nothing was measured but what the processes take now.
pub fn figures(server: &Server) -> Round {
    let usage = server.usage();
    Round {
        rss_bytes: usage.rss_bytes,
        peak_rss_bytes: usage.peak_rss_bytes,
        disk_bytes: server.disk(),
        ..Round::default()
    }
}

fn percentiles(latencies: &mut [u32]) -> [u32; 3] {
    latencies.sort_unstable();
    [0.5, 0.99, 0.999].map(|p| {
        let at = (latencies.len() as f64 * p) as usize;
        latencies.get(at.min(latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    })
}
