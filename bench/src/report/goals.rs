//! What is to be reached, and whether it is.

use std::fmt::Write;

use super::summary::{Summaries, Summary};
use crate::scenario::Scenario;

/// At least so many times the throughput of another target.
struct Goal {
    scenario: &'static str,
    must: f64,
    aim: f64,
    p99: P99,
}

/// Whether p99 must be lower than the other's, or not higher.
#[derive(Clone, Copy, PartialEq)]
enum P99 {
    Lower,
    NoWorse,
    Free,
}

const fn goal(scenario: &'static str, must: f64, aim: f64, p99: P99) -> Goal {
    Goal { scenario, must, aim, p99 }
}

/// Of jine on its own nats-server, against etcd.
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
    // Its p99 alone counts.
    goal("progress", 0.0, 0.0, P99::Lower),
    goal("lease-64", 2.0, 2.0, P99::Free),
    goal("keepalive-64", 2.0, 2.0, P99::Free),
];

/// CPU seconds for each operation, as a part of etcd's.
const CPU_MUST: f64 = 0.8;
const CPU_AIM: f64 = 0.5;

/// Of a linearizable get on one external nats-server, against etcd.
const EXTERNAL_GET_MUST: f64 = 1.3;

const MIB: f64 = 1024.0 * 1024.0;

/// Of everything that kine on NATS answers.
const KINE_MUST: f64 = 3.0;
const KINE_AIM: f64 = 10.0;

/// Where misses are explained.
const WHY: &str = "([why](performance.md#what-benchmarksmd-misses-and-why))";

/// The CPU time there is that of the writes that go on besides.
const WITHOUT_CPU: &[&str] = &["progress"];

pub fn write(report: &mut String, scenarios: &[Scenario], summaries: &Summaries) {
    against_etcd(report, scenarios, summaries);
    let rows = rows(scenarios, summaries);
    if rows.is_empty() {
        return;
    }
    report.push_str("## The other goals\n\n| | measured | must | aim | |\n|---|---|---|---|---|\n");
    for row in rows {
        let verdict = verdict(if row.must { &[] } else { &[""] }, row.aim);
        let _ =
            writeln!(report, "| {} | {} | {} | {} | {verdict} |", row.what, row.measured, row.bounds.0, row.bounds.1);
    }
    report.push('\n');
}

fn against_etcd(report: &mut String, scenarios: &[Scenario], summaries: &Summaries) {
    let _ = write!(
        report,
        "## jine against etcd\n\n\
         jine on its own nats-server; both sync what they acknowledge. Where there is no bound for the throughput, only the CPU time is \
         judged.\n\n\
         | scenario | throughput | must | aim | p99 | CPU per operation (must ≤ {CPU_MUST}, aim ≤ {CPU_AIM}) | |\n\
         |---|---|---|---|---|---|---|\n"
    );
    for scenario in scenarios {
        let of = |target: &str| summaries.get(&scenario.name, target).filter(|one| one.throughput.median > 0.0);
        let (Some(jine), Some(etcd)) = (of("jine"), of("etcd")) else { continue };
        // Starts are judged by seconds, below.
        if scenario.unit == "starts" {
            continue;
        }
        let goal = GOALS.iter().find(|goal| goal.scenario == scenario.name);
        let throughput = jine.throughput.median / etcd.throughput.median;
        let p99 = jine.p99.median / etcd.p99.median;
        let cpu = (!WITHOUT_CPU.contains(&scenario.name.as_str())).then_some(jine.cpu.median / etcd.cpu.median);
        let bound = |bound: f64| if bound > 0.0 { format!("≥ {bound}") } else { String::new() };
        let bounds = goal.map_or_else(Default::default, |goal| (bound(goal.must), bound(goal.aim)));
        let told = cpu.map_or(String::new(), |cpu| format!("{cpu:.2} x"));
        let _ = writeln!(
            report,
            "| {} | {throughput:.2} x | {} | {} | {p99:.2} x | {told} | {} |",
            scenario.title,
            bounds.0,
            bounds.1,
            judge(goal, throughput, p99, cpu)
        );
    }
    report.push('\n');
}

fn judge(goal: Option<&Goal>, throughput: f64, p99: f64, cpu: Option<f64>) -> String {
    let mut missed = Vec::new();
    let mut aimed = cpu.is_none_or(|cpu| cpu <= CPU_AIM);
    if let Some(goal) = goal {
        let p99_missed = match goal.p99 {
            P99::Lower => p99 >= 1.0,
            P99::NoWorse => p99 > 1.0,
            P99::Free => false,
        };
        missed.extend((throughput < goal.must).then_some("throughput"));
        missed.extend(p99_missed.then_some("p99"));
        aimed &= throughput >= goal.aim;
    }
    missed.extend(cpu.is_some_and(|cpu| cpu > CPU_MUST).then_some("CPU"));
    verdict(&missed, aimed)
}

/// `missed`: what, by name; or one that is empty, where there is but one thing to miss.
fn verdict(missed: &[&str], aimed: bool) -> String {
    match (missed, aimed) {
        ([], true) => "met, aim too".to_owned(),
        ([], false) => "met".to_owned(),
        ([""], _) => format!("**missed** {WHY}"),
        (missed, _) => format!("**missed**: {} {WHY}", missed.join(", ")),
    }
}

struct Row {
    what: String,
    measured: String,
    bounds: (String, String),
    must: bool,
    aim: bool,
}

/// Not less than the bounds.
fn at_least(what: String, ratio: f64, must: f64, aim: f64) -> Row {
    let bounds = (format!("≥ {must} x"), if aim > must { format!("≥ {aim} x") } else { String::new() });
    Row { what, measured: format!("{ratio:.2} x"), bounds, must: ratio >= must, aim: ratio >= aim }
}

/// Not more than the bounds.
fn at_most(what: &str, measured: f64, unit: &str, must: f64, aim: Option<f64>) -> Row {
    let bounds = (format!("≤ {must} {unit}"), aim.map_or(String::new(), |aim| format!("≤ {aim} {unit}")));
    let text = format!("{measured:.2} {unit}");
    Row { what: what.to_owned(), measured: text, bounds, must: measured <= must, aim: measured <= aim.unwrap_or(must) }
}

fn rows(scenarios: &[Scenario], summaries: &Summaries) -> Vec<Row> {
    let mut rows = Vec::new();
    for target in ["jine-r1", "jine-r1-always"] {
        if let Some(ratio) = throughput_ratio(summaries, "get-64", target, "etcd") {
            let what = format!("linearizable get, 64 clients, {target} against etcd");
            rows.push(at_least(what, ratio, EXTERNAL_GET_MUST, EXTERNAL_GET_MUST));
        }
    }
    for scenario in scenarios {
        if let Some(ratio) = throughput_ratio(summaries, &scenario.name, "jine", "kine-nats") {
            let what = format!("{}, jine against kine on NATS", scenario.title);
            rows.push(at_least(what, ratio, KINE_MUST, KINE_AIM));
        }
    }
    rows.extend(large(summaries));
    rows.extend(small(summaries));
    let p99 = |scenario| summaries.get(scenario, "jine").map(|one| one.p99.median);
    if let (Some(compacting), Some(calm)) = (p99("update-16-compacting"), p99("update-16")) {
        let what = "p99 of updates by 16 clients while somebody compacts every second, against that without";
        rows.push(at_most(what, compacting / calm, "x", 2.0, None));
    }
    rows.extend(value_memory(summaries));
    rows
}

fn throughput_ratio(summaries: &Summaries, scenario: &str, target: &str, other: &str) -> Option<f64> {
    let of = |target| summaries.get(scenario, target).map(|one| one.throughput.median);
    Some(of(target)? / of(other).filter(|throughput| *throughput > 0.0)?)
}

/// What the bound of memory saves, and what it costs.
fn value_memory(summaries: &Summaries) -> Option<Row> {
    const BOUNDED: &str = "jine-value-memory";
    let rss = |target| Some(summaries.get("restart-keys-1000000", target)?.more("rss_before")?.median);
    let (bounded, without) = (rss(BOUNDED)?, rss("jine")?);
    let slower = |(scenario, what): (&str, &str)| {
        let ratio = throughput_ratio(summaries, scenario, BOUNDED, "jine")?;
        Some(format!("; {what} {ratio:.2} x"))
    };
    let costs = [
        ("get-keys-1000000", "gets"),
        ("list-last-keys-1000000", "lists of the last 500 keys"),
        ("update-keys-1000000", "updates"),
    ];
    let costs: String = costs.into_iter().filter_map(slower).collect();
    Some(Row {
        what: "RSS with 10^6 keys of 1 KiB after they were written, with `--value-memory 64MiB`; throughput against that without".to_owned(),
        measured: format!("{:.0} MiB, without {:.0}{costs}", bounded / MIB, without / MIB),
        bounds: ("less than without".to_owned(), String::new()),
        must: bounded < without,
        aim: false,
    })
}

/// With 10^6 keys.
fn large(summaries: &Summaries) -> Vec<Row> {
    let of = |target| summaries.get("restart-keys-1000000", target);
    let mut rows = Vec::new();
    if let (Some(jine), Some(etcd)) = (of("jine"), of("etcd")) {
        let ratio = |name: &str| Some(jine.more(name)?.median / etcd.more(name)?.median);
        for (name, when) in [("rss_before", "after they were written"), ("rss_after", "after a restart")] {
            let what = format!("RSS with 10^6 keys of 1 KiB {when}, jine with its nats-server against etcd");
            rows.extend(ratio(name).map(|ratio| at_most(&what, ratio, "x", 1.5, None)));
        }
    }
    let what = "ready after a restart with 10^6 keys";
    rows.extend(of("jine").map(|jine| at_most(what, jine.seconds.median, "s", 10.0, Some(3.0))));
    rows
}

/// A small K3s, and nobody connected.
fn small(summaries: &Summaries) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(jine) = summaries.get("restart-k3s", "jine") {
        for (name, when) in [("front_rss_before", "after they were written"), ("front_rss_after", "after a restart")] {
            let what = format!("RSS of jine with 5000 objects of 2 KiB, {when}");
            rows.extend(jine.more(name).map(|bytes| at_most(&what, bytes.median / 1e6, "MB", 30.0, None)));
        }
    }
    for minutes in [1, 10] {
        let entries = |one: &Summary| one.more("entries");
        if let Some(entries) = summaries.get(&format!("idle-{minutes}"), "jine").and_then(entries) {
            let what = format!("the stream's last sequence after {minutes} min with nobody connected");
            let measured =
                if entries.median == 0.0 { "unchanged".to_owned() } else { format!("{} more", entries.median) };
            let bounds = ("unchanged".to_owned(), String::new());
            rows.push(Row { what, measured, bounds, must: entries.median == 0.0, aim: true });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missed_is_named() {
        let goal = goal("x", 1.25, 2.0, P99::Lower);
        assert_eq!(judge(Some(&goal), 2.0, 0.9, Some(0.5)), "met, aim too");
        assert_eq!(judge(Some(&goal), 1.9, 0.9, Some(0.5)), "met");
        assert_eq!(judge(Some(&goal), 1.2, 1.0, Some(0.9)), format!("**missed**: throughput, p99, CPU {WHY}"));
        assert_eq!(judge(None, 0.1, 9.0, Some(0.8)), "met");
        assert!(!at_most("x", 10.1, "s", 10.0, Some(3.0)).must);
        assert!(at_least("x".to_owned(), 3.0, 3.0, 10.0).must);
    }
}
