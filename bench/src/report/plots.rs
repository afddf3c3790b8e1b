//! Which plots there are.

use std::path::Path;
use std::{fs, io};

use super::summary::{Summaries, Summary};
use super::svg::{self, Series};
use crate::scenario::Scenario;

const COLORS: &[(&str, &str)] = &[
    ("jine", "#d62728"),
    ("jine-r1", "#ff9896"),
    ("jine-r1-always", "#ff7f0e"),
    ("jine-r3", "#c49c94"),
    ("jine-r3-always", "#8c564b"),
    ("etcd", "#1f77b4"),
    ("kine-nats", "#2ca02c"),
    ("kine-sqlite", "#98df8a"),
    ("raw", "#7f7f7f"),
];

/// Writes those for which there are figures. Returns the files' names and titles.
pub fn write(directory: &Path, scenarios: &[Scenario], summaries: &Summaries) -> io::Result<Vec<(String, String)>> {
    let mut plots = Vec::new();
    let mut add = |name: &str, title: &str, text: Option<String>| {
        plots.extend(text.map(|text| (name.to_owned(), title.to_owned(), text)))
    };
    let title = "jine on its own nats-server, as many times etcd's figure";
    add("ratios.svg", title, ratios(title, scenarios, summaries));
    let clients = |y: fn(&Summary) -> f64| {
        move |target: &str| over(summaries, target, &[1, 16, 64, 256, 1000], |n| format!("create-{n}"), y)
    };
    let keys = |load: &'static str, y: fn(&Summary) -> f64| {
        move |target: &str| {
            over(summaries, target, &[1000, 10_000, 100_000, 1_000_000], |n| format!("{load}-keys-{n}"), y)
        }
    };
    let throughput: fn(&Summary) -> f64 = |one| one.throughput.median;
    let title = "Creates of 1 KiB";
    add("creates.svg", title, chart(title, "clients", "creates per second", clients(throughput)));
    let title = "p99 of creates of 1 KiB";
    add("creates-p99.svg", title, chart(title, "clients", "milliseconds", clients(|one| one.p99.median / 1e3)));
    for (load, name) in [("get", "Gets"), ("list", "Lists of 500 keys"), ("update", "Updates")] {
        let title = format!("{name} as a store grows");
        add(
            &format!("growth-{load}.svg"),
            &title,
            chart(&title, "keys of 1 KiB", "per second", keys(load, throughput)),
        );
    }
    let title = "Ready after a restart";
    add("restart.svg", title, chart(title, "keys of 1 KiB", "seconds", keys("restart", |one| one.seconds.median)));
    if !plots.is_empty() {
        fs::create_dir_all(directory)?;
    }
    for (name, _, text) in &plots {
        fs::write(directory.join(name), text)?;
    }
    Ok(plots.into_iter().map(|(name, title, _)| (name, title)).collect())
}

fn over(
    summaries: &Summaries,
    target: &str,
    xs: &[usize],
    scenario: impl Fn(usize) -> String,
    y: fn(&Summary) -> f64,
) -> Vec<(f64, f64)> {
    let point = |x: &usize| Some((*x as f64, y(summaries.get(&scenario(*x), target)?)));
    xs.iter().filter_map(point).filter(|(_, y)| *y > 0.0).collect()
}

/// A line for each target of which there is more than one point.
fn chart(title: &str, x: &str, y: &str, points: impl Fn(&str) -> Vec<(f64, f64)>) -> Option<String> {
    let all = COLORS.iter().map(|(name, color)| Series { name: (*name).to_owned(), color, points: points(name) });
    let series: Vec<Series> = all.filter(|series| series.points.len() > 1).collect();
    (!series.is_empty()).then(|| svg::lines(title, x, y, &series))
}

fn ratios(title: &str, scenarios: &[Scenario], summaries: &Summaries) -> Option<String> {
    let row = |scenario: &Scenario| {
        let of = |target| summaries.get(&scenario.name, target).filter(|one: &&Summary| one.throughput.median > 0.0);
        let (jine, etcd) = (of("jine")?, of("etcd")?);
        let ratio = |figure: fn(&Summary) -> f64| figure(jine) / figure(etcd);
        let ratios = [ratio(|one| one.throughput.median), ratio(|one| one.p99.median), ratio(|one| one.cpu.median)];
        let ratios = ratios.map(|ratio| if ratio.is_finite() { ratio } else { 0.0 });
        Some((scenario.title.clone(), ratios.to_vec()))
    };
    let own = scenarios.iter().filter(|scenario| scenario.group == scenario.name && scenario.unit != "starts");
    let rows: Vec<(String, Vec<f64>)> = own.filter_map(row).collect();
    let names = [("throughput", "#2ca02c"), ("p99", "#9467bd"), ("CPU time", "#7f7f7f")];
    (!rows.is_empty()).then(|| svg::ratios(title, &names, &rows))
}
