//! The parts that do no I/O: the codec, planning, applying, ranges, history. `cargo bench`, with a part of a name to choose.

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use prost::Message;

use jine::jetstream::codec;
use jine::pb::etcdserverpb as pb;
use jine::state::{
    Compare, CompareResult, CompareTarget, Entry, KeyRange, LeaseId, Limits, PutRequest, RangeRequest, Request,
    RequestOp, Revision, Sequence, SortOrder, SortTarget, State, TxnRequest, View, plan,
};
use jine::store::log::{ClusterId, EntryId, Outgoing, Record, SessionId, Stamp};

/// As many as a Kubernetes cluster of some hundred nodes has.
const KEYS: usize = 100_000;
const VALUE: usize = 1024;
const LIMITS: Limits = Limits { max_delete_ops: 900, max_tombstones_bytes: 1 << 20 };

fn key(number: usize) -> Bytes {
    format!("/registry/pods/default/web-{number:08}").into()
}

fn value() -> Bytes {
    vec![b'v'; VALUE].into()
}

fn put(number: usize) -> PutRequest {
    PutRequest {
        key: key(number),
        value: value(),
        lease: LeaseId::NONE,
        prev_kv: false,
        ignore_value: false,
        ignore_lease: false,
    }
}

/// As kube-apiserver writes: by compare-and-swap.
fn put_if(number: usize, mod_revision: Revision) -> Request {
    let compare = Compare {
        range: KeyRange::Single(key(number)),
        result: CompareResult::Equal,
        target: CompareTarget::Mod(mod_revision),
    };
    Request::Txn(TxnRequest { compare: vec![compare], success: vec![RequestOp::Put(put(number))], failure: Vec::new() })
}

fn planned(state: &State, request: &Request) -> Entry {
    let planned = plan(&View::new(state, &[]), request, LIMITS).expect("a plan");
    planned.entry.expect("something to write")
}

/// The keys, created one after the other: key n at revision n + 2 and place n + 1.
fn filled(keys: usize) -> State {
    let mut state = State::new(Revision::FIRST, Revision::ZERO);
    for number in 0..keys {
        let entry = planned(&state, &Request::Put(put(number)));
        state.apply(&entry, &[Sequence(number as u64 + 1)]);
    }
    state
}

fn outgoing() -> Outgoing {
    let stamp = Stamp {
        id: EntryId { session: SessionId(0x9f86_d081_884c_7d65), counter: 12_345_678 },
        cluster: ClusterId(0x5b4e_e2a1_c3d4_e5f6),
        entry: 12_345_678,
        part: 1,
        parts: 1,
        meant_for: Sequence(12_345_678),
        group: Sequence(12_345_600),
    };
    let record = Record::Put {
        key: key(1),
        revision: Revision(1_234_567),
        create_revision: Revision(1_234_000),
        version: 7,
        lease: LeaseId::NONE,
        sub: 0,
        chunk: 1,
        chunks: 1,
        value: value(),
    };
    Outgoing { stamp, record }
}

fn codec(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    group.bench_function("encode a put of 1 KiB", |b| {
        b.iter_batched(outgoing, |outgoing| black_box(codec::encode(outgoing)), BatchSize::SmallInput)
    });
    let coded = codec::encode(outgoing());
    group.bench_function("decode a put of 1 KiB", |b| b.iter(|| black_box(codec::decode(black_box(&coded)))));
    let request = pb::RangeRequest { key: key(1), limit: 500, ..Default::default() }.encode_to_vec();
    group.bench_function("decode a range request", |b| {
        b.iter(|| pb::RangeRequest::decode(black_box(request.as_slice())).expect("a request"))
    });
    group.finish();
}

fn planning(c: &mut Criterion) {
    let state = filled(KEYS);
    let mut group = c.benchmark_group("plan");
    let create = put_if(KEYS, Revision::ZERO);
    group.bench_function("a create by compare-and-swap", |b| b.iter(|| planned(&state, black_box(&create))));
    let update = put_if(KEYS / 2, Revision(KEYS as i64 / 2 + 2));
    group.bench_function("an update by compare-and-swap", |b| b.iter(|| planned(&state, black_box(&update))));
    group.finish();
}

fn applying(c: &mut Criterion) {
    let mut state = filled(KEYS);
    let mut group = c.benchmark_group("apply");
    let mut turn = KEYS;
    group.bench_function("an update", |b| {
        b.iter(|| {
            turn += 1;
            // Planned along with it: an entry fits only the state it was planned for.
            let entry = planned(&state, &Request::Put(put(turn * 7919 % KEYS)));
            let applied = state.apply(&entry, &[Sequence(turn as u64)]);
            // So that the history does not grow without end.
            if turn.is_multiple_of(10_000) {
                let revision = state.revision();
                let entry = planned(&state, &Request::Compact { revision });
                state.apply(&entry, &[Sequence(turn as u64)]);
                let garbage = state.garbage(Sequence(turn as u64), None, usize::MAX);
                state.collected(&garbage);
            }
            applied
        })
    });
    group.finish();
}

fn ranges(c: &mut Criterion) {
    let state = filled(KEYS);
    let request = |range: KeyRange, limit: i64, count_only: bool| RangeRequest {
        range,
        limit,
        revision: Revision::ZERO,
        sort_target: SortTarget::Key,
        sort_order: SortOrder::None,
        keys_only: false,
        count_only,
        with_total_count: true,
        min_mod_revision: Revision::ZERO,
        max_mod_revision: Revision::ZERO,
        min_create_revision: Revision::ZERO,
        max_create_revision: Revision::ZERO,
    };
    let all = || KeyRange::Between(Bytes::from_static(b"/registry/pods/"), Bytes::from_static(b"/registry/pods0"));
    let mut group = c.benchmark_group("range");
    for (name, request) in [
        ("one key", request(KeyRange::Single(key(KEYS / 2)), 0, false)),
        ("500 keys of 100,000", request(all(), 500, false)),
        ("count 100,000 keys", request(all(), 0, true)),
    ] {
        group.bench_function(name, |b| b.iter(|| state.range(black_box(&request)).expect("a range")));
    }
    group.finish();
}

fn history(c: &mut Criterion) {
    let state = filled(KEYS);
    let mut group = c.benchmark_group("history");
    group.throughput(Throughput::Elements(1000));
    let start = Revision(KEYS as i64 / 2);
    group.bench_function("1000 revisions", |b| b.iter(|| state.events_from(black_box(start), 1000).expect("events")));
    group.finish();
}

criterion_group! {
    name = pure;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = codec, planning, applying, ranges, history
}
criterion_main!(pure);
