//! A value of a key: in memory, or where a [`Values`] has put it.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// Cheap to clone; a clone is in the same place. Never changes.
#[derive(Clone)]
pub enum Value {
    Memory(Bytes),
    Elsewhere(Arc<dyn Stored>),
}

/// Decides where the values of a [`State`](super::State) are kept.
pub trait Values: fmt::Debug + Send + Sync {
    /// Copies the value to where it stays until the last clone of the result is dropped.
    fn keep(&self, value: &[u8]) -> Value;
}

/// A place that holds one value; what it takes is given back when this is dropped.
pub trait Stored: Send + Sync {
    /// In bytes; reads nothing.
    fn size(&self) -> usize;

    /// What was kept, and nothing else: an implementation that cannot read it must not return.
    fn read(&self) -> Bytes;
}

impl Value {
    /// Reads a value that is elsewhere, each time.
    pub fn bytes(&self) -> Bytes {
        match self {
            Value::Memory(bytes) => bytes.clone(),
            Value::Elsewhere(place) => place.read(),
        }
    }

    pub fn len(&self) -> usize {
        match self {
            Value::Memory(bytes) => bytes.len(),
            Value::Elsewhere(place) => place.size(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether both are the same bytes of memory.
    pub(super) fn is_same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Memory(a), Value::Memory(b)) => a.as_ptr() == b.as_ptr() && a.len() == b.len(),
            _ => false,
        }
    }
}

impl Default for Value {
    fn default() -> Value {
        Value::Memory(Bytes::new())
    }
}

impl<T: Into<Bytes>> From<T> for Value {
    fn from(bytes: T) -> Value {
        Value::Memory(bytes.into())
    }
}

/// Reads only values of the same length.
impl PartialEq for Value {
    fn eq(&self, other: &Value) -> bool {
        self.len() == other.len() && self.bytes() == other.bytes()
    }
}

impl Eq for Value {}

/// As the bytes, wherever they are.
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_takes_no_more_room_than_it_would_with_bare_bytes() {
        assert_eq!(size_of::<Value>(), size_of::<Bytes>());
    }
}
