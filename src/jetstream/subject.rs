//! Where a message stands: a key, or an internal record's name, as the part of the subject after `$KV.<bucket>.`.
//!
//! **Frozen.** Every bucket in the world is written with it; docs/log-format.md describes it, the golden vectors below hold it.
//!
//! | key | token string |
//! |---|---|
//! | `/registry/pods/default/web-0` | `registry.pods.default.web-0` |
//! | `/a//b` | `a.=.b` |
//! | `compact_rev_key` | `=-.compact_rev_key` |
//! | `/registry/x:y.z` | `registry.x=3Ay=2Ez` |
//! | longer than [`MAX_TOKENS`] bytes when encoded | `=long.<SHA-256 of the key>` |
//!
//! A bijection between byte strings and legal token strings, but for the long ones, whose key travels in a header.

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::state::LeaseId;

/// The longest encoded key, in bytes. Subject, reply subject and the command's other words share a control line of 4096 bytes.
pub(super) const MAX_TOKENS: usize = 2000;

/// The first token of every internal record. No key produces it: keys' `=` is always escaped.
const INTERNAL: &str = "=jine";
/// The first token of keys that do not begin with `/`.
const BARE: &str = "=-";
const LONG: &str = "=long";
const EMPTY_SEGMENT: &str = "=";

/// What stands on a subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Key(Bytes),
    /// The hash of a key that is too long for a subject.
    LongKey([u8; 32]),
    Lease(LeaseId),
    Internal(Internal),
}

/// The internal records that stand on one subject each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Internal {
    Compact,
    Fence,
    Claim,
    Alarm,
    Checkpoint,
    Tombstones,
    Genesis,
}

const INTERNALS: [(Internal, &str); 7] = [
    (Internal::Compact, "=jine.compact"),
    (Internal::Fence, "=jine.fence"),
    (Internal::Claim, "=jine.claim"),
    (Internal::Alarm, "=jine.alarm"),
    (Internal::Checkpoint, "=jine.checkpoint"),
    (Internal::Tombstones, "=jine.tombstones"),
    (Internal::Genesis, "=jine.genesis"),
];

impl Internal {
    pub(super) fn tokens(self) -> &'static str {
        INTERNALS.iter().find(|(internal, _)| *internal == self).map_or("", |(_, tokens)| tokens)
    }
}

/// Whether the key is told by its subject, or only its hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyTokens {
    Whole(String),
    /// The key itself has to be sent along.
    Hashed(String),
}

impl KeyTokens {
    pub(super) fn into_string(self) -> String {
        match self {
            KeyTokens::Whole(tokens) | KeyTokens::Hashed(tokens) => tokens,
        }
    }
}

pub(super) fn encode_key(key: &[u8]) -> KeyTokens {
    let (mut tokens, path) = match key.strip_prefix(b"/") {
        Some(path) => (String::with_capacity(key.len() + 16), path),
        None => (format!("{BARE}."), key),
    };
    for (i, segment) in path.split(|b| *b == b'/').enumerate() {
        if i > 0 {
            tokens.push('.');
        }
        encode_segment(segment, &mut tokens);
        if tokens.len() > MAX_TOKENS {
            return KeyTokens::Hashed(long_tokens(key));
        }
    }
    KeyTokens::Whole(tokens)
}

pub(super) fn lease_tokens(lease: LeaseId) -> String {
    format!("{INTERNAL}.lease.{:016x}", lease.0)
}

fn long_tokens(key: &[u8]) -> String {
    let mut tokens = format!("{LONG}.");
    for byte in Sha256::digest(key) {
        push_hex(&mut tokens, byte, b"0123456789abcdef");
    }
    tokens
}

fn encode_segment(segment: &[u8], tokens: &mut String) {
    if segment.is_empty() {
        tokens.push_str(EMPTY_SEGMENT);
    }
    for &byte in segment {
        if is_plain(byte) {
            tokens.push(byte as char);
        } else {
            tokens.push('=');
            push_hex(tokens, byte, b"0123456789ABCDEF");
        }
    }
}

fn push_hex(tokens: &mut String, byte: u8, digits: &[u8; 16]) {
    tokens.push(digits[usize::from(byte >> 4)] as char);
    tokens.push(digits[usize::from(byte & 15)] as char);
}

fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// None if it is not what encoding gives: someone else's.
pub(super) fn decode(tokens: &str) -> Option<Place> {
    if tokens == INTERNAL || tokens.starts_with("=jine.") {
        return decode_internal(tokens);
    }
    if let Some(hash) = tokens.strip_prefix("=long.") {
        return decode_hash(hash).map(Place::LongKey);
    }
    if tokens.len() > MAX_TOKENS {
        return None;
    }
    let (mut key, path) = match tokens.strip_prefix("=-.") {
        Some(path) => (Vec::with_capacity(tokens.len()), path),
        None => {
            let mut key = Vec::with_capacity(tokens.len() + 1);
            key.push(b'/');
            (key, tokens)
        }
    };
    let bare = key.is_empty();
    for (i, token) in path.split('.').enumerate() {
        if i > 0 {
            key.push(b'/');
        }
        decode_segment(token.as_bytes(), &mut key)?;
    }
    // `=-.=.a` would be `/a`, whose own encoding is another.
    if bare && key.first() == Some(&b'/') {
        return None;
    }
    Some(Place::Key(key.into()))
}

fn decode_internal(tokens: &str) -> Option<Place> {
    if let Some(id) = tokens.strip_prefix("=jine.lease.") {
        let canonical = id.len() == 16 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let id = u64::from_str_radix(id, 16).ok().filter(|_| canonical)?;
        return Some(Place::Lease(LeaseId(id as i64)));
    }
    INTERNALS.iter().find(|(_, name)| *name == tokens).map(|(internal, _)| Place::Internal(*internal))
}

fn decode_hash(hash: &str) -> Option<[u8; 32]> {
    let digits = hash.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = hex_digit(pair[0], b'a')? << 4 | hex_digit(pair[1], b'a')?;
    }
    Some(out)
}

fn decode_segment(token: &[u8], key: &mut Vec<u8>) -> Option<()> {
    if token == EMPTY_SEGMENT.as_bytes() {
        return Some(());
    }
    if token.is_empty() {
        return None;
    }
    let mut rest = token;
    while let [first, tail @ ..] = rest {
        if is_plain(*first) {
            key.push(*first);
            rest = tail;
            continue;
        }
        let [b'=', high, low, tail @ ..] = rest else { return None };
        let byte = hex_digit(*high, b'A')? << 4 | hex_digit(*low, b'A')?;
        if is_plain(byte) || byte == b'/' {
            return None;
        }
        key.push(byte);
        rest = tail;
    }
    Some(())
}

/// `letter` is `b'a'` or `b'A'`: only one case is canonical.
fn hex_digit(digit: u8, letter: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        _ if (letter..letter + 6).contains(&digit) => Some(digit - letter + 10),
        _ => None,
    }
}

pub(super) fn hash_of(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOLDEN: [(&[u8], &str); 16] = [
        (b"/registry/pods/default/web-0", "registry.pods.default.web-0"),
        (b"compact_rev_key", "=-.compact_rev_key"),
        (b"/", "="),
        (b"//", "=.="),
        (b"/a//b/", "a.=.b.="),
        (b"", "=-.="),
        (b"a/b", "=-.a.b"),
        (b"/registry/clusterroles/system:node", "registry.clusterroles.system=3Anode"),
        (b"/registry/example.com/x", "registry.example=2Ecom.x"),
        (b"/=jine/claim", "=3Djine.claim"),
        (b"=jine/claim", "=-.=3Djine.claim"),
        (b"/*/>", "=2A.=3E"),
        (b"\x00\xff", "=-.=00=FF"),
        (b"/a b\tc", "a=20b=09c"),
        ("/é".as_bytes(), "=C3=A9"),
        (b"/-", "-"),
    ];

    #[test]
    fn golden_vectors() {
        for (key, tokens) in GOLDEN {
            assert_eq!(encode_key(key), KeyTokens::Whole(tokens.into()));
            assert_eq!(decode(tokens), Some(Place::Key(Bytes::copy_from_slice(key))));
        }
        assert_eq!(lease_tokens(LeaseId(0x1234)), "=jine.lease.0000000000001234");
        assert_eq!(decode("=jine.lease.ffffffffffffffff"), Some(Place::Lease(LeaseId(-1))));
        let long = "=long.1e668e6b850b1eb4bb89dc81d727b07b973d7d19e8fc87bcc55ab21c0a88da7a";
        assert_eq!(encode_key(&[b'k'; 3000]), KeyTokens::Hashed(long.into()));
        assert_eq!(decode(long), Some(Place::LongKey(hash_of(&[b'k'; 3000]))));
        for (internal, tokens) in INTERNALS {
            assert_eq!(decode(tokens), Some(Place::Internal(internal)));
            assert_eq!(internal.tokens(), tokens);
        }
    }

    #[test]
    fn only_canonical_tokens_are_ours() {
        for tokens in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "=2D",
            "=2d",
            "=3a",
            "=G0",
            "=4",
            "a=",
            "=a",
            "==",
            "a b",
            "=2F",
            "=-",
            "=-.=.a",
            "=-.=.=",
            "=jine",
            "=jine.",
            "=jine.lease.1",
            "=jine.lease.000000000000ABCD",
            "=jine.other",
            "=long.12",
            "=long",
            "a*",
        ] {
            assert_eq!(decode(tokens), None, "{tokens}");
        }
    }

    #[test]
    fn the_longest_key_told_whole_has_exactly_the_limit() {
        let longest = [b"/".as_slice(), &[b'k'; MAX_TOKENS]].concat();
        let KeyTokens::Whole(tokens) = encode_key(&longest) else { panic!("hashed") };
        assert_eq!(decode(&tokens), Some(Place::Key(longest.clone().into())));
        assert!(matches!(encode_key(&[longest.as_slice(), b"k"].concat()), KeyTokens::Hashed(_)));
    }

    proptest! {
        #[test]
        fn any_key_comes_back(key in proptest::collection::vec(any::<u8>(), 0..700)) {
            match encode_key(&key) {
                KeyTokens::Whole(tokens) => {
                    prop_assert!(tokens.len() <= MAX_TOKENS);
                    prop_assert!(tokens.bytes().all(|b| is_plain(b) || b == b'=' || b == b'.'));
                    prop_assert!(tokens.split('.').all(|token| !token.is_empty()));
                    prop_assert_eq!(decode(&tokens), Some(Place::Key(key.into())));
                }
                KeyTokens::Hashed(tokens) => prop_assert_eq!(decode(&tokens), Some(Place::LongKey(hash_of(&key)))),
            }
        }

        #[test]
        fn what_decodes_encodes_to_the_same(tokens in "[a-c=0-9A-F./-]{0,12}") {
            if let Some(Place::Key(key)) = decode(&tokens) {
                prop_assert_eq!(encode_key(&key).into_string(), tokens);
            }
        }
    }
}
