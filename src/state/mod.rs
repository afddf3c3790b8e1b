//! etcd's state machine: what a request writes ([`plan`]) and what an entry does ([`State::apply`]).
//!
//! Pure: no I/O of its own (a value may be read through [`Stored`]), no clock, no randomness, no async, nothing of ours outside this folder. Two processes that
//! apply the same entries hold the same state, whenever and however often they do it.

mod apply;
mod collected;
mod compaction;
pub mod entry;
pub mod error;
mod fingerprint;
mod garbage;
mod hash;
mod history;
mod key_history;
pub mod key_value;
mod lease;
mod machine;
mod order;
mod plan;
mod range;
pub mod request;
pub mod revision;
mod txn;
mod value;
mod view;

#[cfg(test)]
mod tests;

pub use apply::Applied;
pub use collected::{Collected, CollectedTxn};
pub use entry::{Entry, Op};
pub use error::Error;
pub use fingerprint::Fingerprint;
pub use garbage::{Garbage, GarbageTarget};
pub use hash::{HashInput, HashScope};
pub use key_value::{Event, EventKind, KeyValue, RevisionEvents};
pub use lease::{Lease, MAX_LEASE_TTL};
pub use machine::State;
pub use plan::{Limits, Planned, TOMBSTONE_OVERHEAD, plan, read};
pub use range::Chunk;
pub use request::*;
pub use revision::{LeaseId, Revision, Sequence};
pub use value::{Stored, Value, Values};
pub use view::{Layer, View};
