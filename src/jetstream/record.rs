//! Messages as records: a [`Stamp`] and a [`Record`] ↔ subject, one header and payload.
//!
//! **Frozen.** docs/log-format.md describes it; golden vectors hold it. The header reads
//!
//! ```text
//! Jine: 1 put id=9f86d081884c7d65-12 log=5b4ee2a1c3d4e5f6 n=17 at=20 r=18
//!       │ │   │                      │                    │    │     └ the record's own fields
//!       │ │   │                      │                    │    └ the sequence it is meant for
//!       │ │   │                      │                    └ the number of its entry
//!       │ │   │                      └ cluster id
//!       │ │   └ session and counter
//!       │ └ kind
//!       └ version of this header
//! ```
//!
//! Fields that hold what they nearly always hold are left out: `part=1/1`, `g` (the group's first sequence) where it equals
//! `at`, `c` (create revision) where it equals `r`, `v=1`, `l` (lease) where there is none, `chunk=1/1`, `s` (sub-revision)
//! where it follows from `part` because every message before it in the entry is one change.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::fields::Fields;
use super::payload;
use super::subject::{self, Internal, KeyTokens, Place};
use crate::state::{Alarm, AlarmKind, LeaseId, Revision, Sequence};
use crate::store::log::{ClusterId, Content, EntryId, Outgoing, Record, SessionId, Stamp};

pub(super) const HEADER: &str = "Jine";
/// The whole key in base64, where the subject holds only its hash.
pub(super) const KEY_HEADER: &str = "Jine-Key";
/// What KV tools look at.
pub(super) const KV_OPERATION: &str = "KV-Operation";
pub(super) const KV_DELETE: &str = "DEL";

/// In base64 the longest key fits the server's 64 KiB of headers.
pub(super) use crate::store::log::MAX_KEY_BYTES;

/// The version of the header. A reader refuses what it does not know.
const VERSION: &str = "1";

/// A message, but for the subject's prefix and NATS' own headers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Encoded {
    /// The subject after `$KV.<bucket>.`.
    pub(super) tokens: String,
    /// The value of [`HEADER`].
    pub(super) jine: String,
    /// The value of [`KEY_HEADER`].
    pub(super) key: Option<String>,
    /// Whether [`KV_OPERATION`]: [`KV_DELETE`] goes along.
    pub(super) delete: bool,
    pub(super) payload: Bytes,
}

/// A message as read, borrowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw<'a> {
    pub(super) tokens: &'a str,
    pub(super) jine: Option<&'a str>,
    pub(super) key: Option<&'a str>,
    pub(super) payload: &'a Bytes,
}

pub(super) fn encode(outgoing: Outgoing) -> Encoded {
    let Outgoing { stamp, record } = outgoing;
    let mut jine = String::with_capacity(128);
    start(&mut jine, kind(&record), &stamp);
    fields(&mut jine, &record, stamp.part);
    let delete = matches!(record, Record::Delete { .. });
    let (tokens, key, payload) = subject_and_payload(record);
    Encoded { tokens, jine, key, delete, payload }
}

fn kind(record: &Record) -> &'static str {
    match record {
        Record::Put { .. } => "put",
        Record::Delete { .. } => "delete",
        Record::Tombstones { .. } => "tombstones",
        Record::LeaseGrant { .. } => "grant",
        Record::LeaseRevoke { .. } => "revoke",
        Record::Compact { .. } => "compact",
        Record::AlarmRaise(_) => "alarm",
        Record::AlarmDisarm(_) => "disarm",
        Record::Claim => "claim",
        Record::Fence => "fence",
        Record::Checkpoint(_) => "checkpoint",
        Record::Genesis(_) => "genesis",
    }
}

/// What the header says besides what every record's says. `part`: of the entry.
fn fields(out: &mut String, record: &Record, part: u32) {
    match record {
        Record::Put { revision, create_revision, version, lease, sub, chunk, chunks, .. } => {
            field(out, "r", revision);
            optional(out, "c", create_revision, revision);
            optional(out, "v", version, &1);
            optional(out, "l", lease, &LeaseId::NONE);
            optional(out, "s", sub, &usual_sub(part, *chunk));
            if (*chunk, *chunks) != (1, 1) {
                field(out, "chunk", format_args!("{chunk}/{chunks}"));
            }
        }
        Record::Delete { revision, sub, .. } | Record::Tombstones { revision, sub, .. } => {
            field(out, "r", revision);
            optional(out, "s", sub, &usual_sub(part, 1));
        }
        Record::LeaseGrant { ttl, .. } => field(out, "ttl", ttl),
        Record::Compact { revision } => field(out, "r", revision),
        Record::AlarmRaise(alarm) | Record::AlarmDisarm(alarm) => {
            field(out, "member", format_args!("{:016x}", alarm.member));
            field(out, "alarm", alarm_name(alarm.kind));
        }
        Record::LeaseRevoke { .. } | Record::Claim | Record::Fence | Record::Checkpoint(_) | Record::Genesis(_) => {}
    }
}

/// The subject after `$KV.<bucket>.`, the value of [`KEY_HEADER`], and the payload.
fn subject_and_payload(record: Record) -> (String, Option<String>, Bytes) {
    let internal = |kind: Internal, payload| (kind.tokens().into(), None, payload);
    let of_key = |key: &[u8], payload| match subject::encode_key(key) {
        KeyTokens::Whole(tokens) => (tokens, None, payload),
        KeyTokens::Hashed(tokens) => (tokens, Some(STANDARD.encode(key)), payload),
    };
    match record {
        Record::Put { key, value, .. } => of_key(&key, value),
        Record::Delete { key, .. } => of_key(&key, Bytes::new()),
        Record::Tombstones { keys, .. } => internal(Internal::Tombstones, payload::encode_keys(&keys)),
        Record::LeaseGrant { id, .. } | Record::LeaseRevoke { id } => (subject::lease_tokens(id), None, Bytes::new()),
        Record::Compact { .. } => internal(Internal::Compact, Bytes::new()),
        Record::AlarmRaise(_) | Record::AlarmDisarm(_) => internal(Internal::Alarm, Bytes::new()),
        Record::Claim => internal(Internal::Claim, Bytes::new()),
        Record::Fence => internal(Internal::Fence, Bytes::new()),
        Record::Checkpoint(checkpoint) => internal(Internal::Checkpoint, payload::encode_checkpoint(&checkpoint)),
        Record::Genesis(genesis) => internal(Internal::Genesis, payload::encode_genesis(&genesis)),
    }
}

fn start(out: &mut String, kind: &str, stamp: &Stamp) {
    out.push_str(VERSION);
    out.push(' ');
    out.push_str(kind);
    field(out, "id", format_args!("{:016x}-{}", stamp.id.session.0, stamp.id.counter));
    field(out, "log", format_args!("{:016x}", stamp.cluster.0));
    field(out, "n", stamp.entry);
    if (stamp.part, stamp.parts) != (1, 1) {
        field(out, "part", format_args!("{}/{}", stamp.part, stamp.parts));
    }
    field(out, "at", stamp.meant_for);
    optional(out, "g", stamp.group, stamp.meant_for);
}

fn field(out: &mut String, name: &str, value: impl std::fmt::Display) {
    // Writing to a String cannot fail.
    let _ = write!(out, " {name}={value}");
}

fn optional<T: std::fmt::Display + PartialEq>(out: &mut String, name: &str, value: T, usual: T) {
    if value != usual {
        field(out, name, value);
    }
}

/// The sub-revision of a change whose message is part `part` of its entry, if each message before it is one change.
fn usual_sub(part: u32, chunk: u32) -> u32 {
    part.saturating_sub(chunk)
}

fn alarm_name(kind: AlarmKind) -> &'static str {
    match kind {
        AlarmKind::NoSpace => "nospace",
        AlarmKind::Corrupt => "corrupt",
    }
}

/// What a message says. A value is a part of the payload, and may hold on to a read buffer until the state copies it.
pub(super) fn decode(raw: Raw<'_>) -> Content {
    let Some(jine) = raw.jine else {
        return Content::Foreign { subject: raw.tokens.to_owned() };
    };
    match decode_ours(jine, raw) {
        Ok((stamp, record)) => Content::Ours(stamp, record),
        Err(why) => Content::Unreadable { subject: raw.tokens.to_owned(), why },
    }
}

fn decode_ours(jine: &str, raw: Raw<'_>) -> Result<(Stamp, Record), String> {
    let mut words = jine.split(' ');
    match words.next() {
        Some(VERSION) => {}
        version => return Err(format!("header version {} is not known here", version.unwrap_or(""))),
    }
    let kind = words.next().unwrap_or("");
    let mut fields = Fields::parse(words)?;
    let stamp = decode_stamp(&mut fields)?;
    let record = decode_record(kind, &mut fields, stamp.part, raw)?;
    fields.finish()?;
    Ok((stamp, record))
}

fn decode_stamp(fields: &mut Fields<'_>) -> Result<Stamp, String> {
    let (session, counter) = fields.text("id")?.split_once('-').ok_or("id= is not session-counter")?;
    let id = EntryId {
        session: SessionId(u64::from_str_radix(session, 16).map_err(|_| "id= is not session-counter")?),
        counter: counter.parse().map_err(|_| "id= is not session-counter")?,
    };
    let (part, parts) = fields.of("part")?.unwrap_or((1, 1));
    let meant_for = Sequence(fields.number("at")?);
    let group = fields.optional_number("g")?.map_or(meant_for, Sequence);
    Ok(Stamp { id, cluster: ClusterId(fields.hex("log")?), entry: fields.number("n")?, part, parts, meant_for, group })
}

fn decode_record(kind: &str, fields: &mut Fields<'_>, part: u32, raw: Raw<'_>) -> Result<Record, String> {
    let place = subject::decode(raw.tokens).ok_or("the subject is none that jine writes")?;
    let internal = |internal| {
        if place == Place::Internal(internal) { Ok(()) } else { Err(format!("a {kind} record does not belong there")) }
    };
    let record = match kind {
        "put" => decode_put(key_of(&place, raw)?, fields, part, raw)?,
        "delete" => {
            let (revision, sub) = (Revision(fields.number("r")?), decode_sub(fields, part, 1)?);
            Record::Delete { key: key_of(&place, raw)?, revision, sub }
        }
        "grant" => Record::LeaseGrant { id: lease_of(&place)?, ttl: fields.number("ttl")? },
        "revoke" => Record::LeaseRevoke { id: lease_of(&place)? },
        "tombstones" => {
            internal(Internal::Tombstones)?;
            let (revision, sub) = (Revision(fields.number("r")?), decode_sub(fields, part, 1)?);
            Record::Tombstones { keys: payload::decode_keys(raw.payload)?, revision, sub }
        }
        "compact" => {
            internal(Internal::Compact)?;
            Record::Compact { revision: Revision(fields.number("r")?) }
        }
        "alarm" => {
            internal(Internal::Alarm)?;
            Record::AlarmRaise(decode_alarm(fields)?)
        }
        "disarm" => {
            internal(Internal::Alarm)?;
            Record::AlarmDisarm(decode_alarm(fields)?)
        }
        "claim" => {
            internal(Internal::Claim)?;
            Record::Claim
        }
        "fence" => {
            internal(Internal::Fence)?;
            Record::Fence
        }
        "checkpoint" => {
            internal(Internal::Checkpoint)?;
            Record::Checkpoint(payload::decode_checkpoint(raw.payload)?)
        }
        "genesis" => {
            internal(Internal::Genesis)?;
            Record::Genesis(payload::decode_genesis(raw.payload)?)
        }
        _ => return Err(format!("records of kind {kind:?} are not known here")),
    };
    Ok(record)
}

fn decode_put(key: Bytes, fields: &mut Fields<'_>, part: u32, raw: Raw<'_>) -> Result<Record, String> {
    let revision = Revision(fields.number("r")?);
    let (chunk, chunks) = fields.of("chunk")?.unwrap_or((1, 1));
    Ok(Record::Put {
        key,
        revision,
        create_revision: fields.optional_number("c")?.map_or(revision, Revision),
        version: fields.optional_number("v")?.unwrap_or(1),
        lease: fields.optional_hex("l")?.map_or(LeaseId::NONE, |id| LeaseId(id as i64)),
        sub: decode_sub(fields, part, chunk)?,
        chunk,
        chunks,
        value: raw.payload.clone(),
    })
}

fn decode_sub(fields: &mut Fields<'_>, part: u32, chunk: u32) -> Result<u32, String> {
    Ok(fields.optional_number("s")?.unwrap_or(usual_sub(part, chunk)))
}

fn decode_alarm(fields: &mut Fields<'_>) -> Result<Alarm, String> {
    let kind = match fields.text("alarm")? {
        "nospace" => AlarmKind::NoSpace,
        "corrupt" => AlarmKind::Corrupt,
        other => return Err(format!("alarm {other:?} is not known here")),
    };
    Ok(Alarm { member: fields.hex("member")?, kind })
}

fn lease_of(place: &Place) -> Result<LeaseId, String> {
    match place {
        Place::Lease(id) => Ok(*id),
        _ => Err("a lease's record stands on no lease's subject".into()),
    }
}

fn key_of(place: &Place, raw: Raw<'_>) -> Result<Bytes, String> {
    match place {
        Place::Key(key) => Ok(key.clone()),
        Place::LongKey(hash) => {
            let key = raw.key.ok_or("the header with the long key is missing")?;
            let key = STANDARD.decode(key).map_err(|_| "the header with the long key is not base64")?;
            if subject::hash_of(&key) != *hash {
                return Err("the long key is not the one the subject names".into());
            }
            Ok(key.into())
        }
        _ => Err("a key's record stands on an internal subject".into()),
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
