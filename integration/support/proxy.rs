//! Stands between a jine and its nats-server, and stops at a message of an atomic batch.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{oneshot, watch};

/// Behind which message of the next batch nothing is passed on any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The server has these many of the batch, and not its end.
    After(usize),
    /// The server has all of it, and its answer does not come back.
    Committed,
}

pub(crate) struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

struct Shared {
    armed: Mutex<Option<(Stop, oneshot::Sender<()>)>>,
    held: watch::Sender<bool>,
    /// Connections of an earlier one end.
    era: watch::Sender<u64>,
}

impl Proxy {
    pub(crate) async fn start(server: u16) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared =
            Arc::new(Shared { armed: Mutex::default(), held: watch::Sender::new(false), era: watch::Sender::new(0) });
        tokio::spawn(accept(listener, server, shared.clone()));
        Proxy { port, shared }
    }

    pub(crate) fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Resolves when the next batch has come so far; from then on nothing passes, in neither direction.
    pub(crate) fn stop_at(&self, stop: Stop) -> oneshot::Receiver<()> {
        let (told, stopped) = oneshot::channel();
        *self.shared.armed.lock().unwrap() = Some((stop, told));
        stopped
    }

    /// Ends all connections, with what was held back, and lets new ones pass.
    pub(crate) fn cut(&self) {
        self.shared.era.send_modify(|era| *era += 1);
        self.shared.held.send_replace(false);
    }
}

impl Shared {
    /// Fails where the connection has been cut meanwhile: what was held back is lost.
    async fn passes(&self, era: u64) -> std::io::Result<()> {
        let _ = self.held.subscribe().wait_for(|held| !held).await;
        if *self.era.borrow() == era { Ok(()) } else { Err(std::io::ErrorKind::ConnectionReset.into()) }
    }

    /// A message that was passed on.
    fn passed(&self, headers: &[u8]) {
        let has = |text: &str| headers.windows(text.len()).any(|window| window == text.as_bytes());
        let mut armed = self.armed.lock().unwrap();
        let is_it = |stop: Stop| match stop {
            Stop::After(n) => has(&format!("Nats-Batch-Sequence: {n}\r\n")) && !has("Nats-Batch-Commit"),
            Stop::Committed => has("Nats-Batch-Commit"),
        };
        if let Some((_, told)) = armed.take_if(|(stop, _)| is_it(*stop)) {
            self.held.send_replace(true);
            let _ = told.send(());
        }
    }
}

async fn accept(listener: TcpListener, server: u16, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = shared.clone();
        tokio::spawn(async move {
            // A server that is down: whoever wants it tries again.
            let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else { return };
            let mut cut = shared.era.subscribe();
            let era = *cut.borrow_and_update();
            let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
            tokio::select! {
                _ = up(from_client, to_server, &shared, era) => {}
                _ = down(from_server, to_client, &shared, era) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

/// Message by message.
async fn up(from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, era: u64) -> std::io::Result<()> {
    let mut from = BufReader::new(from);
    loop {
        let mut message = Vec::new();
        if from.read_until(b'\n', &mut message).await? == 0 {
            return Ok(());
        }
        let line = String::from_utf8_lossy(&message).into_owned();
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |word: Option<&&str>| word.and_then(|word| word.parse::<usize>().ok()).unwrap_or_default();
        let headers = match words.first() {
            Some(&"HPUB") => number(words.iter().rev().nth(1)),
            _ => 0,
        };
        if matches!(words.first(), Some(&"HPUB" | &"PUB")) {
            let start = message.len();
            message.resize(start + number(words.last()) + 2, 0);
            from.read_exact(&mut message[start..]).await?;
        }
        shared.passes(era).await?;
        to.write_all(&message).await?;
        shared.passed(&message[line.len()..][..headers]);
    }
}

async fn down(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, era: u64) -> std::io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut piece).await?;
        if read == 0 {
            return Ok(());
        }
        shared.passes(era).await?;
        to.write_all(&piece[..read]).await?;
    }
}
