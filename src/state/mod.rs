//! etcd's state machine: what a request writes ([`plan`]) and what an entry does ([`State::apply`]).
//!
//! Pure: no I/O, no clock, no randomness, no async, nothing of ours outside this folder. Two processes that
//! apply the same entries hold the same state, whenever and however often they do it.

pub mod entry;
pub mod error;
pub mod key_value;
pub mod request;
pub mod revision;

pub use entry::{Entry, Op};
pub use error::Error;
pub use key_value::{Event, EventKind, KeyValue, RevisionEvents};
pub use request::*;
pub use revision::{LeaseId, Revision, Sequence};
