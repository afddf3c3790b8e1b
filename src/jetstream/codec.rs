//! The codec of messages for `benches/` alone: within jine, `append` and `follow` use it in their own ways.

use super::record::{self, Encoded, Raw};
use crate::store::log::{Content, Outgoing};

/// A message as it is sent.
pub struct Coded(Encoded);

pub fn encode(outgoing: Outgoing) -> Coded {
    Coded(record::encode(outgoing))
}

pub fn decode(Coded(message): &Coded) -> Content {
    record::decode(Raw {
        tokens: &message.tokens,
        jine: Some(&message.jine),
        key: message.key.as_deref(),
        payload: &message.payload,
    })
}
