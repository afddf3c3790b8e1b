//! What is measured, in which order.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::drive::{Meter, Shared, Work, drive, populate, shared};
use crate::fanout::Fanout;
use crate::pb;
use crate::raw::Raw;
use crate::targets::{Kind, Server};
use crate::work::{Gets, Grants, KeepAlives, Leases, Lists, Writes};

#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub title: &'static str,
    /// What is counted.
    pub unit: &'static str,
    pub clients: usize,
    pub load: Load,
    /// Whether `--quick` has it.
    pub quick: bool,
}

#[derive(Clone, Debug)]
pub enum Load {
    Create { size: usize },
    Update { size: usize },
    Get { serializable: bool },
    List { keys: usize, count_only: bool },
    Fanout { watchers: usize },
    Lease,
    KeepAlive,
}

const fn scenario(
    name: &'static str,
    title: &'static str,
    unit: &'static str,
    clients: usize,
    load: Load,
    quick: bool,
) -> Scenario {
    Scenario { name, title, unit, clients, load, quick }
}

const KIB: usize = 1024;

pub const ALL: &[Scenario] = &[
    scenario("create-1", "create, 1 KiB, 1 client", "writes", 1, Load::Create { size: KIB }, true),
    scenario("update-1", "update, 1 KiB, 1 client", "writes", 1, Load::Update { size: KIB }, false),
    scenario("create-16", "create, 1 KiB, 16 clients", "writes", 16, Load::Create { size: KIB }, false),
    scenario("create-64", "create, 1 KiB, 64 clients", "writes", 64, Load::Create { size: KIB }, false),
    scenario("update-64", "update, 1 KiB, 64 clients", "writes", 64, Load::Update { size: KIB }, true),
    scenario("update-64-100", "update, 100 B, 64 clients", "writes", 64, Load::Update { size: 100 }, false),
    scenario("update-64-10k", "update, 10 KiB, 64 clients", "writes", 64, Load::Update { size: 10 * KIB }, false),
    scenario("update-64-100k", "update, 100 KiB, 64 clients", "writes", 64, Load::Update { size: 100 * KIB }, false),
    scenario("create-256", "create, 1 KiB, 256 clients", "writes", 256, Load::Create { size: KIB }, true),
    scenario("update-256", "update, 1 KiB, 256 clients", "writes", 256, Load::Update { size: KIB }, false),
    scenario("create-1000", "create, 1 KiB, 1000 clients", "writes", 1000, Load::Create { size: KIB }, false),
    scenario("update-1000", "update, 1 KiB, 1000 clients", "writes", 1000, Load::Update { size: KIB }, true),
    scenario("get-64", "linearizable get, 1 KiB, 64 clients", "reads", 64, Load::Get { serializable: false }, true),
    scenario("get-1", "linearizable get, 1 KiB, 1 client", "reads", 1, Load::Get { serializable: false }, false),
    scenario(
        "get-64-stale",
        "serializable get, 1 KiB, 64 clients",
        "reads",
        64,
        Load::Get { serializable: true },
        false,
    ),
    scenario(
        "list-500",
        "list 500 keys of 1 KiB, 8 clients",
        "keys",
        8,
        Load::List { keys: 500, count_only: false },
        true,
    ),
    scenario("count-500", "count 500 keys, 8 clients", "counts", 8, Load::List { keys: 500, count_only: true }, false),
    scenario("watch-1", "1 watcher of a prefix, 16 writers", "events", 16, Load::Fanout { watchers: 1 }, false),
    scenario("watch-100", "100 watchers of a prefix, 16 writers", "events", 16, Load::Fanout { watchers: 100 }, true),
    scenario(
        "watch-1000",
        "1000 watchers of a prefix, 16 writers",
        "events",
        16,
        Load::Fanout { watchers: 1000 },
        false,
    ),
    scenario("lease-64", "lease grant and revoke, 64 clients", "calls", 64, Load::Lease, true),
    scenario("keepalive-64", "lease keepalive, 64 streams", "keepalives", 64, Load::KeepAlive, false),
];

/// One round of one scenario on one target.
#[derive(Clone, Debug, Deserialize, Serialize)]
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
    pub cpu_seconds: f64,
    pub rss_bytes: u64,
    pub peak_rss_bytes: u64,
    pub disk_bytes: u64,
}

/// How long a round warms up and is measured.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub warm: Duration,
    pub measured: Duration,
}

/// What is kept of a target from round to round.
#[derive(Default)]
pub struct Memory {
    writes: HashMap<&'static str, Shared<Writes>>,
    populated: Vec<String>,
    raw: Option<Raw>,
}

const GETS: usize = 4000;

impl Scenario {
    pub fn applies(&self, kind: Kind) -> bool {
        kind != Kind::Raw || matches!(self.load, Load::Create { .. } | Load::Update { .. })
    }

    /// Must be in a `LocalSet`.
    pub async fn run(
        &self,
        server: &Server,
        memory: &mut Memory,
        round: usize,
        times: Times,
        staging: &Path,
    ) -> io::Result<Round> {
        let meter = shared(Meter::default());
        let timing = tokio::task::spawn_local(time(meter.clone(), times, server.usage_of()));
        self.load(server, memory, &meter, staging).await?;
        let (seconds, cpu_seconds) = timing.await?;
        let mut meter = meter.borrow_mut();
        let usage = server.usage();
        let [p50, p99, p999] = percentiles(&mut meter.latencies);
        Ok(Round {
            scenario: self.name.to_owned(),
            target: server.target.name.clone(),
            round,
            seconds,
            units: meter.units,
            p50,
            p99,
            p999,
            cpu_seconds,
            rss_bytes: usage.rss_bytes,
            peak_rss_bytes: usage.peak_rss_bytes,
            disk_bytes: server.disk(),
        })
    }

    /// What has to be there before the first round.
    pub async fn prepare(&self, server: &Server, memory: &mut Memory) -> io::Result<()> {
        let (prefix, keys) = match self.load {
            Load::Get { .. } => ("/registry/get/".to_owned(), GETS),
            Load::List { keys, .. } => (list_prefix(keys), keys),
            _ => return Ok(()),
        };
        if !memory.populated.contains(&prefix) {
            populate(server.address, &prefix, keys, KIB).await?;
            memory.populated.push(prefix);
        }
        Ok(())
    }

    async fn load(
        &self,
        server: &Server,
        memory: &mut Memory,
        meter: &Shared<Meter>,
        staging: &Path,
    ) -> io::Result<()> {
        let (address, clients) = (server.address, self.clients);
        match self.load {
            Load::Create { size } | Load::Update { size } if server.target.kind == Kind::Raw => {
                if memory.raw.is_none() {
                    memory.raw = Some(Raw::open(server, staging).await?);
                }
                match &mut memory.raw {
                    Some(raw) => raw.run(clients, size, meter).await,
                    None => Ok(()),
                }
            }
            Load::Create { size } => {
                let make = || shared(Writes::new(&format!("/registry/{}/", self.name), clients, size, true));
                drive(address, clients, memory.writes.entry(self.name).or_insert_with(make), meter).await
            }
            Load::Update { size } => {
                let make = || shared(Writes::new(&format!("/registry/{}/", self.name), clients, size, false));
                drive(address, clients, memory.writes.entry(self.name).or_insert_with(make), meter).await
            }
            Load::Get { serializable } => {
                let how = pb::Range { serializable, ..pb::Range::default() };
                let work =
                    Gets { prefix: "/registry/get/".to_owned(), keys: GETS, size: KIB, how, random: 88172645463325252 };
                drive_new(address, clients, work, meter).await
            }
            Load::List { keys, count_only } => {
                let how = pb::Range { count_only, ..pb::Range::default() };
                drive_new(address, clients, Lists { prefix: list_prefix(keys), keys, size: KIB, how }, meter).await
            }
            Load::Fanout { watchers } => {
                let prefix = format!("/registry/{}/", self.name);
                Fanout { prefix, watchers, writers: clients, size: KIB }.run(address, meter).await
            }
            Load::Lease => drive_new(address, clients, Leases::new(clients), meter).await,
            Load::KeepAlive => {
                let grants = shared(Grants { granted: vec![0; clients] });
                drive(address, clients, &grants, &shared(Meter::default())).await?;
                let granted = grants.borrow().granted.clone();
                drive_new(address, clients, KeepAlives::new(granted), meter).await
            }
        }
    }
}

fn list_prefix(keys: usize) -> String {
    format!("/registry/list-{keys}/")
}

async fn drive_new<W: Work + 'static>(
    address: std::net::SocketAddr,
    clients: usize,
    work: W,
    meter: &Shared<Meter>,
) -> io::Result<()> {
    drive(address, clients, &shared(work), meter).await
}

/// Switches the meter on and off. Returns how long it was on, and the CPU seconds used meanwhile.
async fn time(meter: Shared<Meter>, times: Times, cpu: impl Fn() -> f64) -> (f64, f64) {
    tokio::time::sleep(times.warm).await;
    let (began, before) = (Instant::now(), cpu());
    meter.borrow_mut().on = true;
    tokio::time::sleep(times.measured).await;
    let mut meter = meter.borrow_mut();
    (meter.on, meter.stop) = (false, true);
    (began.elapsed().as_secs_f64(), cpu() - before)
}

fn percentiles(latencies: &mut [u32]) -> [u32; 3] {
    latencies.sort_unstable();
    [0.5, 0.99, 0.999].map(|p| {
        let at = (latencies.len() as f64 * p) as usize;
        latencies.get(at.min(latencies.len().saturating_sub(1))).copied().unwrap_or_default()
    })
}
