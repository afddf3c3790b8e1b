//! gRPC's own health service: says whether the store serves linearizable requests.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::store::Store;

/// How long a change may go unnoticed. Asking costs next to nothing.
const INTERVAL: Duration = Duration::from_millis(250);

/// Reports until `stop`, and "not serving" from then on. As etcd, only for the server as a whole (service "").
pub(super) async fn report(store: Store, reporter: HealthReporter, stop: CancellationToken) {
    let mut told = None;
    loop {
        let serving = !stop.is_cancelled() && store.unavailable().is_none();
        if told != Some(serving) {
            let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
            reporter.set_service_status("", status).await;
            told = Some(serving);
        }
        if stop.is_cancelled() {
            return;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}
