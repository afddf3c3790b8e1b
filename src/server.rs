//! The composition root: what is started in which order, and stopped in the reverse one.
//!
//! Ports are taken first, so that a busy one is told at once; they are opened last, when requests can be answered.
//! Stopping: no new calls, those under way are answered, watches end, the store finishes what it has begun, and the
//! nats-server goes last.

mod advertise;
mod compact;
mod connect;
mod error;
mod options;
mod replay;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use error::Error;

use crate::config::{Config, Server};
use crate::jetstream::JetStream;
use crate::listen::Port;
use crate::metrics::Metrics;
use crate::nats_server::NatsServer;
use crate::store::{Running, Store};
use crate::{http, rpc, shutdown, systemd};

/// How long the store may take to finish what it has begun, when the log does not answer.
const STOP_DEADLINE: Duration = Duration::from_secs(5);

/// Serves until a signal says to stop.
pub async fn run(config: Config) -> Result<(), Error> {
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let stop = shutdown::on_signals().map_err(|error| Error::Failed(format!("signals cannot be received: {error}")))?;
    tokio::spawn(systemd::watchdog());
    let ports = Ports::take(&config).await?;
    let nats = tokio::select! {
        nats = start_nats(&config) => nats?.map(Arc::new),
        () = stop.cancelled() => return Ok(()),
    };
    let served = serve_on(&config, ports, nats.clone(), &stop).await;
    systemd::stopping();
    if let Some(nats) = nats {
        nats.stop().await;
    }
    served
}

struct Ports {
    /// With whether it speaks TLS.
    clients: Vec<(Port, bool)>,
    metrics: Option<Port>,
}

impl Ports {
    async fn take(config: &Config) -> Result<Self, Error> {
        let mut clients = Vec::new();
        for listen in &config.clients.listen {
            clients.push((Port::take(&listen.address).await.map_err(Error::Failed)?, listen.tls));
        }
        let metrics = match &config.metrics {
            Some(address) => Some(Port::take(address).await.map_err(Error::Failed)?),
            None => None,
        };
        Ok(Ports { clients, metrics })
    }
}

/// The server that is ours to run, if any.
async fn start_nats(config: &Config) -> Result<Option<NatsServer>, Error> {
    match &config.nats.server {
        Server::Embedded { program } => Ok(Some(NatsServer::start(options::nats_server(config, program)).await?)),
        Server::External(_) => Ok(None),
    }
}

/// From a nats-server that runs, to the end of everything that needs it.
async fn serve_on(
    config: &Config,
    ports: Ports,
    nats: Option<Arc<NatsServer>>,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let running = tokio::select! {
        running = open(config, &ports, nats) => running?,
        () = stop.cancelled() => return Ok(()),
    };
    let Running { store, ended } = running;
    // The store may have to end by itself; then all of this does.
    let stop = stop.child_token();
    let fatal = tokio::spawn({
        let stop = stop.clone();
        async move {
            let result = ended.await;
            stop.cancel();
            result
        }
    });
    let served = serve(config, ports, &store, &stop).await;
    if tokio::time::timeout(STOP_DEADLINE, store.stop()).await.is_err() {
        tracing::warn!("the log does not answer: stopping without it");
        fatal.abort();
        return served;
    }
    match fatal.await {
        Ok(Ok(Err(fatal))) => Err(Error::Failed(fatal.to_string())),
        Ok(Err(panic)) => Err(Error::Failed(format!("the store has failed: {panic}"))),
        _ => served,
    }
}

/// Connects, and reads the log.
async fn open(config: &Config, ports: &Ports, nats: Option<Arc<NatsServer>>) -> Result<Running, Error> {
    let log: Arc<JetStream> = Arc::new(connect::until_it_works(options::jetstream(config, nats.as_deref())?).await?);
    if let Some(nats) = &nats {
        nats.stage().await;
    }
    let (progress, watched) = tokio::sync::watch::channel(Default::default());
    let telling = tokio::spawn(replay::tell(watched));
    let running = Store::open(log, options::store(config, ports), progress).await;
    telling.abort();
    running.map_err(|fatal| Error::Setup(fatal.to_string()))
}

/// Answers clients until told to stop.
async fn serve(config: &Config, ports: Ports, store: &Store, stop: &CancellationToken) -> Result<(), Error> {
    let client_urls = advertise::urls(config, &ports);
    let mut metrics = Metrics::new(store.clone(), &config.emulated_etcd_version);
    let calls = rpc::Metrics::default();
    calls.register(metrics.registry());
    let router = http::router(store.clone(), &config.emulated_etcd_version, Arc::new(metrics));

    let mut listeners = Vec::new();
    for (port, tls) in ports.clients {
        tracing::info!(address = %port.address(), tls, "serving etcd clients");
        listeners.push(rpc::Listener { tcp: port.open().map_err(Error::Failed)?, tls });
    }
    let metrics = match ports.metrics {
        Some(port) => {
            tracing::info!(address = %port.address(), "serving metrics and health");
            let listener = port.open().map_err(Error::Failed)?;
            Some(tokio::spawn(http::serve(listener, router.clone(), stop.clone().cancelled_owned())))
        }
        None => None,
    };
    let compacting = config.compact_interval.map(|interval| tokio::spawn(compact::every(interval, store.clone())));
    systemd::ready();
    systemd::status("serving");
    let options = options::rpc(config, client_urls, router, calls);
    let served = rpc::serve(listeners, store.clone(), options, stop.cancelled()).await;
    for task in [compacting].into_iter().flatten() {
        task.abort();
    }
    if let Some(metrics) = metrics {
        metrics.abort();
    }
    served.map_err(|error| Error::Setup(format!("clients cannot be served: {error}")))
}
