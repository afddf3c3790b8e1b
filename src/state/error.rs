//! Why the state machine refuses a request. `rpc` maps each to etcd's code and text.

use super::revision::Revision;

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("required revision has been compacted (compacted at {0})")]
    Compacted(Revision),
    #[error("required revision is a future revision (current is {0})")]
    FutureRevision(Revision),
    /// `ignore_value` or `ignore_lease` on a key that does not exist.
    #[error("key not found")]
    KeyNotFound,
    #[error("requested lease not found")]
    LeaseNotFound,
    #[error("lease already exists")]
    LeaseExists,
    /// Longer than is granted, which is 9,000,000,000 seconds.
    #[error("too large lease TTL")]
    LeaseTtlTooLarge,
    /// The answer depends on entries that are planned but not yet in the log: plan again when they are.
    #[error("depends on entries that are not in the log yet")]
    Unsettled,
}
