//! Writers, and many watchers of what they write. A writer goes on when every watcher has its event, so that the watchers' lag is in
//! the figures and cannot grow without limit.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::drive::{CONNECTIONS, Meter, Shared, Wire, shared};
use crate::h2::{Event, Kind};
use crate::pb;
use crate::work::prefix_end;

pub struct Fanout {
    pub prefix: String,
    pub watchers: usize,
    pub writers: usize,
    pub size: usize,
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
        let created = shared(0);
        let mut watching = JoinSet::new();
        let connections = self.watchers.min(CONNECTIONS);
        for n in 0..connections {
            let count = (n..self.watchers).step_by(connections).count();
            watching.spawn_local(watch(
                address,
                self.prefix.clone(),
                count,
                created.clone(),
                board.clone(),
                meter.clone(),
            ));
        }
        while *created.borrow() < self.watchers {
            tokio::select! {
                Some(ended) = watching.join_next() => ended.map_err(io::Error::other)??,
                () = changed.notified() => {}
            }
        }
        tokio::select! {
            Some(ended) = watching.join_next() => ended.map_err(io::Error::other)?,
            wrote = self.write(address, &board, &changed, meter) => wrote,
        }
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
        loop {
            let ready = std::mem::take(&mut board.borrow_mut().ready);
            for writer in ready {
                if meter.borrow().stop {
                    continue;
                }
                value[..4].copy_from_slice(&(writer as u32).to_be_bytes());
                message.clear();
                pb::put(&mut message, format!("{}{writer:04}", self.prefix).as_bytes(), &value, 0);
                wire.http.call(Kind::Unary, pb::PUT, &message, writer);
                board.borrow_mut().writes[writer] = (Instant::now(), self.watchers + 1);
            }
            if board.borrow().writes.iter().all(|(_, waits)| *waits == 0) {
                return Ok(());
            }
            wire.write().await?;
            tokio::select! {
                read = wire.read() => read?,
                () = changed.notified() => {}
            }
            while let Some(event) = wire.http.event() {
                match event {
                    Event::Answer { token, .. } => board.borrow_mut().heard(token),
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
    prefix: String,
    watchers: usize,
    created: Shared<usize>,
    board: Shared<Board>,
    meter: Shared<Meter>,
) -> io::Result<()> {
    let mut wire = Wire::open(address).await?;
    let mut message = Vec::new();
    pb::watch(&mut message, prefix.as_bytes(), &prefix_end(&prefix));
    for token in 0..watchers {
        wire.http.call(Kind::Stream, pb::WATCH, &message, token);
    }
    loop {
        wire.exchange().await?;
        let now = Instant::now();
        while let Some(event) = wire.http.event() {
            let Event::Message { body, .. } = event else {
                return Err(io::Error::other(format!("a watch ended: {event:?}")));
            };
            if pb::number_in(&body, 3) == 1 {
                *created.borrow_mut() += 1;
                board.borrow().changed.notify_one();
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
