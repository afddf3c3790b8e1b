//! The few messages of etcd's API that are sent and looked into, written and read in place: a generator shares the machine with what
//! it measures, so it must be cheap.

/// The path of each method.
pub const PUT: &str = "/etcdserverpb.KV/Put";
pub const RANGE: &str = "/etcdserverpb.KV/Range";
pub const TXN: &str = "/etcdserverpb.KV/Txn";
pub const RANGE_STREAM: &str = "/etcdserverpb.KV/RangeStream";
pub const COMPACT: &str = "/etcdserverpb.KV/Compact";
pub const WATCH: &str = "/etcdserverpb.Watch/Watch";
pub const LEASE_GRANT: &str = "/etcdserverpb.Lease/LeaseGrant";
pub const LEASE_REVOKE: &str = "/etcdserverpb.Lease/LeaseRevoke";
pub const LEASE_KEEP_ALIVE: &str = "/etcdserverpb.Lease/LeaseKeepAlive";

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn number(out: &mut Vec<u8>, field: u32, value: i64) {
    if value != 0 {
        varint(out, u64::from(field << 3));
        varint(out, value as u64);
    }
}

fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    varint(out, u64::from(field << 3 | 2));
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

fn message(out: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    write(&mut inner);
    bytes(out, field, &inner);
}

pub fn put(out: &mut Vec<u8>, key: &[u8], value: &[u8], lease: i64) {
    bytes(out, 1, key);
    bytes(out, 2, value);
    number(out, 3, lease);
}

/// What a range asks for besides its keys.
#[derive(Clone, Copy, Debug, Default)]
pub struct Range {
    pub limit: i64,
    /// 0: the current one.
    pub revision: i64,
    pub serializable: bool,
    pub count_only: bool,
}

pub fn range(out: &mut Vec<u8>, key: &[u8], end: &[u8], how: Range) {
    bytes(out, 1, key);
    bytes(out, 2, end);
    number(out, 3, how.limit);
    number(out, 4, how.revision);
    number(out, 7, how.serializable.into());
    number(out, 9, how.count_only.into());
}

/// Puts the key if `mod_revision` is what it has (0: if it does not exist), and reads one that has another: as kube-apiserver
/// creates and updates.
pub fn put_if(out: &mut Vec<u8>, key: &[u8], mod_revision: i64, value: &[u8]) {
    message(out, 1, |compare| {
        number(compare, 2, 2);
        bytes(compare, 3, key);
        varint(compare, 6 << 3);
        varint(compare, mod_revision as u64);
    });
    message(out, 2, |op| message(op, 2, |request| put(request, key, value, 0)));
    if mod_revision != 0 {
        message(out, 3, |op| message(op, 1, |request| bytes(request, 1, key)));
    }
}

pub fn watch(out: &mut Vec<u8>, key: &[u8], end: &[u8]) {
    message(out, 1, |create| {
        bytes(create, 1, key);
        bytes(create, 2, end);
        // As kube-apiserver asks for.
        number(create, 6, 1);
    });
}

/// Asks how far a stream of watches is.
pub fn watch_progress(out: &mut Vec<u8>) {
    message(out, 3, |_| {});
}

pub fn compact(out: &mut Vec<u8>, revision: i64) {
    number(out, 1, revision);
}

pub fn lease_grant(out: &mut Vec<u8>, ttl: i64) {
    number(out, 1, ttl);
}

/// A revoke, or a keepalive.
pub fn lease(out: &mut Vec<u8>, id: i64) {
    number(out, 1, id);
}

/// The fields of a message, in their order. Ends where the bytes do, be it in the middle of a field: then it gives the part.
pub struct Fields<'a>(pub &'a [u8]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Fields<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(first & 0x7f) << shift;
            if first & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u32, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.varint()?;
        let field = (tag >> 3) as u32;
        match tag & 7 {
            0 => Some((field, Value::Number(self.varint()?))),
            2 => {
                let len = self.varint()? as usize;
                let (value, rest) = self.0.split_at(len.min(self.0.len()));
                self.0 = rest;
                Some((field, Value::Bytes(value)))
            }
            _ => None,
        }
    }
}

/// The number in a field of a message, 0 where it is missing.
pub fn number_in(message: &[u8], field: u32) -> i64 {
    let found = Fields(message).find_map(|(n, value)| match value {
        Value::Number(value) if n == field => Some(value as i64),
        _ => None,
    });
    found.unwrap_or_default()
}

pub fn bytes_in(message: &[u8], field: u32) -> Option<&[u8]> {
    Fields(message).find_map(|(n, value)| match value {
        Value::Bytes(value) if n == field => Some(value),
        _ => None,
    })
}

/// The revision in an answer's header.
pub fn revision(answer: &[u8]) -> i64 {
    bytes_in(answer, 1).map_or(0, |header| number_in(header, 3))
}

/// The events of a watch response: whether it is a deletion, and the key-value pair.
pub fn events(response: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    Fields(response).filter_map(|(field, value)| match value {
        Value::Bytes(event) if field == 11 => Some((number_in(event, 1) == 1, bytes_in(event, 2)?)),
        _ => None,
    })
}

/// The values of the keys that the events of a watch response are about.
pub fn event_values(response: &[u8]) -> impl Iterator<Item = &[u8]> {
    events(response).filter_map(|(_, kv)| bytes_in(kv, 5))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut out = Vec::new();
        put(&mut out, b"key", b"value", 300);
        assert_eq!((bytes_in(&out, 1), bytes_in(&out, 2)), (Some(&b"key"[..]), Some(&b"value"[..])));
        assert_eq!((number_in(&out, 3), number_in(&out, 4)), (300, 0));
        // The golden bytes of the first field: tag, length, text.
        assert_eq!(&out[..5], b"\x0a\x03key");
    }

    #[test]
    fn an_answer_cut_off_still_gives_its_header() {
        let mut answer = Vec::new();
        message(&mut answer, 1, |header| number(header, 3, 77));
        message(&mut answer, 2, |kv| bytes(kv, 1, &[0; 1000]));
        assert_eq!(revision(&answer[..50]), 77);
    }

    #[test]
    fn values_of_events_are_found() {
        let mut response = Vec::new();
        for value in [b"one", b"two"] {
            message(&mut response, 11, |event| message(event, 2, |kv| bytes(kv, 5, value)));
        }
        assert_eq!(event_values(&response).collect::<Vec<_>>(), [b"one", b"two"]);
    }
}
