//! What is going on right now, in a line: for `systemctl status`, and for whoever asks `/readyz` during the start.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::interval;

use crate::state::Sequence;
use crate::store::{Progress, Store};
use crate::systemd;

/// How often a change may be told.
const INTERVAL: Duration = Duration::from_secs(1);

#[derive(Clone)]
pub(super) struct Stage(watch::Sender<String>);

impl Stage {
    pub(super) fn new(text: &str) -> Self {
        let stage = Stage(watch::Sender::default());
        stage.tell(text.to_owned());
        stage
    }

    pub(super) fn tell(&self, text: String) {
        self.0.send_if_modified(|old| {
            let new = *old != text;
            if new {
                systemd::status(&text);
                *old = text;
            }
            new
        });
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<String> {
        self.0.subscribe()
    }
}

/// How far the reading of the log is. Until it is aborted.
pub(super) async fn tell_replay(progress: watch::Receiver<Progress>, stage: Stage) {
    let mut ticks = interval(INTERVAL);
    loop {
        ticks.tick().await;
        let Progress { at, target } = *progress.borrow();
        if target == Sequence::ZERO {
            stage.tell("looking for the end of the log".to_owned());
        } else {
            stage.tell(format!("reading the log: {} of {}", at.0, target.0));
        }
    }
}

/// Whether requests can be served. Until it is aborted.
pub(super) async fn tell_service(store: Store, stage: Stage) {
    let mut ticks = interval(INTERVAL);
    loop {
        ticks.tick().await;
        stage.tell(match store.unavailable() {
            None => "serving".to_owned(),
            Some(why) => format!("serving reads of what is known only: {why}"),
        });
    }
}
