//! Serves gRPC and HTTP on the same ports until told to stop.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::middleware;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::codegen::Service;
use tonic::service::Routes;

use super::auth::AuthService;
use super::call::Call;
use super::cluster::ClusterService;
use super::gate::{self, Gate};
use super::header::Header;
use super::health;
use super::kv::KvService;
use super::lease::LeaseService;
use super::maintenance::MaintenanceService;
use super::metrics::{Methods, Metrics};
use super::tls::{self, RpcTls};
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
    pub peer_urls: Vec<String>,
    /// The etcd version that Status tells.
    pub version: String,
    pub max_txn_ops: usize,
    /// Bytes of a request that writes.
    pub max_request_bytes: usize,
    pub tls: Option<RpcTls>,
    /// Unary calls that take longer are told in the log.
    pub slow: Duration,
    /// How long calls under way may take to end once it is told to stop.
    pub drain: Duration,
    /// Answers what is not gRPC.
    pub http: axum::Router,
    pub metrics: Metrics,
}

impl Default for RpcOptions {
    /// etcd's defaults.
    fn default() -> Self {
        RpcOptions {
            name: "default".to_owned(),
            client_urls: Vec::new(),
            peer_urls: Vec::new(),
            version: "3.7.3".to_owned(),
            max_txn_ops: 128,
            max_request_bytes: 1536 * 1024,
            tls: None,
            slow: Duration::from_millis(500),
            drain: Duration::from_secs(10),
            http: axum::Router::new(),
            metrics: Metrics::default(),
        }
    }
}

/// What a message may have above a request's limit; etcd's grpcOverheadBytes.
const MESSAGE_OVERHEAD: usize = 512 * 1024;
/// A request of the largest size (2 MiB with etcd's defaults) arrives without waiting for a window update …
const STREAM_WINDOW: u32 = 4 * 1024 * 1024;
/// … and so do several on one connection: kube-apiserver has all its calls on one.
const CONNECTION_WINDOW: u32 = 16 * 1024 * 1024;
/// Bytes waiting in one stream for its client; what the store holds back for a slow watcher is not in it.
const SEND_BUFFER: usize = 1024 * 1024;
/// A client that vanished without a word is noticed after these two; etcd takes 2 h and 20 s. Until then its watchers
/// would take memory.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// Streams that a client gave up before we saw them. h2's default of 20 closes a busy connection of a client that cancels
/// many calls at once; etcd has no such limit.
const MAX_RESET_STREAMS: usize = 100_000;
const MAX_HEADER_BYTES: u32 = 64 * 1024;
/// For the TLS handshake, and for the head of a HTTP/1.1 request.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Out of file descriptors, say: trying again at once would only burn CPU.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

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
    let tls = options.tls.as_ref().map(tls::server_config).transpose()?.map(TlsAcceptor::from);
    if tls.is_none() && listeners.iter().any(|listener| listener.tls) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "TLS without a certificate"));
    }
    let stop = CancellationToken::new();
    let (reporter, health) = tonic_health::server::health_reporter();
    let reporting = tokio::spawn(health::report(store.clone(), reporter, stop.clone()));
    let drain = options.drain;
    let routes = routes(store, options, stop.clone(), health);

    let mut accepting = JoinSet::new();
    for listener in listeners {
        let tls = tls.clone().filter(|_| listener.tls);
        accepting.spawn(accept(listener.tcp, tls, routes.clone(), stop.clone()));
    }
    shutdown.await;
    stop.cancel();
    if tokio::time::timeout(drain, accepting.join_all()).await.is_err() {
        tracing::warn!(?drain, "calls were still under way after the drain time: cut off");
    }
    reporting.abort();
    Ok(())
}

/// gRPC and the rest.
#[derive(Clone)]
struct Ports {
    grpc: axum::Router,
    http: axum::Router,
}

fn routes<H>(
    store: Store,
    options: RpcOptions,
    stop: CancellationToken,
    health: tonic_health::pb::health_server::HealthServer<H>,
) -> Ports
where
    H: tonic_health::pb::health_server::Health,
{
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
    let cluster = ClusterService {
        call: call.clone(),
        name: options.name,
        client_urls: options.client_urls,
        peer_urls: options.peer_urls,
    };
    let maintenance = MaintenanceService { call: call.clone(), version: options.version };
    let routes = Routes::new(KvServer::new(KvService(call.clone())).max_decoding_message_size(max))
        .add_service(WatchServer::new(watch).max_decoding_message_size(max))
        .add_service(LeaseServer::new(lease).max_decoding_message_size(max))
        .add_service(ClusterServer::new(cluster).max_decoding_message_size(max))
        .add_service(MaintenanceServer::new(maintenance).max_decoding_message_size(max))
        .add_service(AuthServer::new(AuthService(call)).max_decoding_message_size(max))
        .add_service(health);
    let gate = Arc::new(Gate { store, methods: Methods::new(options.metrics, options.slow) });
    let grpc = routes.into_axum_router().layer(middleware::from_fn_with_state(gate, gate::pass));
    Ports { grpc, http: options.http }
}

impl Ports {
    async fn answer(mut self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        let is_grpc =
            request.headers().get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"));
        let request = request.map(Body::new);
        if is_grpc { self.grpc.call(request).await } else { self.http.call(request).await }
    }
}

/// Accepts until it is told to stop, then waits for the connections.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, ports: Ports, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(connection(stream, peer, tls.clone(), ports.clone(), stop.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            },
            // Nothing is done with them; they must not pile up.
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    connections.join_all().await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    ports: Ports,
    stop: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "no TCP_NODELAY");
    }
    let Some(tls) = tls else { return http(stream, peer, ports, stop).await };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => http(stream, peer, ports, stop).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "TLS handshake took too long"),
    }
}

async fn http<S>(stream: S, peer: SocketAddr, ports: Ports, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| ports.clone().answer(request));
    let builder = builder();
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "connection ended");
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HANDSHAKE_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        // etcd's default: as many as the protocol can number.
        .max_concurrent_streams(u32::MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_RESET_STREAMS)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    builder
}
