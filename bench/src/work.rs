//! What clients do in each scenario that is a closed loop of calls.

use crate::drive::{Work, numbered};
use crate::h2::Kind;
use crate::pb;

/// Keys that each client updates in turn.
const OWN_KEYS: usize = 8;

/// Creates and updates by compare-and-swap, as kube-apiserver writes.
pub struct Writes {
    prefix: String,
    value: Vec<u8>,
    /// Of the clients' keys; empty where every write creates another key.
    revisions: Vec<[i64; OWN_KEYS]>,
    /// How many each client has made.
    made: Vec<usize>,
}

impl Writes {
    pub fn new(prefix: &str, clients: usize, size: usize, create: bool) -> Writes {
        Writes {
            prefix: prefix.to_owned(),
            value: vec![b'v'; size],
            revisions: if create { Vec::new() } else { vec![[0; OWN_KEYS]; clients] },
            made: vec![0; clients],
        }
    }
}

impl Work for Writes {
    fn next(&mut self, client: usize, message: &mut Vec<u8>) -> Option<&'static str> {
        let made = self.made[client];
        let (key, revision) = match self.revisions.get(client) {
            Some(own) => (format!("{}{client:05}-{}", self.prefix, made % OWN_KEYS), own[made % OWN_KEYS]),
            None => (format!("{}{client:05}-{made}", self.prefix), 0),
        };
        pb::put_if(message, key.as_bytes(), revision, &self.value);
        Some(pb::TXN)
    }

    fn answered(&mut self, client: usize, head: &[u8], _len: usize) -> Result<u64, String> {
        if pb::number_in(head, 2) != 1 {
            return Err("a compare-and-swap that nobody interfered with did not succeed".into());
        }
        if let Some(own) = self.revisions.get_mut(client) {
            own[self.made[client] % OWN_KEYS] = pb::revision(head);
        }
        self.made[client] += 1;
        Ok(1)
    }
}

/// Single keys at random.
pub struct Gets {
    pub prefix: String,
    pub keys: usize,
    pub size: usize,
    pub how: pb::Range,
    pub random: u64,
}

impl Work for Gets {
    fn next(&mut self, _client: usize, message: &mut Vec<u8>) -> Option<&'static str> {
        // xorshift
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let key = numbered(&self.prefix, (self.random % self.keys as u64) as usize);
        pb::range(message, key.as_bytes(), b"", self.how);
        Some(pb::RANGE)
    }

    fn answered(&mut self, _client: usize, _head: &[u8], len: usize) -> Result<u64, String> {
        if len > self.size { Ok(1) } else { Err(format!("a get was answered in {len} bytes")) }
    }
}

/// A prefix as a whole. The units are keys.
pub struct Lists {
    pub prefix: String,
    pub keys: usize,
    pub size: usize,
    pub how: pb::Range,
}

impl Work for Lists {
    fn next(&mut self, _client: usize, message: &mut Vec<u8>) -> Option<&'static str> {
        pb::range(message, self.prefix.as_bytes(), &prefix_end(&self.prefix), self.how);
        Some(pb::RANGE)
    }

    fn answered(&mut self, _client: usize, head: &[u8], len: usize) -> Result<u64, String> {
        if self.how.count_only {
            return if pb::number_in(head, 4) == self.keys as i64 { Ok(1) } else { Err("miscounted".into()) };
        }
        if len > self.keys * self.size {
            Ok(self.keys as u64)
        } else {
            Err(format!("a list of {} keys was answered in {len} bytes", self.keys))
        }
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

/// Grants a lease, revokes it, and so on.
pub struct Leases {
    granted: Vec<i64>,
}

impl Leases {
    pub fn new(clients: usize) -> Leases {
        Leases { granted: vec![0; clients] }
    }
}

impl Work for Leases {
    fn next(&mut self, client: usize, message: &mut Vec<u8>) -> Option<&'static str> {
        match self.granted[client] {
            0 => {
                pb::lease_grant(message, 600);
                Some(pb::LEASE_GRANT)
            }
            id => {
                pb::lease(message, id);
                Some(pb::LEASE_REVOKE)
            }
        }
    }

    fn answered(&mut self, client: usize, head: &[u8], _len: usize) -> Result<u64, String> {
        let granted = &mut self.granted[client];
        *granted = if *granted == 0 { pb::number_in(head, 2) } else { 0 };
        Ok(1)
    }
}

/// Keeps a lease of its own alive, in one stream for each client.
pub struct KeepAlives {
    granted: Vec<i64>,
}

impl KeepAlives {
    pub fn new(granted: Vec<i64>) -> KeepAlives {
        KeepAlives { granted }
    }
}

impl Work for KeepAlives {
    fn kind(&self) -> Kind {
        Kind::Stream
    }

    fn next(&mut self, client: usize, message: &mut Vec<u8>) -> Option<&'static str> {
        pb::lease(message, self.granted[client]);
        Some(pb::LEASE_KEEP_ALIVE)
    }

    fn answered(&mut self, _client: usize, head: &[u8], _len: usize) -> Result<u64, String> {
        if pb::number_in(head, 3) > 0 { Ok(1) } else { Err("a lease expired that was kept alive".into()) }
    }
}

/// Grants one lease for each client, and keeps their ids.
pub struct Grants {
    pub granted: Vec<i64>,
}

impl Work for Grants {
    fn next(&mut self, client: usize, message: &mut Vec<u8>) -> Option<&'static str> {
        pb::lease_grant(message, 600);
        (self.granted[client] == 0).then_some(pb::LEASE_GRANT)
    }

    fn answered(&mut self, client: usize, head: &[u8], _len: usize) -> Result<u64, String> {
        self.granted[client] = pb::number_in(head, 2);
        Ok(1)
    }
}
