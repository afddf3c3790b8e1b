//! Steps that only make sense together.

use bytes::Bytes;
use jine::pb::etcdserverpb::{
    AlarmRequest, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, WatchCreateRequest,
};

use super::{MISSING, Make, OUT_OF_RANGE};
use crate::oracle::program::{CHOSEN, COMPACTED, CURRENT, STREAMS, Step, at};

/// The lease that expires.
const SHORT: i64 = 31;

impl Make {
    /// A lease expires, and that is waited for.
    pub(super) fn expiry(&mut self, program: &mut Vec<Step>) {
        if self.rng.one_in(3) {
            program.push(Step::Grant(LeaseGrantRequest { id: 11, ttl: 1000 }));
        }
        program.push(Step::Grant(LeaseGrantRequest { id: SHORT, ttl: self.rng.within(1, 2) }));
        for _ in 0..self.rng.below(6) {
            let key = self.key();
            program.push(Step::Put(PutRequest { lease: SHORT, ignore_lease: false, ..self.sound_put(key) }));
        }
        let late = [Step::KeepAlive(SHORT), Step::TimeToLive(SHORT, true), Step::Delete(self.delete()), self.revoke()];
        program.extend(late.into_iter().filter(|_| self.rng.one_in(3)));
        program.push(Step::AwaitExpiry);
        program.extend([Step::Range(self.sound_range()), Step::KeepAlive(SHORT), Step::TimeToLive(SHORT, true)]);
    }

    /// An alarm is raised, things are tried, and it is lifted.
    pub(super) fn alarm(&mut self, program: &mut Vec<Step>) {
        let member_id = self.rng.pick(&[0, 0, 7]);
        let alarm = self.rng.pick(&[1, 1, 2, 2, 2]);
        let all = |action| AlarmRequest { action, member_id, alarm };
        if self.rng.one_in(4) {
            // Not an unknown action: that ends etcd 3.7.3 (it looks into an answer that it has not made).
            let action = self.rng.pick(&[0, 1, 1, 2]);
            program.push(Step::Alarm(AlarmRequest { alarm: self.rng.pick(&[0, 1, 2]), ..all(action) }));
        }
        program.push(Step::Alarm(all(1)));
        for _ in 0..self.rng.below(14) {
            let step = self.under_alarm();
            program.push(step);
        }
        if self.rng.one_in(8) {
            program.push(Step::Restart);
            program.push(self.under_alarm());
        }
        program.push(Step::Alarm(AlarmRequest { alarm: self.rng.pick(&[0, 1, 2]), ..all(0) }));
        program.push(Step::Alarm(all(2)));
    }

    fn under_alarm(&mut self) -> Step {
        match self.rng.below(20) {
            0..7 => {
                let mut txn = self.outer_txn();
                self.compare_more(&mut txn);
                if self.rng.one_in(2) {
                    self.limit(&mut txn);
                }
                Step::Txn(txn)
            }
            7..9 => {
                let key = self.key();
                let mut put = self.sound_put(key);
                put.lease = if self.rng.one_in(3) { MISSING } else { 0 };
                match self.rng.below(6) {
                    0 => (put.ignore_value, put.value) = (true, Bytes::new()),
                    1 => (put.ignore_lease, put.lease) = (true, 0),
                    2 => (put.ignore_value, put.value, put.ignore_lease, put.lease) = (true, Bytes::new(), true, 0),
                    3 => self.flaw_in_put(&mut put),
                    _ => self.size(&mut put),
                }
                Step::Put(put)
            }
            9..12 => {
                let (key, range_end) = self.key_and_end();
                Step::Delete(DeleteRangeRequest { key, range_end, prev_kv: self.rng.one_in(2) })
            }
            12 | 13 => {
                let revision = self.rng.pick(&[-1, i64::MIN, COMPACTED, CURRENT, CURRENT + 1, at(5)]);
                Step::Compact(revision, self.rng.one_in(3))
            }
            14 => self.grant(),
            15 | 16 => {
                let ttl = self.rng.pick(&[-1, 0, 1, i64::MAX, 9_000_000_000]);
                Step::ShortLease(LeaseGrantRequest { ttl, id: self.rng.pick(&[0, 21]) })
            }
            17 => Step::Revoke(self.rng.pick(&[0, CHOSEN, CHOSEN, 11])),
            _ => self.step(),
        }
    }

    /// A watcher gets more in one revision than a message may have, or in many that it looks up together.
    pub(super) fn fragments(&mut self, program: &mut Vec<Step>) {
        let (first, end): (&[u8], Bytes) = (b"large/", Bytes::from_static(b"large0"));
        let (stream, late) = (self.rng.below(STREAMS), self.rng.one_in(2));
        let mut watch = WatchCreateRequest { prev_kv: true, fragment: !self.rng.one_in(5), ..self.watch() };
        let one = late && self.rng.one_in(2);
        watch.filters = self.rng.pick(&[vec![], vec![0], vec![1], vec![OUT_OF_RANGE]]);
        (watch.key, watch.range_end) = match self.rng.below(6) {
            _ if one => (Bytes::from_static(b"large/0"), Bytes::new()),
            0 => (Bytes::copy_from_slice(first), Bytes::from_static(b"\0")),
            1 => (Bytes::from_static(b"\0"), Bytes::from_static(b"\0")),
            2 | 3 => (Bytes::new(), Bytes::from_static(b"\0")),
            _ => (Bytes::copy_from_slice(first), end.clone()),
        };
        watch.start_revision = if late { at(0) } else { self.rng.pick(&[0, CURRENT + 1]) };
        if late {
            watch.watch_id = watch.watch_id.max(0);
            // What there was before the program is not looked up.
            program.push(Step::Compact(at(0), false));
        } else {
            program.push(Step::Watch(stream, watch.clone()));
        }
        for number in 0..self.rng.within(9, 13) {
            let number = if one { 0 } else { u8::try_from(number).unwrap() };
            let key = [first, &[b'0' + number]].concat().into();
            let value = Bytes::from(vec![b'v'; self.rng.pick(&[60_000, 60_000, 60_000, 60_000, 60_000, 100])]);
            program.push(Step::Put(PutRequest { key, value, ..Default::default() }));
        }
        program.push(Step::Progress(stream));
        let prev_kv = self.rng.one_in(4);
        program.push(Step::Delete(DeleteRangeRequest { key: Bytes::copy_from_slice(first), range_end: end, prev_kv }));
        program.push(Step::Progress(stream));
        if late {
            program.push(Step::Watch(stream, watch));
        }
        let all = Bytes::from_static(b"\0");
        let count = RangeRequest { key: all.clone(), range_end: all, count_only: true, ..Default::default() };
        program.push(Step::Range(count));
    }
}
