//! Hashes of the keys, taken in pieces while others write and compact.

use super::fake::Stream;
use super::history::History;
use super::support::*;
use crate::state::{HashInput, HashScope, Revision, State};
use crate::store::{Error, KeyspaceHash};

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
