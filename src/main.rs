use std::process::ExitCode;

use jine::config::{Arguments, Config};
use jine::logging;

fn main() -> ExitCode {
    let arguments = Arguments::read(std::env::args_os()).unwrap_or_else(|answer| answer.exit());
    let config = match Config::new(&arguments) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("jine: {error}");
            return ExitCode::from(2);
        }
    };
    logging::start(&config.log);
    ExitCode::SUCCESS
}
