//! Values in memory up to a bound, and beyond it in a file: what `--value-memory` asks for.
//!
//! A value stays where it was put until nobody has it any more; what was in memory then makes room for others there. The file has no
//! name: it is gone with the process, as the next one reads the log.

mod figures;
mod file;
mod slab;
#[cfg(test)]
mod tests;

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::state::{Value, Values};
use file::ValueFile;

/// Shorter values are in memory in any case: what has to be known of a place in the file takes as much. In bytes.
const SMALL: usize = 128;

#[derive(Debug)]
pub struct BoundedValues {
    /// Bytes of values in memory, small ones too, above which no more are added but small ones.
    limit: u64,
    /// Those that are there.
    memory: Arc<AtomicU64>,
    file: Arc<ValueFile>,
    /// Values that are in memory because the file did not take them; never falls.
    unwritten: AtomicU64,
}

impl BoundedValues {
    /// With a file in `directory`, which is made if it is not there.
    ///
    /// Errors: the directory or the file cannot be made.
    pub fn new(limit: u64, directory: &Path) -> io::Result<BoundedValues> {
        let file = ValueFile::create(directory)?;
        if file.is_in_memory() {
            tracing::warn!(
                directory = %directory.display(),
                "--value-memory bounds nothing here: the data directory is on a tmpfs, which is memory too"
            );
        }
        Ok(BoundedValues { limit, memory: Arc::default(), file: Arc::new(file), unwritten: AtomicU64::new(0) })
    }

    fn has_room(&self, value: &[u8]) -> bool {
        value.len() < SMALL || self.memory.load(Ordering::Relaxed) + value.len() as u64 <= self.limit
    }

    fn in_memory(&self, value: &[u8]) -> Value {
        if value.is_empty() {
            return Value::default();
        }
        self.memory.fetch_add(value.len() as u64, Ordering::Relaxed);
        Bytes::from_owner(Counted { bytes: value.into(), memory: self.memory.clone() }).into()
    }

    fn not_written(&self, error: &io::Error) {
        if self.unwritten.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::warn!(%error, "values cannot be written to the file of --value-memory: they stay in memory, beyond what it allows");
        }
    }
}

impl Values for BoundedValues {
    fn keep(&self, value: &[u8]) -> Value {
        if !self.has_room(value) {
            match self.file.write(value) {
                Ok(place) => return Value::Elsewhere(Arc::new(place)),
                Err(error) => self.not_written(&error),
            }
        }
        self.in_memory(value)
    }
}

/// A value in memory, which counts for the bound until it is dropped.
struct Counted {
    bytes: Box<[u8]>,
    memory: Arc<AtomicU64>,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.memory.fetch_sub(self.bytes.len() as u64, Ordering::Relaxed);
    }
}
