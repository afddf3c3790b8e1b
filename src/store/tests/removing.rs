//! Rules 7 and 8: what a checkpoint proves, and what may go when.

use super::fake::Stream;
use super::support::*;
use crate::state::{Revision, Sequence};
use crate::store::log::{Content, Record, SessionId};

fn place_of(stream: &Stream, wanted: impl Fn(&Record) -> bool) -> Option<Sequence> {
    let ours = |content: &Content| matches!(content, Content::Ours(_, record) if wanted(record));
    stream.messages().iter().find(|message| ours(&message.content)).map(|message| message.sequence)
}

fn put_of(stream: &Stream, wanted: &str) -> Option<Sequence> {
    place_of(stream, |record| matches!(record, Record::Put { key, .. } if key == wanted))
}

fn delete_of(stream: &Stream, wanted: &str) -> Option<Sequence> {
    place_of(stream, |record| matches!(record, Record::Delete { key, .. } if key == wanted))
}

/// Rule 7: below a checkpoint anything may be missing, so only the checkpoint can tell that something live is.
#[tokio::test(start_paused = true)]
async fn a_replay_that_disagrees_with_its_checkpoint_stops() {
    let stream = Stream::exclusive();
    let a = open(&stream, 10).await;
    a.put("kept", "1").await.unwrap();
    a.put("changed", "1").await.unwrap();
    let revision = a.put("changed", "2").await.unwrap();
    a.store.compact(Revision(revision), true).await.unwrap();
    a.store.stop().await;
    let sound = open(&stream, 11).await;
    assert_eq!(sound.all().await.unwrap().len(), 2);
    sound.store.stop().await;

    stream.remove(put_of(&stream, "kept").unwrap().0);
    let fatal = try_open(stream.connect(), 12).await.err().unwrap();
    assert!(fatal.0.contains("does not add up"), "{fatal}");
}

/// Rule 8: were the tombstone gone, and what it covers back after a power cut, the key would live again.
#[tokio::test(start_paused = true)]
async fn a_tombstone_goes_a_round_later_than_what_it_covers() {
    let stream = Stream::exclusive();
    let a = open(&stream, 10).await;
    a.put("gone", "1").await.unwrap();
    a.delete("gone").await.unwrap();
    let revision = a.put("other", "1").await.unwrap();
    a.store.compact(Revision(revision), true).await.unwrap();
    assert_eq!(put_of(&stream, "gone"), None);
    assert!(delete_of(&stream, "gone").is_some());

    let revision = a.put("other", "2").await.unwrap();
    a.store.compact(Revision(revision), true).await.unwrap();
    assert_eq!(delete_of(&stream, "gone"), None);
}

/// Only the lessor removes; the others wait for it, and forget what it has removed.
#[tokio::test(start_paused = true)]
async fn a_compaction_asked_of_one_that_is_not_the_lessor_is_done_by_the_lessor() {
    let stream = Stream::new();
    let (a, b) = (open(&stream, 10).await, open(&stream, 11).await);
    for round in 0..3 {
        a.put("gone", "1").await.unwrap();
        a.delete("gone").await.unwrap();
        let revision = a.put("other", "1").await.unwrap();
        // Both see to it that there is a lessor.
        a.store.compact(Revision(revision), true).await.unwrap();
        let lessor = a.store.inner.shared.claim().unwrap();
        let other = if lessor == SessionId(10) { &b } else { &a };
        let revision = other.put("other", "2").await.unwrap();
        other.store.compact(Revision(revision), true).await.unwrap();
        assert_eq!(put_of(&stream, "gone"), None, "{round}");
        assert_eq!(delete_of(&stream, "gone"), None, "{round}");
        // Of the last round, whose removals are known to be durable only in the next one.
        let garbage = |node: &Node| node.store.inner.shared.state().garbage_len();
        eventually("both remember the same", || garbage(&a) == 2 && garbage(&b) == 2).await;
    }
}
