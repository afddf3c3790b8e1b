//! When to stop: at SIGTERM, or at SIGINT (Ctrl-C). A second one stops at once.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// What sends a signal to a process and to its group (timeout, a terminal, some supervisors) sends it twice in a moment;
/// only a later one is meant as a second.
const SECOND: Duration = Duration::from_secs(1);

/// The token is cancelled by the first signal; a second ends the process, whatever it is doing.
pub fn on_signals() -> io::Result<CancellationToken> {
    let mut signals = Signals::new()?;
    let stop = CancellationToken::new();
    let told = stop.clone();
    tokio::spawn(async move {
        let name = signals.next().await;
        tracing::info!(signal = name, "stopping");
        told.cancel();
        tokio::time::sleep(SECOND).await;
        let Ok(mut signals) = Signals::new() else { return };
        let name = signals.next().await;
        tracing::warn!(signal = name, "told twice: stopping at once");
        // The nats-server ends with this process.
        std::process::exit(1);
    });
    Ok(stop)
}

/// Those that come from its making on.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
