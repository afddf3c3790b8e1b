//! What a kube-apiserver asks of its store in a cluster at work: nodes renew their leases, pods' status changes, controllers read and list.

use crate::drive::{Shared, Work};
use crate::pb;
use crate::scenario::Listing;
use crate::stored::{Gets, Lists, Rewrites, Store, Stored, Until};

/// The nodes' lease objects.
pub const LEASES: Store = Store::of(500, 512);
pub const PODS: Store = Store::of(5000, 4096);
const PAGE: usize = 500;

#[derive(Clone, Copy)]
enum Call {
    Lease,
    Pod,
    Get,
    List,
}

/// What each client asks for in turn: of 20 calls 10 renew a lease, 6 change a pod, 3 read one, 1 lists a page of 500.
const TURNS: [Call; 20] = {
    use Call::{Get, Lease, List, Pod};
    [
        Lease, Pod, Lease, Get, Lease, Pod, Lease, Lease, Pod, Get, Lease, Pod, Lease, List, Lease, Pod, Lease, Get,
        Lease, Pod,
    ]
};

pub struct Mix {
    leases: Rewrites,
    pods: Rewrites,
    gets: Gets,
    lists: Lists,
    turns: Vec<usize>,
}

impl Mix {
    pub fn new(leases: &Shared<Stored>, pods: &Shared<Stored>, clients: usize) -> Mix {
        let store = pods.borrow().store;
        Mix {
            leases: Rewrites::new(leases, clients, Until::Stopped),
            pods: Rewrites::new(pods, clients, Until::Stopped),
            gets: Gets { store, how: pb::Range::default(), random: 88172645463325252 },
            lists: Lists::new(store, clients, Listing::First(PAGE)),
            // Not all at the same turn.
            turns: (0..clients).collect(),
        }
    }

    fn part(&mut self, client: usize) -> &mut dyn Work {
        match TURNS[self.turns[client] % TURNS.len()] {
            Call::Lease => &mut self.leases,
            Call::Pod => &mut self.pods,
            Call::Get => &mut self.gets,
            Call::List => &mut self.lists,
        }
    }
}

impl Work for Mix {
    fn next(&mut self, client: usize, message: &mut Vec<u8>) -> Option<&'static str> {
        self.part(client).next(client, message)
    }

    fn answered(&mut self, client: usize, head: &[u8], len: usize) -> Result<u64, String> {
        self.part(client).answered(client, head, len)?;
        self.turns[client] += 1;
        Ok(1)
    }
}
