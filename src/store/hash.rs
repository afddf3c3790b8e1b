//! Hashes of the keyspace: etcd's HashKV, and a hash of everything.
//!
//! Hashing takes a while, so the versions are gathered in pieces, between which others may write, and hashed without holding anything.
//! Like etcd the store also remembers what the last compactions came upon: whoever asks for the hash at just their revision is
//! given that, however much is compacted since. (It is forgotten when the process ends, in etcd as well.)

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use super::engine::{Service, Shared};
use super::{Error, Store};
use crate::state::{self, AlarmKind, HashInput, HashScope, Revision, State};

/// Keys looked at under one lock.
const PIECE: usize = if cfg!(test) { 2 } else { 1000 };

/// How often a hash begins anew when compaction overtakes it.
const ATTEMPTS: usize = 3;

/// How many compactions are remembered; as in etcd.
const REMEMBERED: usize = 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyspaceHash {
    pub hash: u32,
    /// The compacted revision it goes by; zero: never compacted.
    pub compacted: Revision,
    /// The last revision it covers.
    pub revision: Revision,
}

/// The keyspace's hash as each compaction found it.
pub struct Hashes {
    by_revision: Mutex<BTreeMap<Revision, KeyspaceHash>>,
    /// Changes when one was added.
    added: watch::Sender<()>,
    /// One at a time, whoever asks.
    turn: tokio::sync::Mutex<()>,
}

impl Default for Hashes {
    fn default() -> Self {
        Hashes { by_revision: Mutex::default(), added: watch::Sender::new(()), turn: tokio::sync::Mutex::new(()) }
    }
}

impl Hashes {
    fn by_revision(&self) -> MutexGuard<'_, BTreeMap<Revision, KeyspaceHash>> {
        self.by_revision.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn remember(&self, scope: HashScope, hash: u32) {
        let mut known = self.by_revision();
        known.insert(scope.revision, KeyspaceHash { hash, compacted: scope.compacted, revision: scope.revision });
        if known.len() > REMEMBERED {
            known.pop_first();
        }
    }

    /// Until no compaction that is applied waits to be hashed. False: the store has stopped, and one may wait for ever.
    pub async fn taken(&self, shared: &Shared) -> bool {
        let mut added = self.added.subscribe();
        while oldest(shared).is_some() {
            if has_stopped(shared) || added.changed().await.is_err() {
                return false;
            }
        }
        true
    }
}

/// Hashes the keyspace as each compaction finds it, and so lets it go on. Runs until the store stops.
pub(super) async fn hash_compactions(shared: Arc<Shared>) {
    let mut compacted = shared.compacted.subscribe();
    let mut service = shared.service.subscribe();
    loop {
        compacted.borrow_and_update();
        while let Some(scope) = oldest(&shared) {
            let (state, turn) = (shared.clone(), shared.hashes.turn.lock().await);
            let hash = tokio::task::spawn_blocking(move || hash_compaction(&state, scope)).await;
            drop(turn);
            if let Ok(Some(hash)) = hash {
                shared.hashes.remember(scope, hash);
            }
            shared.hub.publish(|state| (Vec::new(), state.hashed(scope)));
            shared.hashes.added.send_replace(());
        }
        tokio::select! {
            _ = compacted.changed() => {}
            _ = service.wait_for(|service| matches!(service, Service::Stopped(_))) => break,
        }
    }
    shared.hashes.added.send_replace(());
}

fn has_stopped(shared: &Shared) -> bool {
    matches!(&*shared.service.borrow(), Service::Stopped(_))
}

fn oldest(shared: &Shared) -> Option<HashScope> {
    shared.state().unhashed()
}

/// None if the log is read anew meanwhile.
fn hash_compaction(shared: &Shared, scope: HashScope) -> Option<u32> {
    let mut input = HashInput::new(scope);
    loop {
        let state = shared.state();
        if state.unhashed() != Some(scope) {
            return None;
        }
        if !state.gather_for_hash(&mut input, PIECE) {
            drop(state);
            return Some(input.hash());
        }
    }
}

impl Store {
    /// The hash of all keys at a revision, zero: the current one; and the current revision. Of what this process has applied, as in etcd.
    ///
    /// Errors: the revision is compacted, or in the future.
    pub async fn hash_kv(&self, revision: Revision) -> Result<(KeyspaceHash, Revision), Error> {
        let hashes = &self.inner.shared.hashes;
        hashes.taken(&self.inner.shared).await;
        let known = hashes.by_revision().get(&revision).copied();
        if let Some(known) = known {
            return Ok((known, self.served_state()?.revision()));
        }
        let (scope, current, input) = self.gather(revision).await?;
        let hash = tokio::task::spawn_blocking(move || input.hash()).await.map_err(|_| Error::Stopped)?;
        Ok((KeyspaceHash { hash, compacted: scope.compacted, revision: scope.revision }, current))
    }

    /// A hash of everything this process has applied: keys, leases and alarms; and its revision. Equal wherever the same log is read.
    pub async fn hash(&self) -> Result<(u32, Revision), Error> {
        let (keys, revision) = self.hash_kv(Revision::ZERO).await?;
        let state = self.served_state()?;
        let leases = state.leases().flat_map(|(id, lease)| [id.0, lease.ttl]);
        let alarms = state.alarms().iter().flat_map(|alarm| {
            let kind = match alarm.kind {
                AlarmKind::NoSpace => 1,
                AlarmKind::Corrupt => 2,
            };
            [alarm.member as i64, kind]
        });
        let hash = leases.chain(alarms).fold(keys.hash, |crc, n| crc32c::crc32c_append(crc, &n.to_be_bytes()));
        Ok((hash, revision))
    }

    async fn gather(&self, revision: Revision) -> Result<(HashScope, Revision, HashInput), Error> {
        let shared = self.inner.shared.clone();
        let _turn = shared.hashes.turn.lock().await;
        let gathering = {
            let shared = shared.clone();
            move || {
                let pieces = std::iter::repeat_n(PIECE, ATTEMPTS);
                // In the end all of it under one lock: that is never overtaken.
                let mut gathered = pieces.chain([usize::MAX]).map(|piece| gather(&shared, revision, piece));
                gathered.find_map(Result::transpose).unwrap_or(Err(Error::NoLeader))
            }
        };
        tokio::task::spawn_blocking(gathering).await.map_err(|_| Error::Stopped)?
    }
}

/// None if a compaction has overtaken it.
fn gather(
    shared: &Shared,
    revision: Revision,
    piece: usize,
) -> Result<Option<(HashScope, Revision, HashInput)>, Error> {
    let served = || shared.served_state().ok_or(Error::NoLeader);
    let mut state = served()?;
    let (scope, current) = (scope(&state, revision)?, state.revision());
    let mut input = HashInput::new(scope);
    while state.gather_for_hash(&mut input, piece) {
        drop(state);
        state = served()?;
        if state.compacted() != scope.compacted || state.revision() < scope.revision {
            return Ok(None);
        }
    }
    Ok(Some((scope, current, input)))
}

fn scope(state: &State, revision: Revision) -> Result<HashScope, Error> {
    let (current, compacted) = (state.revision(), state.compacted());
    if revision > Revision::ZERO && revision < compacted {
        return Err(state::Error::Compacted(compacted).into());
    }
    if revision > current {
        return Err(state::Error::FutureRevision(current).into());
    }
    let revision = if revision == Revision::ZERO { current } else { revision };
    Ok(HashScope { compacted, revision, compaction: false })
}
