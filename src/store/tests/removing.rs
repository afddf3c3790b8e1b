//! Rules 7 and 8: what a checkpoint proves, and what may go when.

use std::time::Duration;

use super::fake::{CLUSTER, Stream, put_record};
use super::support::*;
use crate::state::{LeaseId, Revision, Sequence};
use crate::store::compactor::MANY_FENCES;
use crate::store::log::{Content, EntryId, Outgoing, Record, SessionId, Stamp};

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

/// Below a checkpoint anything may be missing, so only the checkpoint can tell that something live is.
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

/// Where the log is replicated every read may leave a fence: reads alone must not fill it.
#[tokio::test(start_paused = true)]
async fn many_fences_are_removed_without_a_compaction() {
    let stream = Stream::replicated();
    let a = open(&stream, 10).await;
    a.put("k", "1").await.unwrap();
    for _ in 0..MANY_FENCES {
        a.get("k").await.unwrap();
    }
    let few = async {
        let is_fence = |content: &Content| matches!(content, Content::Ours(_, Record::Fence));
        while stream.messages().iter().filter(|message| is_fence(&message.content)).count() > 100 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(600), few).await.unwrap();
    assert_eq!(open(&stream, 11).await.all().await, a.all().await);
}

/// Were the tombstone gone, and what it covers back after a power cut, the key would live again.
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

/// What stands where it was meant to and does not count all the same must not begin to count when the messages
/// around it are gone.
#[tokio::test(start_paused = true)]
async fn a_checkpoint_keeps_void_messages_void() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.put("k", "1").await.unwrap();
    // A foreign message takes the first place of another jine's group of two, and the second is stored.
    let group = Sequence(stream.last() + 1);
    stream.put_foreign();
    let stamp = Stamp {
        id: EntryId { session: SessionId(77), counter: 2 },
        cluster: CLUSTER,
        entry: 4,
        part: 1,
        parts: 1,
        meant_for: group.next(),
        group,
    };
    stream.put(vec![Outgoing { stamp, record: put_record("void", 4, "x") }]);
    let revision = a.put("k", "2").await.unwrap();
    assert_eq!(a.get("void").await, Ok(None));
    a.store.compact(Revision(revision), true).await.unwrap();
    stream.remove(group.0);
    let checkpoint = stream.messages().into_iter().find_map(|message| match message.content {
        Content::Ours(_, Record::Checkpoint(checkpoint)) => Some(checkpoint),
        _ => None,
    });
    assert_eq!(checkpoint.unwrap().void, [group.next()]);
    let b = open(&stream, 11).await;
    assert_eq!(b.get("void").await, Ok(None));
    assert_eq!(b.get("k").await, Ok(Some("2".to_owned())));
}

/// The last claim stays, and so do the grants of live leases and the two newest checkpoints.
#[tokio::test(start_paused = true)]
async fn compaction_leaves_the_last_claim_live_grants_and_two_checkpoints() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.store.lease_grant(LeaseId(5), 1000).await.unwrap();
    a.store.lease_grant(LeaseId(6), 1000).await.unwrap();
    eventually("there is a lessor", || a.store.inner.shared.claim().is_some()).await;
    a.store.lease_revoke(LeaseId(6)).await.unwrap();
    for n in 0..4 {
        let revision = a.put("k", &n.to_string()).await.unwrap();
        a.store.compact(Revision(revision), true).await.unwrap();
    }
    let count = |wanted: fn(&Record) -> bool| {
        let ours = |content: &Content| matches!(content, Content::Ours(_, record) if wanted(record));
        stream.messages().iter().filter(|message| ours(&message.content)).count()
    };
    assert_eq!(count(|record| matches!(record, Record::Claim)), 1);
    assert_eq!(count(|record| matches!(record, Record::LeaseGrant { id: LeaseId(5), .. })), 1);
    assert_eq!(count(|record| matches!(record, Record::LeaseGrant { id: LeaseId(6), .. })), 0);
    assert_eq!(count(|record| matches!(record, Record::LeaseRevoke { .. })), 0);
    assert_eq!(count(|record| matches!(record, Record::Checkpoint(_))), 2);
    assert_eq!(count(|record| matches!(record, Record::Compact { .. })), 0);
    let b = open(&stream, 11).await;
    assert_eq!(b.store.inner.shared.claim(), Some(SessionId(10)));
    assert_eq!(b.store.lease_keep_alive(LeaseId(5)).await, Ok(Some(1000)));
}
