//! The report: what one run has measured on one machine, as Markdown with plots beside it.

mod goals;
mod machine;
mod plots;
mod summary;
mod svg;
mod tables;

use std::fmt::Write;
use std::io;
use std::path::Path;

use crate::options::Options;
use crate::results::Results;
use crate::scenario;
use crate::targets;
use summary::Summaries;

/// The text. Its plots are written into a directory named as the report, without its ending.
pub fn write(options: &Options) -> io::Result<String> {
    let results = Results::read(&options.results())?;
    let summaries = Summaries::of(&results.rounds);
    let scenarios = scenario::all();
    let mut report = String::new();
    head(&mut report, &results, &summaries);
    goals::write(&mut report, &scenarios, &summaries);
    if let Some(file) = &options.report {
        let plots = plots::write(&file.with_extension(""), &scenarios, &summaries)?;
        show(&mut report, file, &plots);
    }
    tables::write(&mut report, &scenarios, &summaries);
    failed(&mut report, &results);
    Ok(report)
}

fn head(report: &mut String, results: &Results, summaries: &Summaries) {
    let rounds = results.rounds.iter().map(|round| round.round + 1).max().unwrap_or_default();
    let seconds = results.rounds.iter().map(|round| round.seconds).next().unwrap_or_default();
    let loads: Vec<String> = results.loads.iter().map(|(began, ended)| load(*began, *ended)).collect();
    let _ = write!(
        report,
        "# Benchmarks\n\n\
         Made by `scripts/bench`; do not edit. One run on one machine: {}. Targets in alternating rounds, {rounds} of {seconds:.1} s \
         each; figures are medians, with the lowest and highest in parentheses. Each group of scenarios begins with empty servers, all on the \
         same disk. The load generator shares the machine with the servers, so ratios count, and the CPU time that all server processes \
         take for each operation. The machine's load average: {} (the benchmark alone makes about 3, so more at the beginning \
         means that others used the machine too).\n\nTargets:\n\n",
        machine::described(),
        loads.join("; ")
    );
    for (name, _, text) in targets::ALL.iter().filter(|(name, ..)| summaries.has_target(name)) {
        let _ = writeln!(report, "- **{name}**: {text}");
    }
    report.push('\n');
}

fn load(began: f64, ended: Option<f64>) -> String {
    match ended {
        Some(ended) => format!("{began:.2} at the beginning, {ended:.2} at the end"),
        None => format!("{began:.2} at the beginning of a run that was broken off"),
    }
}

fn show(report: &mut String, file: &Path, plots: &[(String, String)]) {
    let folder = file.file_stem().unwrap_or_default().display().to_string();
    for (name, title) in plots {
        let _ = writeln!(report, "![{title}]({folder}/{name})\n");
    }
}

/// What could not be measured is told, too.
fn failed(report: &mut String, results: &Results) {
    if results.failed.is_empty() {
        return;
    }
    report.push_str("## What failed\n\n| scenario | target | why |\n|---|---|---|\n");
    for (scenario, target, why) in &results.failed {
        let why: String =
            why.replace('|', "/").split_whitespace().collect::<Vec<_>>().join(" ").chars().take(300).collect();
        let _ = writeln!(report, "| {scenario} | {target} | {why} |");
    }
    report.push('\n');
}
