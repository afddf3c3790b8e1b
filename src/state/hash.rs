//! etcd's HashKV: a checksum (CRC-32C) over the versions of all keys as etcd stores them, in the order in which they were written.
//!
//! ```text
//! put a (rev 2)   put b (rev 3)   put a (rev 4)   delete b (rev 5)
//!
//! at revision 5, never compacted      a@2  b@3  a@4  b@5 deleted
//! at revision 5, compacted at 4       a@4  b@5 deleted              b@3 can be read at 4 only: it does not count
//! ```
//! Which versions count is etcd's rule (`kvHasher` and `keyIndex.keep` in its `mvcc`). All above the compacted revision do. Of the others,
//! which compaction has kept, those do that a read at the hashed revision sees; but where it sees nothing at all, all of them.

use std::ops::Bound;
use std::sync::Arc;

use bytes::Bytes;

use super::key_history::KeyHistory;
use super::key_value::KeyValue;
use super::machine::State;
use super::revision::Revision;

/// What a hash is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashScope {
    /// The compacted revision that it goes by; [`Revision::ZERO`]: never compacted.
    pub compacted: Revision,
    /// The last revision that counts.
    pub revision: Revision,
    /// It is what a compaction at `revision` comes upon: etcd takes a hash of that, too.
    pub compaction: bool,
}

/// The versions that are hashed, gathered key by key. As versions never change this may be done piece by piece.
#[derive(Debug)]
pub struct HashInput {
    scope: HashScope,
    after: Option<Bytes>,
    counted: Vec<Place>,
    /// What compaction has kept and a read at the revision does not see.
    outlived: Vec<Place>,
    /// Whether such a read sees anything.
    sees: bool,
}

/// In the order of etcd's store.
type Place = (Revision, u32, Arc<KeyValue>);

impl State {
    /// Adds the versions of up to `max_keys` more keys to the input; whether there are more.
    pub fn gather_for_hash(&self, input: &mut HashInput, max_keys: usize) -> bool {
        let from = input.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let mut keys = self.index.range::<[u8], _>((from, Bound::Unbounded));
        let mut last = None;
        for (key, history) in keys.by_ref().take(max_keys) {
            input.add(history);
            last = Some(key);
        }
        input.after = last.cloned().or(input.after.take());
        keys.next().is_some()
    }

    /// From now on what a compaction takes away is held until it was hashed: [`State::unhashed`] tells of it.
    pub fn hold_compactions(&mut self) {
        self.holds_compactions = true;
    }

    /// The oldest compaction that waits to be hashed. Until it is nothing is freed.
    pub fn unhashed(&self) -> Option<HashScope> {
        self.unhashed.front().copied()
    }

    /// This one is hashed.
    pub fn hashed(&mut self, scope: HashScope) {
        if self.unhashed() == Some(scope) {
            self.unhashed.pop_front();
        }
    }
}

impl HashInput {
    pub fn new(scope: HashScope) -> HashInput {
        HashInput { scope, after: None, counted: Vec::new(), outlived: Vec::new(), sees: false }
    }

    fn add(&mut self, history: &KeyHistory) {
        let HashScope { compacted, revision, compaction } = self.scope;
        let versions = || history.versions().take_while(|kv| kv.mod_revision <= revision);
        // A put behind a delete of the same transaction is not seen: etcd looks for the version in the generation that the delete ends.
        let ends_here = versions().any(|kv| kv.is_tombstone() && kv.mod_revision == revision);
        let seen = versions().last().filter(|kv| !ends_here && !kv.is_tombstone());
        self.sees |= seen.is_some() || ends_here && compaction;
        let kept = versions().take_while(|kv| kv.mod_revision <= compacted).last().filter(|kv| !kv.is_tombstone());
        if let Some(kept) = kept {
            let counts = seen.is_some_and(|seen| Arc::ptr_eq(seen, kept));
            if counts { &mut self.counted } else { &mut self.outlived }.push(place(kept));
        }
        self.counted.extend(versions().skip_while(|kv| kv.mod_revision <= compacted).map(place));
    }

    pub fn hash(mut self) -> u32 {
        if !self.sees {
            self.counted.append(&mut self.outlived);
        }
        self.counted.sort_unstable_by_key(|(revision, sub, _)| (*revision, *sub));
        let mut buffer = Vec::with_capacity(256);
        self.counted.iter().fold(crc32c::crc32c(b"key"), |crc, (_, _, kv)| append(crc, kv, &mut buffer))
    }
}

fn place(kv: &Arc<KeyValue>) -> Place {
    (kv.mod_revision, kv.sub, kv.clone())
}

/// Adds what etcd stores of a version: its revision as the key, and as the value an encoded `mvccpb.KeyValue`; of a tombstone that has only
/// the key.
fn append(crc: u32, kv: &KeyValue, buffer: &mut Vec<u8>) -> u32 {
    const VALUE: u8 = 5;
    buffer.clear();
    buffer.extend_from_slice(&kv.mod_revision.0.to_be_bytes());
    buffer.push(b'_');
    buffer.extend_from_slice(&u64::from(kv.sub).to_be_bytes());
    if kv.is_tombstone() {
        buffer.push(b't');
        bytes_field(buffer, 1, &kv.key);
        return crc32c::crc32c_append(crc, buffer);
    }
    bytes_field(buffer, 1, &kv.key);
    number_field(buffer, 2, kv.create_revision.0);
    number_field(buffer, 3, kv.mod_revision.0);
    number_field(buffer, 4, kv.version);
    let mut crc = crc;
    if !kv.value.is_empty() {
        buffer.push(VALUE << 3 | 2);
        varint(buffer, kv.value.len() as u64);
        crc = crc32c::crc32c_append(crc32c::crc32c_append(crc, buffer), &kv.value.bytes());
        buffer.clear();
    }
    number_field(buffer, 6, kv.lease.0);
    crc32c::crc32c_append(crc, buffer)
}

/// Fields that are empty or zero are left out.
fn bytes_field(out: &mut Vec<u8>, number: u8, bytes: &[u8]) {
    if !bytes.is_empty() {
        out.push(number << 3 | 2);
        varint(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
    }
}

fn number_field(out: &mut Vec<u8>, number: u8, value: i64) {
    if value != 0 {
        out.push(number << 3);
        varint(out, value as u64);
    }
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
