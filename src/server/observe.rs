//! The port for metrics and health, which answers from the beginning of the start on.

use std::net::TcpListener;

use axum::Router;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::stage::Stage;
use crate::http;
use crate::listen::Port;

pub(super) struct Observing {
    /// The same port again, for the time after the start.
    listener: TcpListener,
    started: CancellationToken,
}

impl Observing {
    pub(super) fn start(port: Port, stage: &Stage) -> Result<Self, String> {
        let address = port.address();
        let cannot = |error| format!("metrics cannot be served on {address}: {error}");
        let first = port.open()?;
        let listener = first.into_std().map_err(cannot)?;
        let first = listener.try_clone().and_then(tokio::net::TcpListener::from_std).map_err(cannot)?;
        let started = CancellationToken::new();
        let router = http::starting(stage.subscribe());
        tokio::spawn(http::serve(first, router, started.clone()));
        tracing::info!(%address, "serving metrics and health");
        Ok(Observing { listener, started })
    }

    /// From now on with what there is to tell.
    pub(super) fn serve(self, router: Router, beside: &mut JoinSet<()>) -> Result<(), String> {
        // Connections that are open are closed, so that their clients come back to the new answers.
        self.started.cancel();
        let listener = tokio::net::TcpListener::from_std(self.listener)
            .map_err(|error| format!("metrics cannot be served: {error}"))?;
        beside.spawn(http::serve(listener, router, CancellationToken::new()));
        Ok(())
    }
}
