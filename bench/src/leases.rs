//! Leases: granted and revoked, and kept alive.

use crate::drive::Work;
use crate::h2::Kind;
use crate::pb;

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
