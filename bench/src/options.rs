//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use crate::scenario::{self, Scenario, Times};
use crate::targets::{Kind, Target};

pub struct Options {
    pub targets: Vec<Target>,
    pub nats_server: PathBuf,
    pub directory: PathBuf,
    pub rounds: usize,
    pub times: Times,
    pub report: Option<PathBuf>,
    pub report_only: bool,
    quick: bool,
    only: Vec<String>,
}

pub const USAGE: &str = "jine-bench [--quick] [--only SCENARIO,…] [--rounds N] [--seconds N] [--report FILE] [--report-only] \
    --directory DIR --nats-server FILE [--jine [NAME=]FILE]… [--etcd [NAME=]FILE]… [--raw]";

impl Options {
    pub fn read(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            targets: Vec::new(),
            nats_server: PathBuf::from("nats-server"),
            directory: PathBuf::new(),
            rounds: 3,
            times: Times { warm: Duration::from_millis(500), measured: Duration::from_secs(3) },
            report: None,
            report_only: false,
            quick: false,
            only: Vec::new(),
        };
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value; {USAGE}"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--report-only" => options.report_only = true,
                "--raw" => {
                    options.targets.push(Target { name: "raw".into(), kind: Kind::Raw, program: PathBuf::new() })
                }
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

    pub fn scenarios(&self) -> impl Iterator<Item = &'static Scenario> {
        scenario::ALL.iter().filter(|scenario| match self.only.as_slice() {
            [] => scenario.quick || !self.quick,
            only => only.iter().any(|name| scenario.name == name),
        })
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
