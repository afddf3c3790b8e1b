//! What goes on beside a load that is measured. Each runs until the meter says stop.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::drive::{Meter, Shared, Wire, Work};
use crate::h2::{Event, Kind};
use crate::pb;
use crate::stored::prefix_end;

/// How often somebody looks whether to stop.
const LOOK: Duration = Duration::from_millis(20);

/// Compacts to the newest revision every so often. Fails where none was compacted.
pub async fn compact(address: SocketAddr, every: Duration, meter: &Shared<Meter>) -> io::Result<()> {
    let mut wire = Wire::open(address).await?;
    let (mut message, mut compacted) = (Vec::new(), 0);
    while wait(every, meter).await {
        message.clear();
        pb::range(&mut message, b"/any", b"", pb::Range::default());
        let revision = pb::revision(&wire.ask(pb::RANGE, &message).await?);
        if revision > compacted {
            message.clear();
            pb::compact(&mut message, revision);
            wire.ask(pb::COMPACT, &message).await?;
            compacted = revision;
        }
    }
    if compacted > 0 { Ok(()) } else { Err(io::Error::other("nothing was compacted")) }
}

/// False: stop.
async fn wait(time: Duration, meter: &Shared<Meter>) -> bool {
    let end = tokio::time::Instant::now() + time;
    while tokio::time::Instant::now() < end && !meter.borrow().stop {
        tokio::time::sleep(LOOK.min(time)).await;
    }
    !meter.borrow().stop
}

/// Watches each prefix `count` times, and asks for progress every so often as kube-apiserver's cache does.
pub async fn watch(
    address: SocketAddr,
    prefixes: &[String],
    count: usize,
    progress: Duration,
    meter: &Shared<Meter>,
) -> io::Result<()> {
    let mut wire = Wire::open(address).await?;
    let mut message = Vec::new();
    let mut streams = Vec::new();
    for prefix in prefixes {
        message.clear();
        pb::watch(&mut message, prefix.as_bytes(), &prefix_end(prefix));
        streams.extend((0..count).map(|_| wire.http.call(Kind::Stream, pb::WATCH, &message, 0)));
    }
    let mut asking = tokio::time::interval(progress);
    let mut seen = 0;
    while !meter.borrow().stop {
        wire.write().await?;
        tokio::select! {
            read = wire.read() => read?,
            _ = asking.tick() => {
                message.clear();
                pb::watch_progress(&mut message);
                streams.iter().for_each(|stream| wire.http.send(*stream, &message));
            }
        }
        while let Some(event) = wire.http.event() {
            let Event::Message { body, .. } = event else {
                return Err(io::Error::other(format!("a watch ended: {event:?}")));
            };
            seen += pb::events(&body).count();
        }
    }
    if seen > 0 { Ok(()) } else { Err(io::Error::other("the watchers saw nothing")) }
}

/// Streams that each hold one watcher of a prefix that nobody writes, and ask how far it is.
pub struct Progress {
    created: Vec<bool>,
}

impl Progress {
    pub fn new(clients: usize) -> Progress {
        Progress { created: vec![false; clients] }
    }
}

impl Work for Progress {
    fn kind(&self) -> Kind {
        Kind::Stream
    }

    fn next(&mut self, client: usize, message: &mut Vec<u8>) -> Option<&'static str> {
        if self.created[client] {
            pb::watch_progress(message);
        } else {
            pb::watch(message, b"/registry/unwritten/", b"/registry/unwritten0");
        }
        Some(pb::WATCH)
    }

    fn answered(&mut self, client: usize, head: &[u8], _len: usize) -> Result<u64, String> {
        let is_answer = std::mem::replace(&mut self.created[client], true);
        if pb::revision(head) == 0 {
            return Err("a watch told no revision".into());
        }
        Ok(is_answer.into())
    }
}
