//! The composition root: what is started in which order, and stopped in the reverse one.
//!
//! Ports are taken and the files for TLS read first, so that a busy one and a wrong one are told at once; ports are
//! opened last, when requests can be answered.
//! Stopping: no new calls, those under way are answered, watches end, the store finishes what it has begun, and the
//! nats-server goes last.

mod advertise;
mod compact;
mod connect;
mod error;
mod observe;
mod options;
mod stage;

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use error::Error;
use observe::Observing;
use stage::Stage;

use crate::config::{Config, Server};
use crate::jetstream::JetStream;
use crate::listen::Port;
use crate::metrics::Metrics;
use crate::nats_server::NatsServer;
use crate::state::Values;
use crate::store::{Running, Store};
use crate::values::BoundedValues;
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
    tokio::spawn({
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            systemd::stopping();
        }
    });
    let (ports, metrics) = Ports::take(&config).await?;
    let tls = options::tls(&config)?;
    let stage = Stage::new("starting nats-server");
    let observing = metrics.map(|port| Observing::start(port, &stage)).transpose().map_err(Error::Failed)?;
    let nats = tokio::select! {
        nats = start_nats(&config) => nats?.map(Arc::new),
        () = stop.cancelled() => return Ok(()),
    };
    let served = match options::values(&config) {
        Ok(values) => {
            Parts { config: &config, ports, tls, observing, stage, values }.serve_on(nats.clone(), &stop).await
        }
        Err(error) => Err(error),
    };
    // Told again where it was a signal; here it may have ended by itself.
    systemd::stopping();
    if let Some(nats) = nats {
        nats.stop().await;
    }
    served
}

/// Those for clients, with whether they speak TLS.
struct Ports(Vec<(Port, bool)>);

impl Ports {
    /// And the one for metrics.
    async fn take(config: &Config) -> Result<(Self, Option<Port>), Error> {
        let mut clients = Vec::new();
        for listen in &config.clients.listen {
            clients.push((Port::take(&listen.address).await.map_err(Error::Failed)?, listen.tls));
        }
        let metrics = match &config.metrics {
            Some(address) => Some(Port::take(address).await.map_err(Error::Failed)?),
            None => None,
        };
        Ok((Ports(clients), metrics))
    }
}

/// The server that is ours to run, if any.
async fn start_nats(config: &Config) -> Result<Option<NatsServer>, Error> {
    match &config.nats.server {
        Server::Embedded { program } => Ok(Some(NatsServer::start(options::nats_server(config, program)).await?)),
        Server::External(_) => Ok(None),
    }
}

/// What is there before NATS is.
struct Parts<'a> {
    config: &'a Config,
    ports: Ports,
    tls: Option<rpc::ServerTls>,
    observing: Option<Observing>,
    stage: Stage,
    values: Option<Arc<BoundedValues>>,
}

impl Parts<'_> {
    /// From a nats-server that runs, to the end of everything that needs it.
    async fn serve_on(self, nats: Option<Arc<NatsServer>>, stop: &CancellationToken) -> Result<(), Error> {
        let Running { store, ended } = tokio::select! {
            running = self.open(nats) => running?,
            () = stop.cancelled() => return Ok(()),
        };
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
        let served = self.serve(&store, &stop).await;
        if tokio::time::timeout(STOP_DEADLINE, store.stop()).await.is_err() {
            tracing::warn!("the log does not answer: stopping without it");
            fatal.abort();
            return served;
        }
        match fatal.await {
            // The log is not what it was: whether to go on with what is left is for a person to decide.
            Ok(Ok(Err(fatal))) => Err(Error::Setup(fatal.to_string())),
            Ok(Err(panic)) => Err(Error::Failed(format!("the store has failed: {panic}"))),
            _ => served,
        }
    }

    /// Connects, and reads the log.
    async fn open(&self, nats: Option<Arc<NatsServer>>) -> Result<Running, Error> {
        let connection = options::jetstream(self.config, nats.as_deref())?;
        let log: Arc<JetStream> = Arc::new(connect::until_it_works(connection, &self.stage).await?);
        if let Some(nats) = &nats {
            nats.stage().await;
        }
        let (progress, watched) = tokio::sync::watch::channel(Default::default());
        let telling = tokio::spawn(stage::tell_replay(watched, self.stage.clone()));
        let values = self.values.clone().map(|values| values as Arc<dyn Values>);
        let running = Store::open(log, options::store(self.config, &self.ports, values), progress).await;
        telling.abort();
        running.map_err(|fatal| Error::Setup(fatal.to_string()))
    }

    /// Answers clients until told to stop.
    async fn serve(self, store: &Store, stop: &CancellationToken) -> Result<(), Error> {
        let version = &self.config.emulated_etcd_version;
        let client_urls = advertise::urls(self.config, &self.ports);
        let mut metrics = Metrics::new(store.clone(), version);
        let calls = rpc::Metrics::default();
        calls.register(metrics.registry());
        if let Some(values) = self.values {
            values.register(metrics.registry());
        }
        let router = http::router(store.clone(), version, Arc::new(metrics));

        let mut listeners = Vec::new();
        for (port, tls) in self.ports.0 {
            let address = port.address();
            listeners.push(rpc::Listener { tcp: port.open().map_err(Error::Failed)?, tls });
            tracing::info!(%address, tls, "serving etcd clients");
        }
        let mut beside = JoinSet::new();
        if let Some(observing) = self.observing {
            observing.serve(router.clone(), &mut beside).map_err(Error::Failed)?;
        }
        beside.spawn(compact::run(self.config.compaction, store.clone()));
        systemd::ready();
        beside.spawn(stage::tell_service(store.clone(), self.stage));
        let options = options::rpc(self.config, self.tls, client_urls, router, calls);
        let told = async {
            stop.cancelled().await;
            store.retire();
        };
        let served = rpc::serve(listeners, store.clone(), options, told).await;
        beside.shutdown().await;
        served.map_err(|error| Error::Setup(format!("clients cannot be served: {error}")))
    }
}
