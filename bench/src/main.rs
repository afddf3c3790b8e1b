//! Measures etcd endpoints against each other on one machine, in alternating rounds. `scripts/bench` builds and calls it.

mod background;
mod command;
mod drive;
mod expiry;
mod fanout;
mod h2;
mod idle;
mod leases;
mod mix;
mod options;
mod pb;
mod process;
mod raw;
mod report;
mod results;
mod round;
mod run;
mod scenario;
mod server;
mod stored;
mod targets;
mod writes;

use std::io::{self, Write};
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use options::Options;
use run::Run;

fn main() -> io::Result<ExitCode> {
    let options = Options::read(std::env::args().skip(1)).map_err(io::Error::other)?;
    if options.list {
        options.scenarios().iter().for_each(|scenario| println!("{:22} {}", scenario.name, scenario.title));
        return Ok(ExitCode::SUCCESS);
    }
    let mut failures = 0;
    if !options.report_only {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        failures = tokio::task::LocalSet::new().block_on(&runtime, run(&options))?;
    }
    let text = report::write(&options)?;
    match &options.report {
        Some(file) => std::fs::write(file, text)?,
        None => io::stdout().write_all(text.as_bytes())?,
    }
    // What failed is in the report; whoever called is told too.
    Ok(ExitCode::from(u8::from(failures > 0)))
}

/// Returns how much failed. The servers end with it, also when it is told to stop.
async fn run(options: &Options) -> io::Result<usize> {
    let mut run = Run::new(options)?;
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        ended = run.all() => ended?,
        _ = terminated.recv() => return Err(io::Error::other("stopped; the same call goes on")),
        _ = tokio::signal::ctrl_c() => return Err(io::Error::other("stopped; the same call goes on")),
    }
    Ok(run.failures)
}
