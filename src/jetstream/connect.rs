//! Connecting to NATS, and saying in one sentence why it failed.

use std::error::Error;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::{
    Client, ConnectError, ConnectErrorKind, ConnectOptions, Event, ReconnectToServer, ServerAddr, ServerError,
};
use rand::seq::SliceRandom;

use super::credentials;
use super::options::{Credentials, Options, Secret};
use super::tls;
use crate::store::log::LogError;

/// A dead connection that the system does not report is found after three silent intervals.
const PING_INTERVAL: Duration = Duration::from_secs(2);

/// Nothing listens there, so connecting to it fails at once.
const NOWHERE: &str = "nats://127.0.0.1:0";

/// The server's last `-ERR`.
#[derive(Clone, Debug, Default)]
pub(super) struct Complaint(Arc<Mutex<Option<String>>>);

impl Complaint {
    pub(super) fn last(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, error: &ServerError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}

/// Tries every server once, in random order.
pub(super) async fn connect(options: &Options) -> Result<(Client, Complaint), LogError> {
    let mut servers = options.servers.clone();
    servers.shuffle(&mut rand::rng());
    let mut failed = None;
    for server in &servers {
        match connect_to(server, options).await {
            Ok(connected) => return Ok(connected),
            // A server that refuses tells more than one that cannot be reached.
            Err(_) if matches!(failed, Some(LogError::Fatal(_) | LogError::Refused(_))) => {}
            Err(error) => failed = Some(error),
        }
    }
    Err(failed.unwrap_or_else(|| LogError::Fatal("no NATS server is given".into())))
}

async fn connect_to(server: &str, options: &Options) -> Result<(Client, Complaint), LogError> {
    let invalid =
        |why: &dyn std::fmt::Display| LogError::Fatal(format!("{server} is no address of a NATS server: {why}"));
    let address: ServerAddr = server.parse().map_err(|error| invalid(&error))?;
    let nowhere: ServerAddr = NOWHERE.parse().map_err(|error| invalid(&error))?;
    let complaint = Complaint::default();
    let noted = complaint.clone();
    let mut connect = ConnectOptions::new()
        .name(&options.name)
        .connection_timeout(options.request_timeout)
        .request_timeout(Some(options.request_timeout))
        .ping_interval(PING_INTERVAL)
        .subscription_capacity(options.subscription_capacity)
        .skip_subject_validation(true)
        .ignore_discovered_servers()
        .event_callback(move |event| {
            let noted = noted.clone();
            async move {
                if let Event::ServerError(error) = event {
                    noted.note(&error);
                }
            }
        });
    if let Some(prefix) = &options.inbox_prefix {
        connect = connect.custom_inbox_prefix(prefix);
    }
    connect = never_again(connect, address.clone(), nowhere.clone());
    connect = credentials::apply(connect, &credentials_for(&address, options)).await?;
    connect = tls::apply(connect, &options.tls)?;
    match connect.connect([address.clone(), nowhere].as_slice()).await {
        Ok(client) => Ok((client, complaint)),
        Err(error) => Err(explain(&address, &error)),
    }
}

/// The client library reconnects by itself and then sends what was queued meanwhile. Here a connection that is lost must publish
/// nothing any more, so every attempt after the first is sent nowhere; the second of those ends the client and with it all
/// subscriptions and waits.
fn never_again(connect: ConnectOptions, address: ServerAddr, nowhere: ServerAddr) -> ConnectOptions {
    let tried = AtomicBool::new(false);
    connect.max_reconnects(1).reconnect_to_server_callback(move |_, _| {
        let addr = if tried.swap(true, Ordering::Relaxed) { nowhere.clone() } else { address.clone() };
        async move { Some(ReconnectToServer { addr, delay: Some(Duration::ZERO) }) }
    })
}

/// Those in the address count before the others.
fn credentials_for(address: &ServerAddr, options: &Options) -> Credentials {
    match (address.username(), address.password()) {
        (Some(user), Some(password)) => Credentials::UserPassword(decoded(user), Secret(decoded(password))),
        // As all NATS clients have it: a user without a password is a token.
        (Some(token), None) => Credentials::Token(Secret(decoded(token))),
        _ => options.credentials.clone(),
    }
}

fn decoded(part: &str) -> String {
    let mut out = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => {
                std::str::from_utf8(&[*high, *low]).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok())
            }
            _ => None,
        };
        out.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &rest[3..] } else { tail };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn explain(address: &ServerAddr, error: &ConnectError) -> LogError {
    let at = format!("{}:{}", address.host(), address.port());
    let why = innermost(error);
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation => {
            LogError::Refused(format!("NATS at {at} refused the credentials: {why}"))
        }
        ConnectErrorKind::Authentication => LogError::Refused(format!("the NATS credentials cannot be used: {why}")),
        ConnectErrorKind::ServerParse => LogError::Fatal(format!("{at} is no address of a NATS server: {why}")),
        ConnectErrorKind::Tls => LogError::Refused(format!("TLS with NATS at {at} failed: {why}")),
        _ if is_tls(error) => LogError::Refused(format!("TLS with NATS at {at} failed: {why}")),
        ConnectErrorKind::TimedOut => LogError::Unavailable(format!("NATS at {at} does not answer")),
        _ if why.contains("authorization") || why.contains("authentication") => {
            LogError::Refused(format!("NATS at {at} refused the credentials: {why}"))
        }
        _ => LogError::Unavailable(format!("cannot reach NATS at {at}: {why}")),
    }
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The handshake's errors come as errors of the socket.
fn is_tls(error: &ConnectError) -> bool {
    let mut source = error.source();
    while let Some(error) = source {
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        if error.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>()) {
            return true;
        }
        source = error.source();
    }
    false
}
