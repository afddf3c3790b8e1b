//! The orders in which a range can be asked for.

use std::cmp::Reverse;
use std::sync::Arc;

use super::key_value::KeyValue;
use super::request::SortTarget;

/// From key order. Stable: what compares equal stays in key order, also when descending.
pub(super) fn sort(kvs: &mut [Arc<KeyValue>], target: SortTarget, down: bool) {
    match target {
        SortTarget::Key if !down => {}
        SortTarget::Key => kvs.reverse(),
        SortTarget::Version => order(kvs, down, |kv| kv.version),
        SortTarget::Create => order(kvs, down, |kv| kv.create_revision),
        SortTarget::Mod => order(kvs, down, |kv| kv.mod_revision),
        SortTarget::Value => order(kvs, down, |kv| kv.value.bytes()),
    }
}

/// Looks at each version once: a value may have to be read.
fn order<K: Ord>(kvs: &mut [Arc<KeyValue>], down: bool, by: impl Fn(&KeyValue) -> K) {
    if down {
        kvs.sort_by_cached_key(|kv| Reverse(by(kv)));
    } else {
        kvs.sort_by_cached_key(|kv| by(kv));
    }
}
