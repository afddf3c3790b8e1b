//! What systemd is told: ready, what is going on, stopping, and signs of life. Without systemd nothing happens.

use std::future::pending;

use sd_notify::NotifyState;

/// Requests are served from now on.
pub fn ready() {
    notify(NotifyState::Ready);
}

pub fn stopping() {
    notify(NotifyState::Stopping);
}

/// A line for `systemctl status`.
pub fn status(text: &str) {
    notify(NotifyState::Status(text));
}

/// Gives signs of life for ever, if WatchdogSec asks for them: as long as the runtime runs tasks, it lives.
pub async fn watchdog() {
    let Some(interval) = sd_notify::watchdog_enabled() else { return pending().await };
    // Half the time, as sd_watchdog_enabled(3) recommends.
    let mut ticks = tokio::time::interval(interval / 2);
    loop {
        ticks.tick().await;
        notify(NotifyState::Watchdog);
    }
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::debug!(%error, "systemd could not be told");
    }
}
