//! Tells systemd how far the reading of the log is; the store tells the log itself.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::interval;

use crate::store::Progress;
use crate::systemd;

/// Until it is aborted.
pub(super) async fn tell(progress: watch::Receiver<Progress>) {
    let mut ticks = interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let Progress { at, target } = *progress.borrow();
        systemd::status(&format!("reading the log: {} of {}", at.0, target.0));
        systemd::extend_start(Duration::from_secs(60));
    }
}
