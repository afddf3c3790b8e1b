//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::round::Times;
use crate::scenario::{self, Scenario};
use crate::targets::{self, Kind, Target};

pub struct Options {
    pub targets: Vec<Target>,
    pub nats_server: PathBuf,
    pub directory: PathBuf,
    pub rounds: usize,
    pub times: Times,
    pub report: Option<PathBuf>,
    pub report_only: bool,
    /// Whether what an unfinished run has measured is thrown away.
    pub anew: bool,
    pub list: bool,
    tiny: bool,
    quick: bool,
    only: Vec<String>,
}

pub const USAGE: &str = "jine-bench [--quick | --tiny] [--only SCENARIO,…] [--rounds N] [--seconds N] [--report FILE] [--report-only] \
    [--anew] [--list] --directory DIR --nats-server FILE [--jine [NAME=]FILE]… [--value-memory JINE] [--external JINE] [--etcd [NAME=]FILE]… [--kine FILE] [--raw]";

/// By how much `--tiny` divides what is stored.
const TINY: usize = 100;

impl Options {
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            targets: Vec::new(),
            nats_server: PathBuf::from("nats-server"),
            directory: PathBuf::new(),
            rounds: 3,
            times: Times { warm: Duration::from_millis(500), measured: Duration::from_millis(2500) },
            report: None,
            report_only: false,
            anew: false,
            list: false,
            tiny: false,
            quick: false,
            only: Vec::new(),
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value; {USAGE}"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--tiny" => options.tiny(),
                "--report-only" => options.report_only = true,
                "--anew" => options.anew = true,
                "--list" => options.list = true,
                "--raw" => options.add("", |kind| kind == Kind::Raw),
                "--external" => options.add(&value()?, |kind| matches!(kind, Kind::External { .. })),
                "--value-memory" => options.add(&value()?, |kind| kind == Kind::ValueMemory),
                "--kine" => options.add(&value()?, |kind| matches!(kind, Kind::KineNats | Kind::KineSqlite)),
                "--jine" => options.targets.push(target(&value()?, "jine", Kind::Jine)),
                "--etcd" => options.targets.push(target(&value()?, "etcd", Kind::Etcd)),
                "--nats-server" => options.nats_server = value()?.into(),
                "--directory" => options.directory = value()?.into(),
                "--report" => options.report = Some(value()?.into()),
                "--only" => options.only = value()?.split(',').map(str::to_owned).collect(),
                "--rounds" => options.rounds = number(&value()?)?,
                "--seconds" => {
                    options.times.measured =
                        Duration::from_secs_f64(value()?.parse().map_err(|_| "--seconds takes a number")?)
                }
                _ => return Err(format!("unknown: {argument}; {USAGE}")),
            }
        }
        for target in options.targets.iter_mut().filter(|target| target.kind == Kind::Raw) {
            target.program = options.nats_server.clone();
        }
        Ok(options)
    }

    /// Everything once and briefly, to see that it works; the figures mean nothing.
    fn tiny(&mut self) {
        self.tiny = true;
        self.rounds = 1;
        self.times = Times { warm: Duration::from_millis(10), measured: Duration::from_millis(100) };
    }

    pub fn is_tiny(&self) -> bool {
        self.tiny
    }

    fn add(&mut self, program: &str, which: impl Fn(Kind) -> bool) {
        let all = targets::ALL.iter().filter(|(_, kind, _)| which(*kind));
        self.targets.extend(all.map(|(name, kind, _)| Target {
            name: (*name).to_owned(),
            kind: *kind,
            program: program.into(),
        }));
    }

    pub fn scenarios(&self) -> Vec<Scenario> {
        let chosen = |scenario: &Scenario| match self.only.as_slice() {
            [] => scenario.quick || !self.quick,
            only => only.contains(&scenario.name),
        };
        let scenarios = scenario::all().into_iter().filter(chosen);
        if self.tiny { scenarios.map(|scenario| scenario.scaled(TINY)).collect() } else { scenarios.collect() }
    }

    /// What has to be the same for a run to be gone on with; the programs too.
    pub fn settings(&self) -> String {
        let mut settings =
            format!("{} {:?} {} {} {}", self.rounds, self.times, self.quick, self.tiny, self.only.join(","));
        for target in &self.targets {
            let meta = std::fs::metadata(&target.program).ok();
            let modified = meta.as_ref().and_then(|meta| meta.modified().ok());
            settings += &format!(" {} {:?} {modified:?}", target.name, meta.map(|meta| meta.len()));
        }
        settings
    }

    /// One round a line, in JSON.
    pub fn results(&self) -> PathBuf {
        self.directory.join("results.jsonl")
    }

    /// Where the raw target's batches are staged: in memory.
    pub fn staging(&self) -> PathBuf {
        PathBuf::from(format!("/dev/shm/jine-bench-{}", std::process::id()))
    }
}

fn target(value: &str, name: &str, kind: Kind) -> Target {
    let (name, program) = value.split_once('=').unwrap_or((name, value));
    Target { name: name.to_owned(), kind, program: PathBuf::from(program) }
}

fn number(value: &str) -> Result<usize, String> {
    value.parse().map_err(|_| format!("not a number: {value}"))
}
