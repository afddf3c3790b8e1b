//! Random programs over few keys, so that what they do collides. Most of what they ask is possible and does something; the rest has one
//! flaw each, so that every error comes up about as often as any other.

mod blocks;
mod kv;
mod txn;
mod watch;

use std::collections::BTreeSet;

use bytes::Bytes;
use jine::pb::etcdserverpb::{LeaseGrantRequest, PutRequest};

use super::program::{CHOSEN, COMPACTED, CURRENT, STREAMS, Step, at};
use super::rng::Rng;

const KEYS: &[&[u8]] = &[b"a", b"a\0", b"aa", b"b", b"b\xff", b"c", b"\0", b"\xff\xfe", b"d"];
const ENDS: &[&[u8]] = &[b"b", b"c", b"aa", b"\0\0", b"z", b"\xff\xff", b"a"];
const VALUES: &[&[u8]] = &[b"", b"1", b"2", b"10", b"\0\xff\x80", b"a longer value"];
/// Ids that clients choose.
const IDS: &[i64] = &[11, 12, 13, -5];
/// One that never exists.
const MISSING: i64 = 404;
const OUT_OF_RANGE: i32 = 9;
/// etcd's default for `--max-txn-ops`.
pub(super) const MAX_TXN_OPS: usize = 128;
/// What etcd's log adds to a request, in bytes, for a member of the id that a cluster of one has.
pub(super) const ENVELOPE: usize = 17;

/// The program of a seed.
pub(crate) fn program(seed: u64) -> Vec<Step> {
    make(Make::new(seed))
}

/// One whose values are large, so that a jine with `--value-memory` has to put them into its file.
pub(crate) fn program_of_large_values(seed: u64) -> Vec<Step> {
    make(Make { repeat: 100, ..Make::new(seed) })
}

fn make(mut make: Make) -> Vec<Step> {
    make.watching = make.rng.one_in(2);
    make.hashing = make.rng.one_in(6);
    let mut program = Vec::new();
    if make.hashing {
        // What was before the program had leases whose ids the servers have chosen, and etcd remembers hashes of what is compacted.
        // Twice: the hash at the revision of a compaction is that of what was since the compaction before.
        let put = PutRequest { key: Bytes::from_static(b"a"), ..Default::default() };
        program.extend([Step::Compact(at(0), true), Step::Put(put), Step::Compact(at(1), true)]);
    }
    let steps = make.rng.below(60) + 30;
    while program.len() < steps {
        match make.rng.below(8000) {
            0..4 => make.expiry(&mut program),
            4..6 => program.push(Step::Restart),
            6..60 => make.alarm(&mut program),
            60..92 => make.fragments(&mut program),
            _ => {
                let step = make.step();
                program.push(step);
            }
        }
    }
    program
}

/// One that asks for hashes, too: now and then, around compactions, and in the end.
pub(crate) fn hashing_program(seed: u64) -> Vec<Step> {
    let mut make = Make::new(seed);
    make.hashing = true;
    let steps = make.rng.within(20, 60);
    let mut program = Vec::new();
    for _ in 0..steps {
        match make.step() {
            Step::Compact(revision, physical) => {
                program.extend([Step::HashKv(0), Step::Compact(revision, physical)]);
                program.extend([Step::HashKv(0), Step::HashKv(revision), Step::HashKv(make.revision())]);
            }
            step => program.push(step),
        }
    }
    program.push(Step::HashKv(0));
    program
}

struct Make {
    rng: Rng,
    watching: bool,
    /// How often a value has what it is picked for, one after the other.
    repeat: usize,
    /// Leases go into the hash of what hangs on them, so that no key hangs on one whose id a server has chosen.
    hashing: bool,
    /// Leases that are likely to be there.
    leases: BTreeSet<i64>,
    /// Whether a transaction may delete, and whether its puts may keep value or lease. Not both: a put that keeps what the
    /// same transaction has deleted ends etcd 3.7.3 (index out of range in its put); jine refuses it.
    deletes: bool,
    keeps: bool,
    /// Keys that the transaction in the making has not put.
    unused: Vec<&'static [u8]>,
    /// Whether it only deletes, whatever range.
    wide: bool,
}

impl Make {
    fn new(seed: u64) -> Make {
        Make {
            rng: Rng::new(seed),
            watching: false,
            repeat: 1,
            hashing: false,
            leases: BTreeSet::new(),
            deletes: true,
            keeps: true,
            unused: Vec::new(),
            wide: false,
        }
    }

    fn step(&mut self) -> Step {
        match self.rng.below(if self.watching { 1160 } else { 1000 }) {
            960..1000 if self.hashing => Step::HashKv(self.hashed()),
            0..375 => Step::Put(self.put()),
            375..465 => Step::Range(self.range()),
            465..540 => Step::RangeStream(self.streamed_range()),
            540..580 => Step::Delete(self.delete()),
            580..855 => Step::Txn(self.outer_txn()),
            855..885 => Step::Compact(self.compacted(), self.rng.one_in(3)),
            885..925 => self.grant(),
            925..945 => self.revoke(),
            945..960 => Step::KeepAlive(self.lease()),
            960..975 => Step::TimeToLive(self.lease(), self.rng.one_in(2)),
            975..979 => Step::Leases,
            979..985 => {
                Step::ShortLease(LeaseGrantRequest { ttl: self.rng.within(-2, 5), id: self.rng.pick(&[0, 21]) })
            }
            985..987 => Step::AuthStatus,
            987..989 => Step::Authenticate,
            989..1000 => Step::Put(self.put()),
            1000..1110 => Step::Watch(self.rng.below(STREAMS), self.watch()),
            1110..1145 => Step::Cancel(self.rng.below(STREAMS), self.rng.within(-1, 4)),
            _ => Step::Progress(self.rng.below(STREAMS)),
        }
    }

    fn key(&mut self) -> Bytes {
        Bytes::from_static(self.rng.pick(KEYS))
    }

    /// Of one key, all keys, from a key on, or between two: also the wrong way round.
    fn key_and_end(&mut self) -> (Bytes, Bytes) {
        match self.rng.below(8) {
            0..3 => (self.key(), Bytes::new()),
            3 => (Bytes::from_static(b"\0"), Bytes::from_static(b"\0")),
            4 => (self.key(), Bytes::from_static(b"\0")),
            _ => (self.key(), Bytes::from_static(self.rng.pick(ENDS))),
        }
    }

    fn value(&mut self) -> Bytes {
        let value: &[u8] = self.rng.pick(VALUES);
        value.repeat(self.repeat).into()
    }

    /// Most often one that the program may have come to.
    fn revision(&mut self) -> i64 {
        match self.rng.below(20) {
            0 => self.rng.pick(&[-1, 1, 2, i64::MAX, i64::MIN, at(1000)]),
            1 => self.rng.pick(&[0, CURRENT, COMPACTED]),
            2 => at(self.rng.within(-5, 0)),
            3..7 => at(self.rng.within(0, 30)),
            _ => at(self.rng.within(0, 12)),
        }
    }

    /// After the first revision of the program, or none there is.
    fn hashed(&mut self) -> i64 {
        match self.rng.below(8) {
            0 => self.rng.pick(&[-1, i64::MIN]),
            1 => self.rng.pick(&[at(1000), i64::MAX]),
            2 => 0,
            3 => CURRENT,
            4..7 => at(self.rng.within(1, 4)),
            _ => at(self.rng.within(1, 25)),
        }
    }

    /// Not 0: etcd takes that once, on a store that was never compacted, and jine as long as it was not.
    fn compacted(&mut self) -> i64 {
        match self.rng.below(12) {
            0 => self.rng.pick(&[-1, i64::MIN]),
            1 => self.rng.pick(&[CURRENT + 1, CURRENT + 1, i64::MAX]),
            2 => self.rng.pick(&[CURRENT, CURRENT - 1]),
            3 => self.rng.pick(&[1, COMPACTED + 1]),
            _ => at(self.rng.within(0, 30)),
        }
    }

    fn enumerated(&mut self, last: i64) -> i32 {
        i32::try_from(self.rng.within(0, last)).unwrap()
    }

    /// One that is likely to be there, most often.
    fn lease(&mut self) -> i64 {
        let known: Vec<i64> = self.leases.iter().copied().collect();
        match self.rng.below(8) {
            0 => self.rng.pick(&[11, 12, 13, 0, CHOSEN, MISSING]),
            _ if known.is_empty() => self.rng.pick(IDS),
            _ => self.rng.pick(&known),
        }
    }

    fn grant(&mut self) -> Step {
        let ttl = match self.rng.below(8) {
            0 => self.rng.pick(&[9_000_000_001, i64::MAX]),
            1 => 9_000_000_000,
            _ => self.rng.within(1000, 5000),
        };
        let id = self.rng.pick(&[11, 12, 13, -5, 0, 0]);
        if ttl <= 9_000_000_000 {
            self.leases.insert(if id == 0 { CHOSEN } else { id });
        }
        Step::Grant(LeaseGrantRequest { ttl, id })
    }

    fn revoke(&mut self) -> Step {
        let id = self.lease();
        self.leases.remove(&id);
        Step::Revoke(id)
    }
}
