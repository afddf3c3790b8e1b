//! The scenarios one after the other, each on its targets in alternating rounds.

use std::io;
use std::time::Duration;

use crate::idle;
use crate::options::Options;
use crate::results::Writer;
use crate::round::{Memory, Round};
use crate::scenario::{Load, Scenario};
use crate::server::Server;

/// Longer than the longest takes, which fills a store with 10^6 keys: something hangs.
const PREPARING: Duration = Duration::from_secs(900);

/// The same of a round, but for expiring leases and starting, which have limits of their own.
const ROUND: Duration = Duration::from_secs(60);

struct Running {
    server: Server,
    memory: Memory,
}

pub struct Run<'a> {
    options: &'a Options,
    writer: Writer,
    running: Vec<Running>,
    pub failures: usize,
}

impl Run<'_> {
    pub fn new(options: &Options) -> io::Result<Run<'_>> {
        std::fs::create_dir_all(&options.directory)?;
        let writer = Writer::open(&options.results(), &options.settings(), options.anew)?;
        Ok(Run { options, writer, running: Vec::new(), failures: 0 })
    }

    /// Must be in a `LocalSet`.
    pub async fn all(&mut self) -> io::Result<()> {
        let scenarios = self.options.scenarios();
        for group in scenarios.chunk_by(|a, b| a.group == b.group) {
            let todo: Vec<&Scenario> = group.iter().filter(|one| !self.writer.done.contains(&one.name)).collect();
            if todo.is_empty() {
                continue;
            }
            self.start(&todo).await?;
            for scenario in todo {
                self.scenario(scenario).await?;
                self.writer.done(&scenario.name)?;
            }
            if !self.options.is_tiny() {
                self.stop().await?;
            }
        }
        self.stop().await?;
        self.writer.end()?;
        let _ = std::fs::remove_dir_all(self.options.staging());
        Ok(())
    }

    /// Starts what the scenarios need and what does not run yet.
    async fn start(&mut self, scenarios: &[&Scenario]) -> io::Result<()> {
        for target in &self.options.targets {
            let needed = scenarios.iter().find(|scenario| scenario.applies(target.kind));
            let runs = self.running.iter().any(|running| running.server.target.name == target.name);
            let (Some(needed), false) = (needed, runs) else { continue };
            match Server::start(target, &self.options.nats_server, &self.options.directory).await {
                Ok(server) => self.running.push(Running { server, memory: Memory::default() }),
                Err(error) => self.failed(&needed.name, &target.name, &error)?,
            }
        }
        Ok(())
    }

    async fn stop(&mut self) -> io::Result<()> {
        for running in self.running.drain(..) {
            running.server.stop().await?;
        }
        Ok(())
    }

    fn failed(&mut self, scenario: &str, target: &str, error: &io::Error) -> io::Result<()> {
        self.failures += 1;
        eprintln!("{scenario} on {target} failed: {error}");
        self.writer.failed(scenario, target, &error.to_string())
    }

    async fn scenario(&mut self, scenario: &Scenario) -> io::Result<()> {
        let mut running = std::mem::take(&mut self.running);
        let applies = |running: &&mut Running| scenario.applies(running.server.target.kind);
        let mut prepared = Vec::new();
        for Running { server, memory } in running.iter_mut().filter(applies) {
            match patiently(PREPARING, scenario.prepare(server, memory)).await {
                Ok(()) => prepared.push((server, memory)),
                Err(error) => self.failed(&scenario.name, &server.target.name, &error)?,
            }
        }
        match scenario.load {
            Load::Idle { seconds } => {
                let servers: Vec<&Server> = prepared.into_iter().map(|(server, _)| &*server).collect();
                self.idle(scenario, &servers, Duration::from_secs(seconds)).await?;
            }
            _ => self.rounds(scenario, prepared).await?,
        }
        self.running = running;
        Ok(())
    }

    async fn idle(&mut self, scenario: &Scenario, servers: &[&Server], time: Duration) -> io::Result<()> {
        for (server, round) in servers.iter().zip(idle::run(servers, time).await?) {
            self.measured(scenario, server, 0, round)?;
        }
        Ok(())
    }

    async fn rounds(&mut self, scenario: &Scenario, mut on: Vec<(&mut Server, &mut Memory)>) -> io::Result<()> {
        let (times, staging) = (self.options.times, self.options.staging());
        let limit = match scenario.load {
            Load::Expiry { .. } | Load::Restart { .. } => PREPARING,
            _ => ROUND + times.measured,
        };
        for round in 0..self.options.rounds {
            let mut sound = Vec::new();
            for (server, memory) in on {
                match patiently(limit, scenario.run(server, memory, times, &staging)).await {
                    Ok(figures) => {
                        self.measured(scenario, server, round, figures)?;
                        sound.push((server, memory));
                    }
                    Err(error) => self.failed(&scenario.name, &server.target.name, &error)?,
                }
            }
            on = sound;
        }
        Ok(())
    }

    fn measured(&mut self, scenario: &Scenario, server: &Server, round: usize, figures: Round) -> io::Result<()> {
        let figures = Round { scenario: scenario.name.clone(), target: server.target.name.clone(), round, ..figures };
        tell(&figures);
        self.writer.round(figures)
    }
}

async fn patiently<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(io::Error::other(format!("no end after {limit:?}"))))
}

fn tell(round: &Round) {
    eprintln!(
        "{:20} {:14} {:>9.0}/s  p50 {:>7} p99 {:>7} p99.9 {:>7} us  cpu {:>7.1} + {:>5.1} us  rss {} MiB",
        round.scenario,
        round.target,
        round.units as f64 / round.seconds,
        round.p50,
        round.p99,
        round.p999,
        round.cpu_seconds * 1e6 / round.units.max(1) as f64,
        round.generator_seconds * 1e6 / round.units.max(1) as f64,
        round.rss_bytes >> 20
    );
}
