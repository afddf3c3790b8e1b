//! A store's history held against what its clients were told.

use std::collections::{BTreeMap, HashMap, HashSet};

use bytes::Bytes;
use jine::pb::mvccpb::event::EventType;
use jine::pb::mvccpb::{Event, KeyValue};

use super::load::{Answer, Attempt, Ledger};
use crate::support::client::Client;

/// All attempts ever made on a store, and its history as far as it was read.
#[derive(Default)]
pub(super) struct Account {
    attempts: Vec<Attempt>,
    granted: Vec<i64>,
    /// By a change that only this attempt makes: a key with the name that is put, or without one where it is deleted.
    whose: HashMap<(Bytes, Option<String>), usize>,
    /// Attempts that the history has shown.
    seen: HashSet<usize>,
    /// Up to which revision.
    pub(super) revision: i64,
    /// What that history comes to.
    keys: BTreeMap<Bytes, KeyValue>,
}

/// How many attempts there were, by their answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) applied: usize,
    pub(super) not_applied: usize,
    pub(super) unknown: usize,
    /// Of the unknown ones.
    pub(super) found: usize,
}

impl Account {
    pub(super) fn new() -> Account {
        Account { revision: 1, ..Account::default() }
    }

    pub(super) fn add(&mut self, ledger: Ledger) {
        for attempt in ledger.attempts {
            let index = self.attempts.len();
            for (key, put) in &attempt.changes {
                self.whose.insert((key.clone(), put.then(|| attempt.name.clone())), index);
            }
            self.attempts.push(attempt);
        }
        self.granted.extend(ledger.granted);
    }

    /// Reads on in the history. Panics where a transaction is there in part, at another revision than was answered, twice, though it was
    /// answered as not applied, or where the store holds anything else than its history comes to. Returns how many that were acknowledged are missing.
    pub(super) async fn check(&mut self, client: &Client) -> usize {
        let (kvs, revision) = client.all().await.unwrap();
        assert!(revision >= self.revision, "revision {revision} after {}", self.revision);
        let mut events = Vec::new();
        if revision > self.revision {
            let mut watch = client.watch(self.revision + 1).await.unwrap();
            while events.last().is_none_or(|event| revision_of(event) < revision) {
                events.extend(watch.events(1).await.unwrap());
            }
        }
        for events in events.chunk_by(|one, two| revision_of(one) == revision_of(two)) {
            self.revision += 1;
            assert_eq!(revision_of(&events[0]), self.revision, "revisions are dense");
            self.read(events);
        }
        assert!(kvs.iter().eq(self.keys.values()), "the store is not what its history comes to");
        let is_lost =
            |(i, attempt): &(usize, &Attempt)| matches!(attempt.answer, Answer::Applied(_)) && !self.seen.contains(i);
        let lost = self.attempts.iter().enumerate().filter(is_lost).count();
        if lost == 0 {
            self.check_leases(client).await;
        }
        lost
    }

    /// The events of one revision.
    fn read(&mut self, events: &[Event]) {
        let mut changes = BTreeMap::new();
        let mut whose = None;
        for event in events {
            let kv = event.kv.clone().unwrap();
            let put = event.r#type() == EventType::Put;
            let name = put.then(|| name_in(&kv.value));
            let index = self.whose.get(&(kv.key.clone(), name)).copied();
            let index = index.unwrap_or_else(|| panic!("nobody has written this: {event:?}"));
            assert_eq!(*whose.get_or_insert(index), index, "two at one revision: {event:?}");
            changes.insert(kv.key.clone(), put);
            if put {
                self.keys.insert(kv.key.clone(), kv)
            } else {
                self.keys.remove(&kv.key)
            };
        }
        let index = whose.unwrap();
        let attempt = &self.attempts[index];
        assert_eq!(attempt.changes, changes, "{} is there in part", attempt.name);
        match attempt.answer {
            // The answer to a revoke says no more than that.
            Answer::Applied(revision) if attempt.revokes.is_some() => {
                assert!(revision >= self.revision, "{}", attempt.name)
            }
            Answer::Applied(revision) => assert_eq!(revision, self.revision, "{}", attempt.name),
            Answer::NotApplied => panic!("{} was answered as not applied", attempt.name),
            Answer::Unknown => {}
        }
        assert!(self.seen.insert(index), "{} was executed twice", attempt.name);
    }

    /// A lease that was granted is there, until the history shows its end.
    async fn check_leases(&self, client: &Client) {
        let there: HashSet<i64> = client.leases().await.unwrap().into_iter().collect();
        let revoked: HashSet<i64> = self.seen.iter().filter_map(|i| self.attempts[*i].revokes).collect();
        for lease in &self.granted {
            assert_ne!(there.contains(lease), revoked.contains(lease), "lease {lease}");
        }
    }

    pub(super) fn count(&self) -> Count {
        let mut count = Count::default();
        for (i, attempt) in self.attempts.iter().enumerate() {
            match attempt.answer {
                Answer::Applied(_) => count.applied += 1,
                Answer::NotApplied => count.not_applied += 1,
                Answer::Unknown => {
                    count.unknown += 1;
                    count.found += usize::from(self.seen.contains(&i));
                }
            }
        }
        count
    }
}

fn revision_of(event: &Event) -> i64 {
    event.kv.as_ref().unwrap().mod_revision
}

fn name_in(value: &[u8]) -> String {
    let name = value.split(|byte| *byte == b' ').next().unwrap();
    String::from_utf8(name.to_vec()).unwrap()
}
