//! What can go wrong with one append.

use crate::state::Sequence;
use crate::store::log::{AppendError, Refusal};

/// What becomes of a group that arrived and was not refused for its sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    All,
    Nothing,
    /// Only the first messages of a batch; the rest waits for [`Stream::finish_batches`](super::Stream::finish_batches), the server's
    /// next start.
    Prefix(usize),
    /// Nothing now; [`Stream::release_late`](super::Stream::release_late) lets it arrive.
    Late,
}

/// What the author is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ack {
    /// The truth.
    Honest,
    /// Nothing: outcome unknown.
    Lost,
    /// This, whatever happened.
    Says(Result<Sequence, AppendError>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// So many foreign messages take the next places before the group arrives.
    pub foreign_before: usize,
    pub stored: Stored,
    pub ack: Ack,
    /// The connection breaks when the group has arrived.
    pub disconnect: bool,
    /// The server stores it wherever the log ends, whatever its fence says.
    pub unfenced: bool,
}

impl Fault {
    pub const NONE: Fault =
        Fault { foreign_before: 0, stored: Stored::All, ack: Ack::Honest, disconnect: false, unfenced: false };

    pub fn ack_lost() -> Fault {
        Fault { ack: Ack::Lost, ..Fault::NONE }
    }

    /// Neither stored nor answered.
    pub fn swallowed() -> Fault {
        Fault { stored: Stored::Nothing, ack: Ack::Lost, ..Fault::NONE }
    }

    pub fn late() -> Fault {
        Fault { stored: Stored::Late, ack: Ack::Lost, ..Fault::NONE }
    }

    pub fn prefix(messages: usize) -> Fault {
        Fault { stored: Stored::Prefix(messages), ack: Ack::Lost, ..Fault::NONE }
    }

    pub fn foreign(messages: usize) -> Fault {
        Fault { foreign_before: messages, ..Fault::NONE }
    }

    pub fn no_space() -> Fault {
        let refusal = AppendError::Refused(Refusal::NoSpace("maximum bytes exceeded".into()));
        Fault { stored: Stored::Nothing, ack: Ack::Says(Err(refusal)), ..Fault::NONE }
    }

    /// Refused for its place, whatever the log holds there.
    pub fn refused() -> Fault {
        Fault { stored: Stored::Nothing, ack: Ack::Says(Err(AppendError::Refused(Refusal::Sequence))), ..Fault::NONE }
    }

    /// Acknowledged at another place than the one it is stored at.
    pub fn acknowledged_at(place: u64) -> Fault {
        Fault { ack: Ack::Says(Ok(Sequence(place))), ..Fault::NONE }
    }

    pub fn and_disconnect(self) -> Fault {
        Fault { disconnect: true, ..self }
    }

    pub fn and_unfenced(self) -> Fault {
        Fault { unfenced: true, ..self }
    }
}
