//! No more room, and what else makes the log refuse a group.

use std::time::Duration;

use tokio::time::sleep;

use super::fake::{Ack, Fault, Stored, Stream};
use super::support::*;
use crate::state::{Alarm, AlarmKind};
use crate::store::Error;
use crate::store::log::{AppendError, Outgoing, Record, Refusal};

fn no_space(session: u64) -> Alarm {
    Alarm { member: session, kind: AlarmKind::NoSpace }
}

/// The alarm stands though the log cannot take it, and is in it when it can.
#[tokio::test(start_paused = true)]
async fn a_full_log_refuses_and_takes_writes_again_when_there_is_room_and_the_alarm_is_lifted() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    stream.set_full(true);
    assert_eq!(a.put("a", "1").await, Err(Error::NoSpace));
    assert_eq!(a.get("a").await, Ok(None));
    assert_eq!(a.store.alarms_now(), Ok(vec![no_space(10)]));
    assert_eq!(a.store.disarm(no_space(10)).await, Ok(vec![]));
    // Tried anew, and refused anew.
    assert_eq!(a.put("a", "1").await, Err(Error::NoSpace));
    stream.set_full(false);
    assert_eq!(a.put("a", "1").await, Err(Error::NoSpace));
    sleep(Duration::from_secs(120)).await;
    assert_eq!(open(&stream, 11).await.store.alarms().await, Ok(vec![no_space(10)]));
    assert_eq!(a.put("a", "1").await, Err(Error::NoSpace));
    assert_eq!(a.store.disarm(no_space(10)).await, Ok(vec![]));
    assert_eq!(a.put("a", "2").await, Ok(2));
}

/// There a read leaves a fence in the log. Refused, it is told so, and is not sent again and again.
#[tokio::test(start_paused = true)]
async fn reads_of_a_full_replicated_log_are_refused_at_once() {
    let stream = Stream::replicated();
    let a = open(&stream, 10).await;
    a.put("a", "1").await.unwrap();
    let before = a.log.appended().len();
    stream.set_full(true);
    assert_eq!(a.get("a").await, Err(Error::NoSpace));
    assert_eq!(a.log.appended().len(), before + 1);
    stream.set_full(false);
    assert_eq!(a.get("a").await, Ok(Some("1".into())));
}

/// A leader that meets a limit refuses and steps down; its successor may have got the same message, and have room.
#[tokio::test(start_paused = true)]
async fn what_one_leader_refuses_and_another_stores_is_executed_once_and_told_so() {
    for refusal in [Refusal::NoSpace("insufficient resources".into()), Refusal::Other("no".into())] {
        let refused = |stored| {
            let ack = Ack::Says(Err(AppendError::Refused(refusal.clone())));
            Fault { stored, ack, ..Fault::NONE }
        };
        let stream = Stream::replicated();
        let a = open(&stream, 10).await;
        a.log.foretell(refused(Stored::All));
        assert_eq!(a.put("stored", "1").await, Ok(2));
        assert_eq!(a.all().await, open(&stream, 11).await.all().await);
        // It comes too late: its place is taken.
        let stream = Stream::replicated();
        let a = open(&stream, 10).await;
        a.log.foretell(refused(Stored::Late));
        assert!(matches!(a.put("late", "1").await, Err(Error::NoSpace | Error::NoLeader)));
        assert_eq!(stream.release_late(true), 0);
        assert_eq!((a.get("late").await, a.revision()), (Ok(None), 1));
        // The place cannot be taken, so nobody knows.
        let stream = Stream::replicated();
        let a = open(&stream, 10).await;
        a.log.foretell(refused(Stored::Late));
        a.log.foretell(refused(Stored::Nothing));
        assert_eq!(a.put("unknown", "1").await, Err(Error::TimedOut));
        assert_eq!(stream.release_late(true), 1);
        assert_eq!(a.get("unknown").await, Ok(Some("1".into())));
        assert_eq!(a.all().await, open(&stream, 11).await.all().await);
    }
}

/// What takes away goes on where the log still takes it, also if it travelled with what does not fit.
#[tokio::test(start_paused = true)]
async fn a_log_that_takes_only_little_takes_deletes() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.put("a", "1").await.unwrap();
    let is_put = |message: &Outgoing| matches!(message.record, Record::Put { .. });
    stream.refuse(move |group| group.iter().any(is_put).then(|| Refusal::NoSpace("full".into())));
    let (first, second, delete) = (a.spawn_put("x", "1"), a.spawn_put("y", "1"), a.spawn_delete("a"));
    assert_eq!(first.await.unwrap(), Err(Error::NoSpace));
    assert_eq!(second.await.unwrap(), Err(Error::NoSpace));
    assert_eq!(delete.await.unwrap(), Ok(3));
    assert_eq!(a.store.alarms().await, Ok(vec![no_space(10)]));
}

/// The end of a disk is for nobody: a server that runs into it writes no more.
#[tokio::test(start_paused = true)]
async fn nothing_is_written_at_the_end_of_a_disk_and_the_alarm_comes_later() {
    let stream = Stream::new();
    let a = open(&stream, 10).await;
    a.put("a", "1").await.unwrap();
    stream.set_disk_left(1 << 20);
    sleep(Duration::from_millis(20)).await;
    let appended = a.log.appended().len();
    assert_eq!(a.put("b", "1").await, Err(Error::NoSpace));
    assert_eq!(a.spawn_delete("a").await.unwrap(), Err(Error::NoSpace));
    assert_eq!(a.store.alarms_now(), Ok(vec![no_space(10)]));
    assert_eq!(a.log.appended().len(), appended);
    // For deletes, and for the alarm.
    stream.set_disk_left(32 << 20);
    sleep(Duration::from_secs(120)).await;
    assert_eq!(a.spawn_delete("a").await.unwrap(), Ok(3));
    assert_eq!(a.log.appended().len(), appended + 2);
    assert_eq!(a.put("b", "1").await, Err(Error::NoSpace));
    stream.set_disk_left(1 << 30);
    sleep(Duration::from_millis(20)).await;
    a.store.disarm(no_space(10)).await.unwrap();
    assert_eq!(a.put("b", "1").await, Ok(4));
}

/// Whoever travels with what the log refuses does not suffer for it.
#[tokio::test(start_paused = true)]
async fn of_a_group_that_is_refused_only_the_culprit_fails() {
    for stream in [Stream::new(), Stream::exclusive(), Stream::replicated()] {
        let a = open(&stream, 10).await;
        a.put("a", "1").await.unwrap();
        let is_bad = |message: &Outgoing| matches!(&message.record, Record::Put { value, .. } if value == "bad");
        stream.refuse(move |group| group.iter().any(is_bad).then(|| Refusal::Other("no".into())));
        let writes: Vec<_> =
            (0..20).map(|i| a.spawn_put(&format!("k{i}"), if i % 7 == 3 { "bad" } else { "good" })).collect();
        for (i, write) in writes.into_iter().enumerate() {
            let result = write.await.unwrap();
            assert_eq!(result.is_ok(), i % 7 != 3, "{i}: {result:?}");
        }
        assert!(a.log.appended().iter().any(|group| group.len() > 10), "they have not travelled together");
        // And afterwards together again.
        stream.refuse(|_| None);
        let before = a.log.appended().len();
        let writes: Vec<_> = (0..20).map(|i| a.spawn_put(&format!("l{i}"), "good")).collect();
        for write in writes {
            write.await.unwrap().unwrap();
        }
        assert!(a.log.appended().len() < before + 10);
    }
}
