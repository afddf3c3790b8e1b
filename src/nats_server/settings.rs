//! The configuration that nats-server is started with.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;

use super::directory::{Directory, make_private, write_private};
use super::keys::Keys;
use super::{Error, about_file, reader};

/// What the user for looking may ask of JetStream: enough for `nats kv ls/get/watch/history` and `nats str report`. It keeps from mistakes
/// and not from malice: a consumer's `deliver_subject` may be one of the API, and nats-server then sends the request itself (2.15.1 does
/// so with a recovered consumer's heartbeats).
const READER_MAY_PUBLISH: &[&str] = &[
    "$JS.API.INFO",
    "$JS.API.STREAM.INFO.>",
    "$JS.API.STREAM.LIST",
    "$JS.API.STREAM.NAMES",
    "$JS.API.STREAM.MSG.GET.>",
    "$JS.API.DIRECT.GET.>",
    "$JS.API.CONSUMER.CREATE.>",
    "$JS.API.CONSUMER.DELETE.>",
    "$JS.API.CONSUMER.INFO.>",
    "$JS.API.CONSUMER.LIST.>",
    "$JS.API.CONSUMER.NAMES.>",
    "$JS.API.CONSUMER.MSG.NEXT.>",
    "$JS.FC.>",
    "$JS.ACK.>",
];

pub(super) struct Settings {
    nats: PathBuf,
    reader: PathBuf,
    port: u16,
    keys: Keys,
}

impl Settings {
    pub(super) fn new(directory: &Directory, keys: Keys) -> Result<Self, Error> {
        Ok(Settings { nats: directory.nats(), reader: directory.reader(), port: free_port(0)?, keys })
    }

    pub(super) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where the data of the account is.
    pub(super) fn streams(&self) -> PathBuf {
        self.nats.join("jetstream/jine/streams")
    }

    pub(super) fn ports(&self) -> PathBuf {
        self.nats.join("ports")
    }

    pub(super) fn file(&self) -> PathBuf {
        self.nats.join("nats-server.conf")
    }

    /// Writes the files, with another port where somebody listens on the one so far, and empties the directory in which the server
    /// announces its port.
    pub(super) fn write(&mut self, max_file_store: u64) -> Result<(), Error> {
        if free_port(self.port).is_err() {
            let taken = std::mem::replace(&mut self.port, free_port(0)?);
            tracing::warn!(
                taken,
                port = self.port,
                "another process has taken nats-server's port: it gets another one"
            );
        }
        reader::leave_context(&self.reader, &self.url(), &self.keys)?;
        let ports = self.ports();
        make_private(&ports)?;
        for entry in std::fs::read_dir(&ports).map_err(about_file("read", &ports))?.flatten() {
            let _ = std::fs::remove_file(entry.path());
        }
        self.write_limit(max_file_store)
    }

    pub(super) fn write_limit(&self, max_file_store: u64) -> Result<(), Error> {
        write_private(&self.file(), &self.text(max_file_store))
    }

    fn text(&self, max_file_store: u64) -> String {
        let allowed: Vec<String> = READER_MAY_PUBLISH.iter().map(|subject| quote(subject)).collect();
        format!(
            r#"# Written by jine whenever it starts nats-server; changes do not last.
server_name: jine
listen: "127.0.0.1:{port}"
ports_file_dir: {ports}
logtime: false

# etcd takes requests of 1.5 MiB, and no message may be refused for its size.
max_payload: 8MB

jetstream {{
  store_dir: {nats}
  # An acknowledged write survives a power cut.
  sync_interval: always
  # Full is told before the disk is: a server that runs into the end of a disk switches JetStream off.
  max_file_store: {max_file_store}
}}

accounts {{
  jine {{
    jetstream: enabled
    users: [
      {{ nkey: {writer} }}
      {{
        nkey: {reader}
        permissions {{
          publish {{ allow: [
            {allowed}
          ] }}
          subscribe {{ allow: ["_INBOX.>"] }}
        }}
      }}
    ]
  }}
}}
"#,
            port = self.port,
            ports = quote(&self.ports().to_string_lossy()),
            nats = quote(&self.nats.to_string_lossy()),
            writer = self.keys.writer,
            reader = self.keys.reader,
            allowed = allowed.join("\n            "),
        )
    }
}

/// A string as nats-server's configuration reads it.
fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// This port, if nobody listens on it, or for 0 any such. Whoever takes it before nats-server does makes its start fail.
fn free_port(port: u16) -> Result<u16, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port));
    let port = listener.and_then(|listener| listener.local_addr()).map(|address| address.port());
    port.map_err(|error| Error::Failed(format!("there is no free port on 127.0.0.1: {error}")))
}
