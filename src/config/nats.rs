//! Which NATS, how to get in, and which bucket: what `--endpoint` and the flags towards NATS come to.

use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::arguments::Arguments;
use super::context::Context;
use super::endpoint::Endpoint;
use super::{Error, Secret, about, values};

/// kine's default for methods worth a line in the log.
const SLOW_METHOD: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nats {
    pub server: Server,
    pub bucket: String,
    pub replicas: usize,
    /// The bucket is there already, and one that is not must not be created.
    pub existing: bool,
    /// Requests that take longer are worth a line in the log.
    pub slow_method: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Server {
    /// One that jine runs itself.
    Embedded {
        /// The program; None: look for it.
        program: Option<PathBuf>,
    },
    External(External),
}

/// A server, or a cluster, that others run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// `nats://host:port` or `tls://host:port`, without credentials; at least one.
    pub servers: Vec<String>,
    pub auth: Option<Auth>,
    pub tls: Tls,
    pub jetstream_domain: Option<String>,
    pub inbox_prefix: Option<String>,
    /// How often it syncs to disk; zero: before it acknowledges.
    pub sync_interval: Duration,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    UserPassword {
        user: String,
        password: Secret,
    },
    /// The password stands in a file. All files are read at every connection.
    PasswordFile {
        user: String,
        file: PathBuf,
    },
    Token(Secret),
    TokenFile(PathBuf),
    /// A file with JWT and seed.
    CredsFile(PathBuf),
    /// A file with the seed of an nkey.
    NkeyFile(PathBuf),
    /// `seed` is empty for a bearer token.
    Jwt {
        jwt: Secret,
        seed: Secret,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    pub ca_file: Option<PathBuf>,
    /// Both or none.
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// Accept any certificate.
    pub skip_verify: bool,
    /// Begin with the handshake, before the server's greeting.
    pub first: bool,
}

impl Nats {
    pub(super) fn new(arguments: &Arguments, warnings: &mut Vec<String>) -> Result<Self, Error> {
        let mut endpoint = Endpoint::parse(&arguments.endpoint).map_err(about("endpoint"))?;
        warnings.append(&mut endpoint.warnings);
        let server = if endpoint.servers.is_empty() && endpoint.context_file.is_none() {
            embedded(arguments, &endpoint)?
        } else {
            Server::External(external(arguments, &endpoint, warnings)?)
        };
        Ok(Nats {
            server,
            bucket: endpoint.bucket.unwrap_or_else(|| "jine".to_owned()),
            replicas: endpoint.replicas.unwrap_or(1),
            existing: existing(&arguments.initial_cluster_state)?,
            slow_method: endpoint.slow_method.unwrap_or(SLOW_METHOD),
        })
    }
}

/// As etcd's.
fn existing(state: &str) -> Result<bool, Error> {
    match state {
        "new" => Ok(false),
        "existing" => Ok(true),
        _ => Err(Error(format!("--initial-cluster-state: '{state}' is neither new nor existing"))),
    }
}

fn embedded(arguments: &Arguments, endpoint: &Endpoint) -> Result<Server, Error> {
    let refuse =
        |why: &str| Err(Error::new(format!("--endpoint names no host, so that jine runs its own nats-server: {why}")));
    if endpoint.no_embed {
        return refuse("that and noEmbed contradict each other; write nats://HOST");
    }
    if endpoint.replicas.is_some_and(|n| n > 1) {
        return refuse("one server keeps one replica; for more write the hosts of a NATS cluster");
    }
    let own = [
        ("credentials in the URL", endpoint.auth.is_some() || endpoint.creds_file.is_some()),
        ("--nats-creds", arguments.nats_creds.is_some()),
        ("--nats-nkey", arguments.nats_nkey.is_some()),
        ("--nats-user", arguments.nats_user.is_some()),
        ("--nats-token-file", arguments.nats_token_file.is_some()),
        ("--ca-file", arguments.ca_file.is_some()),
        ("--cert-file", arguments.cert_file.is_some()),
        ("--jetstream-domain", arguments.jetstream_domain.is_some()),
        ("--nats-sync-interval", arguments.nats_sync_interval.is_some()),
    ];
    if let Some((name, _)) = own.iter().find(|(_, given)| *given) {
        return refuse(&format!("{name} is for another one; drop it, or write nats://HOST"));
    }
    Ok(Server::Embedded { program: arguments.nats_server.clone() })
}

fn external(arguments: &Arguments, endpoint: &Endpoint, warnings: &mut Vec<String>) -> Result<External, Error> {
    let context = match &endpoint.context_file {
        Some(_) if !endpoint.servers.is_empty() => {
            return Err(Error::new(
                "--endpoint: with contextFile the host comes from that file; write nats://?contextFile=…",
            ));
        }
        Some(path) => Context::read(path).map_err(about("endpoint"))?,
        None => Context::default(),
    };
    let inner = Endpoint::parse(if context.url.is_empty() { "nats://" } else { &context.url })
        .map_err(|why| Error::new(format!("--endpoint: the url in the NATS context: {why}")))?;
    if endpoint.auth.as_ref().is_some_and(|auth| matches!(auth, Auth::UserPassword { .. } | Auth::Token(_)))
        && env::args_os().any(|argument| argument.to_string_lossy().contains(&arguments.endpoint))
    {
        warnings.push(
            "--endpoint: a password on the command line can be read by every user of this machine; \
             JINE_ENDPOINT, --nats-password-file or --nats-creds keep it private"
                .to_owned(),
        );
    }
    // The flags win over the URL, the URL over the context, as in kine.
    let in_url = endpoint.creds_file.clone().map(Auth::CredsFile).or_else(|| endpoint.auth.clone());
    Ok(External {
        servers: if endpoint.servers.is_empty() { inner.servers } else { endpoint.servers.clone() },
        auth: auth_of_flags(arguments)?.or(in_url).or(context.auth).or(inner.auth),
        tls: tls(arguments, context.tls)?,
        jetstream_domain: arguments.jetstream_domain.clone().or(context.jetstream_domain),
        inbox_prefix: context.inbox_prefix,
        sync_interval: sync_interval(arguments.nats_sync_interval.as_deref().unwrap_or("2m"))?,
    })
}

/// As in nats-server's configuration.
fn sync_interval(text: &str) -> Result<Duration, Error> {
    let flag = "nats-sync-interval";
    match text {
        "always" => Ok(Duration::ZERO),
        _ => match values::duration(text).map_err(about(flag))? {
            Duration::ZERO => Err(Error(format!("--{flag}: '{text}' says nothing; write always, or a duration as 2m"))),
            interval => Ok(interval),
        },
    }
}

fn auth_of_flags(arguments: &Arguments) -> Result<Option<Auth>, Error> {
    let password = secret("JINE_NATS_PASSWORD", arguments.nats_password_file.as_deref(), "nats-password-file")?;
    let token = secret("JINE_NATS_TOKEN", arguments.nats_token_file.as_deref(), "nats-token-file")?;
    let user = match (&arguments.nats_user, password) {
        (Some(user), Some(Given::Itself(password))) => Some(Auth::UserPassword { user: user.clone(), password }),
        (Some(user), Some(Given::File(file))) => Some(Auth::PasswordFile { user: user.clone(), file }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(Error::new("--nats-user needs --nats-password-file or the variable JINE_NATS_PASSWORD"));
        }
        (None, Some(_)) => return Err(Error::new("a password for NATS needs --nats-user")),
    };
    let mut given = [
        user,
        token.map(|token| match token {
            Given::Itself(token) => Auth::Token(token),
            Given::File(file) => Auth::TokenFile(file),
        }),
        readable(arguments.nats_creds.as_deref(), "nats-creds")?.map(Auth::CredsFile),
        readable(arguments.nats_nkey.as_deref(), "nats-nkey")?.map(Auth::NkeyFile),
    ]
    .into_iter()
    .flatten();
    let first = given.next();
    if given.next().is_some() {
        return Err(Error::new(
            "there are several credentials for NATS: give one of --nats-user, --nats-token-file, --nats-creds, --nats-nkey",
        ));
    }
    Ok(first)
}

/// How a secret is given.
enum Given {
    Itself(Secret),
    File(PathBuf),
}

/// A secret in the environment or in a file, one of which there is.
fn secret(variable: &str, file: Option<&Path>, flag: &str) -> Result<Option<Given>, Error> {
    let value = env::var(variable).ok().filter(|value| !value.is_empty());
    match (value, file) {
        (Some(_), Some(_)) => Err(Error::new(format!("give one of --{flag} and {variable}, not both"))),
        (Some(value), None) => Ok(Some(Given::Itself(Secret::new(value)))),
        (None, file) => Ok(readable(file, flag)?.map(Given::File)),
    }
}

fn tls(arguments: &Arguments, context: Tls) -> Result<Tls, Error> {
    if arguments.cert_file.is_some() != arguments.key_file.is_some() {
        return Err(Error::new("--cert-file and --key-file go together: give both"));
    }
    Ok(Tls {
        ca_file: readable(arguments.ca_file.as_deref(), "ca-file")?.or(context.ca_file),
        cert_file: readable(arguments.cert_file.as_deref(), "cert-file")?.or(context.cert_file),
        key_file: readable(arguments.key_file.as_deref(), "key-file")?.or(context.key_file),
        skip_verify: arguments.skip_verify,
        first: context.first,
    })
}

/// The path, if it can be read now.
pub(super) fn readable(path: Option<&Path>, flag: &str) -> Result<Option<PathBuf>, Error> {
    let Some(path) = path else { return Ok(None) };
    match std::fs::File::open(path) {
        Ok(_) => Ok(Some(path.to_owned())),
        Err(error) => Err(Error::new(format!("--{flag}: {} cannot be read: {error}", path.display()))),
    }
}
