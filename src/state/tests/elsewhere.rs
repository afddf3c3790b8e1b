//! Values that are not where the state is.

use std::sync::Arc;

use bytes::Bytes;

use super::super::*;

/// Takes all values but the empty one.
#[derive(Debug)]
struct Elsewhere;

struct Place(Vec<u8>);

impl Values for Elsewhere {
    fn keep(&self, value: &[u8]) -> Value {
        if value.is_empty() { Value::default() } else { Value::Elsewhere(Arc::new(Place(value.to_vec()))) }
    }
}

impl Stored for Place {
    fn size(&self) -> usize {
        self.0.len()
    }

    fn read(&self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }
}

/// An empty state that keeps nothing but empty values itself.
pub(super) fn state_without_values() -> State {
    State::new(Revision::FIRST, Revision::ZERO).keeping(Some(Arc::new(Elsewhere)))
}
