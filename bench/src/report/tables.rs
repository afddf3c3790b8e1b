//! All figures.

use std::fmt::Write;

use super::summary::{Spread, Summaries, Summary};
use crate::scenario::{Load, Scenario};

const MIB: f64 = (1 << 20) as f64;

/// The stores that differ in what they hold have a table in common.
fn is_growth(scenario: &Scenario) -> bool {
    scenario.group != scenario.name
}

pub fn write(report: &mut String, scenarios: &[Scenario], summaries: &Summaries) {
    for scenario in scenarios.iter().filter(|scenario| !is_growth(scenario)) {
        let rows = summaries.on(&scenario.name);
        if rows.is_empty() {
            continue;
        }
        let _ = writeln!(report, "## {}\n", scenario.title);
        match scenario.load {
            Load::Restart { .. } => restart(report, &rows),
            Load::Idle { .. } => idle(report, &rows),
            _ => throughput(report, scenario.unit, &rows),
        }
        report.push('\n');
    }
    growth(report, scenarios, summaries);
}

fn throughput(report: &mut String, unit: &str, rows: &[(&str, &Summary)]) {
    let _ = writeln!(
        report,
        "| target | {unit} per second | p50 ms | p99 ms | p99.9 ms | CPU µs each | the generator's | peak RSS MiB | disk MiB |\n|---|---|---|---|---|---|---|---|---|"
    );
    for (target, row) in rows {
        let _ = writeln!(
            report,
            "| {target} | {} | {:.2} | {} | {:.2} | {:.1} | {:.1} | {:.0} | {:.0} |",
            spread(row.throughput, 1.0, 0),
            row.p50.median / 1e3,
            spread(row.p99, 1e3, 2),
            row.p999.median / 1e3,
            row.cpu.median,
            row.generator.median,
            row.peak_rss / MIB,
            row.disk / MIB
        );
    }
}

/// `median (lowest–highest)`, each divided.
fn spread(spread: Spread, divisor: f64, digits: usize) -> String {
    let [median, lowest, highest] = [spread.median, spread.lowest, spread.highest].map(|value| value / divisor);
    format!("{median:.digits$} ({lowest:.digits$}–{highest:.digits$})")
}

fn restart(report: &mut String, rows: &[(&str, &Summary)]) {
    report.push_str(
        "| target | ready after s | CPU s | RSS MiB before | after | of jine, etcd or kine alone before | after | disk MiB |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for (target, row) in rows {
        let _ = write!(report, "| {target} | {} | {:.1} |", spread(row.seconds, 1.0, 2), row.cpu_seconds.median);
        for name in ["rss_before", "rss_after", "front_rss_before", "front_rss_after"] {
            let _ = write!(report, " {:.0} |", row.more(name).unwrap_or_default().median / MIB);
        }
        let _ = writeln!(report, " {:.0} |", row.disk / MIB);
    }
}

fn idle(report: &mut String, rows: &[(&str, &Summary)]) {
    report.push_str(
        "| target | entries added to the log | KiB written to the disk | CPU ms a minute | RSS MiB |\n|---|---|---|---|---|\n",
    );
    for (target, row) in rows {
        let entries = row.more("entries").map_or("unknown".to_owned(), |entries| format!("{:.0}", entries.median));
        let _ = writeln!(
            report,
            "| {target} | {entries} | {:.0} | {:.0} | {:.0} |",
            row.more("written").unwrap_or_default().median / 1024.0,
            row.cpu_seconds.median / row.seconds.median * 60e3,
            row.peak_rss / MIB
        );
    }
}

fn growth(report: &mut String, scenarios: &[Scenario], summaries: &Summaries) {
    let grown: Vec<&Scenario> = scenarios.iter().filter(|scenario| is_growth(scenario)).collect();
    let mut rows = String::new();
    for group in grown.chunk_by(|a, b| a.group == b.group) {
        let title = group[0].title.rsplit(": ").next().unwrap_or_default();
        for (target, restart) in summaries.on(&group[0].name) {
            let of = |load: &str| summaries.get(&format!("{load}-{}", group[0].group), target);
            let _ = write!(rows, "| {title} | {target} |");
            for load in ["get", "list", "update"] {
                let figures = of(load).map(|one| format!("{:.0} ({:.2})", one.throughput.median, one.p99.median / 1e3));
                let _ = write!(rows, " {} |", figures.unwrap_or_default());
            }
            let rss = |name| restart.more(name).unwrap_or_default().median / MIB;
            let _ = writeln!(
                rows,
                " {:.2} | {:.0} | {:.0} | {:.0} |",
                restart.seconds.median,
                rss("rss_before"),
                rss("rss_after"),
                restart.disk / MIB
            );
        }
    }
    if !rows.is_empty() {
        let _ = write!(
            report,
            "## As a store grows\n\nGets by 64 clients, lists of the first 500 keys by 8 (in keys), updates of keys at random by 64, each per \
             second with p99 in milliseconds; starting again on what is stored. Values of 1 KiB.\n\n\
             | store | target | gets (p99) | keys listed (p99) | updates (p99) | ready after s | RSS MiB before | after | disk MiB |\n\
             |---|---|---|---|---|---|---|---|---|\n{rows}\n"
        );
    }
}
