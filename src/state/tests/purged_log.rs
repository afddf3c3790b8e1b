//! A log from which any part of the garbage was removed replays to the same state.
//!
//! Random programs run on a machine whose log is purged as [`State::garbage`] permits: any part of it, in any order,
//! `below` first and `then` later. At random it crashes: removals that were not yet reported as durable come undone or not,
//! message by message, and the state is replayed from what is left. It must be, all the way, the state of a machine to
//! which nothing of this happened.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::*;
use super::random::{messages, places, show};
use super::strategy::request;
use super::{LIMITS, all, range};

#[derive(Clone, Debug)]
enum Step {
    Write(Request),
    Checkpoint,
    /// Removes some garbage, which the number picks.
    Remove(u64),
    /// Some of what was removed has proved durable.
    Report(u64),
    /// Of the other removals some come undone. The floors are raised before the replay, or when it passes the checkpoint.
    Crash(u64, bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => request().prop_map(Step::Write),
        2 => Just(Step::Checkpoint),
        2 => any::<u64>().prop_map(Step::Remove),
        2 => any::<u64>().prop_map(Step::Report),
        1 => (any::<u64>(), any::<bool>()).prop_map(|(undone, late)| Step::Crash(undone, late)),
    ];
    proptest::collection::vec(step, 1..60)
}

/// Whether the n-th thing is among those that a random number picks.
fn picks(number: u64, n: u64) -> bool {
    (number.rotate_left(n as u32 * 7) ^ n).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 63 == 1
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Stored {
    Present,
    /// A crash can bring it back.
    Removed,
    Gone,
}

struct Message {
    target: Option<GarbageTarget>,
    stored: Stored,
}

#[derive(Default)]
struct Log {
    entries: Vec<(Entry, Vec<Sequence>)>,
    messages: BTreeMap<Sequence, Message>,
    next: u64,
}

fn target(op: &Op) -> Option<GarbageTarget> {
    match op {
        Op::Put { key, .. } | Op::Delete { key, .. } => Some(GarbageTarget::Key(key.clone())),
        Op::LeaseGrant { id, .. } | Op::LeaseRevoke { id } => Some(GarbageTarget::Lease(*id)),
        Op::Tombstones { .. } => Some(GarbageTarget::Tombstones),
        Op::Compact { .. } | Op::AlarmRaise(_) | Op::AlarmDisarm(_) => None,
    }
}

impl Log {
    fn append(&mut self, entry: &Entry) -> Vec<Sequence> {
        self.next = self.next.max(1);
        let at = places(entry, &mut self.next);
        for (op, at) in entry.ops.iter().zip(&at) {
            for n in 0..messages(op, *at) {
                self.messages.insert(at.plus(n), Message { target: target(op), stored: Stored::Present });
            }
        }
        self.entries.push((entry.clone(), at.clone()));
        at
    }

    /// Moves all messages of the garbage that are in one condition into another.
    fn turn(&mut self, garbage: &Garbage, from: Stored, to: Stored) {
        let below = self.messages.range_mut(..garbage.below);
        let ours = below.filter(|(_, message)| message.target.as_ref() == Some(&garbage.target));
        ours.filter(|(_, message)| message.stored == from).for_each(|(_, message)| message.stored = to);
    }

    fn crash(&mut self, undone: u64) {
        let removed = self.messages.values_mut().filter(|message| message.stored == Stored::Removed);
        for (n, message) in removed.enumerate() {
            message.stored = if picks(undone, n as u64) { Stored::Present } else { Stored::Gone };
        }
    }

    fn is_whole(&self, op: &Op, at: Sequence) -> bool {
        (0..messages(op, at)).all(|n| self.messages[&at.plus(n)].stored == Stored::Present)
    }

    fn replay(&self, checkpoint: &Checkpoint, late: bool) -> State {
        let mut state = State::new(Revision::FIRST, Revision::ZERO);
        let covered = self.entries.partition_point(|(_, at)| at[0] <= checkpoint.at);
        for (n, (entry, at)) in self.entries.iter().enumerate() {
            if n == if late { covered } else { 0 } {
                state.raise(checkpoint.at, checkpoint.revision, checkpoint.compacted);
            }
            let ops = entry.ops.iter().cloned().zip(at.iter().copied());
            let left: (Vec<Op>, Vec<Sequence>) = ops.filter(|(op, at)| self.is_whole(op, *at)).unzip();
            assert!(at[0] <= checkpoint.at || left.0.len() == at.len(), "removed above the checkpoint");
            if !left.0.is_empty() {
                state.apply(&Entry { revision: entry.revision, ops: left.0 }, &left.1);
            }
        }
        state.raise(checkpoint.at, checkpoint.revision, checkpoint.compacted);
        state
    }
}

#[derive(Clone, Copy, Default)]
struct Checkpoint {
    at: Sequence,
    revision: Revision,
    compacted: Revision,
}

struct Twins {
    /// Nothing ever happens to it.
    sound: State,
    state: State,
    log: Log,
    checkpoint: Checkpoint,
    /// Removed, but not known to be durable.
    removed: Vec<Garbage>,
}

impl Twins {
    fn new() -> Twins {
        let state = State::new(Revision::FIRST, Revision::ZERO);
        Twins {
            sound: state.clone(),
            state,
            log: Log::default(),
            checkpoint: Checkpoint::default(),
            removed: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Write(request) => self.write(request)?,
            Step::Checkpoint => self.take_checkpoint(),
            Step::Remove(some) => self.remove(*some),
            Step::Report(some) => self.report(*some),
            Step::Crash(undone, late) => self.crash(*undone, *late),
        }
        self.state.find_garbage(self.log.next as usize % 4);
        same(&self.state, &self.sound)
    }

    fn write(&mut self, request: &Request) -> Result<(), TestCaseError> {
        let planned = plan(&View::new(&self.state, &[]), request, LIMITS);
        prop_assert_eq!(show(&planned), show(&plan(&View::new(&self.sound, &[]), request, LIMITS)));
        if let Ok(Planned { entry: Some(entry), .. }) = planned {
            let at = self.log.append(&entry);
            let events = self.state.apply(&entry, &at).events;
            prop_assert_eq!(events, self.sound.apply(&entry, &at).events);
        }
        Ok(())
    }

    fn take_checkpoint(&mut self) {
        let (revision, compacted) = (self.state.revision(), self.state.compacted());
        self.checkpoint = Checkpoint { at: Sequence(self.log.next.saturating_sub(1)), revision, compacted };
    }

    fn remove(&mut self, some: u64) {
        let garbage = self.state.garbage(self.checkpoint.at, None, usize::MAX);
        for (_, garbage) in garbage.into_iter().enumerate().filter(|(n, _)| picks(some, *n as u64)) {
            self.log.turn(&garbage, Stored::Present, Stored::Removed);
            self.removed.push(garbage);
        }
    }

    fn report(&mut self, some: u64) {
        for (n, garbage) in std::mem::take(&mut self.removed).into_iter().enumerate() {
            if picks(some, n as u64) {
                self.log.turn(&garbage, Stored::Removed, Stored::Gone);
                self.state.collected(&[garbage]);
            } else {
                self.removed.push(garbage);
            }
        }
    }

    fn crash(&mut self, undone: u64, late: bool) {
        self.log.crash(undone);
        self.removed.clear();
        self.state = self.log.replay(&self.checkpoint, late);
    }

    fn collect_all(&mut self) {
        self.take_checkpoint();
        while self.state.find_garbage(1) {}
        while self.sound.find_garbage(7) {}
        while let garbage @ [_, ..] = &self.state.garbage(self.checkpoint.at, None, usize::MAX)[..] {
            for garbage in garbage {
                self.log.turn(garbage, Stored::Present, Stored::Gone);
                self.log.turn(garbage, Stored::Removed, Stored::Gone);
            }
            self.state.collected(garbage);
        }
    }

    /// The log holds what the state needs, and nothing else.
    fn check_nothing_is_left_over(&self) -> Result<(), TestCaseError> {
        let held = self.sound.index.values().flat_map(|history| history.versions());
        let held: BTreeSet<_> = held.map(|kv| kv.sequence).collect();
        let grants: BTreeSet<_> = self.sound.leases().map(|(_, lease)| lease.sequence).collect();
        let mut needed = false;
        for (op, at) in self.log.entries.iter().flat_map(|(entry, at)| entry.ops.iter().zip(at)) {
            let present = self.log.is_whole(op, *at);
            let expected = match target(op) {
                Some(GarbageTarget::Key(_)) => held.contains(at),
                Some(GarbageTarget::Lease(_)) => grants.contains(at),
                // One that is needed keeps those after it.
                Some(GarbageTarget::Tombstones) => {
                    needed |= held.contains(at);
                    needed
                }
                None => true,
            };
            prop_assert_eq!(present, expected, "{:?} at {}", op, at);
        }
        Ok(())
    }
}

fn same(state: &State, sound: &State) -> Result<(), TestCaseError> {
    prop_assert_eq!(state.fingerprint(), sound.fingerprint());
    prop_assert_eq!((state.revision(), state.compacted()), (sound.revision(), sound.compacted()));
    prop_assert_eq!(state.alarms(), sound.alarms());
    prop_assert_eq!(state.leases().collect::<Vec<_>>(), sound.leases().collect::<Vec<_>>());
    let compacted = sound.compacted();
    for revision in compacted.0.max(1)..=sound.revision().0 {
        let request = RangeRequest { revision: Revision(revision), ..range(all()) };
        prop_assert_eq!(state.range(&request).unwrap().kvs, sound.range(&request).unwrap().kvs);
        prop_assert_eq!(hash(state, request.revision), hash(sound, request.revision));
    }
    let later = |state: &State| state.events_from(compacted.next(), usize::MAX);
    prop_assert_eq!(later(state), later(sound));
    prop_assert_eq!(outcome(state, compacted), outcome(sound, compacted));
    Ok(())
}

fn hash(state: &State, revision: Revision) -> u32 {
    let mut input = HashInput::new(HashScope { compacted: state.compacted(), revision, compaction: false });
    while state.gather_for_hash(&mut input, 2) {}
    input.hash()
}

/// What the events of a revision come to: of each key the last, without what was before.
fn outcome(state: &State, revision: Revision) -> BTreeMap<bytes::Bytes, KeyValue> {
    let events = state.events_from(revision, 1).unwrap();
    let events = events.iter().filter(|events| events.revision == revision).flat_map(|events| &events.events);
    events.map(|event| (event.kv.key.clone(), KeyValue::clone(&event.kv))).collect()
}

/// A power cut undid the removal of a version, and not that of the delete after it, which went with it because the key was created again.
#[test]
fn what_comes_back_without_its_delete_is_freed_again() {
    let put = |revision: i64, at: u64| {
        let (create_revision, key) = (Revision(revision), bytes::Bytes::from("aa"));
        let op = Op::Put { key, value: bytes::Bytes::new(), lease: LeaseId::NONE, create_revision, version: 1, sub: 0 };
        (Entry { revision: Revision(revision), ops: vec![op] }, [Sequence(at)])
    };
    for late in [false, true] {
        let mut state = State::new(Revision::FIRST, Revision::ZERO);
        let raise = |state: &mut State| state.raise(Sequence(9), Revision(5), Revision(5));
        if !late {
            raise(&mut state);
        }
        for (entry, at) in [put(2, 1), put(5, 4)] {
            state.apply(&entry, &at);
        }
        raise(&mut state);
        while state.find_garbage(1) {}
        assert_eq!((state.held(), state.live_bytes()), (1, 2), "late: {late}");
        let garbage = state.garbage(Sequence(9), None, usize::MAX);
        let targets: Vec<_> = garbage.iter().map(|garbage| (garbage.target.clone(), garbage.below)).collect();
        assert_eq!(targets, [(GarbageTarget::Key("aa".into()), Sequence(4))], "late: {late}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_purged_log_replays_to_the_same_state(steps in steps(), crash in any::<Option<bool>>()) {
        let mut twins = Twins::new();
        for step in &steps {
            twins.step(step)?;
        }
        if let Some(late) = crash {
            twins.crash(u64::MAX, late);
        }
        twins.collect_all();
        same(&twins.state, &twins.sound)?;
        prop_assert_eq!(twins.state.live_bytes(), twins.sound.live_bytes());
        twins.check_nothing_is_left_over()?;
        twins.crash(0, false);
        same(&twins.state, &twins.sound)?;
    }
}
