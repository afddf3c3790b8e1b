//! The three numbers that must never be mixed up: etcd's revision, the log's sequence, a lease's id.

use std::fmt;

/// etcd's store revision: 1 for an empty store, plus one for each transaction that writes keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub i64);

impl Revision {
    /// "Not given" on the wire; as a compacted revision: never compacted.
    pub const ZERO: Revision = Revision(0);
    /// The revision of a store nothing was ever written to.
    pub const FIRST: Revision = Revision(1);

    pub fn next(self) -> Revision {
        Revision(self.0 + 1)
    }
}

/// A place in the log, numbered from 1. The state machine keeps it next to what it read there and
/// hands it back unchanged; it means something only to the layers below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Before the first place.
    pub const ZERO: Sequence = Sequence(0);

    pub fn next(self) -> Sequence {
        Sequence(self.0 + 1)
    }

    pub fn plus(self, n: u64) -> Sequence {
        Sequence(self.0 + n)
    }
}

/// A lease's id as clients see it. Zero is "no lease".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(pub i64);

impl LeaseId {
    pub const NONE: LeaseId = LeaseId(0);
}

macro_rules! display_as_number {
    ($($t:ty),*) => {$(
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )*};
}
display_as_number!(Revision, Sequence);

/// In hexadecimal, as etcd and etcdctl print leases.
impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
