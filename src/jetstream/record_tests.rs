use proptest::prelude::*;

use super::*;
use crate::store::log::{Checkpoint, Genesis};

fn stamp() -> Stamp {
    Stamp {
        id: EntryId { session: SessionId(0x9f86_d081_884c_7d65), counter: 12 },
        cluster: ClusterId(0x5b4e_e2a1_c3d4_e5f6),
        entry: 17,
        part: 1,
        parts: 1,
        meant_for: Sequence(20),
        group: Sequence(20),
    }
}

fn put(key: &'static [u8]) -> Record {
    Record::Put {
        key: key.into(),
        revision: Revision(18),
        create_revision: Revision(18),
        version: 1,
        lease: LeaseId::NONE,
        sub: 0,
        chunk: 1,
        chunks: 1,
        value: "v".into(),
    }
}

fn golden(stamp: Stamp, record: Record, tokens: &str, jine: &str, payload: &[u8]) {
    let encoded = encode(Outgoing { stamp, record: record.clone() });
    assert_eq!(encoded.tokens, tokens);
    assert_eq!(encoded.jine, jine);
    assert_eq!(encoded.payload, payload);
    assert_eq!(encoded.delete, matches!(record, Record::Delete { .. }));
    assert_eq!(read(&encoded), Content::Ours(stamp, record));
}

fn read(encoded: &Encoded) -> Content {
    decode(Raw {
        tokens: &encoded.tokens,
        jine: Some(&encoded.jine),
        key: encoded.key.as_deref(),
        payload: &encoded.payload,
    })
}

const START: &str = "id=9f86d081884c7d65-12 log=5b4ee2a1c3d4e5f6 n=17 at=20";

#[test]
fn golden_keys() {
    golden(stamp(), put(b"/a/b"), "a.b", &format!("1 put {START} r=18"), b"v");
    golden(
        Stamp { part: 2, parts: 3, group: Sequence(18), ..stamp() },
        Record::Put {
            key: "k".into(),
            revision: Revision(18),
            create_revision: Revision(7),
            version: 4,
            lease: LeaseId(0x694d_9a1b),
            sub: 1,
            chunk: 1,
            chunks: 2,
            value: Bytes::new(),
        },
        "=-.k",
        "1 put id=9f86d081884c7d65-12 log=5b4ee2a1c3d4e5f6 n=17 part=2/3 at=20 g=18 r=18 c=7 v=4 l=00000000694d9a1b chunk=1/2",
        b"",
    );
    golden(
        stamp(),
        Record::Delete { key: "/a".into(), revision: Revision(18), sub: 0 },
        "a",
        &format!("1 delete {START} r=18"),
        b"",
    );
    golden(
        stamp(),
        Record::Tombstones { keys: vec!["/a".into(), "".into(), "/bc".into()], revision: Revision(18), sub: 0 },
        "=jine.tombstones",
        &format!("1 tombstones {START} r=18"),
        b"\0\0\0\x02/a\0\0\0\0\0\0\0\x03/bc",
    );
}

#[test]
fn golden_sub_revisions() {
    // After a value of two chunks and a list of five keys.
    let fourth = Stamp { part: 4, parts: 5, ..stamp() };
    let start = "id=9f86d081884c7d65-12 log=5b4ee2a1c3d4e5f6 n=17 part=4/5 at=20";
    let (key, keys): (Bytes, Vec<Bytes>) = ("/a".into(), vec!["/b".into()]);
    let delete = |sub| Record::Delete { key: key.clone(), revision: Revision(18), sub };
    golden(fourth, delete(6), "a", &format!("1 delete {start} r=18 s=6"), b"");
    golden(fourth, delete(3), "a", &format!("1 delete {start} r=18"), b"");
    let tombstones = Record::Tombstones { keys, revision: Revision(18), sub: 6 };
    golden(fourth, tombstones, "=jine.tombstones", &format!("1 tombstones {start} r=18 s=6"), b"\0\0\0\x02/b");
    let chunk = |sub, chunk| match put(b"/a") {
        Record::Put { key, revision, create_revision, version, lease, value, .. } => {
            Record::Put { key, revision, create_revision, version, lease, sub, chunk, chunks: 3, value }
        }
        other => other,
    };
    golden(fourth, chunk(2, 2), "a", &format!("1 put {start} r=18 chunk=2/3"), b"v");
    golden(fourth, chunk(6, 2), "a", &format!("1 put {start} r=18 s=6 chunk=2/3"), b"v");
}

#[test]
fn golden_leases_and_alarms() {
    let (id, alarm) = (LeaseId(0x1234), Alarm { member: 0xab, kind: AlarmKind::NoSpace });
    let lease = "=jine.lease.0000000000001234";
    golden(stamp(), Record::LeaseGrant { id, ttl: 60 }, lease, &format!("1 grant {START} ttl=60"), b"");
    golden(stamp(), Record::LeaseRevoke { id }, lease, &format!("1 revoke {START}"), b"");
    let fields = "member=00000000000000ab alarm=nospace";
    golden(stamp(), Record::AlarmRaise(alarm), "=jine.alarm", &format!("1 alarm {START} {fields}"), b"");
    golden(
        stamp(),
        Record::AlarmDisarm(Alarm { kind: AlarmKind::Corrupt, ..alarm }),
        "=jine.alarm",
        &format!("1 disarm {START} member=00000000000000ab alarm=corrupt"),
        b"",
    );
}

#[test]
fn golden_internal_records() {
    let revision = Revision(18);
    golden(stamp(), Record::Compact { revision }, "=jine.compact", &format!("1 compact {START} r=18"), b"");
    golden(stamp(), Record::Claim, "=jine.claim", &format!("1 claim {START}"), b"");
    golden(stamp(), Record::Fence, "=jine.fence", &format!("1 fence {START}"), b"");
    let genesis = Genesis { format: 1, cluster: ClusterId(0xcd), revision: Revision(1), compacted: Revision(0) };
    golden(
        stamp(),
        Record::Genesis(genesis),
        "=jine.genesis",
        &format!("1 genesis {START}"),
        b"format=1\ncluster=00000000000000cd\nrevision=1\ncompacted=0\n",
    );
}

#[test]
fn golden_checkpoint() {
    let checkpoint = Checkpoint {
        at: Sequence(19),
        entry: 16,
        revision: Revision(17),
        compacted: Revision(9),
        keys: 3,
        keys_hash: 0x0123_4567_89ab_cdef,
        leases: 1,
        leases_hash: 0xfe,
        claim: Some(SessionId(0xab)),
        void: vec![Sequence(4), Sequence(11)],
    };
    let text = "at=19\nentry=16\nrevision=17\ncompacted=9\nkeys=3\nkeys_hash=0123456789abcdef\nleases=1\nleases_hash=00000000000000fe\n";
    let header = format!("1 checkpoint {START}");
    let whole = format!("{text}claim=00000000000000ab\nvoid=4,11\n");
    golden(stamp(), Record::Checkpoint(checkpoint.clone()), "=jine.checkpoint", &header, whole.as_bytes());
    let plain = Checkpoint { claim: None, void: vec![], ..checkpoint };
    golden(stamp(), Record::Checkpoint(plain), "=jine.checkpoint", &header, text.as_bytes());
}

#[test]
fn a_long_key_travels_in_a_header() {
    let key = Bytes::from(vec![b'k'; 3000]);
    let encoded =
        encode(Outgoing { stamp: stamp(), record: Record::Delete { key: key.clone(), revision: Revision(2), sub: 0 } });
    assert!(encoded.tokens.starts_with("=long."));
    assert_eq!(read(&encoded), Content::Ours(stamp(), Record::Delete { key, revision: Revision(2), sub: 0 }));
    for key in [None, Some("x".into()), Some(STANDARD.encode("another"))] {
        assert!(matches!(read(&Encoded { key, ..encoded.clone() }), Content::Unreadable { .. }));
    }
}

#[test]
fn the_usual_header_is_short() {
    let usual = Outgoing {
        stamp: Stamp { entry: 1_234_567, meant_for: Sequence(1_234_567), group: Sequence(1_234_500), ..stamp() },
        record: Record::Put {
            key: "/k".into(),
            revision: Revision(1_234_567),
            create_revision: Revision(1_000_000),
            version: 99,
            lease: LeaseId::NONE,
            sub: 0,
            chunk: 1,
            chunks: 1,
            value: Bytes::new(),
        },
    };
    assert!(HEADER.len() + 2 + encode(usual).jine.len() + 2 <= 125);
}

#[test]
fn what_is_not_ours_is_foreign_and_what_is_not_understood_unreadable() {
    let foreign = decode(Raw { tokens: "a", jine: None, key: None, payload: &Bytes::from_static(b"x") });
    assert_eq!(foreign, Content::Foreign { subject: "a".into() });
    for (tokens, jine) in [
        ("a", "2 put id=1-1 log=1 n=1 at=1 r=1".to_owned()),
        ("a", format!("1 frobnicate {START}")),
        ("a", format!("1 put {START} r=1 z=1")),
        ("a", format!("1 put {START} r=1 r=1")),
        ("a", format!("1 put {START}")),
        ("a", format!("1 put {START} r=x")),
        ("a", format!("1 put {START} r=1 chunk=2/1")),
        ("a", format!("1 claim {START}")),
        ("=jine.claim", format!("1 put {START} r=1")),
        ("=jine.claim", format!("1 fence {START}")),
        ("=2D", format!("1 put {START} r=1")),
        ("a", String::new()),
        ("a", "1".into()),
        ("a", "1 put id=1 log=1 n=1 at=1 r=1".into()),
        ("a", "1 put id=1-1  log=1 n=1 at=1 r=1".into()),
        ("=jine.checkpoint", format!("1 checkpoint {START}")),
        ("=jine.tombstones", format!("1 tombstones {START} r=1")),
    ] {
        let content = decode(Raw { tokens, jine: Some(&jine), key: None, payload: &Bytes::from_static(b"x") });
        assert!(matches!(content, Content::Unreadable { .. }), "{tokens} {jine}: {content:?}");
    }
}

fn any_record() -> impl Strategy<Value = Record> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
    let revision = || any::<i64>().prop_map(Revision);
    prop_oneof![
        (bytes(), revision(), revision(), any::<i64>(), any::<i64>(), any::<u32>(), bytes()).prop_map(
            |(key, revision, c, version, l, sub, value)| {
                Record::Put {
                    key,
                    revision,
                    create_revision: c,
                    version,
                    lease: LeaseId(l),
                    sub,
                    chunk: 1,
                    chunks: 2,
                    value,
                }
            }
        ),
        (bytes(), revision(), any::<u32>()).prop_map(|(key, revision, sub)| Record::Delete { key, revision, sub }),
        (proptest::collection::vec(bytes(), 0..5), revision(), any::<u32>())
            .prop_map(|(keys, revision, sub)| Record::Tombstones { keys, revision, sub }),
        any::<(i64, i64)>().prop_map(|(id, ttl)| Record::LeaseGrant { id: LeaseId(id), ttl }),
        any::<[u64; 7]>().prop_map(|n| {
            Record::Checkpoint(Checkpoint {
                at: Sequence(n[0]),
                entry: n[1],
                revision: Revision(n[2] as i64),
                compacted: Revision(n[3] as i64),
                keys: n[4],
                keys_hash: n[5],
                leases: n[6],
                leases_hash: n[0],
                claim: (n[1] % 2 == 0).then_some(SessionId(n[2])),
                void: n[3..3 + (n[4] % 4) as usize].iter().map(|n| Sequence(*n)).collect(),
            })
        }),
    ]
}

proptest! {
    #[test]
    fn any_record_comes_back(record in any_record(), n in any::<[u64; 5]>(), parts in 1..2000u32) {
        let stamp = Stamp {
            id: EntryId { session: SessionId(n[0]), counter: n[1] },
            cluster: ClusterId(n[2]),
            entry: n[3],
            part: parts / 2 + 1,
            parts,
            meant_for: Sequence(n[4]),
            group: Sequence(n[4] / 2),
        };
        let encoded = encode(Outgoing { stamp, record: record.clone() });
        prop_assert_eq!(read(&encoded), Content::Ours(stamp, record));
    }

    #[test]
    fn garbage_never_panics(tokens in ".{0,40}", jine in ".{0,80}", payload in proptest::collection::vec(any::<u8>(), 0..40)) {
        decode(Raw { tokens: &tokens, jine: Some(&jine), key: Some(&jine), payload: &payload.clone().into() });
    }
}
