//! The flags, literally: what clap reads from the command line and the environment, before anything is checked.

use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgAction, CommandFactory, FromArgMatches, Parser};

const ABOUT: &str = "etcd's v3 API on one NATS JetStream KV bucket";

const AFTER_HELP: &str = "\
Parameters of --endpoint, as in nats://HOST?bucket=prod&replicas=3:
  bucket       the key-value bucket, made if it is not there (jine)
  replicas     how many servers of a cluster keep it, 1 to 5 (1)
  slowMethod   requests that take longer are logged (500ms)
  credsFile    as --nats-creds
  contextFile  a context of the nats command line, instead of a host
  noEmbed      says that the endpoint is not a server of jine's own; naming a host says so too
Credentials can stand before the host (USER:PASSWORD@ or TOKEN@), but others can see them there.

Every flag can be given by the environment variable beside it; a flag on the command line wins.
Durations are written as in Go (500ms, 5s, 1m30s).

Examples:
  jine --data-dir /var/lib/jine
      its own nats-server, started and supervised, with the data in that directory
  jine --endpoint 'nats://n1:4222,n2:4222,n3:4222?bucket=prod&replicas=3' --nats-creds jine.creds
      a NATS cluster of yours

Exit codes: 0 stopped as asked, 1 failed (starting again may help), 2 wrong flags,
78 something that a person has to change (starting again does not help).";

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Flags named as kine's and etcd's where they have one for the same thing.
#[derive(Debug, Parser)]
#[command(
    name = "jine", version, about = ABOUT, after_help = AFTER_HELP, styles = STYLES,
    disable_help_subcommand = true, max_term_width = 120
)]
pub struct Arguments {
    /// nats:// for a nats-server that jine runs itself, or nats://HOST[:4222][,HOST…] for one or more of yours; with
    /// parameters, see below
    #[arg(long, value_name = "URL", default_value = "nats://", help_heading = "Storage")]
    #[arg(env = "JINE_ENDPOINT", hide_env_values = true)]
    pub endpoint: String,

    /// Directory for the data of jine's own nats-server, and for the file of --value-memory; otherwise not used
    #[arg(long, value_name = "DIR", default_value = "jine.data", help_heading = "Storage")]
    #[arg(env = "JINE_DATA_DIR", hide_env_values = true)]
    pub data_dir: PathBuf,

    /// The nats-server program to run [default: the one on PATH, else the one beside jine]
    #[arg(long, value_name = "FILE", help_heading = "Storage")]
    #[arg(env = "JINE_NATS_SERVER", hide_env_values = true)]
    pub nats_server: Option<PathBuf>,

    /// new: a bucket that does not exist is created; existing: it is waited for, so that no empty store takes the place of one that was lost
    #[arg(long, value_name = "STATE", default_value = "new", help_heading = "Storage")]
    #[arg(env = "JINE_INITIAL_CLUSTER_STATE", hide_env_values = true)]
    pub initial_cluster_state: String,

    /// The most memory for values, in bytes or as 64MiB; values beyond it are kept in a file in --data-dir, which is slower. 0 keeps all
    /// values of 128 bytes and more there [default: all values are in memory]
    #[arg(long, value_name = "BYTES", help_heading = "Storage", env = "JINE_VALUE_MEMORY", hide_env_values = true)]
    pub value_memory: Option<String>,

    /// CA certificates to verify the NATS servers with [default: the system's]
    #[arg(long, value_name = "FILE", help_heading = "Connection to NATS")]
    #[arg(env = "JINE_CA_FILE", hide_env_values = true)]
    pub ca_file: Option<PathBuf>,

    /// Client certificate to show to NATS
    #[arg(long, value_name = "FILE", help_heading = "Connection to NATS")]
    #[arg(env = "JINE_CERT_FILE", hide_env_values = true)]
    pub cert_file: Option<PathBuf>,

    /// Key of that certificate
    #[arg(long, value_name = "FILE", help_heading = "Connection to NATS")]
    #[arg(env = "JINE_KEY_FILE", hide_env_values = true)]
    pub key_file: Option<PathBuf>,

    /// Accept any certificate from NATS (insecure)
    #[arg(long, value_name = "BOOL", help_heading = "Connection to NATS", action = ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false)]
    #[arg(hide_default_value = true, env = "JINE_SKIP_VERIFY", hide_env_values = true)]
    pub skip_verify: bool,

    /// Credentials file (JWT and key) for NATS; read again at every connection
    #[arg(long, value_name = "FILE", help_heading = "Connection to NATS")]
    #[arg(env = "JINE_NATS_CREDS", hide_env_values = true)]
    pub nats_creds: Option<PathBuf>,

    /// File with the seed of an nkey for NATS
    #[arg(long, value_name = "FILE", help_heading = "Connection to NATS")]
    #[arg(env = "JINE_NATS_NKEY", hide_env_values = true)]
    pub nats_nkey: Option<PathBuf>,

    /// User name for NATS, with --nats-password-file
    #[arg(long, value_name = "USER", help_heading = "Connection to NATS")]
    #[arg(env = "JINE_NATS_USER", hide_env_values = true)]
    pub nats_user: Option<String>,

    /// File with the password for NATS; the variable JINE_NATS_PASSWORD can hold the password itself
    #[arg(long, value_name = "FILE", help_heading = "Connection to NATS")]
    #[arg(env = "JINE_NATS_PASSWORD_FILE", hide_env_values = true)]
    pub nats_password_file: Option<PathBuf>,

    /// File with a token for NATS; the variable JINE_NATS_TOKEN can hold the token itself
    #[arg(long, value_name = "FILE", help_heading = "Connection to NATS")]
    #[arg(env = "JINE_NATS_TOKEN_FILE", hide_env_values = true)]
    pub nats_token_file: Option<PathBuf>,

    /// JetStream domain of the bucket, where it is not that of the server connected to
    #[arg(long, value_name = "DOMAIN", help_heading = "Connection to NATS")]
    #[arg(env = "JINE_JETSTREAM_DOMAIN", hide_env_values = true)]
    pub jetstream_domain: Option<String>,

    /// sync_interval as it is in the configuration of the NATS servers, which no client can find out: always, or a duration [default: 2m].
    /// With one replica, what was compacted is removed from the stream only after twice that time; with always, at once
    #[arg(long, value_name = "INTERVAL", help_heading = "Connection to NATS")]
    #[arg(env = "JINE_NATS_SYNC_INTERVAL", hide_env_values = true)]
    pub nats_sync_interval: Option<String>,

    /// Where etcd clients connect, as kine's: HOST:PORT [default: 127.0.0.1:2379]
    #[arg(long, value_name = "ADDRESS", help_heading = "Clients", conflicts_with = "listen_client_urls")]
    #[arg(env = "JINE_LISTEN_ADDRESS", hide_env_values = true)]
    pub listen_address: Option<String>,

    /// Where etcd clients connect, as etcd's: http://HOST:PORT or https://HOST:PORT, several with commas
    #[arg(long, value_name = "URLS", help_heading = "Clients")]
    #[arg(env = "JINE_LISTEN_CLIENT_URLS", hide_env_values = true)]
    pub listen_client_urls: Option<String>,

    /// What clients are told to connect to [default: what is listened on]
    #[arg(long, value_name = "URLS", help_heading = "Clients")]
    #[arg(env = "JINE_ADVERTISE_CLIENT_URLS", hide_env_values = true)]
    pub advertise_client_urls: Option<String>,

    /// Certificate to show to clients; with it the client port speaks TLS only
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    #[arg(env = "JINE_SERVER_CERT_FILE", hide_env_values = true)]
    pub server_cert_file: Option<PathBuf>,

    /// Key of that certificate
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    #[arg(env = "JINE_SERVER_KEY_FILE", hide_env_values = true)]
    pub server_key_file: Option<PathBuf>,

    /// CA that must have signed the clients' certificates; with it a client without one is turned away
    #[arg(long, value_name = "FILE", help_heading = "Clients")]
    #[arg(env = "JINE_TRUSTED_CA_FILE", hide_env_values = true)]
    pub trusted_ca_file: Option<PathBuf>,

    /// As etcd's. It needs --trusted-ca-file, which demands a certificate of every client by itself
    #[arg(long, value_name = "BOOL", help_heading = "Clients", action = ArgAction::Set)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "true", default_value_t = false)]
    #[arg(hide_default_value = true, env = "JINE_CLIENT_CERT_AUTH", hide_env_values = true)]
    pub client_cert_auth: bool,

    /// The most operations in one transaction. The largest one has to fit 1000 messages of NATS: each operation takes one, and
    /// --max-request-bytes one for each time that it holds max_payload (of NATS, 1 MiB by default)
    #[arg(long, value_name = "N", default_value = "128", help_heading = "Behaviour as etcd")]
    #[arg(env = "JINE_MAX_TXN_OPS", hide_env_values = true)]
    pub max_txn_ops: String,

    /// The largest request of a client, in bytes or as 2MiB [default: 1.5MiB]
    #[arg(long, value_name = "BYTES", default_value = "1572864", help_heading = "Behaviour as etcd")]
    #[arg(hide_default_value = true, env = "JINE_MAX_REQUEST_BYTES", hide_env_values = true)]
    pub max_request_bytes: String,

    /// The size of the stream, in bytes or as 2GiB, from which on the store takes no more; 0: no quota but the stream's own limit
    #[arg(long, value_name = "BYTES", default_value = "0", help_heading = "Behaviour as etcd")]
    #[arg(allow_hyphen_values = true, env = "JINE_QUOTA_BACKEND_BYTES", hide_env_values = true)]
    pub quota_backend_bytes: String,

    /// The most calls at a time on one connection; 0: any number [default: 4294967295]
    #[arg(long, value_name = "N", default_value = "4294967295", help_heading = "Behaviour as etcd")]
    #[arg(hide_default_value = true, env = "JINE_MAX_CONCURRENT_STREAMS", hide_env_values = true)]
    pub max_concurrent_streams: String,

    /// How often an idle watch that wants it is told the revision
    #[arg(long, value_name = "DURATION", default_value = "5s", help_heading = "Behaviour as etcd")]
    #[arg(env = "JINE_WATCH_PROGRESS_NOTIFY_INTERVAL", hide_env_values = true)]
    pub watch_progress_notify_interval: String,

    /// How --auto-compaction-retention is read: periodic (a duration) or revision (a number of revisions)
    #[arg(long, value_name = "MODE", default_value = "periodic", help_heading = "Behaviour as etcd")]
    #[arg(env = "JINE_AUTO_COMPACTION_MODE", hide_env_values = true)]
    pub auto_compaction_mode: String,

    /// History to keep when compacting by itself: a duration (a number without a unit: hours), or a number of revisions; 0 leaves it
    /// to the clients (kube-apiserver compacts)
    #[arg(long, value_name = "RETENTION", default_value = "0", help_heading = "Behaviour as etcd")]
    #[arg(env = "JINE_AUTO_COMPACTION_RETENTION", hide_env_values = true)]
    pub auto_compaction_retention: String,

    /// As kine's: so often, compact at the revision of the time before; 0: do not. Cannot be given with --auto-compaction-retention
    #[arg(long, value_name = "DURATION", default_value = "0", help_heading = "Behaviour as etcd")]
    #[arg(env = "JINE_COMPACT_INTERVAL", hide_env_values = true)]
    pub compact_interval: String,

    /// The etcd version to report to clients
    #[arg(long, value_name = "VERSION", default_value = "3.7.3", help_heading = "Behaviour as etcd")]
    #[arg(env = "JINE_EMULATED_ETCD_VERSION", hide_env_values = true)]
    pub emulated_etcd_version: String,

    /// This member's name, in the member list and in NATS' list of connections [default: the host's name]
    #[arg(long, value_name = "NAME", help_heading = "Observing")]
    #[arg(env = "JINE_NAME", hide_env_values = true)]
    pub name: Option<String>,

    /// Where to serve metrics and health without TLS; 0: nowhere but on the client port
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:2381", help_heading = "Observing")]
    #[arg(env = "JINE_METRICS_BIND_ADDRESS", hide_env_values = true)]
    pub metrics_bind_address: String,

    /// error, warn, info, debug, trace, or tracing's filters (info,nats_server=debug)
    #[arg(long, value_name = "LEVEL", default_value = "info", help_heading = "Observing")]
    #[arg(env = "JINE_LOG_LEVEL", hide_env_values = true)]
    pub log_level: String,

    /// plain or json; jine's output goes to standard error
    #[arg(long, value_name = "FORMAT", default_value = "plain", help_heading = "Observing")]
    #[arg(env = "JINE_LOG_FORMAT", hide_env_values = true)]
    pub log_format: String,
}

impl Arguments {
    /// Reads the command line and the environment. An empty variable counts as none.
    pub fn read<I, T>(line: I) -> Result<Self, clap::Error>
    where
        I: IntoIterator<Item = T>,
        T: Into<std::ffi::OsString> + Clone,
    {
        let command = Self::command().mut_args(|arg| {
            let empty = arg.get_env().and_then(std::env::var_os).is_some_and(|value| value.is_empty());
            if empty { arg.env(None) } else { arg }
        });
        Self::from_arg_matches(&command.try_get_matches_from(line)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_flag_has_its_variable() {
        for arg in Arguments::command().get_arguments() {
            let Some(long) = arg.get_long() else { continue };
            let expected = format!("JINE_{}", long.replace('-', "_").to_uppercase());
            assert_eq!(arg.get_env().and_then(|name| name.to_str()), Some(expected.as_str()), "--{long}");
        }
    }
}
