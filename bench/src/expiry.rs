//! Many leases that nobody keeps alive, each with a key: how long after they are due their keys are gone.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::drive::{Meter, Shared, Wire, Work, drive, shared};
use crate::h2::{Event, Kind};
use crate::pb;
use crate::stored::prefix_end;

const CLIENTS: usize = 64;

/// Time to make all leases before the first is due; seconds.
fn ttl(leases: usize) -> i64 {
    if leases > 1000 { 12 } else { 2 }
}

/// Makes the leases, and measures from when the first is due until the last key is gone. Returns how long that was, and what
/// `cpu` rose by; the latencies are how late each key went.
pub async fn run(
    address: SocketAddr,
    prefix: &str,
    leases: usize,
    meter: &Shared<Meter>,
    cpu: impl Fn() -> [f64; 2],
) -> io::Result<(f64, [f64; 2])> {
    let mut wire = Wire::open(address).await?;
    let mut message = Vec::new();
    pb::watch(&mut message, prefix.as_bytes(), &prefix_end(prefix));
    wire.http.call(Kind::Stream, pb::WATCH, &message, 0);
    while wire.http.event().is_none() {
        wire.exchange().await?;
    }

    let made = shared(Attached::new(prefix, leases));
    drive(address, CLIENTS.min(leases), &made, &shared(Meter::default())).await?;
    let due = made.borrow().due.clone();
    let (first, last) = due.iter().fold((due[0], due[0]), |(first, last), due| (first.min(*due), last.max(*due)));
    if Instant::now() >= first {
        return Err(io::Error::other("the first lease was due before the last was made"));
    }
    tokio::time::sleep_until(first.into()).await;
    meter.borrow_mut().on = true;
    let (before, mut gone) = (cpu(), 0);
    while gone < leases {
        wire.exchange().await?;
        let now = Instant::now();
        while let Some(event) = wire.http.event() {
            let Event::Message { body, .. } = event else {
                return Err(io::Error::other(format!("the watch ended: {event:?}")));
            };
            for (_, kv) in pb::events(&body).filter(|(deleted, _)| *deleted) {
                let number = pb::bytes_in(kv, 1).and_then(|key| std::str::from_utf8(key.get(prefix.len()..)?).ok());
                let number: usize = number.and_then(|number| number.parse().ok()).unwrap_or_default();
                meter.borrow_mut().record(now.saturating_duration_since(due[number]), 1);
                gone += 1;
            }
        }
        if now > last + Duration::from_secs(120) {
            return Err(io::Error::other(format!("{gone} of {leases} keys went")));
        }
    }
    let after = cpu();
    Ok((first.elapsed().as_secs_f64(), [0, 1].map(|n| after[n] - before[n])))
}

/// Grants a lease and attaches a key to it, and so on.
struct Attached {
    prefix: String,
    /// When each is due.
    due: Vec<Instant>,
    begun: usize,
    /// For each client the lease's number and, once it is granted, its id.
    current: Vec<(usize, i64)>,
}

impl Attached {
    fn new(prefix: &str, leases: usize) -> Attached {
        let current = vec![(0, 0); CLIENTS];
        Attached { prefix: prefix.to_owned(), due: vec![Instant::now(); leases], begun: 0, current }
    }
}

impl Work for Attached {
    fn next(&mut self, client: usize, message: &mut Vec<u8>) -> Option<&'static str> {
        let (number, id) = &mut self.current[client];
        if *id != 0 {
            pb::put(message, format!("{}{number}", self.prefix).as_bytes(), b"", *id);
            return Some(pb::PUT);
        }
        if self.begun == self.due.len() {
            return None;
        }
        *number = self.begun;
        self.begun += 1;
        pb::lease_grant(message, ttl(self.due.len()));
        Some(pb::LEASE_GRANT)
    }

    fn answered(&mut self, client: usize, head: &[u8], _len: usize) -> Result<u64, String> {
        let (number, id) = &mut self.current[client];
        if *id != 0 {
            *id = 0;
            return Ok(0);
        }
        *id = pb::number_in(head, 2);
        self.due[*number] = Instant::now() + Duration::from_secs(pb::number_in(head, 3) as u64);
        Ok(0)
    }
}
