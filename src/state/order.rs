//! The orders in which a range can be asked for.

use std::cmp::Reverse;
use std::sync::Arc;

use bytes::Bytes;

use super::key_value::KeyValue;
use super::request::SortTarget;
use super::value::Value;

/// Bytes of each value that are held to sort by it. Only where these are the same values are read once more, to sort by the whole. About
/// what a place of a value takes anyway.
const PREFIX: usize = if cfg!(test) { 1 } else { 128 };

/// From key order. Stable: what compares equal stays in key order, also when descending.
pub(super) fn sort(kvs: &mut Vec<Arc<KeyValue>>, target: SortTarget, down: bool) {
    match target {
        // One value need not be read.
        _ if kvs.len() < 2 => {}
        SortTarget::Key if !down => {}
        SortTarget::Key => kvs.reverse(),
        SortTarget::Version => order(kvs, down, |kv| kv.version),
        SortTarget::Create => order(kvs, down, |kv| kv.create_revision),
        SortTarget::Mod => order(kvs, down, |kv| kv.mod_revision),
        SortTarget::Value => order_by_value(kvs, down),
    }
}

fn order_by_value(kvs: &mut Vec<Arc<KeyValue>>, down: bool) {
    let mut prefixed: Vec<_> = kvs.drain(..).map(|kv| (prefix(&kv.value), kv)).collect();
    order(&mut prefixed, down, |(prefix, _)| prefix.clone());
    for alike in prefixed.chunk_by_mut(|(a, _), (b, _)| a == b) {
        if alike.len() > 1 && alike.iter().any(|(_, kv)| kv.value.len() > PREFIX) {
            order(alike, down, |(_, kv)| kv.value.bytes());
        }
    }
    kvs.extend(prefixed.into_iter().map(|(_, kv)| kv));
}

fn prefix(value: &Value) -> Bytes {
    let bytes = value.bytes();
    let length = bytes.len().min(PREFIX);
    match value {
        Value::Memory(_) => bytes.slice(..length),
        // Not to hold all of what was read.
        Value::Elsewhere(_) => Bytes::copy_from_slice(&bytes[..length]),
    }
}

/// Asks each item once for what to sort by: a value may have to be read.
fn order<T, K: Ord>(items: &mut [T], down: bool, by: impl Fn(&T) -> K) {
    if down {
        items.sort_by_cached_key(|item| Reverse(by(item)));
    } else {
        items.sort_by_cached_key(|item| by(item));
    }
}
