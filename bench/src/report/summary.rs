//! The rounds of a scenario on a target, in figures.

use std::collections::BTreeMap;

use crate::round::Round;

/// A median, with the lowest and the highest.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spread {
    pub median: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Spread {
        let mut all: Vec<f64> = values.collect();
        all.sort_by(f64::total_cmp);
        match all.as_slice() {
            [] => Spread::default(),
            [lowest, .., highest] => Spread {
                median: f64::midpoint(all[(all.len() - 1) / 2], all[all.len() / 2]),
                lowest: *lowest,
                highest: *highest,
            },
            [only] => Spread { median: *only, lowest: *only, highest: *only },
        }
    }
}

#[derive(Debug, Default)]
pub struct Summary {
    /// Units a second.
    pub throughput: Spread,
    /// Microseconds.
    pub p50: Spread,
    pub p99: Spread,
    pub p999: Spread,
    /// Seconds of all server processes, in the whole round.
    pub cpu_seconds: Spread,
    /// Microseconds of all server processes for each unit.
    pub cpu: Spread,
    /// The same of the load generator.
    pub generator: Spread,
    pub seconds: Spread,
    /// Bytes, of all server processes.
    pub peak_rss: f64,
    pub disk: f64,
    more: BTreeMap<String, Spread>,
}

impl Summary {
    fn of(rounds: &[&Round]) -> Summary {
        let spread = |of: &dyn Fn(&Round) -> f64| Spread::of(rounds.iter().map(|round| of(round)));
        let highest =
            |of: &dyn Fn(&Round) -> u64| rounds.iter().map(|round| of(round)).max().unwrap_or_default() as f64;
        let names = rounds.iter().flat_map(|round| round.more.keys());
        let more = |name: &String| {
            let values = rounds.iter().filter_map(|round| round.more.get(name).copied());
            (name.clone(), Spread::of(values))
        };
        Summary {
            throughput: spread(&|round| round.units as f64 / round.seconds),
            p50: spread(&|round| round.p50.into()),
            p99: spread(&|round| round.p99.into()),
            p999: spread(&|round| round.p999.into()),
            cpu_seconds: spread(&|round| round.cpu_seconds),
            cpu: spread(&|round| round.cpu_seconds * 1e6 / round.units.max(1) as f64),
            generator: spread(&|round| round.generator_seconds * 1e6 / round.units.max(1) as f64),
            seconds: spread(&|round| round.seconds),
            peak_rss: highest(&|round| round.peak_rss_bytes),
            disk: highest(&|round| round.disk_bytes),
            more: names.map(more).collect(),
        }
    }

    /// One of the figures that only some scenarios have.
    pub fn more(&self, name: &str) -> Option<Spread> {
        self.more.get(name).copied()
    }
}

#[derive(Debug)]
pub struct Summaries(BTreeMap<(String, String), Summary>);

impl Summaries {
    pub fn of(rounds: &[Round]) -> Summaries {
        let mut groups: BTreeMap<(String, String), Vec<&Round>> = BTreeMap::new();
        for round in rounds {
            groups.entry((round.scenario.clone(), round.target.clone())).or_default().push(round);
        }
        Summaries(groups.into_iter().map(|(key, rounds)| (key, Summary::of(&rounds))).collect())
    }

    pub fn get(&self, scenario: &str, target: &str) -> Option<&Summary> {
        self.0.get(&(scenario.to_owned(), target.to_owned()))
    }

    pub fn has_target(&self, target: &str) -> bool {
        self.0.keys().any(|(_, measured)| measured == target)
    }

    /// Those of a scenario, as targets are listed; then what goes by a name of its own.
    pub fn on<'a>(&'a self, scenario: &'a str) -> Vec<(&'a str, &'a Summary)> {
        let mut all: Vec<(&str, &Summary)> = self
            .0
            .iter()
            .filter(|((name, _), _)| name == scenario)
            .map(|((_, target), one)| (target.as_str(), one))
            .collect();
        let place =
            |name: &str| crate::targets::ALL.iter().position(|(known, ..)| *known == name).unwrap_or(usize::MAX);
        all.sort_by_key(|(target, _)| place(target));
        all
    }
}
