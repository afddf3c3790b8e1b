//! The payloads of the records that have one of their own. **Frozen**, as all of the format.
//!
//! Checkpoints and the genesis record are text, `name=value` a line. Tombstones are keys, each after its length in four bytes
//! (big endian).

use std::fmt::Write;

use bytes::{BufMut, Bytes, BytesMut};

use super::fields::Fields;
use crate::state::{Revision, Sequence};
use crate::store::log::{Checkpoint, ClusterId, Genesis, SessionId};

pub(super) fn encode_keys(keys: &[Bytes]) -> Bytes {
    let mut out = BytesMut::with_capacity(keys.iter().map(|key| 4 + key.len()).sum());
    for key in keys {
        // Far above MAX_KEY_BYTES.
        out.put_u32(key.len() as u32);
        out.put_slice(key);
    }
    out.freeze()
}

pub(super) fn decode_keys(mut payload: &[u8]) -> Result<Vec<Bytes>, String> {
    let mut keys = Vec::new();
    while !payload.is_empty() {
        let (length, rest) = payload.split_at_checked(4).ok_or("the list of keys is cut")?;
        let length = length.iter().fold(0usize, |n, b| n << 8 | usize::from(*b));
        let (key, rest) = rest.split_at_checked(length).ok_or("the list of keys is cut")?;
        keys.push(Bytes::copy_from_slice(key));
        payload = rest;
    }
    Ok(keys)
}

pub(super) fn encode_checkpoint(c: &Checkpoint) -> Bytes {
    let mut out = format!(
        "at={}\nentry={}\nrevision={}\ncompacted={}\nkeys={}\nkeys_hash={:016x}\nleases={}\nleases_hash={:016x}\n",
        c.at, c.entry, c.revision, c.compacted, c.keys, c.keys_hash, c.leases, c.leases_hash
    );
    if let Some(claim) = c.claim {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "claim={:016x}", claim.0);
    }
    if !c.void.is_empty() {
        let void: Vec<String> = c.void.iter().map(Sequence::to_string).collect();
        let _ = writeln!(out, "void={}", void.join(","));
    }
    out.into()
}

pub(super) fn decode_checkpoint(payload: &[u8]) -> Result<Checkpoint, String> {
    let mut fields = lines(payload)?;
    let checkpoint = Checkpoint {
        at: Sequence(fields.number("at")?),
        entry: fields.number("entry")?,
        revision: Revision(fields.number("revision")?),
        compacted: Revision(fields.number("compacted")?),
        keys: fields.number("keys")?,
        keys_hash: fields.hex("keys_hash")?,
        leases: fields.number("leases")?,
        leases_hash: fields.hex("leases_hash")?,
        claim: fields.optional_hex("claim")?.map(SessionId),
        void: match fields.text("void") {
            Ok(void) => decode_void(void)?,
            Err(_) => Vec::new(),
        },
    };
    fields.finish()?;
    Ok(checkpoint)
}

fn decode_void(void: &str) -> Result<Vec<Sequence>, String> {
    let places = void.split(',').map(|at| at.parse().map(Sequence));
    places.collect::<Result<_, _>>().map_err(|_| format!("void={void} is not a list of sequences"))
}

pub(super) fn encode_genesis(g: &Genesis) -> Bytes {
    format!("format={}\ncluster={:016x}\nrevision={}\ncompacted={}\n", g.format, g.cluster.0, g.revision, g.compacted)
        .into()
}

pub(super) fn decode_genesis(payload: &[u8]) -> Result<Genesis, String> {
    let mut fields = lines(payload)?;
    let genesis = Genesis {
        format: fields.number("format")?,
        cluster: ClusterId(fields.hex("cluster")?),
        revision: Revision(fields.number("revision")?),
        compacted: Revision(fields.number("compacted")?),
    };
    fields.finish()?;
    Ok(genesis)
}

fn lines(payload: &[u8]) -> Result<Fields<'_>, String> {
    Fields::parse(std::str::from_utf8(payload).map_err(|_| "the payload is no text")?.lines())
}
