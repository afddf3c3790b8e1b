//! Clients in a closed loop: each has one request under way, and sends the next when the answer has come.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::h2::{Connection, Event, Kind};

const READ: usize = 256 * 1024;

/// Clients share connections, as those of a kube-apiserver do.
pub const CONNECTIONS: usize = 16;

/// What the clients ask for, and what they make of the answers.
pub trait Work {
    fn kind(&self) -> Kind {
        Kind::Unary
    }

    /// Writes the client's next request, and names its method. None: the client is done.
    fn next(&mut self, client: usize, message: &mut Vec<u8>) -> Option<&'static str>;

    /// How many units of work that was, or why it counts as failed. `head` is the beginning of the answer.
    fn answered(&mut self, client: usize, head: &[u8], len: usize) -> Result<u64, String>;
}

/// What is counted while it is on.
#[derive(Debug, Default)]
pub struct Meter {
    /// The load is on its way: what it needs is there.
    pub ready: bool,
    pub on: bool,
    pub stop: bool,
    pub units: u64,
    /// Microseconds.
    pub latencies: Vec<u32>,
}

impl Meter {
    pub fn record(&mut self, took: Duration, units: u64) {
        // What is not counted is not timed either.
        if self.on && units > 0 {
            self.units += units;
            self.latencies.push(took.as_micros().min(u32::MAX.into()) as u32);
        }
    }
}

pub type Shared<T> = Rc<RefCell<T>>;

pub fn shared<T>(value: T) -> Shared<T> {
    Rc::new(RefCell::new(value))
}

/// Runs the clients until the meter says stop, or until none has anything more to do. Must be in a `LocalSet`.
pub async fn drive<W: Work + 'static>(
    address: SocketAddr,
    clients: usize,
    work: &Shared<W>,
    meter: &Shared<Meter>,
) -> io::Result<()> {
    meter.borrow_mut().ready = true;
    let connections = clients.min(CONNECTIONS);
    let mut tasks = JoinSet::new();
    for n in 0..connections {
        let clients: Vec<usize> = (n..clients).step_by(connections).collect();
        tasks.spawn_local(serve(address, clients, work.clone(), meter.clone()));
    }
    while let Some(ended) = tasks.join_next().await {
        ended.map_err(io::Error::other)??;
    }
    Ok(())
}

struct Client {
    number: usize,
    began: Instant,
    stream: Option<u32>,
}

async fn serve<W: Work>(
    address: SocketAddr,
    clients: Vec<usize>,
    work: Shared<W>,
    meter: Shared<Meter>,
) -> io::Result<()> {
    let mut wire = Wire::open(address).await?;
    let kind = work.borrow().kind();
    let began = Instant::now();
    let mut clients: Vec<Client> = clients.into_iter().map(|number| Client { number, began, stream: None }).collect();
    let mut active = 0;
    let mut message = Vec::new();
    for token in 0..clients.len() {
        active += usize::from(ask(&mut wire.http, kind, &mut clients, token, &work, &mut message, began));
    }
    while active > 0 {
        wire.exchange().await?;
        let now = Instant::now();
        while let Some(event) = wire.http.event() {
            let (token, head, len) = match event {
                Event::Answer { token, head, len } => (token, head, len),
                Event::Message { token, body } => (token, body, 0),
                Event::Failed { why, .. } => return Err(io::Error::other(format!("a request failed: {why:?}"))),
            };
            let client = &clients[token];
            let units = work.borrow_mut().answered(client.number, &head, len).map_err(io::Error::other)?;
            let stop = {
                let mut meter = meter.borrow_mut();
                meter.record(now - client.began, units);
                meter.stop
            };
            if stop || !ask(&mut wire.http, kind, &mut clients, token, &work, &mut message, now) {
                active -= 1;
            }
        }
    }
    Ok(())
}

fn ask<W: Work>(
    http: &mut Connection,
    kind: Kind,
    clients: &mut [Client],
    token: usize,
    work: &Shared<W>,
    message: &mut Vec<u8>,
    now: Instant,
) -> bool {
    message.clear();
    let client = &mut clients[token];
    let Some(path) = work.borrow_mut().next(client.number, message) else { return false };
    client.began = now;
    match client.stream {
        Some(stream) => http.send(stream, message),
        None => {
            let id = http.call(kind, path, message, token);
            client.stream = (kind == Kind::Stream).then_some(id);
        }
    }
    true
}

/// A connection with its socket.
pub struct Wire {
    pub http: Connection,
    socket: TcpStream,
}

impl Wire {
    pub async fn open(address: SocketAddr) -> io::Result<Wire> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Wire { http: Connection::new(&address.to_string()), socket })
    }

    pub async fn write(&mut self) -> io::Result<()> {
        if !self.http.out.is_empty() {
            self.socket.write_all(&self.http.out).await?;
            self.http.out.clear();
        }
        Ok(())
    }

    /// Safe to be dropped before it is done.
    pub async fn read(&mut self) -> io::Result<()> {
        let input = self.http.input();
        input.reserve(READ);
        match self.socket.read_buf(input).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    pub async fn exchange(&mut self) -> io::Result<()> {
        self.write().await?;
        self.read().await
    }
}
