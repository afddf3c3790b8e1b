//! The composition root: what is started in which order, and stopped in the reverse one.
//!
//! Ports are taken first, so that a busy one is told at once; they are opened last, when requests can be answered.

use crate::config::{Config, Server};
use crate::listen::Port;
use crate::nats_server::{self, NatsServer};
use crate::{shutdown, systemd};

/// One sentence for the person who has to do something about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Starting again does not help.
    #[error("{0}")]
    Setup(String),
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// systemd restarts on 1 and not on 78 (EX_CONFIG of sysexits.h): see the unit in deploy/systemd.
    pub fn exit_code(&self) -> u8 {
        match self {
            Error::Setup(_) => 78,
            Error::Failed(_) => 1,
        }
    }
}

impl From<nats_server::Error> for Error {
    fn from(error: nats_server::Error) -> Self {
        match error {
            nats_server::Error::Setup(why) => Error::Setup(why),
            nats_server::Error::Failed(why) => Error::Failed(why),
        }
    }
}

/// Serves until a signal says to stop.
pub async fn run(config: Config) -> Result<(), Error> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let stop = shutdown::on_signals().map_err(|error| Error::Failed(format!("signals cannot be received: {error}")))?;
    tokio::spawn(systemd::watchdog());
    let mut ports = Vec::new();
    for listen in &config.clients.listen {
        ports.push(Port::take(&listen.address).await.map_err(Error::Failed)?);
    }
    let nats = tokio::select! {
        nats = start_nats(&config) => nats?,
        () = stop.cancelled() => return Ok(()),
    };
    stop.cancelled().await;
    systemd::stopping();
    if let Some(nats) = nats {
        nats.stop().await;
    }
    Ok(())
}

/// The server that is ours to run, if any.
async fn start_nats(config: &Config) -> Result<Option<NatsServer>, Error> {
    let Server::Embedded { program } = &config.nats.server else { return Ok(None) };
    let options = nats_server::Options {
        data_dir: config.data_dir.clone(),
        program: program.clone(),
        stream: format!("KV_{}", config.nats.bucket),
    };
    Ok(Some(NatsServer::start(options).await?))
}
