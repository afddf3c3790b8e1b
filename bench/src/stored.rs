//! Keys that are there before anything is measured, and the loads on them.

use std::io;
use std::net::SocketAddr;

use crate::drive::{Meter, Shared, Work, drive, shared};
use crate::pb;
use crate::scenario::Listing;

/// Keys of one size below one prefix, and how long their history is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Store {
    pub keys: usize,
    /// Bytes of each value.
    pub size: usize,
    /// Updates after the keys were created.
    pub history: usize,
}

/// What is known of the keys that a store holds.
pub struct Stored {
    pub store: Store,
    /// What each key was last written at.
    pub revisions: Vec<i64>,
}

/// Clients that fill a store: many, so that it takes less long.
const FILLING: usize = 256;

impl Store {
    pub const fn of(keys: usize, size: usize) -> Store {
        Store { keys, size, history: 0 }
    }

    pub fn prefix(&self) -> String {
        format!("/registry/stored/{}-{}-{}/", self.keys, self.size, self.history)
    }

    pub fn key(&self, number: usize) -> String {
        format!("{}{number:08}", self.prefix())
    }

    /// Creates the keys, and updates them until the history is as long as it is to be.
    pub async fn fill(&self, address: SocketAddr) -> io::Result<Shared<Stored>> {
        let clients = FILLING.min(self.keys).max(1);
        let stored = shared(Stored { store: *self, revisions: vec![0; self.keys] });
        for until in [Until::Each, Until::Count(self.history)] {
            let work = Rewrites::new(&stored, clients, until);
            drive(address, clients, &shared(work), &shared(Meter::default())).await?;
        }
        Ok(stored)
    }
}

/// How often keys are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// Each once.
    Each,
    /// So often in all.
    Count(usize),
    Stopped,
}

/// Writes stored keys by compare-and-swap, each client its own in turn.
pub struct Rewrites {
    stored: Shared<Stored>,
    store: Store,
    clients: usize,
    value: Vec<u8>,
    /// How many each client has begun.
    turns: Vec<usize>,
    until: Until,
}

impl Rewrites {
    pub fn new(stored: &Shared<Stored>, clients: usize, until: Until) -> Rewrites {
        let store = stored.borrow().store;
        let clients = clients.min(store.keys);
        let value = vec![b'v'; store.size];
        Rewrites { stored: stored.clone(), store, clients, value, turns: vec![0; clients], until }
    }

    /// The key that the client writes: of those that it shares with no other.
    fn key(&self, client: usize) -> usize {
        client + self.turns[client] % self.own(client) * self.clients
    }

    fn own(&self, client: usize) -> usize {
        (self.store.keys - client).div_ceil(self.clients)
    }
}

impl Work for Rewrites {
    fn next(&mut self, client: usize, message: &mut Vec<u8>) -> Option<&'static str> {
        let done = client >= self.clients
            || match &mut self.until {
                Until::Each => self.turns[client] == self.own(client),
                Until::Count(0) => true,
                Until::Count(left) => {
                    *left -= 1;
                    false
                }
                Until::Stopped => false,
            };
        if done {
            return None;
        }
        let key = self.key(client);
        pb::put_if(message, self.store.key(key).as_bytes(), self.stored.borrow().revisions[key], &self.value);
        Some(pb::TXN)
    }

    fn answered(&mut self, client: usize, head: &[u8], _len: usize) -> Result<u64, String> {
        if pb::number_in(head, 2) != 1 {
            return Err("a compare-and-swap that nobody interfered with did not succeed".into());
        }
        let key = self.key(client);
        self.stored.borrow_mut().revisions[key] = pb::revision(head);
        self.turns[client] += 1;
        Ok(1)
    }
}

/// Single keys at random.
pub struct Gets {
    pub store: Store,
    pub how: pb::Range,
    /// The state of a generator of random numbers; not 0.
    pub random: u64,
}

impl Work for Gets {
    fn next(&mut self, _client: usize, message: &mut Vec<u8>) -> Option<&'static str> {
        // xorshift
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let key = self.store.key((self.random % self.store.keys as u64) as usize);
        pb::range(message, key.as_bytes(), b"", self.how);
        Some(pb::RANGE)
    }

    fn answered(&mut self, _client: usize, _head: &[u8], len: usize) -> Result<u64, String> {
        if len > self.store.size { Ok(1) } else { Err(format!("a get was answered in {len} bytes")) }
    }
}

/// Lists. The units are keys, or counts.
pub struct Lists {
    store: Store,
    how: Listing,
    /// For each client: the page it reads next, and the revision that the first one came at.
    pages: Vec<(usize, i64)>,
}

impl Lists {
    pub fn new(store: Store, clients: usize, how: Listing) -> Lists {
        Lists { store, how, pages: vec![(0, 0); clients] }
    }

    /// How many keys an answer has, but for the last page.
    fn limit(&self) -> usize {
        match self.how {
            Listing::First(limit) | Listing::Last(limit) | Listing::Pages(limit) => limit.min(self.store.keys),
            Listing::Whole | Listing::Stream | Listing::Count => self.store.keys,
        }
    }

    /// As kube-apiserver does: at the revision of the first page.
    fn turn_page(&mut self, client: usize, head: &[u8]) {
        let limit = self.limit();
        let (page, revision) = &mut self.pages[client];
        *page += 1;
        if *revision == 0 {
            *revision = pb::revision(head);
        }
        if *page * limit >= self.store.keys {
            (*page, *revision) = (0, 0);
        }
    }
}

impl Work for Lists {
    fn next(&mut self, client: usize, message: &mut Vec<u8>) -> Option<&'static str> {
        let (page, revision) = self.pages[client];
        let prefix = self.store.prefix();
        let begin = match self.how {
            Listing::Last(_) => self.store.key(self.store.keys - self.limit()),
            _ if page == 0 => prefix.clone(),
            _ => self.store.key(page * self.limit()),
        };
        let limit = if self.limit() == self.store.keys { 0 } else { self.limit() as i64 };
        let count_only = matches!(self.how, Listing::Count);
        let how = pb::Range { limit, revision, count_only, ..pb::Range::default() };
        pb::range(message, begin.as_bytes(), &prefix_end(&prefix), how);
        Some(if matches!(self.how, Listing::Stream) { pb::RANGE_STREAM } else { pb::RANGE })
    }

    fn answered(&mut self, client: usize, head: &[u8], len: usize) -> Result<u64, String> {
        if matches!(self.how, Listing::Count) {
            return if pb::number_in(head, 4) == self.store.keys as i64 { Ok(1) } else { Err("miscounted".into()) };
        }
        let expected = self.limit().min(self.store.keys - self.pages[client].0 * self.limit());
        if len <= expected * self.store.size {
            return Err(format!("a list of {expected} keys was answered in {len} bytes"));
        }
        if matches!(self.how, Listing::Pages(_)) {
            self.turn_page(client, head);
        }
        Ok(expected as u64)
    }
}

/// The first key that does not begin with the prefix.
pub fn prefix_end(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}
