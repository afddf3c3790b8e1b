//! A message as it stands in the stream → [`Incoming`].

use async_nats::HeaderMap;
use bytes::Bytes;
use sha2::{Digest, Sha256};

use super::names::Names;
use super::record::{self, Raw};
use crate::state::Sequence;
use crate::store::log::{Content, Identity, Incoming};

/// The headers that matter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Headers<'a> {
    jine: Option<&'a str>,
    key: Option<&'a str>,
}

impl<'a> Headers<'a> {
    /// From the header block as stored.
    pub(super) fn parse(block: &'a str) -> Self {
        let mut headers = Headers::default();
        for line in block.split("\r\n").skip(1) {
            match line.split_once(':') {
                Some((record::HEADER, value)) => headers.jine = Some(value.trim()),
                Some((record::KEY_HEADER, value)) => headers.key = Some(value.trim()),
                _ => {}
            }
        }
        headers
    }

    pub(super) fn of(map: Option<&'a HeaderMap>) -> Self {
        let value = |name| map.and_then(|map| map.get(name)).map(|value| value.as_str());
        Headers { jine: value(record::HEADER), key: value(record::KEY_HEADER) }
    }
}

/// `time` in nanoseconds since 1970, as stored.
pub(super) fn incoming(
    names: &Names,
    sequence: Sequence,
    subject: &str,
    headers: Headers<'_>,
    payload: &Bytes,
    time: i64,
) -> Incoming {
    let content = match subject.strip_prefix(&names.stored) {
        Some(tokens) => record::decode(Raw { tokens, jine: headers.jine, key: headers.key, payload }),
        None => Content::Foreign { subject: subject.to_owned() },
    };
    let identity = match &content {
        Content::Ours(stamp, _) => Identity::Ours(stamp.id, stamp.part),
        _ => Identity::Foreign(fingerprint(subject, payload, time)),
    };
    Incoming { sequence, content, identity }
}

fn fingerprint(subject: &str, payload: &[u8], time: i64) -> u64 {
    let mut hash = Sha256::new();
    hash.update(time.to_be_bytes());
    hash.update((subject.len() as u64).to_be_bytes());
    hash.update(subject);
    hash.update(payload);
    hash.finalize().iter().take(8).fold(0, |n, b| n << 8 | u64::from(*b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_header_block_is_read_like_a_received_one() {
        let block =
            "NATS/1.0\r\nNats-Batch-Id: 1-1\r\nJine: 1 put id=1-1\r\nJine-Key: a2V5\r\nKV-Operation: DEL\r\n\r\n";
        let mut map = HeaderMap::new();
        map.insert("Jine", "1 put id=1-1");
        map.insert("Jine-Key", "a2V5");
        map.insert("Other", "x");
        let expected = Headers { jine: Some("1 put id=1-1"), key: Some("a2V5") };
        assert_eq!(Headers::parse(block), expected);
        assert_eq!(Headers::of(Some(&map)), expected);
        for nothing in ["", "NATS/1.0\r\n\r\n", "Jine: 1\r\n"] {
            assert_eq!(Headers::parse(nothing), Headers::default());
        }
        assert_eq!(Headers::of(None), Headers::default());
    }
}
