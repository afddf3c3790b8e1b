//! Writes of keys that each client has for itself.

use crate::drive::Work;
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
