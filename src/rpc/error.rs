//! What went wrong, in etcd's codes and words: the one place where a gRPC status is made of an error.
//!
//! Clients compare the texts (`rpctypes` in etcd's api module does), so they are part of the API.

use tonic::{Code, Status};

use crate::{state, store};

/// Why a request is not executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Error {
    Store(store::Error),
    EmptyKey,
    /// An operation of a transaction that is not one; etcd says so in these words.
    EmptyOperation,
    ValueProvided,
    LeaseProvided,
    TooManyOperations,
    DuplicateKey,
    InvalidSortOption,
    RequestTooLarge,
    /// Above what the transport takes at all, in bytes: the message, the limit.
    MessageTooLarge(u64, usize),
    RootUserMissing,
    AuthNotEnabled,
    StreamedSortOrder,
    StreamedRevisionFilter,
    MemberUrls,
    MemberNotFound,
    MemberNotLearner,
    /// The last member is not removed.
    NotEnoughMembers,
    /// What etcd can do here, and jine cannot.
    NotCapable,
    NotLeader,
    BadLeaderTransferee,
    DowngradeFormat,
    DowngradeTarget,
    UnknownMethod,
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        Error::Store(error)
    }
}

impl From<store::Error> for Status {
    fn from(error: store::Error) -> Self {
        Error::Store(error).into()
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        if let Error::MessageTooLarge(size, limit) = error {
            let text = format!("grpc: received message larger than max ({size} vs. {limit})");
            return Status::new(Code::ResourceExhausted, text);
        }
        let (code, text) = code_and_text(&error);
        Status::new(code, text)
    }
}

fn code_and_text(error: &Error) -> (Code, &'static str) {
    use Code::*;
    match error {
        Error::Store(error) => of_store(error),
        Error::EmptyKey => (InvalidArgument, "etcdserver: key is not provided"),
        Error::EmptyOperation => (InvalidArgument, "etcdserver: key not found"),
        Error::ValueProvided => (InvalidArgument, "etcdserver: value is provided"),
        Error::LeaseProvided => (InvalidArgument, "etcdserver: lease is provided"),
        Error::TooManyOperations => (InvalidArgument, "etcdserver: too many operations in txn request"),
        Error::DuplicateKey => (InvalidArgument, "etcdserver: duplicate key given in txn request"),
        Error::InvalidSortOption => (InvalidArgument, "etcdserver: invalid sort option"),
        Error::RequestTooLarge => (InvalidArgument, "etcdserver: request is too large"),
        Error::MessageTooLarge(..) => (ResourceExhausted, "grpc: received message larger than max"),
        Error::RootUserMissing => (FailedPrecondition, "etcdserver: root user does not exist"),
        Error::AuthNotEnabled => (FailedPrecondition, "etcdserver: authentication is not enabled"),
        Error::StreamedSortOrder => (Unimplemented, "RangeStream does not support custom sort orders"),
        Error::StreamedRevisionFilter => (Unimplemented, "RangeStream does not support revision filters"),
        Error::MemberUrls => (InvalidArgument, "etcdserver: given member URLs are invalid"),
        Error::MemberNotFound => (NotFound, "etcdserver: member not found"),
        Error::MemberNotLearner => (FailedPrecondition, "etcdserver: can only promote a learner member"),
        // etcd knows a code for it, and does not use it.
        Error::NotEnoughMembers => (Unknown, "etcdserver: re-configuration failed due to not enough started members"),
        Error::NotCapable => (FailedPrecondition, "etcdserver: not capable"),
        Error::NotLeader => (FailedPrecondition, "etcdserver: not leader"),
        Error::BadLeaderTransferee => (FailedPrecondition, "etcdserver: bad leader transferee"),
        Error::DowngradeFormat => (InvalidArgument, "etcdserver: wrong downgrade target version format"),
        Error::DowngradeTarget => (InvalidArgument, "etcdserver: invalid downgrade target version"),
        Error::UnknownMethod => (Unknown, "etcdserver: unknown method"),
    }
}

fn of_store(error: &store::Error) -> (Code, &'static str) {
    use Code::*;
    use store::Error::*;
    match error {
        State(error) => of_state(error),
        NoSpace => (ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
        Corrupt => (DataLoss, "etcdserver: corrupt cluster"),
        TooManyMessages => (InvalidArgument, "etcdserver: too many operations in txn request"),
        // etcd takes any key that its request limit takes, and says this of a longer one.
        KeyTooLong => (InvalidArgument, "etcdserver: request is too large"),
        TimedOut => (Unavailable, "etcdserver: request timed out"),
        NoLeader => (Unavailable, "etcdserver: no leader"),
        Stopped => (Unavailable, "etcdserver: server stopped"),
    }
}

fn of_state(error: &state::Error) -> (Code, &'static str) {
    use Code::*;
    use state::Error::*;
    match error {
        Compacted(_) => (OutOfRange, COMPACTED),
        FutureRevision(_) => (OutOfRange, "etcdserver: mvcc: required revision is a future revision"),
        KeyNotFound => (InvalidArgument, "etcdserver: key not found"),
        LeaseNotFound => (NotFound, "etcdserver: requested lease not found"),
        LeaseExists => (FailedPrecondition, "etcdserver: lease already exists"),
        LeaseTtlTooLarge => (OutOfRange, "etcdserver: too large lease TTL"),
        // The store plans again by itself; should it ever get here, trying again is right.
        Unsettled => (Unavailable, "etcdserver: leader changed"),
    }
}

/// Says of a message that is too large what etcd's transport says of it; leaves everything else as it is.
pub(super) fn of_transport(status: Status) -> Status {
    let Some(rest) = status.message().strip_prefix("Error, decoded message length too large: found ") else {
        return status;
    };
    let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).filter(|part| !part.is_empty());
    let size = numbers.next().and_then(|n| n.parse().ok()).unwrap_or_default();
    let limit = numbers.next().and_then(|n| n.parse().ok()).unwrap_or_default();
    Error::MessageTooLarge(size, limit).into()
}

/// Also the reason of a watch that starts below revision 0.
pub(super) const COMPACTED: &str = "etcdserver: mvcc: required revision has been compacted";
/// Why a watch is canceled as soon as it is created; no `etcdserver: ` before these.
pub(super) const WATCH_ID_TAKEN: &str = "mvcc: duplicate watch ID provided on the WatchStream";
pub(super) const WATCH_RANGE_EMPTY: &str = "mvcc: watcher range is empty";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Revision;

    #[test]
    fn clients_can_tell_errors_apart_by_their_text() {
        let status = Status::from(store::Error::State(state::Error::Compacted(Revision(7))));
        assert_eq!(status.code(), Code::OutOfRange);
        assert_eq!(status.message(), "etcdserver: mvcc: required revision has been compacted");
    }

    #[test]
    fn a_message_too_large_for_the_transport_is_told_as_etcd_does() {
        let tonics = "Error, decoded message length too large: found 3000000 bytes, the limit is: 2097152 bytes";
        let status = of_transport(Status::out_of_range(tonics));
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert_eq!(status.message(), "grpc: received message larger than max (3000000 vs. 2097152)");
    }
}
