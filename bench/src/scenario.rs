//! What is measured, in which order.

use crate::stored::Store;
use crate::targets::Kind;

#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: String,
    /// Scenarios in a row with the same group share servers and what is stored in them; every group begins with empty ones.
    pub group: String,
    pub title: String,
    /// What is counted.
    pub unit: &'static str,
    pub clients: usize,
    pub load: Load,
    pub reach: Reach,
    /// Whether `--quick` has it.
    pub quick: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Load {
    /// Of new keys.
    Create {
        size: usize,
    },
    /// Of a few keys for each client.
    Update {
        size: usize,
    },
    /// The same while somebody compacts every second.
    UpdateCompacting {
        size: usize,
    },
    /// Of keys all over a store.
    Rewrite {
        store: Store,
    },
    Get {
        store: Store,
        serializable: bool,
    },
    List {
        store: Store,
        how: Listing,
    },
    /// Watchers of a prefix, or of a key each.
    Fanout {
        watchers: usize,
        single: bool,
    },
    /// Progress requests of streams, while others write.
    Progress {
        writers: usize,
    },
    Lease,
    KeepAlive,
    Expiry {
        leases: usize,
    },
    Mix,
    /// Stopped and started again on what is stored.
    Restart {
        store: Store,
    },
    /// Nobody is connected.
    Idle {
        seconds: u64,
    },
}

#[derive(Clone, Copy, Debug)]
pub enum Listing {
    /// The whole store in one answer.
    Whole,
    /// So many keys, always the same.
    First(usize),
    /// The same of those that come last: where values are bounded, they are not in memory.
    Last(usize),
    /// The whole store, so many keys at a time.
    Pages(usize),
    /// The whole store in a stream of answers.
    Stream,
    Count,
}

/// Which targets a scenario is run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    All,
    /// All but clusters and kine.
    Single,
    /// jine on its own and on an external nats-server, and etcd.
    Three,
    /// jine on its own nats-server, and etcd.
    Two,
}

const KIB: usize = 1024;
/// What clients get and list.
const SMALL: Store = Store::of(4000, KIB);
const MIDDLE: Store = Store::of(10_000, KIB);
const LISTED: Store = Store::of(500, KIB);
/// The group of the scenarios over 10^6 keys.
const MILLION: &str = "keys-1000000";

impl Scenario {
    fn new(
        name: impl Into<String>,
        title: impl Into<String>,
        unit: &'static str,
        clients: usize,
        load: Load,
    ) -> Scenario {
        let name = name.into();
        let (group, title) = (name.clone(), title.into());
        Scenario { name, group, title, unit, clients, load, reach: Reach::Single, quick: false }
    }

    fn group(self, group: impl Into<String>) -> Scenario {
        Scenario { group: group.into(), ..self }
    }

    fn reach(self, reach: Reach) -> Scenario {
        Scenario { reach, ..self }
    }

    fn quick(self) -> Scenario {
        Scenario { quick: true, ..self }
    }

    pub fn applies(&self, kind: Kind) -> bool {
        match kind {
            Kind::Jine | Kind::Etcd => true,
            Kind::ValueMemory => self.group == MILLION,
            Kind::External { replicas: 1, always } => {
                matches!(self.reach, Reach::All | Reach::Single) || self.reach == Reach::Three && !always
            }
            Kind::External { .. } | Kind::KineNats | Kind::KineSqlite => self.reach == Reach::All,
            Kind::Raw => matches!(self.load, Load::Create { .. } | Load::Update { .. }),
        }
    }

    /// A small one, to see that it works.
    pub fn scaled(mut self, divisor: usize) -> Scenario {
        let few = |number: usize, least: usize| (number / divisor).max(least.min(number));
        let small = |store: Store| Store { keys: few(store.keys, 600), history: few(store.history, 100), ..store };
        match &mut self.load {
            Load::Create { .. } | Load::Update { .. } | Load::UpdateCompacting { .. } => {}
            Load::Rewrite { store } | Load::Get { store, .. } | Load::List { store, .. } | Load::Restart { store } => {
                *store = small(*store)
            }
            Load::Fanout { watchers, .. } => *watchers = few(*watchers, 32),
            Load::Expiry { leases } => *leases = few(*leases, 100),
            Load::Idle { seconds } => *seconds = 1,
            Load::Progress { .. } | Load::Lease | Load::KeepAlive | Load::Mix => {}
        }
        self
    }
}

pub fn all() -> Vec<Scenario> {
    let mut all = writes();
    all.extend(reads());
    all.extend(watches_and_leases());
    all.extend(mixed());
    for (power, reach) in [(3, Reach::Three), (4, Reach::Three), (5, Reach::Three), (6, Reach::Two)] {
        let store = Store::of(10usize.pow(power), KIB);
        let group = format!("keys-{}", store.keys);
        all.extend(over(store, &group, &format!("10^{power} keys"), reach));
        if group == MILLION {
            let (name, title) = (format!("list-last-{group}"), "list the last 500 keys, 8 clients: 10^6 keys");
            let load = Load::List { store, how: Listing::Last(500) };
            all.push(Scenario::new(name, title, "keys", 8, load).group(group).reach(reach));
        }
    }
    for power in [4, 5, 6] {
        let store = Store { history: 10usize.pow(power), ..Store::of(1000, KIB) };
        let group = format!("history-{}", store.history);
        all.extend(over(store, &group, &format!("1000 keys, a history of 10^{power}"), Reach::Two));
    }
    let k3s = Store::of(5000, 2 * KIB);
    all.push(
        Scenario::new("restart-k3s", "a small K3s: 5000 objects of 2 KiB", "starts", 1, Load::Restart { store: k3s })
            .reach(Reach::Three),
    );
    for minutes in [1, 10] {
        let title = format!("nobody connected for {minutes} minutes, 1000 keys stored");
        let load = Load::Idle { seconds: 60 * minutes };
        all.push(Scenario::new(format!("idle-{minutes}"), title, "", 0, load));
    }
    all
}

fn writes() -> Vec<Scenario> {
    let mut all = Vec::new();
    for clients in [1, 16, 64, 256, 1000] {
        let word = if clients == 1 { "client" } else { "clients" };
        for (name, load) in [("create", Load::Create { size: KIB }), ("update", Load::Update { size: KIB })] {
            let title = format!("{name}, 1 KiB, {clients} {word}");
            let scenario = Scenario::new(format!("{name}-{clients}"), title, "writes", clients, load);
            all.push(match (name, clients) {
                ("create", 1 | 256) | ("update", 64) => scenario.quick().reach(Reach::All),
                ("update", 1000) => scenario.quick(),
                _ => scenario,
            });
        }
    }
    for (size, text) in [(100, "100 B"), (10 * KIB, "10 KiB"), (100 * KIB, "100 KiB")] {
        for (name, load) in [("create", Load::Create { size }), ("update", Load::Update { size })] {
            let title = format!("{name}, {text}, 64 clients");
            let name = format!("{name}-64-{}", text.replace(' ', ""));
            all.push(Scenario::new(name, title, "writes", 64, load));
        }
    }
    let load = Load::UpdateCompacting { size: KIB };
    let title = "update, 1 KiB, 16 clients, compacted every second";
    all.push(Scenario::new("update-16-compacting", title, "writes", 16, load));
    all
}

fn reads() -> Vec<Scenario> {
    let get = |serializable| Load::Get { store: SMALL, serializable };
    let new = Scenario::new;
    vec![
        new("get-1", "linearizable get, 1 KiB, 1 client", "reads", 1, get(false)),
        new("get-64", "linearizable get, 1 KiB, 64 clients", "reads", 64, get(false)).quick().reach(Reach::All),
        new("get-64-serializable", "serializable get, 1 KiB, 64 clients", "reads", 64, get(true)),
        new(
            "list-500",
            "list 500 keys of 1 KiB, 8 clients",
            "keys",
            8,
            Load::List { store: LISTED, how: Listing::Whole },
        )
        .quick()
        .reach(Reach::All),
        new(
            "pages-10000",
            "list 10,000 keys of 1 KiB in pages of 500, 8 clients",
            "keys",
            8,
            Load::List { store: MIDDLE, how: Listing::Pages(500) },
        ),
        new(
            "stream-10000",
            "10,000 keys of 1 KiB by RangeStream, 4 clients",
            "keys",
            4,
            Load::List { store: MIDDLE, how: Listing::Stream },
        ),
        new(
            "count-10000",
            "count 10,000 keys, 8 clients",
            "counts",
            8,
            Load::List { store: MIDDLE, how: Listing::Count },
        ),
    ]
}

fn watches_and_leases() -> Vec<Scenario> {
    let prefix = |watchers| Load::Fanout { watchers, single: false };
    let single = Load::Fanout { watchers: 10_000, single: true };
    let new = Scenario::new;
    vec![
        new("watch-1", "1 watcher of a prefix, 16 writers", "events", 16, prefix(1)),
        new("watch-100", "100 watchers of a prefix, 16 writers", "events", 16, prefix(100)).quick().reach(Reach::All),
        new("watch-1000", "1000 watchers of a prefix, 16 writers", "events", 16, prefix(1000)),
        new("watch-keys-10000", "10,000 watchers of a key each, 16 writers", "events", 16, single),
        new(
            "progress",
            "progress requests on 4 streams, 64 writers besides",
            "requests",
            4,
            Load::Progress { writers: 64 },
        ),
        new("lease-64", "lease grant and revoke, 64 clients", "calls", 64, Load::Lease).quick(),
        new("keepalive-64", "lease keepalive, 64 streams", "keepalives", 64, Load::KeepAlive),
        new("expiry-10000", "10,000 leases with a key each expire", "leases", 1, Load::Expiry { leases: 10_000 }),
    ]
}

fn mixed() -> Vec<Scenario> {
    let title = "what a kube-apiserver asks for, 32 clients, and 20 watchers that ask for progress";
    vec![Scenario::new("mix-32", title, "calls", 32, Load::Mix)]
}

/// The same loads on stores that differ in what they hold already.
fn over(store: Store, group: &str, text: &str, reach: Reach) -> Vec<Scenario> {
    let all = [
        ("restart", "ready after a restart", "starts", 1, Load::Restart { store }),
        ("get", "linearizable get, 64 clients", "reads", 64, Load::Get { store, serializable: false }),
        ("list", "list the first 500 keys, 8 clients", "keys", 8, Load::List { store, how: Listing::First(500) }),
        ("update", "update, 64 clients", "writes", 64, Load::Rewrite { store }),
    ];
    let scenario = |(name, title, unit, clients, load): (&str, &str, &'static str, usize, Load)| {
        Scenario::new(format!("{name}-{group}"), format!("{title}: {text}"), unit, clients, load)
            .group(group)
            .reach(reach)
    };
    all.into_iter().map(scenario).collect()
}
