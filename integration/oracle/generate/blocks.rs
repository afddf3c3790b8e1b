//! Steps that only make sense together.

use bytes::Bytes;
use jine::pb::etcdserverpb::{
    AlarmRequest, DeleteRangeRequest, LeaseGrantRequest, PutRequest, RangeRequest, WatchCreateRequest,
};

use super::Make;
use crate::oracle::program::{STREAMS, Step, at};

/// The lease that expires.
const SHORT: i64 = 31;

impl Make {
    /// A lease expires, and that is waited for.
    pub(super) fn expiry(&mut self, program: &mut Vec<Step>) {
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
        let alarm = self.rng.pick(&[1, 1, 2]);
        let all = |action| AlarmRequest { action, member_id, alarm };
        if self.rng.one_in(4) {
            // Not an unknown action: that ends etcd 3.7.3 (it looks into an answer that it has not made).
            program.push(Step::Alarm(AlarmRequest { alarm: self.rng.pick(&[0, 1, 2]), ..all(self.enumerated(2)) }));
        }
        program.push(Step::Alarm(all(1)));
        for _ in 0..self.rng.below(10) {
            let step = self.step();
            program.push(step);
        }
        if self.rng.one_in(8) {
            program.push(Step::Restart);
        }
        program.push(Step::Alarm(AlarmRequest { alarm: self.rng.pick(&[0, 1, 2]), ..all(0) }));
        program.push(Step::Alarm(all(2)));
    }

    /// A watcher gets more in one revision than a message may have.
    pub(super) fn fragments(&mut self, program: &mut Vec<Step>) {
        let (first, end): (&[u8], Bytes) = (b"large/", Bytes::from_static(b"large0"));
        let stream = self.rng.below(STREAMS);
        let mut watch = WatchCreateRequest { prev_kv: true, fragment: !self.rng.one_in(4), ..self.watch() };
        (watch.key, watch.range_end, watch.start_revision) = (Bytes::copy_from_slice(first), end.clone(), 0);
        if self.rng.one_in(3) {
            watch.start_revision = at(0);
        }
        let late = self.rng.one_in(2);
        if !late {
            program.push(Step::Watch(stream, watch.clone()));
        }
        for number in 0..self.rng.within(9, 13) {
            let key = [first, &[b'0' + u8::try_from(number).unwrap()]].concat().into();
            let value = Bytes::from(vec![b'v'; self.rng.pick(&[60_000, 60_000, 60_000, 100])]);
            program.push(Step::Put(PutRequest { key, value, ..Default::default() }));
        }
        program.push(Step::Progress(stream));
        let prev_kv = self.rng.one_in(4);
        program.push(Step::Delete(DeleteRangeRequest { key: Bytes::copy_from_slice(first), range_end: end, prev_kv }));
        program.push(Step::Progress(stream));
        if late {
            program.push(Step::Watch(stream, watch));
        }
        let count = RangeRequest {
            key: b"\0".as_slice().into(),
            range_end: b"\0".as_slice().into(),
            count_only: true,
            ..Default::default()
        };
        program.push(Step::Range(count));
    }
}
