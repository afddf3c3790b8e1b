//! The file of results: a record a line, in JSON, so that a run that was broken off can go on.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::round::Round;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    /// The first: what was asked for, by which results are kept or not.
    Settings(String),
    /// The machine's load average at the beginning and at the end of each run.
    Load {
        began: bool,
        load: f64,
    },
    Round(Round),
    Failed {
        scenario: String,
        target: String,
        why: String,
    },
    /// All rounds of the scenario are there.
    Done(String),
    Ended,
}

/// What a file tells.
#[derive(Debug, Default)]
pub struct Results {
    pub rounds: Vec<Round>,
    /// Scenario, target and why.
    pub failed: Vec<(String, String, String)>,
    pub done: Vec<String>,
    /// Of each run: load averages at its beginning and, unless it was broken off, at its end.
    pub loads: Vec<(f64, Option<f64>)>,
    settings: String,
    ended: bool,
}

impl Results {
    pub fn read(path: &Path) -> io::Result<Results> {
        let mut results = Results::default();
        for line in fs::read_to_string(path)?.lines() {
            // The last line of a run that was killed may be a part.
            let Ok(record) = serde_json::from_str(line) else { continue };
            match record {
                Record::Settings(settings) => results.settings = settings,
                Record::Load { began: true, load } => results.loads.push((load, None)),
                Record::Load { began: false, load } => {
                    if let Some(last) = results.loads.last_mut() {
                        last.1 = Some(load);
                    }
                }
                Record::Round(round) => results.rounds.push(round),
                Record::Failed { scenario, target, why } => results.failed.push((scenario, target, why)),
                Record::Done(scenario) => results.done.push(scenario),
                Record::Ended => results.ended = true,
            }
        }
        Ok(results)
    }

    fn records(&self) -> Vec<Record> {
        let mut records = vec![Record::Settings(self.settings.clone())];
        for (began, ended) in &self.loads {
            records.push(Record::Load { began: true, load: *began });
            records.extend(ended.map(|load| Record::Load { began: false, load }));
        }
        records.extend(self.rounds.iter().cloned().map(Record::Round));
        let failed = self.failed.iter().cloned();
        records.extend(failed.map(|(scenario, target, why)| Record::Failed { scenario, target, why }));
        records.extend(self.done.iter().cloned().map(Record::Done));
        records
    }

    /// Without the rounds of scenarios that are not done.
    fn whole(mut self) -> Results {
        self.rounds.retain(|round| self.done.contains(&round.scenario));
        self.failed.retain(|(scenario, ..)| self.done.contains(scenario));
        self
    }
}

/// A file that is being written.
pub struct Writer {
    file: File,
    pub done: Vec<String>,
}

impl Writer {
    /// Goes on with what a run with the same settings has left unfinished, else begins anew.
    pub fn open(path: &Path, settings: &str, anew: bool) -> io::Result<Writer> {
        let kept = Results::read(path).ok();
        let kept = kept.filter(|results| !anew && !results.ended && results.settings == settings);
        let kept = kept.map_or_else(|| Results { settings: settings.to_owned(), ..Results::default() }, Results::whole);
        let text: Vec<String> = kept.records().iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        fs::write(path, text.join("\n") + "\n")?;
        let mut writer = Writer { file: OpenOptions::new().append(true).open(path)?, done: kept.done };
        writer.write(&Record::Load { began: true, load: load() })?;
        Ok(writer)
    }

    fn write(&mut self, record: &Record) -> io::Result<()> {
        writeln!(self.file, "{}", serde_json::to_string(record)?)
    }

    pub fn round(&mut self, round: Round) -> io::Result<()> {
        self.write(&Record::Round(round))
    }

    pub fn failed(&mut self, scenario: &str, target: &str, why: &str) -> io::Result<()> {
        self.write(&Record::Failed { scenario: scenario.into(), target: target.into(), why: why.into() })
    }

    pub fn done(&mut self, scenario: &str) -> io::Result<()> {
        self.write(&Record::Done(scenario.to_owned()))
    }

    pub fn end(&mut self) -> io::Result<()> {
        self.write(&Record::Load { began: false, load: load() })?;
        self.write(&Record::Ended)
    }
}

/// Of the last minute. More than the benchmark makes means that others used the machine too, and that throughputs say less.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(scenario: &str) -> Round {
        Round { scenario: scenario.into(), ..Round::default() }
    }

    #[test]
    fn a_run_that_was_broken_off_goes_on_with_what_is_done() {
        let path = std::env::temp_dir().join(format!("jine-bench-results-{}", std::process::id()));
        let mut writer = Writer::open(&path, "a", true).unwrap();
        writer.round(round("whole")).unwrap();
        writer.done("whole").unwrap();
        writer.round(round("part")).unwrap();
        drop(writer);

        let mut writer = Writer::open(&path, "a", false).unwrap();
        assert_eq!(writer.done, ["whole"]);
        writer.end().unwrap();
        let results = Results::read(&path).unwrap();
        let rounds: Vec<&str> = results.rounds.iter().map(|round| round.scenario.as_str()).collect();
        assert_eq!((rounds, results.loads.len()), (vec!["whole"], 2));

        for (settings, why) in [("a", "an ended run"), ("b", "another run")] {
            assert!(Writer::open(&path, settings, false).unwrap().done.is_empty(), "{why} is not gone on with");
        }
        fs::remove_file(path).unwrap();
    }
}
