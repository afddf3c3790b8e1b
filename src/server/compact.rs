//! Compacts now and then, for clients that do not: what `--compact-interval` asks for.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::state::Revision;
use crate::store::Store;

/// Every interval, what was already history one interval ago goes. Until it is aborted.
pub(super) async fn every(length: Duration, store: Store) {
    let mut ticks = interval(length);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut then = Revision::ZERO;
    loop {
        ticks.tick().await;
        let now = store.revision();
        if then > Revision::FIRST && now > then {
            match store.compact(then, false).await {
                Ok(_) => tracing::info!(revision = then.0, "compacted"),
                // A client may have compacted further.
                Err(error) => tracing::debug!(revision = then.0, %error, "not compacted"),
            }
        }
        then = now;
    }
}
