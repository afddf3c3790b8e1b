//! The log: to standard error, as lines for people or as JSON for machines.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Log, LogFormat};

/// From here on everything that is logged appears. Called once.
pub fn start(log: &Log) {
    let filter: Targets = log.filter.parse().unwrap_or_default();
    // The level of a whole filter is for jine; async-nats tells of every reconnect what we tell ourselves.
    let quiet = filter.iter().all(|(target, _)| target != "async_nats");
    let filter = if quiet { filter.with_target("async_nats", tracing::Level::WARN) } else { filter };
    let lines = fmt::layer().with_writer(std::io::stderr);
    let layer = match log.format {
        LogFormat::Plain => {
            // The journal and files want no colours.
            let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
            lines.with_ansi(terminal).boxed()
        }
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    // Tests start it more than once in a process; the first one stands.
    let _ = tracing_subscriber::registry().with(layer.with_filter(filter)).try_init();
}
