//! The first connection to NATS.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::Error;
use super::options::Connection;
use super::stage::Stage;
use crate::jetstream::{self, JetStream};
use crate::store::log::LogError;

/// Between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

/// How often it is told. The reason may be another each time, as each attempt begins with another server.
const REPEAT: Duration = Duration::from_secs(30);

/// Tries without limit while NATS cannot be reached or refuses: whoever has to let jine in may come up after it, or mend its settings.
pub(super) async fn until_it_works(options: Connection, stage: &Stage) -> Result<JetStream, Error> {
    let options = std::sync::Arc::new(options);
    let mut told: Option<(bool, Instant)> = None;
    loop {
        let options = options.clone();
        let (why, refused) = match jetstream::open_with(move || options()).await {
            Ok(log) => return Ok(log),
            Err(LogError::Unavailable(why)) => (why, false),
            Err(LogError::Refused(why)) => (why, true),
            Err(error) => return Err(error.into()),
        };
        if told.is_none_or(|(was_refused, at)| was_refused != refused || at.elapsed() >= REPEAT) {
            if refused {
                tracing::error!("{why}; trying again until it works");
            } else {
                tracing::warn!("{why}; trying again until it works");
            }
            told = Some((refused, Instant::now()));
        }
        stage.tell(format!("waiting for NATS: {why}"));
        sleep(PAUSE).await;
    }
}
