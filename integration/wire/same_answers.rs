//! The same requests, made at random, get the same answers from etcd and from jine.
//!
//! The seed is printed; JINE_SEED runs one again.

use std::fmt::Debug;

use bytes::Bytes;
use jine::pb::etcdserverpb::compare::{CompareResult, TargetUnion};
use jine::pb::etcdserverpb::request_op::Request as Op;
use jine::pb::etcdserverpb::*;
use jine::pb::mvccpb;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tonic::{Response, Status};

use super::client::*;
use super::target::Target;

const REQUESTS: usize = 3000;
const LEASES: i64 = 3;

#[tokio::test]
async fn random_requests_get_the_same_answers() {
    let seed = std::env::var("JINE_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or_else(rand::random::<u64>);
    println!("JINE_SEED={seed}");
    let targets = (Target::etcd(), Target::jine());
    let (mut etcd, mut jine) = (targets.0.client().await, targets.1.client().await);
    let mut watches = (watch_everything(&mut etcd).await, watch_everything(&mut jine).await);
    let mut random = Random { rng: StdRng::seed_from_u64(seed), revision: 1 };
    let (mut answered, mut refused) = (0, 0);
    for number in 0..REQUESTS {
        let request = random.request();
        let (expected, answer) = (request.make(&mut etcd).await, request.make(&mut jine).await);
        assert_eq!(answer.text, expected.text, "seed {seed}, request {number}: {request:?}");
        random.revision = random.revision.max(expected.revision);
        *if expected.revision > 0 { &mut answered } else { &mut refused } += 1;
    }
    println!("{answered} requests answered, {refused} refused, revision {}", random.revision);
    assert!(random.revision > 500 && answered > REQUESTS / 3 && refused > REQUESTS / 20);

    let end = random.revision;
    let (expected, seen) = (events_up_to(&mut watches.0, end).await, events_up_to(&mut watches.1, end).await);
    println!("{} events", expected.len());
    for (number, (seen, expected)) in seen.iter().zip(&expected).enumerate() {
        assert_eq!(seen, expected, "seed {seed}, event {number}");
    }
    assert_eq!(seen.len(), expected.len(), "seed {seed}");
}

async fn watch_everything(client: &mut Client) -> Watch {
    let mut watch = client.watch().await;
    watch.create(WatchCreateRequest { prev_kv: true, ..watch_all() }).await;
    watch
}

async fn events_up_to(watch: &mut Watch, revision: i64) -> Vec<mvccpb::Event> {
    let mut events: Vec<mvccpb::Event> = Vec::new();
    while events.last().is_none_or(|event| event.kv.as_ref().unwrap().mod_revision < revision) {
        events.extend(watch.next().await.events);
    }
    events
}

#[derive(Clone, Debug)]
enum Request {
    Range(RangeRequest),
    RangeStream(RangeRequest),
    Put(PutRequest),
    Delete(DeleteRangeRequest),
    Txn(TxnRequest),
    Compact(CompactionRequest),
    Grant(LeaseGrantRequest),
    Revoke(LeaseRevokeRequest),
}

/// Without what may differ: who answers.
struct Answer {
    text: String,
    /// 0 for a refusal.
    revision: i64,
}

impl Request {
    async fn make(&self, client: &mut Client) -> Answer {
        match self.clone() {
            Request::Range(r) => {
                let mut result = client.kv.range(r.clone()).await;
                if let Ok(response) = &mut result {
                    forget_leases(&r, response.get_mut());
                }
                answer(result, |r| &mut r.header)
            }
            Request::Put(r) => answer(client.kv.put(r).await, |r| &mut r.header),
            Request::Delete(r) => answer(client.kv.delete_range(r).await, |r| &mut r.header),
            Request::Txn(r) => answer(client.kv.txn(r).await, |r| &mut r.header),
            Request::Compact(r) => answer(client.kv.compact(r).await, |r| &mut r.header),
            Request::Grant(r) => answer(client.lease.lease_grant(r).await, |r| &mut r.header),
            Request::Revoke(r) => answer(client.lease.lease_revoke(r).await, |r| &mut r.header),
            Request::RangeStream(r) => {
                let mut result = stream(client, r.clone()).await;
                if let Ok(response) = &mut result {
                    forget_leases(&r, response.get_mut());
                }
                answer(result, |r| &mut r.header)
            }
        }
    }
}

/// A difference that is meant: asked for keys only, etcd 3.7 leaves out the leases as well (3.6 does not, nor does it
/// if it sorts by value); jine tells them.
fn forget_leases(request: &RangeRequest, response: &mut RangeResponse) {
    if request.keys_only {
        response.kvs.iter_mut().for_each(|kv| kv.lease = 0);
    }
}

/// All messages in one: how they are cut is not promised.
async fn stream(client: &mut Client, request: RangeRequest) -> Result<Response<RangeResponse>, Status> {
    let mut messages = client.kv.range_stream(request).await?.into_inner();
    let (mut kvs, mut last) = (Vec::new(), RangeResponse::default());
    while let Some(message) = messages.message().await? {
        last = message.range_response.unwrap();
        kvs.append(&mut last.kvs);
    }
    Ok(Response::new(RangeResponse { kvs, ..last }))
}

fn answer<T: Debug>(
    result: Result<Response<T>, Status>,
    header: impl Fn(&mut T) -> &mut Option<ResponseHeader>,
) -> Answer {
    match result {
        Ok(response) => {
            let mut message = response.into_inner();
            let revision = header(&mut message).take().expect("a header").revision;
            Answer { text: format!("revision {revision}: {message:?}"), revision }
        }
        Err(status) => Answer { text: format!("{:?}: {}", status.code(), status.message()), revision: 0 },
    }
}

struct Random {
    rng: StdRng,
    /// The store's, to ask for sensible ones.
    revision: i64,
}

impl Random {
    fn one_in(&mut self, n: u32) -> bool {
        self.rng.random_range(0..n) == 0
    }

    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.rng.random_range(0..of.len())].clone()
    }

    fn request(&mut self) -> Request {
        match self.rng.random_range(0..100) {
            0..25 => Request::Put(self.put()),
            25..35 => Request::Delete(self.delete()),
            35..55 => Request::Range(self.range()),
            55..60 => {
                let mut request = self.range();
                if request.sort_order == 0 {
                    // With a target and no order etcd loses keys or sends them twice.
                    request.sort_target = 0;
                }
                Request::RangeStream(request)
            }
            60..94 => Request::Txn(self.txn(2)),
            94..95 => {
                let revision = self.revision - self.rng.random_range(-1..60);
                Request::Compact(CompactionRequest { revision: revision.max(1), physical: false })
            }
            95..98 => Request::Grant(LeaseGrantRequest { id: self.lease().max(1), ttl: 100_000 }),
            _ => Request::Revoke(LeaseRevokeRequest { id: self.lease().max(1) }),
        }
    }

    fn key(&mut self) -> Bytes {
        self.pick(&["a", "ab", "b", "c", "d", "d\0", "e", "/x/y", "/x/z", "\u{ff}"]).into()
    }

    fn some_key(&mut self) -> Bytes {
        if self.one_in(60) { Bytes::new() } else { self.key() }
    }

    fn end(&mut self) -> Bytes {
        if self.one_in(2) { Bytes::new() } else { self.pick(&["\0", "a", "b", "d", "f", "/x0"]).into() }
    }

    fn lease(&mut self) -> i64 {
        if self.one_in(2) { 0 } else { self.rng.random_range(1..=LEASES) }
    }

    fn some_revision(&mut self) -> i64 {
        match self.rng.random_range(0..4) {
            0 => (self.revision - self.rng.random_range(-1..30)).max(0),
            _ => 0,
        }
    }

    fn put(&mut self) -> PutRequest {
        let ignore_value = self.one_in(12);
        let ignore_lease = self.one_in(12);
        PutRequest {
            key: self.some_key(),
            value: if ignore_value && !self.one_in(5) {
                Bytes::new()
            } else {
                self.pick(&["", "1", "2", "xyz"]).into()
            },
            lease: if ignore_lease && !self.one_in(5) { 0 } else { self.lease() },
            prev_kv: self.one_in(2),
            ignore_value,
            ignore_lease,
        }
    }

    fn delete(&mut self) -> DeleteRangeRequest {
        DeleteRangeRequest { key: self.some_key(), range_end: self.end(), prev_kv: self.one_in(2) }
    }

    /// etcd takes a delete from a key on together with a put of what it deletes, and falls over if that put is to keep
    /// something.
    fn bounded_delete(&mut self) -> DeleteRangeRequest {
        let delete = self.delete();
        let range_end = if delete.range_end == "\0" { "z".into() } else { delete.range_end };
        DeleteRangeRequest { range_end, ..delete }
    }

    fn range(&mut self) -> RangeRequest {
        let filtered = self.one_in(4);
        let mut filter = || if filtered && self.one_in(3) { self.some_revision() } else { 0 };
        let (min_mod_revision, max_mod_revision) = (filter(), filter());
        let (min_create_revision, max_create_revision) = (filter(), filter());
        // Keys that compare as equal have no order of their own.
        let sort_target = if self.one_in(4) { self.pick(&[0, 0, 2, 9]) } else { 0 };
        RangeRequest {
            key: self.some_key(),
            range_end: self.end(),
            limit: self.pick(&[0, 0, 0, 1, 2, 3, -1]),
            revision: self.some_revision(),
            sort_order: if self.one_in(4) { self.rng.random_range(0..4) } else { 0 },
            sort_target,
            serializable: self.one_in(3),
            keys_only: self.one_in(5),
            count_only: self.one_in(8),
            min_mod_revision,
            max_mod_revision,
            min_create_revision,
            max_create_revision,
        }
    }

    fn txn(&mut self, depth: u32) -> TxnRequest {
        TxnRequest {
            compare: (0..self.rng.random_range(0..3)).map(|_| self.compare()).collect(),
            success: self.ops(depth),
            failure: self.ops(depth),
        }
    }

    fn ops(&mut self, depth: u32) -> Vec<RequestOp> {
        (0..self.rng.random_range(0..4)).map(|_| self.op(depth)).collect()
    }

    fn op(&mut self, depth: u32) -> RequestOp {
        match self.rng.random_range(0..20) {
            0..9 => op(Op::RequestPut(self.put())),
            9..13 => op(Op::RequestDeleteRange(self.bounded_delete())),
            13..17 => op(Op::RequestRange(RangeRequest { keys_only: false, ..self.range() })),
            _ if depth > 0 => op(Op::RequestTxn(self.txn(depth - 1))),
            _ if self.one_in(30) => RequestOp::default(),
            _ => op(Op::RequestRange(RangeRequest { keys_only: false, ..self.range() })),
        }
    }

    fn compare(&mut self) -> Compare {
        let result =
            self.pick(&[CompareResult::Equal, CompareResult::NotEqual, CompareResult::Greater, CompareResult::Less]);
        let near = (self.revision - self.rng.random_range(0..10)).max(0);
        let operand = match self.rng.random_range(0..5) {
            0 => TargetUnion::Version(self.rng.random_range(0..3)),
            1 => TargetUnion::CreateRevision(near),
            2 => TargetUnion::ModRevision(near),
            3 => TargetUnion::Value(self.pick(&["", "1", "2"]).into()),
            _ => TargetUnion::Lease(self.rng.random_range(0..=LEASES)),
        };
        let mut compare = compare(self.some_key(), result, operand);
        if self.one_in(4) {
            compare.range_end = self.end();
        }
        if self.one_in(10) {
            compare.target = self.rng.random_range(0..7);
        }
        if self.one_in(20) {
            compare.result = 7;
        }
        compare
    }
}
