//! Why the store refuses a request or cannot answer it. `rpc` maps each to etcd's code and text.

use crate::state;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    State(#[from] state::Error),
    /// The log is full or a NOSPACE alarm stands.
    #[error("database space exceeded")]
    NoSpace,
    /// A CORRUPT alarm stands.
    #[error("corrupt cluster")]
    Corrupt,
    /// More than one atomic group of the log can take.
    #[error("the transaction does not fit one group of the log")]
    TooManyMessages,
    /// Longer than [`super::log::MAX_KEY_BYTES`].
    #[error("a key is too long for the log")]
    KeyTooLong,
    /// No answer from the log in time; the request may have been executed or not.
    #[error("request timed out")]
    TimedOut,
    /// The log cannot be reached: the request was not executed.
    #[error("no leader")]
    NoLeader,
    /// The process is shutting down.
    #[error("server stopped")]
    Stopped,
}
