//! The side of the etcd clients: what to listen on, what to advertise, TLS.

use std::path::PathBuf;

use super::arguments::Arguments;
use super::nats::readable;
use super::values::HostPort;
use super::{Error, about};

/// Loopback: whoever can connect can read every secret of a cluster.
const LISTEN: &str = "127.0.0.1:2379";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clients {
    /// At least one.
    pub listen: Vec<Listen>,
    /// URLs as clients get them; empty: those listened on.
    pub advertise: Vec<String>,
    /// There if any of `listen` wants it.
    pub tls: Option<ServerTls>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    pub address: HostPort,
    pub tls: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTls {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
    /// Clients must show a certificate that it has signed.
    pub client_ca_file: Option<PathBuf>,
}

impl Clients {
    pub(super) fn new(arguments: &Arguments) -> Result<Self, Error> {
        let tls = server_tls(arguments)?;
        let (flag, listen) = listens(arguments, tls.is_some())?;
        let wants_tls = listen.iter().any(|listen| listen.tls);
        match &tls {
            None if wants_tls => {
                Err(Error::new(format!("--{flag}: https:// needs --server-cert-file and --server-key-file")))
            }
            Some(_) if !wants_tls => Err(Error::new(format!("--{flag}: write https://, or drop --server-cert-file"))),
            _ => Ok(Clients { listen, advertise: advertise(arguments)?, tls }),
        }
    }
}

fn listens(arguments: &Arguments, certificate: bool) -> Result<(&'static str, Vec<Listen>), Error> {
    let (flag, text) = match (&arguments.listen_client_urls, &arguments.listen_address) {
        (Some(urls), _) => ("listen-client-urls", urls.as_str()),
        (None, address) => ("listen-address", address.as_deref().unwrap_or(LISTEN)),
    };
    let listen = text.split(',').map(|part| Listen::parse(part, certificate)).collect::<Result<Vec<_>, _>>();
    let listen = listen.map_err(about(flag))?;
    for (i, one) in listen.iter().enumerate() {
        let again = listen[..i].iter().any(|other| other.address == one.address);
        // Port 0 is a free one, so another each time.
        if again && one.address.port != 0 {
            return Err(Error::new(format!("--{flag}: {} is there twice", one.address)));
        }
    }
    Ok((flag, listen))
}

impl Listen {
    /// Without a scheme, or with `tcp://`, a certificate decides about TLS, as in kine.
    fn parse(text: &str, certificate: bool) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let tls = match scheme {
            "tcp" => certificate,
            "http" => false,
            "https" => true,
            "unix" | "unixs" => return Err("Unix sockets are not supported: write http://127.0.0.1:2379".to_owned()),
            _ => return Err(format!("'{scheme}://' is not known: write http:// or https://")),
        };
        Ok(Listen { address: HostPort::parse(rest.trim_end_matches('/'))?, tls })
    }
}

fn advertise(arguments: &Arguments) -> Result<Vec<String>, Error> {
    let Some(text) = &arguments.advertise_client_urls else { return Ok(Vec::new()) };
    text.split(',').map(advertised).collect::<Result<_, _>>().map_err(about("advertise-client-urls"))
}

fn advertised(text: &str) -> Result<String, String> {
    let place = match text.split_once("://") {
        Some(("http" | "https", place)) => place,
        _ => return Err(format!("'{text}' is not a URL for clients: write http://HOST:PORT or https://HOST:PORT")),
    };
    let address = HostPort::parse(place.trim_end_matches('/'))?;
    if matches!(address.host.as_str(), "" | "0.0.0.0" | "::") {
        return Err(format!("'{text}' is nothing a client can connect to: write this machine's name or address"));
    }
    Ok(text.to_owned())
}

fn server_tls(arguments: &Arguments) -> Result<Option<ServerTls>, Error> {
    let client_ca_file = readable(arguments.trusted_ca_file.as_deref(), "trusted-ca-file")?;
    if arguments.client_cert_auth && client_ca_file.is_none() {
        return Err(Error::new(
            "--client-cert-auth needs --trusted-ca-file: the CA that signs the clients' certificates",
        ));
    }
    let cert = readable(arguments.server_cert_file.as_deref(), "server-cert-file")?;
    let key = readable(arguments.server_key_file.as_deref(), "server-key-file")?;
    match (cert, key) {
        (Some(cert_file), Some(key_file)) => Ok(Some(ServerTls { cert_file, key_file, client_ca_file })),
        (None, None) if client_ca_file.is_some() => {
            Err(Error::new("--trusted-ca-file needs --server-cert-file and --server-key-file too"))
        }
        (None, None) => Ok(None),
        _ => Err(Error::new("--server-cert-file and --server-key-file go together: give both")),
    }
}
