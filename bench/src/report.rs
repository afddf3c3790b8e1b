//! The report: one run on one machine, as Markdown.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::{fs, io};

use crate::options::Options;
use crate::scenario::{self, Round, Scenario};

/// What is to be reached against etcd: at least so many times its throughput, and the aim.
struct Goal {
    scenario: &'static str,
    must: f64,
    aim: f64,
    /// Whether p99 must be lower, or at least not higher.
    p99: P99,
}

#[derive(Clone, Copy, PartialEq)]
enum P99 {
    Lower,
    NoWorse,
    Free,
}

const fn goal(scenario: &'static str, must: f64, aim: f64, p99: P99) -> Goal {
    Goal { scenario, must, aim, p99 }
}

const GOALS: &[Goal] = &[
    goal("create-1", 1.0, 1.2, P99::NoWorse),
    goal("update-1", 1.0, 1.2, P99::NoWorse),
    goal("create-64", 1.25, 2.0, P99::Lower),
    goal("update-64", 1.25, 2.0, P99::Lower),
    goal("create-256", 1.25, 2.0, P99::Lower),
    goal("update-256", 1.25, 2.0, P99::Lower),
    goal("create-1000", 1.25, 2.0, P99::Lower),
    goal("update-1000", 1.25, 2.0, P99::Lower),
    goal("get-64", 2.0, 3.0, P99::Free),
    goal("list-500", 2.0, 4.0, P99::Free),
    goal("watch-100", 2.0, 4.0, P99::Lower),
    goal("lease-64", 2.0, 2.0, P99::Free),
    goal("keepalive-64", 2.0, 2.0, P99::Free),
];

/// CPU seconds for each operation, as a part of etcd's.
const CPU_MUST: f64 = 0.8;
const CPU_AIM: f64 = 0.5;

/// The rounds of a scenario on a target, in figures.
struct Summary {
    throughput: f64,
    lowest: f64,
    highest: f64,
    /// Microseconds.
    p50: f64,
    p99: f64,
    p999: f64,
    cpu: f64,
}

type Summaries = BTreeMap<(String, String), Summary>;

pub fn write(options: &Options) -> io::Result<String> {
    let text = fs::read_to_string(options.results())?;
    let rounds: Vec<Round> = text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    let mut targets: Vec<String> = Vec::new();
    for round in &rounds {
        if !targets.contains(&round.target) {
            targets.push(round.target.clone());
        }
    }
    let mut groups: BTreeMap<(String, String), Vec<Round>> = BTreeMap::new();
    for round in &rounds {
        groups.entry((round.scenario.clone(), round.target.clone())).or_default().push(round.clone());
    }
    let summaries: Summaries = groups.into_iter().map(|(key, rounds)| (key, summarize(&rounds))).collect();
    let count = rounds.iter().map(|round| round.round + 1).max().unwrap_or_default();
    let seconds = rounds.first().map_or(0.0, |round| round.seconds);
    let mut report = String::new();
    head(&mut report, &targets, count, seconds);
    goals(&mut report, &summaries);
    for scenario in scenario::ALL {
        table(&mut report, scenario, &targets, &summaries);
    }
    sizes(&mut report, &targets, &rounds);
    Ok(report)
}

fn summarize(rounds: &[Round]) -> Summary {
    let median = |of: &dyn Fn(&Round) -> f64| {
        let mut all: Vec<f64> = rounds.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    let throughput = |round: &Round| round.units as f64 / round.seconds;
    let all = rounds.iter().map(throughput);
    Summary {
        throughput: median(&throughput),
        lowest: all.clone().fold(f64::INFINITY, f64::min),
        highest: all.fold(0.0, f64::max),
        p50: median(&|round| round.p50.into()),
        p99: median(&|round| round.p99.into()),
        p999: median(&|round| round.p999.into()),
        cpu: median(&|round| round.cpu_seconds * 1e6 / round.units.max(1) as f64),
    }
}

fn head(report: &mut String, targets: &[String], rounds: usize, seconds: f64) {
    let _ = write!(
        report,
        "# Benchmarks\n\n\
         Made by `scripts/bench`; do not edit. One run on one machine: {}. Targets in alternating rounds, {rounds} of {seconds:.1} s \
         each; figures are medians, with the lowest and highest throughput in parentheses. Every target syncs before it acknowledges, \
         on the same disk. The load generator shares the machine with the servers, so ratios count, and the CPU time that the servers \
         take for each operation (jine's nats-server included). At the end the machine's load average was {} (the benchmark \
         alone makes about 3).\n\n\
         Targets: {}.\n\n",
        machine(),
        load(),
        targets.iter().map(|name| described(name)).collect::<Vec<_>>().join("; ")
    );
}

fn described(target: &str) -> String {
    match target {
        "jine" => "**jine** on its own nats-server".to_owned(),
        "etcd" => "**etcd** 3.7.3".to_owned(),
        "raw" => "**raw**: JetStream's own publishes of the same size, as many in one atomic batch as there are clients, which is \
                  the floor under jine"
            .to_owned(),
        other => format!("**{other}**"),
    }
}

fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let field = |name| cpuinfo.lines().find_map(|line| line.strip_prefix(name)?.split_once(": "));
    let model = field("model name").map_or("unknown processor", |(_, model)| model);
    let cores = cpuinfo.lines().filter(|line| line.starts_with("processor")).count();
    let meminfo = read("/proc/meminfo");
    let total = meminfo.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or_default();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores of {model}, {} GiB, Linux {}", (total + (1 << 19)) >> 20, kernel.trim())
}

/// More than the benchmark makes means that others used the machine too, and that throughputs say less.
fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or_default().to_owned()
}

fn goals(report: &mut String, summaries: &Summaries) {
    let _ = write!(
        report,
        "## jine against etcd\n\n\
         | scenario | throughput | must | aim | p99 | CPU per operation (must ≤ {CPU_MUST}, aim ≤ {CPU_AIM}) | |\n\
         |---|---|---|---|---|---|---|\n"
    );
    for scenario in scenario::ALL {
        let of = |target: &str| summaries.get(&(scenario.name.to_owned(), target.to_owned()));
        let (Some(jine), Some(etcd)) = (of("jine"), of("etcd")) else { continue };
        let goal = GOALS.iter().find(|goal| goal.scenario == scenario.name);
        let (throughput, p99, cpu) = (jine.throughput / etcd.throughput, jine.p99 / etcd.p99, jine.cpu / etcd.cpu);
        let bounds =
            goal.map_or(("".into(), "".into()), |goal| (format!("≥ {}", goal.must), format!("≥ {}", goal.aim)));
        let _ = writeln!(
            report,
            "| {} | {throughput:.2} x | {} | {} | {p99:.2} x | {cpu:.2} x | {} |",
            scenario.title,
            bounds.0,
            bounds.1,
            verdict(goal, throughput, p99, cpu)
        );
    }
    report.push('\n');
}

/// What is missed, by name.
fn verdict(goal: Option<&Goal>, throughput: f64, p99: f64, cpu: f64) -> String {
    let mut missed = Vec::new();
    if let Some(goal) = goal {
        let p99_limit = if goal.p99 == P99::Free { f64::INFINITY } else { 1.0 };
        for (is_missed, what) in [(throughput < goal.must, "throughput"), (p99 > p99_limit, "p99")] {
            missed.extend(is_missed.then_some(what));
        }
    }
    missed.extend((cpu > CPU_MUST).then_some("CPU"));
    if !missed.is_empty() {
        return format!("**missed**: {}", missed.join(", "));
    }
    let aimed = goal.is_none_or(|goal| throughput >= goal.aim) && cpu <= CPU_AIM;
    if aimed { "met, aim too".to_owned() } else { "met".to_owned() }
}

fn table(report: &mut String, scenario: &Scenario, targets: &[String], summaries: &Summaries) {
    let rows: Vec<_> = targets
        .iter()
        .filter_map(|target| Some((target, summaries.get(&(scenario.name.to_owned(), target.clone()))?)))
        .collect();
    if rows.is_empty() {
        return;
    }
    let _ = write!(
        report,
        "## {}\n\n| target | {} per second | p50 ms | p99 ms | p99.9 ms | CPU µs each |\n|---|---|---|---|---|---|\n",
        scenario.title, scenario.unit
    );
    for (target, row) in rows {
        let _ = writeln!(
            report,
            "| {target} | {:.0} ({:.0}–{:.0}) | {:.2} | {:.2} | {:.2} | {:.1} |",
            row.throughput,
            row.lowest,
            row.highest,
            row.p50 / 1e3,
            row.p99 / 1e3,
            row.p999 / 1e3,
            row.cpu
        );
    }
    report.push('\n');
}

/// After all scenarios, on top of each other.
fn sizes(report: &mut String, targets: &[String], rounds: &[Round]) {
    let _ = write!(
        report,
        "## Memory and disk\n\nAfter all of the above, one after the other on the same store, without a compaction.\n\n\
         | target | RSS MiB | peak RSS MiB | disk MiB |\n|---|---|---|---|\n"
    );
    for target in targets {
        let Some(last) = rounds.iter().rfind(|round| round.target == *target) else { continue };
        let [rss, peak, disk] = [last.rss_bytes, last.peak_rss_bytes, last.disk_bytes].map(|bytes| bytes >> 20);
        let _ = writeln!(report, "| {target} | {rss} | {peak} | {disk} |");
    }
}
