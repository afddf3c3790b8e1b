//! Serves gRPC and HTTP on the same ports until told to stop.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use super::auth::AuthService;
use super::call::Call;
use super::cluster::ClusterService;
use super::connection::{self, Handlers};
use super::gate::Gate;
use super::header::Header;
use super::health;
use super::kv::KvService;
use super::lease::LeaseService;
use super::maintenance::MaintenanceService;
use super::metrics::{Methods, Metrics};
use super::services::Services;
use super::tls::ServerTls;
use super::watch::WatchService;
use crate::pb::etcdserverpb::auth_server::AuthServer;
use crate::pb::etcdserverpb::cluster_server::ClusterServer;
use crate::pb::etcdserverpb::kv_server::KvServer;
use crate::pb::etcdserverpb::lease_server::LeaseServer;
use crate::pb::etcdserverpb::maintenance_server::MaintenanceServer;
use crate::pb::etcdserverpb::watch_server::WatchServer;
use crate::store::Store;

/// What the services say and allow.
#[derive(Clone, Debug)]
pub struct RpcOptions {
    /// This member's name.
    pub name: String,
    /// What the member list tells clients to connect to.
    pub client_urls: Vec<String>,
    /// The etcd version that Status tells.
    pub version: String,
    pub max_txn_ops: usize,
    /// Bytes of a request that writes.
    pub max_request_bytes: usize,
    /// Calls at a time on one connection.
    pub max_concurrent_streams: u32,
    pub tls: Option<ServerTls>,
    /// Unary calls that take longer are told in the log.
    pub slow: Duration,
    /// How long calls under way may take to end once it is told to stop.
    pub drain: Duration,
    /// Answers what is not gRPC.
    pub http: axum::Router,
    pub metrics: Metrics,
}

/// What a message may have above a request's limit; etcd's grpcOverheadBytes.
const MESSAGE_OVERHEAD: usize = 512 * 1024;
/// A port to serve on.
#[derive(Debug)]
pub struct Listener {
    pub tcp: TcpListener,
    /// Needs [`RpcOptions::tls`].
    pub tls: bool,
}

/// Accepts on all listeners until `shutdown` resolves; then watches and keepalives are ended with Unavailable, unary calls
/// may finish, and what is left after the drain time is cut.
pub async fn serve(
    listeners: Vec<Listener>,
    store: Store,
    options: RpcOptions,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let tls = options.tls.clone().map(|tls| tls.0);
    if tls.is_none() && listeners.iter().any(|listener| listener.tls) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS without a certificate"));
    }
    let stop = CancellationToken::new();
    let reporter = HealthReporter::new();
    let health = HealthServer::new(HealthService::from_health_reporter(reporter.clone()));
    let reporting = tokio::spawn(health::report(store.clone(), reporter, stop.clone()));
    let drain = options.drain;
    let handlers = handlers(store, options, stop.clone(), health);

    let mut accepting = JoinSet::new();
    for listener in listeners {
        let tls = tls.clone().filter(|_| listener.tls);
        accepting.spawn(connection::serve(listener.tcp, tls, handlers.clone(), stop.clone()));
    }
    shutdown.await;
    stop.cancel();
    if tokio::time::timeout(drain, accepting.join_all()).await.is_err() {
        tracing::warn!(?drain, "calls were still under way after the drain time: cut off");
    }
    reporting.abort();
    Ok(())
}

fn handlers(
    store: Store,
    options: RpcOptions,
    stop: CancellationToken,
    health: HealthServer<HealthService>,
) -> Handlers {
    let max = options.max_request_bytes + MESSAGE_OVERHEAD;
    let call = Call {
        header: Header::of(&store),
        store: store.clone(),
        max_txn_ops: options.max_txn_ops,
        max_request_bytes: options.max_request_bytes,
    };
    let watch =
        WatchService { call: call.clone(), stop: stop.clone(), fragment_above: max, metrics: options.metrics.clone() };
    let lease = LeaseService { call: call.clone(), stop };
    let cluster = ClusterService { call: call.clone(), name: options.name, client_urls: options.client_urls };
    let maintenance = MaintenanceService { call: call.clone(), version: options.version };
    let services = Services {
        kv: KvServer::new(KvService(call.clone())).max_decoding_message_size(max),
        watch: WatchServer::new(watch).max_decoding_message_size(max),
        lease: LeaseServer::new(lease).max_decoding_message_size(max),
        cluster: ClusterServer::new(cluster).max_decoding_message_size(max),
        maintenance: MaintenanceServer::new(maintenance).max_decoding_message_size(max),
        auth: AuthServer::new(AuthService(call)).max_decoding_message_size(max),
        health,
    };
    let gate = Gate { store, methods: Methods::new(options.metrics, options.slow), services };
    Handlers { grpc: Arc::new(gate), http: options.http, max_streams: options.max_concurrent_streams }
}
