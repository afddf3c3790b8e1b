//! Hashes of the keys, taken in pieces while others write and compact.

use std::future::{Future, poll_fn};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use super::fake::Stream;
use super::history::History;
use super::support::*;
use crate::state::{Entry, HashInput, HashScope, LeaseId, Op, Revision, Sequence, State};
use crate::store::compactor::removed_elsewhere;
use crate::store::engine::Shared;
use crate::store::hash::hash_compactions;
use crate::store::{Error, KeyspaceHash, Progress};

const WRITES: i64 = 400;

/// What the hash must be, of everything that was ever written. (A compaction's own differs where it leaves nothing.)
fn expected(state: &State, hash: KeyspaceHash) -> [u32; 2] {
    [false, true].map(|compaction| {
        let mut input = HashInput::new(HashScope { compacted: hash.compacted, revision: hash.revision, compaction });
        while state.gather_for_hash(&mut input, 100) {}
        input.hash()
    })
}

#[tokio::test]
async fn a_hash_is_that_of_the_history_whatever_is_compacted_meanwhile() {
    let stream = Stream::exclusive();
    let node = open(&stream, 1).await;
    let writing = async {
        for n in 0..WRITES {
            let (key, revision) =
                (format!("k{}", n % 23), node.put(&format!("k{}", n % 23), &n.to_string()).await.unwrap());
            if n % 5 == 0 {
                node.delete(&key).await.unwrap();
            }
            if n % 7 == 0 {
                node.store.compact(Revision(revision - n % 4), false).await.unwrap();
            }
        }
    };
    let mut hashes = Vec::new();
    let hashing = async {
        loop {
            let revision = node.store.revision().0;
            for asked in [0, revision, revision - 2] {
                match node.store.hash_kv(Revision(asked)).await {
                    Ok((hash, _)) => hashes.push(hash),
                    Err(Error::State(_)) => {}
                    Err(other) => panic!("{other}"),
                }
            }
        }
    };
    tokio::select! {
        () = writing => {}
        () = hashing => {}
    }
    let history = History::of(&stream);
    let compacted: std::collections::BTreeSet<_> = hashes.iter().map(|hash| hash.compacted).collect();
    assert!(hashes.len() > 50 && compacted.len() > 5, "{} hashes after {} compactions", hashes.len(), compacted.len());
    for hash in hashes {
        assert!(expected(&history.state, hash).contains(&hash.hash), "{hash:?}");
    }
}

fn apply(shared: &Shared, revision: i64, op: Op) {
    shared.hub.publish(|state| {
        let applied = state.apply(&Entry { revision: Revision(revision), ops: vec![op] }, &[Sequence(revision as u64)]);
        (applied.events.into_iter().collect(), ())
    });
}

fn put(revision: i64) -> Op {
    let (key, value) = (bytes("k"), bytes("v"));
    Op::Put { key, value, lease: LeaseId::NONE, create_revision: Revision(2), version: revision - 1, sub: 0 }
}

/// Freeing what one compaction has made unreadable takes several pieces, and the next compaction comes between them.
#[tokio::test]
async fn a_compaction_that_is_not_hashed_yet_is_waited_for_without_turning() {
    const LAST: i64 = 2000;
    let (shared, _writes) = Shared::new(&options(1), Box::new(|| None), watch::Sender::new(Progress::default()));
    (2..=LAST).for_each(|revision| apply(&shared, revision, put(revision)));
    apply(&shared, LAST, Op::Compact { revision: Revision(LAST - 5) });
    // As when the log is read: only compactions from now on are held until they are hashed.
    shared.hub.publish(|state| (Vec::new(), state.hold_compactions()));
    let turns = Arc::new(AtomicUsize::new(0));
    let settling = tokio::spawn({
        let (shared, turns) = (shared.clone(), turns.clone());
        let mut settling = Box::pin(async move { removed_elsewhere(&shared, Sequence::ZERO, Revision(LAST)).await });
        poll_fn(move |context| {
            turns.fetch_add(1, Ordering::Relaxed);
            settling.as_mut().poll(context)
        })
    });
    tokio::task::yield_now().await;
    apply(&shared, LAST, Op::Compact { revision: Revision(LAST) });
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!settling.is_finished());
    assert!(turns.load(Ordering::Relaxed) < 10, "{} turns", turns.load(Ordering::Relaxed));
    tokio::spawn(hash_compactions(shared.clone()));
    settling.await.unwrap();
    assert_eq!(*shared.purged.borrow(), Revision(LAST));
}
