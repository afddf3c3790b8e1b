//! Measures etcd endpoints against each other on one machine, in alternating rounds. `scripts/bench` builds and calls it.

mod drive;
mod fanout;
mod h2;
mod options;
mod pb;
mod process;
mod raw;
mod report;
mod scenario;
mod targets;
mod work;

use std::collections::HashMap;
use std::io::{self, Write};

use options::Options;
use scenario::{Memory, Round};
use targets::Server;

fn main() -> io::Result<()> {
    let options = Options::read(std::env::args().skip(1)).map_err(io::Error::other)?;
    if !options.report_only {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio::task::LocalSet::new().block_on(&runtime, run(&options))?;
    }
    let text = report::write(&options)?;
    match &options.report {
        Some(file) => std::fs::write(file, text),
        None => io::stdout().write_all(text.as_bytes()),
    }
}

async fn run(options: &Options) -> io::Result<()> {
    std::fs::create_dir_all(&options.directory)?;
    let mut results = std::fs::File::create(options.results())?;
    let mut servers = Vec::new();
    for target in &options.targets {
        servers.push(Server::start(target, &options.nats_server, &options.directory).await?);
    }
    let mut memories: HashMap<String, Memory> = HashMap::new();
    for scenario in options.scenarios() {
        let servers: Vec<&Server> = servers.iter().filter(|server| scenario.applies(server.target.kind)).collect();
        for server in &servers {
            scenario.prepare(server, memories.entry(server.target.name.clone()).or_default()).await?;
        }
        for round in 0..options.rounds {
            for server in &servers {
                let memory = memories.entry(server.target.name.clone()).or_default();
                let staging = options.staging();
                let measured = scenario.run(server, memory, round, options.times, &staging).await;
                let measured = measured.map_err(|error| {
                    io::Error::other(format!("{} on {}: {error}", scenario.name, server.target.name))
                })?;
                tell(&measured);
                writeln!(results, "{}", serde_json::to_string(&measured)?)?;
            }
        }
    }
    for server in servers {
        server.stop().await?;
    }
    let _ = std::fs::remove_dir_all(options.staging());
    Ok(())
}

fn tell(round: &Round) {
    eprintln!(
        "{:14} {:12} {:>9.0}/s  p50 {:>6} p99 {:>6} p99.9 {:>6} us  cpu {:>6.1} us  rss {} MiB",
        round.scenario,
        round.target,
        round.units as f64 / round.seconds,
        round.p50,
        round.p99,
        round.p999,
        round.cpu_seconds * 1e6 / round.units.max(1) as f64,
        round.rss_bytes >> 20
    );
}
