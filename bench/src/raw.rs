//! The floor: JetStream's own publishes of the same sizes, without anything of ours in front. As many messages as there are clients
//! make one atomic batch, staged in memory as jine's are; one client publishes single messages.

use std::io;
use std::path::Path;
use std::time::Instant;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::drive::{Meter, Shared};
use crate::server::Server;

const STREAM: &str = "KV_raw";
const INBOX: &str = "_INBOX.raw";
/// About what jine's own header takes.
const HEADER: &str =
    "Jine: 1 put id=9f86d081884c7d65-12345678 log=5b4ee2a1c3d4e5f6 n=12345678 at=12345678 g=12345678 r=1234567 v=2";

pub struct Raw {
    socket: TcpStream,
    input: Vec<u8>,
    next: u64,
}

impl Raw {
    /// Connects, and makes the stream where it is missing, staged on `staging`.
    pub async fn open(server: &Server, staging: &Path) -> io::Result<Raw> {
        let socket = TcpStream::connect(server.address).await?;
        socket.set_nodelay(true)?;
        let mut raw = Raw { socket, input: Vec::new(), next: 0 };
        let connect = format!(
            "CONNECT {{\"verbose\":false,\"pedantic\":false,\"headers\":true,\"no_responders\":true}}\r\nSUB {INBOX} 1\r\n"
        );
        raw.socket.write_all(connect.as_bytes()).await?;
        let config = format!(
            r#"{{"name":"{STREAM}","subjects":["$KV.raw.>"],"storage":"file","num_replicas":1,"retention":"limits","max_age":0,"max_msgs":-1,"max_bytes":-1,"discard":"new","allow_atomic":true,"max_msgs_per_subject":1000000000}}"#
        );
        let request = format!("PUB $JS.API.STREAM.CREATE.{STREAM} {INBOX} {}\r\n{config}\r\n", config.len());
        raw.socket.write_all(request.as_bytes()).await?;
        let answer = raw.answer().await?;
        if answer.contains("\"error\"") {
            return Err(io::Error::other(answer));
        }
        stage(&server.directory.join(format!("data/jetstream/$G/streams/{STREAM}/batches")), staging)?;
        Ok(raw)
    }

    /// Publishes groups of `count` messages one after the other until the meter says stop. A group's time counts for each of them.
    pub async fn run(&mut self, count: usize, size: usize, meter: &Shared<Meter>) -> io::Result<()> {
        let value = vec![b'v'; size];
        let mut out = Vec::new();
        meter.borrow_mut().ready = true;
        while !meter.borrow().stop {
            out.clear();
            self.next += 1;
            for i in 1..=count {
                self.message(&mut out, i, count, &value);
            }
            let began = Instant::now();
            self.socket.write_all(&out).await?;
            let answer = self.answer().await?;
            if !answer.contains("\"seq\"") || answer.contains("\"error\"") {
                return Err(io::Error::other(answer));
            }
            let took = began.elapsed();
            let mut meter = meter.borrow_mut();
            (0..count).for_each(|_| meter.record(took, 1));
        }
        Ok(())
    }

    fn message(&self, out: &mut Vec<u8>, i: usize, count: usize, value: &[u8]) {
        let mut headers = format!("NATS/1.0\r\n{HEADER}\r\n");
        if count > 1 {
            let batch = std::process::id();
            headers += &format!("Nats-Batch-Id: {batch}-{}\r\nNats-Batch-Sequence: {i}\r\n", self.next);
            if i == count {
                headers += "Nats-Batch-Commit: 1\r\n";
            }
        }
        headers += "\r\n";
        let reply = if i == count { INBOX } else { "" };
        let sizes = format!("{} {}", headers.len(), headers.len() + value.len());
        out.extend_from_slice(format!("HPUB $KV.raw.bench.{i:05} {reply} {sizes}\r\n{headers}").as_bytes());
        out.extend_from_slice(value);
        out.extend_from_slice(b"\r\n");
    }

    /// The payload of the next message to the inbox.
    async fn answer(&mut self) -> io::Result<String> {
        loop {
            while let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let line = String::from_utf8_lossy(&self.input[..end]).into_owned();
                if line.starts_with("PING") {
                    self.socket.write_all(b"PONG\r\n").await?;
                } else if line.starts_with("-ERR") {
                    return Err(io::Error::other(line));
                } else if line.starts_with("MSG") || line.starts_with("HMSG") {
                    let size: usize = line.rsplit(' ').next().and_then(|size| size.parse().ok()).unwrap_or_default();
                    if self.input.len() < end + 2 + size + 2 {
                        break;
                    }
                    let payload = String::from_utf8_lossy(&self.input[end + 2..end + 2 + size]).into_owned();
                    self.input.drain(..end + 2 + size + 2);
                    return Ok(payload);
                }
                self.input.drain(..end + 2);
            }
            if self.socket.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

fn stage(batches: &Path, staging: &Path) -> io::Result<()> {
    if batches.is_symlink() {
        return Ok(());
    }
    std::fs::create_dir_all(staging)?;
    let _ = std::fs::remove_dir(batches);
    std::os::unix::fs::symlink(staging, batches)
}
