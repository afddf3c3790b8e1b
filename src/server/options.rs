//! What each part needs to know of the configuration, in its own words.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::{Error, Ports};
use crate::config::{Auth, Config, External, Secret, Server};
use crate::nats_server::NatsServer;
use crate::state::Values;
use crate::store::log::SessionId;
use crate::values::BoundedValues;
use crate::{jetstream, nats_server, rpc, store};

/// How long calls under way may take once jine is told to stop; kube-apiserver's own requests take up to 30 s, but
/// then hang on something that is gone.
const DRAIN: Duration = Duration::from_secs(5);

pub(super) fn nats_server(config: &Config, program: &Option<PathBuf>) -> nats_server::Options {
    nats_server::Options {
        data_dir: config.data_dir.clone(),
        program: program.clone(),
        stream: format!("KV_{}", config.nats.bucket),
    }
}

/// Asked at every connection.
pub(super) type Connection = Box<dyn Fn() -> Result<jetstream::Options, String> + Send + Sync>;

pub(super) fn jetstream(config: &Config, nats: Option<&NatsServer>) -> Result<Connection, Error> {
    let common = jetstream::Options {
        bucket: config.nats.bucket.clone(),
        replicas: config.nats.replicas,
        existing: config.nats.existing,
        name: format!("jine {}", config.name),
        ..Default::default()
    };
    match (&config.nats.server, nats) {
        (Server::External(external), _) => {
            let options = outside(external, common);
            Ok(Box::new(move || Ok(options.clone())))
        }
        (Server::Embedded { .. }, Some(nats)) => Ok(inside(nats, common)),
        (Server::Embedded { .. }, None) => Err(Error::Failed("there is no nats-server to connect to".to_owned())),
    }
}

/// Our own server: nobody else has a key that may write, and it syncs before it acknowledges.
fn inside(nats: &NatsServer, common: jetstream::Options) -> Connection {
    let up = nats.up();
    let options = jetstream::Options {
        credentials: jetstream::Credentials::Nkey(jetstream::Secret(nats.nkey_seed().to_owned())),
        exclusive: true,
        sync_interval: Duration::ZERO,
        disk: jetstream::Disk(Some(Arc::new(nats.disk_left()))),
        ..common
    };
    Box::new(move || match &*up.borrow() {
        Some(url) => Ok(jetstream::Options { servers: vec![url.clone()], ..options.clone() }),
        None => Err("nats-server is being started".to_owned()),
    })
}

fn outside(external: &External, common: jetstream::Options) -> jetstream::Options {
    let tls = &external.tls;
    jetstream::Options {
        servers: external.servers.clone(),
        credentials: external.auth.as_ref().map_or(jetstream::Credentials::None, credentials),
        tls: jetstream::Tls {
            ca: tls.ca_file.clone(),
            identity: tls.cert_file.clone().zip(tls.key_file.clone()),
            skip_verify: tls.skip_verify,
            // Whoever names a CA or a certificate expects that nothing goes out in the clear.
            required: tls.ca_file.is_some() || tls.cert_file.is_some(),
            first: tls.first,
        },
        domain: external.jetstream_domain.clone(),
        sync_interval: external.sync_interval,
        inbox_prefix: external.inbox_prefix.clone(),
        ..common
    }
}

fn credentials(auth: &Auth) -> jetstream::Credentials {
    let secret = |secret: &Secret| jetstream::Secret(secret.reveal().to_owned());
    match auth {
        Auth::UserPassword { user, password } => jetstream::Credentials::UserPassword(user.clone(), secret(password)),
        Auth::PasswordFile { user, file } => jetstream::Credentials::PasswordFile(user.clone(), file.clone()),
        Auth::Token(token) => jetstream::Credentials::Token(secret(token)),
        Auth::TokenFile(file) => jetstream::Credentials::TokenFile(file.clone()),
        Auth::CredsFile(path) => jetstream::Credentials::CredsFile(path.clone()),
        Auth::NkeyFile(path) => jetstream::Credentials::NkeyFile(path.clone()),
        Auth::Jwt { jwt, seed } => jetstream::Credentials::Jwt(secret(jwt), secret(seed)),
    }
}

/// Where values go that memory shall have no room for; None: everything is in memory.
pub(super) fn values(config: &Config) -> Result<Option<Arc<BoundedValues>>, Error> {
    let Some(limit) = config.value_memory else { return Ok(None) };
    let directory = &config.data_dir;
    let cannot =
        |error| Error::Setup(format!("--value-memory: no file can be made in {}: {error}", directory.display()));
    BoundedValues::new(limit, directory).map(|values| Some(Arc::new(values))).map_err(cannot)
}

pub(super) fn store(config: &Config, ports: &Ports, values: Option<Arc<dyn Values>>) -> store::Options {
    store::Options {
        session: SessionId(rand::random()),
        member_id: member_id(config, ports),
        progress_notify_interval: config.watch_progress_interval,
        request_timeout: store::Options::REQUEST_TIMEOUT,
        outage_grace: store::Options::OUTAGE_GRACE,
        quota: config.limits.quota_bytes,
        largest: store::Largest { ops: config.limits.max_txn_ops, bytes: config.limits.max_request_bytes },
        values,
    }
}

/// The same after a restart, another for another jine: from its name and where it listens.
fn member_id(config: &Config, ports: &Ports) -> u64 {
    let mut hasher = Sha256::new();
    let addresses = ports.0.iter().map(|(port, _)| port.address().to_string());
    for part in [config.name.clone()].into_iter().chain(config.clients.advertise.clone()).chain(addresses) {
        hasher.update(part);
        hasher.update([0]);
    }
    let [a, b, c, d, e, f, g, h, ..] = hasher.finalize().0;
    // 0 means "none" in etcd.
    u64::from_be_bytes([a, b, c, d, e, f, g, h]).max(1)
}

/// What clients are shown, read before anything is started: a file that is wrong is for a person to put right.
pub(super) fn tls(config: &Config) -> Result<Option<rpc::ServerTls>, Error> {
    let Some(tls) = &config.clients.tls else { return Ok(None) };
    let files =
        rpc::RpcTls { cert: tls.cert_file.clone(), key: tls.key_file.clone(), client_ca: tls.client_ca_file.clone() };
    let read = rpc::ServerTls::read(&files);
    read.map(Some).map_err(|error| Error::Setup(format!("clients cannot be served with TLS: {error}")))
}

pub(super) fn rpc(
    config: &Config,
    tls: Option<rpc::ServerTls>,
    client_urls: Vec<String>,
    http: axum::Router,
    metrics: rpc::Metrics,
) -> rpc::RpcOptions {
    rpc::RpcOptions {
        name: config.name.clone(),
        client_urls,
        version: config.emulated_etcd_version.clone(),
        max_txn_ops: config.limits.max_txn_ops,
        max_request_bytes: config.limits.max_request_bytes,
        max_concurrent_streams: config.limits.max_concurrent_streams,
        tls,
        slow: config.nats.slow_method,
        drain: DRAIN,
        http,
        metrics,
    }
}
