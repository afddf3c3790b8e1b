//! Arguments, log, runtime, exit code.

use std::process::ExitCode;
use std::time::Duration;

use jine::config::{Arguments, Config};
use jine::{logging, server};

/// Takes up to a fifth off the CPU time of a call, measured against glibc's (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// For threads to end, when there is nothing left to do.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// As clap has it.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let arguments = Arguments::read(std::env::args_os()).unwrap_or_else(|answer| answer.exit());
    let config = match Config::new(&arguments) {
        Ok(config) => config,
        Err(error) => return fail(&error.to_string(), USAGE),
    };
    logging::start(&config.log);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("no threads can be started: {error}"), 1),
    };
    let served = runtime.block_on(server::run(config));
    // What still computes for a client that is gone is not waited for.
    runtime.shutdown_timeout(LAST_PATIENCE);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::from(error.exit_code())
        }
    }
}

fn fail(sentence: &str, code: u8) -> ExitCode {
    eprintln!("jine: {sentence}");
    ExitCode::from(code)
}
