//! jine or kine, on a nats-server that others run.

use std::process::Command;

use serde_json::Value;

use crate::support::client::{Client, until_ok};
use crate::support::jine::{self, Jine};
use crate::support::nats::{JETSTREAM, NatsCluster, NatsServer, free_port};
use crate::support::tool;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Jine,
    Kine,
}

/// Killed when dropped.
pub(super) struct Server {
    kind: Kind,
    url: String,
    process: Jine,
    /// kine does not say where it listens, but is told.
    port: u16,
}

impl Server {
    /// One that serves.
    pub(super) async fn start(kind: Kind, nats: &NatsServer) -> Server {
        let server = Server::begin(kind, &nats.url());
        server.ready().await
    }

    /// With its log on three servers, where jine need not wait for a disk before it removes what was compacted.
    pub(super) async fn start_replicated(kind: Kind, cluster: &NatsCluster) -> Server {
        let server = Server::begin(kind, &format!("{}?replicas=3", cluster.servers[0].url()));
        server.ready().await
    }

    /// One that need not serve yet.
    pub(super) fn begin(kind: Kind, url: &str) -> Server {
        let port = free_port();
        let process = Jine::start(command(kind, url, port));
        Server { kind, url: url.to_owned(), process, port }
    }

    pub(super) async fn ready(mut self) -> Server {
        let client = self.client();
        until_ok("the server serves", || client.status()).await;
        self
    }

    pub(super) fn client(&mut self) -> Client {
        Client::new(&format!("127.0.0.1:{}", self.port))
    }

    /// kill -9, and another one on the same log.
    pub(super) async fn restart(&mut self) {
        self.process.stop("KILL");
        self.process = Jine::start(command(self.kind, &self.url, self.port));
        let client = self.client();
        until_ok("the server serves again", || client.status()).await;
    }

    pub(super) fn ended(&mut self) -> Option<i32> {
        self.process.ended()
    }

    pub(super) fn log(&self) -> String {
        self.process.log()
    }
}

fn command(kind: Kind, url: &str, port: u16) -> Command {
    let listen = format!("127.0.0.1:{port}");
    match kind {
        Kind::Jine => {
            let mut jine = jine::command();
            jine.args(["--endpoint", url, "--listen-address", &listen, "--metrics-bind-address", "0"]);
            jine
        }
        Kind::Kine => {
            let mut kine = Command::new(tool("kine"));
            let options = if url.contains('?') { "&" } else { "?" };
            let endpoint = format!("{url}{options}noEmbed&bucket=jine");
            kine.args(["--endpoint", &endpoint, "--listen-address", &listen, "--metrics-bind-address", "0"]);
            kine
        }
    }
}

/// A nats-server that counts what it is asked.
pub(super) async fn nats_server() -> NatsServer {
    NatsServer::start_with(&format!("{JETSTREAM}http: \"127.0.0.1:-1\"\n")).await
}

/// The messages that clients have sent to it so far.
pub(super) fn asked(nats: &NatsServer) -> u64 {
    let ports = std::fs::read(nats.folder().join(format!("nats-server_{}.ports", nats.pid()))).expect("its ports");
    let ports: Value = serde_json::from_slice(&ports).expect("JSON");
    let address = ports["monitoring"][0].as_str().expect("an address").trim_start_matches("http://").to_owned();
    let figures: Value = serde_json::from_str(&get(&address, "/varz").expect("an answer")).expect("JSON");
    figures["in_msgs"].as_u64().expect("a number")
}

/// In the old version of HTTP, so that the answer comes in one piece.
fn get(address: &str, path: &str) -> std::io::Result<String> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    Ok(text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

/// What the stream of the bucket holds: messages, subjects, the last place.
pub(super) async fn held(nats: &NatsServer) -> (u64, u64, u64) {
    let stream = nats.stream().await;
    let figure = |name: &str| stream["state"][name].as_u64().unwrap_or_default();
    (figure("messages"), figure("num_subjects"), figure("last_seq"))
}
