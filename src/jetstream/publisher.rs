//! Publishing groups over a plain connection, where jine runs the nats-server itself.
//!
//! The client library makes a map of headers of every message, sends each through a channel to a task that writes it, and the answer
//! comes back through two more tasks. Here the task that wants to append writes the whole group at once and reads the answer
//! itself. docs/performance.md has what that saves. Only for a server on this machine, without TLS, that we hold a key of: everything
//! else, and all but appending, is the client library's.

use std::sync::Arc;
use std::time::Duration;

use async_nats::ServerAddr;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::acks::{self, Reply};
use super::append::Batch;
use super::options::{Credentials, Options};
use crate::store::log::LogError;

/// Of silence. The server asks whoever is silent for two minutes whether it is there, and nobody would answer while nothing is appended.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// What is kept of the buffer for the next group.
const KEPT_BYTES: usize = 1 << 20;

pub(super) struct Publisher {
    /// None once it is lost, and while it is in use: an append that is given up half-way leaves no connection behind.
    wire: Mutex<Option<Wire>>,
    /// Up to and with the last dot.
    inbox: String,
}

struct Wire {
    socket: TcpStream,
    out: Vec<u8>,
    input: Vec<u8>,
    /// Of the last group sent.
    number: u64,
}

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    nonce: String,
}

impl Publisher {
    /// None where the client library has to do it.
    pub(super) async fn connect(options: &Options, inbox: String) -> Result<Option<Arc<Publisher>>, LogError> {
        let (true, [server]) = (options.exclusive, options.servers.as_slice()) else { return Ok(None) };
        let seed = match &options.credentials {
            Credentials::Nkey(seed) => Some(&*seed.0),
            Credentials::None => None,
            _ => return Ok(None),
        };
        let Ok(address) = server.parse::<ServerAddr>() else { return Ok(None) };
        if address.tls_required() {
            return Ok(None);
        }
        let opened = Wire::open(&address, seed, &inbox, options);
        let wire = match tokio::time::timeout(options.request_timeout, opened).await {
            Ok(Ok(wire)) => wire,
            Ok(Err(why)) => return Err(LogError::Unavailable(format!("cannot publish to {server}: {why}"))),
            Err(_) => return Err(LogError::Unavailable(format!("NATS at {server} does not answer"))),
        };
        Ok(Some(Arc::new(Publisher { wire: Mutex::new(Some(wire)), inbox })))
    }

    /// Sends a group, and waits for what the server says of it. An error: the connection is lost, now or since before.
    pub(super) async fn exchange(&self, batch: &Batch, prefix: &str) -> Result<Reply, String> {
        let mut slot = self.wire.lock().await;
        let mut wire = slot.take().ok_or("the connection to publish on was lost")?;
        let reply = wire.exchange(batch, prefix, &self.inbox).await?;
        *slot = Some(wire);
        Ok(reply)
    }

    /// Shows the server that this connection is alive, until told that it is done with.
    pub(super) async fn keep(self: Arc<Self>, done: CancellationToken) {
        loop {
            tokio::select! {
                () = done.cancelled() => return,
                () = tokio::time::sleep(SIGN_OF_LIFE) => {}
            }
            // One that is in use is alive.
            let Ok(mut slot) = self.wire.try_lock() else { continue };
            let Some(mut wire) = slot.take() else { return };
            match tokio::time::timeout(SIGN_OF_LIFE, wire.ping()).await {
                Ok(Ok(())) => *slot = Some(wire),
                // The next append finds it lost; so does the other connection, which is looked at all the time.
                Ok(Err(_)) | Err(_) => return,
            }
        }
    }
}

impl Wire {
    async fn open(address: &ServerAddr, seed: Option<&str>, inbox: &str, options: &Options) -> Result<Wire, String> {
        let socket = TcpStream::connect((address.host(), address.port())).await.map_err(text)?;
        socket.set_nodelay(true).map_err(text)?;
        let mut wire = Wire { socket, out: Vec::new(), input: Vec::new(), number: 0 };
        let line = wire.line().await?;
        let info: Info = line.strip_prefix("INFO ").and_then(|json| serde_json::from_str(json).ok()).ok_or(line)?;
        let mut connect = serde_json::json!({
            "verbose": false, "pedantic": false, "headers": true, "no_responders": true, "protocol": 1, "lang": "rust",
            "version": env!("CARGO_PKG_VERSION"), "name": format!("{} appending", options.name),
        });
        if let Some(seed) = seed {
            let pair = nkeys::KeyPair::from_seed(seed.trim()).map_err(text)?;
            connect["nkey"] = pair.public_key().into();
            connect["sig"] = URL_SAFE_NO_PAD.encode(pair.sign(info.nonce.as_bytes()).map_err(text)?).into();
        }
        wire.out.extend_from_slice(format!("CONNECT {connect}\r\nSUB {inbox}* 1\r\n").as_bytes());
        wire.ping().await?;
        Ok(wire)
    }

    /// Asks the server for a sign of life and waits for it.
    async fn ping(&mut self) -> Result<(), String> {
        self.out.extend_from_slice(b"PING\r\n");
        self.flush().await?;
        while self.line().await? != "PONG" {}
        Ok(())
    }

    async fn exchange(&mut self, batch: &Batch, prefix: &str, inbox: &str) -> Result<Reply, String> {
        self.number += 1;
        let number = self.number;
        batch.write(&mut self.out, prefix, inbox, number);
        self.flush().await?;
        loop {
            let line = self.line().await?;
            let Some(message) = Delivered::parse(&line) else { continue };
            let body = self.take(message.size + 2).await?;
            let (headers, payload) = body[..message.size].split_at(message.headers.min(message.size));
            let no_responders = headers.starts_with(NO_RESPONDERS);
            match acks::number_of(message.subject) {
                Some((its, last)) if its == number && (no_responders || !acks::is_staged(last, payload)) => {
                    return Ok(Reply { last, answer: acks::answer_of(no_responders, payload) });
                }
                _ => {}
            }
        }
    }

    async fn flush(&mut self) -> Result<(), String> {
        self.socket.write_all(&self.out).await.map_err(text)?;
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES);
        Ok(())
    }

    /// The next line, without its end. Questions of the server are answered on the way, and its complaints are errors.
    async fn line(&mut self) -> Result<String, String> {
        let mut seen = 0;
        loop {
            let found = self.input[seen..].windows(2).position(|pair| pair == b"\r\n");
            let Some(end) = found.map(|at| at + seen) else {
                seen = self.input.len().saturating_sub(1);
                self.fill().await?;
                continue;
            };
            let line = String::from_utf8_lossy(&self.input[..end]).into_owned();
            self.input.drain(..end + 2);
            match line.as_str() {
                "PING" => self.socket.write_all(b"PONG\r\n").await.map_err(text)?,
                complaint if complaint.starts_with("-ERR") => return Err(format!("NATS says {complaint}")),
                _ => return Ok(line),
            }
            seen = 0;
        }
    }

    async fn take(&mut self, size: usize) -> Result<Vec<u8>, String> {
        while self.input.len() < size {
            self.fill().await?;
        }
        Ok(self.input.drain(..size).collect())
    }

    async fn fill(&mut self) -> Result<(), String> {
        match self.socket.read_buf(&mut self.input).await {
            Ok(0) => Err("the connection was closed".into()),
            Ok(_) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// How a message begins to which nobody listens.
const NO_RESPONDERS: &[u8] = b"NATS/1.0 503";

/// The first line of a message: `MSG subject sid [reply] size` or `HMSG subject sid [reply] headers size`.
struct Delivered<'a> {
    subject: &'a str,
    /// Bytes of headers.
    headers: usize,
    /// Bytes of headers and payload.
    size: usize,
}

impl<'a> Delivered<'a> {
    fn parse(line: &'a str) -> Option<Delivered<'a>> {
        let words: Vec<&str> = line.split(' ').collect();
        let (with_headers, subject) = match words.as_slice() {
            ["MSG", subject, _, ..] => (false, *subject),
            ["HMSG", subject, _, ..] => (true, *subject),
            _ => return None,
        };
        let mut sizes = words.iter().rev();
        let size = sizes.next()?.parse().ok()?;
        let headers = if with_headers { sizes.next()?.parse().ok()? } else { 0 };
        Some(Delivered { subject, headers, size })
    }
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_messages_are_understood() {
        let of = |line| Delivered::parse(line).map(|message| (message.subject, message.headers, message.size));
        assert_eq!(of("MSG _INBOX.a.7 1 23"), Some(("_INBOX.a.7", 0, 23)));
        assert_eq!(of("MSG _INBOX.a.7e 1 back 0"), Some(("_INBOX.a.7e", 0, 0)));
        assert_eq!(of("HMSG _INBOX.a.7 1 16 16"), Some(("_INBOX.a.7", 16, 16)));
        assert_eq!(of("HMSG _INBOX.a.7 1 back 16 20"), Some(("_INBOX.a.7", 16, 20)));
        for line in ["+OK", "INFO {}", "MSG", "MSG a 1 x"] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
