//! Writers, and many watchers of what they write. A writer goes on when every watcher has its event, so that the watchers' lag is in
//! the figures and cannot grow without limit.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::drive::{CONNECTIONS, Meter, Shared, Wire, shared};
use crate::h2::{Event, Kind};
use crate::pb;
use crate::stored::prefix_end;

pub struct Fanout {
    pub prefix: String,
    pub watchers: usize,
    /// Whether each watches a key of its own, rather than all of them the prefix.
    pub single: bool,
    pub writers: usize,
    pub size: usize,
    /// What the keys were last written at; kept from round to round.
    pub revisions: Shared<Vec<i64>>,
}

/// What the watchers tell the writers.
struct Board {
    /// For each writer: when it wrote, and how many watchers (and the answer) it still waits for.
    writes: Vec<(Instant, usize)>,
    /// Writers that may go on.
    ready: Vec<usize>,
    changed: Rc<Notify>,
}

impl Board {
    fn heard(&mut self, writer: usize) {
        self.writes[writer].1 -= 1;
        if self.writes[writer].1 == 0 {
            self.ready.push(writer);
            self.changed.notify_one();
        }
    }
}

impl Fanout {
    pub async fn run(self, address: SocketAddr, meter: &Shared<Meter>) -> io::Result<()> {
        let changed = Rc::new(Notify::new());
        let board = shared(Board {
            writes: vec![(Instant::now(), 0); self.writers],
            ready: (0..self.writers).collect(),
            changed: changed.clone(),
        });
        let (created, live) = (shared(0), shared(0));
        let mut watching = JoinSet::new();
        let connections = self.watchers.min(CONNECTIONS);
        for n in 0..connections {
            let requests = (n..self.watchers).step_by(connections).map(|watcher| self.watch(watcher)).collect();
            watching.spawn_local(watch(address, requests, created.clone(), live.clone(), board.clone(), meter.clone()));
        }
        while *created.borrow() < self.watchers {
            tokio::select! {
                Some(ended) = watching.join_next() => ended.map_err(io::Error::other)??,
                () = changed.notified() => {}
            }
        }
        if !self.single {
            self.probe(address, &live).await?;
        }
        meter.borrow_mut().ready = true;
        tokio::select! {
            Some(ended) = watching.join_next() => ended.map_err(io::Error::other)?,
            wrote = self.write(address, &board, &changed, meter) => wrote,
        }
    }

    /// Writes until every watcher has seen something: kine says that a watch is created before it sees what is written next.
    async fn probe(&self, address: SocketAddr, live: &Shared<usize>) -> io::Result<()> {
        let mut wire = Wire::open(address).await?;
        let mut message = Vec::new();
        pb::put(&mut message, format!("{}probe", self.prefix).as_bytes(), b"", 0);
        while *live.borrow() < self.watchers {
            wire.ask(pb::PUT, &message).await?;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// The request of one watcher.
    fn watch(&self, watcher: usize) -> Vec<u8> {
        let mut message = Vec::new();
        match self.single {
            true => pb::watch(&mut message, self.key(watcher).as_bytes(), b""),
            false => pb::watch(&mut message, self.prefix.as_bytes(), &prefix_end(&self.prefix)),
        }
        message
    }

    fn key(&self, number: usize) -> String {
        format!("{}{number:06}", self.prefix)
    }

    async fn write(
        &self,
        address: SocketAddr,
        board: &Shared<Board>,
        changed: &Notify,
        meter: &Shared<Meter>,
    ) -> io::Result<()> {
        let mut wire = Wire::open(address).await?;
        let mut value = vec![b'v'; self.size];
        let mut message = Vec::new();
        // Each writer has keys of its own: one, or its share of those that are watched.
        let share = if self.single { self.watchers / self.writers } else { 1 };
        let heard = if self.single { 1 } else { self.watchers };
        let mut turns = vec![0; self.writers];
        let mut revisions = std::mem::take(&mut *self.revisions.borrow_mut());
        revisions.resize(share * self.writers, 0);
        let key_of = |writer: usize, turns: &[usize]| writer * share + turns[writer] % share;
        loop {
            let ready = std::mem::take(&mut board.borrow_mut().ready);
            for writer in ready {
                if meter.borrow().stop {
                    continue;
                }
                value[..4].copy_from_slice(&(writer as u32).to_be_bytes());
                message.clear();
                let key = key_of(writer, &turns);
                pb::put_if(&mut message, self.key(key).as_bytes(), revisions[key], &value);
                wire.http.call(Kind::Unary, pb::TXN, &message, writer);
                board.borrow_mut().writes[writer] = (Instant::now(), heard + 1);
            }
            if board.borrow().writes.iter().all(|(_, waits)| *waits == 0) {
                *self.revisions.borrow_mut() = revisions;
                return Ok(());
            }
            wire.write().await?;
            tokio::select! {
                read = wire.read() => read?,
                () = changed.notified() => {}
            }
            while let Some(event) = wire.http.event() {
                match event {
                    Event::Answer { token, head, .. } => {
                        if pb::number_in(&head, 2) != 1 {
                            return Err(io::Error::other("a compare-and-swap did not succeed"));
                        }
                        revisions[key_of(token, &turns)] = pb::revision(&head);
                        turns[token] += 1;
                        board.borrow_mut().heard(token);
                    }
                    Event::Message { .. } => {}
                    Event::Failed { why, .. } => return Err(io::Error::other(format!("a put failed: {why:?}"))),
                }
            }
        }
    }
}

/// Some watchers on one connection, each in a stream of its own.
async fn watch(
    address: SocketAddr,
    requests: Vec<Vec<u8>>,
    created: Shared<usize>,
    live: Shared<usize>,
    board: Shared<Board>,
    meter: Shared<Meter>,
) -> io::Result<()> {
    let mut wire = Wire::open(address).await?;
    let mut seen = vec![false; requests.len()];
    for (token, request) in requests.iter().enumerate() {
        wire.http.call(Kind::Stream, pb::WATCH, request, token);
    }
    loop {
        wire.exchange().await?;
        let now = Instant::now();
        while let Some(event) = wire.http.event() {
            let Event::Message { token, body } = event else {
                return Err(io::Error::other(format!("a watch ended: {event:?}")));
            };
            if pb::number_in(&body, 3) == 1 {
                *created.borrow_mut() += 1;
                board.borrow().changed.notify_one();
            }
            if !seen[token] && pb::events(&body).next().is_some() {
                seen[token] = true;
                *live.borrow_mut() += 1;
            }
            for value in pb::event_values(&body) {
                let Some(writer) = value.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes) as usize) else {
                    continue;
                };
                let mut board = board.borrow_mut();
                meter.borrow_mut().record(now - board.writes[writer].0, 1);
                board.heard(writer);
            }
        }
    }
}
