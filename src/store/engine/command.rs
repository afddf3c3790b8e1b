//! What the engine is told.

use tokio::sync::oneshot;

use crate::state::{LeaseId, Request, Response, Sequence};
use crate::store::compactor::Checkpointed;
use crate::store::error::Error;
use crate::store::log::SessionId;

/// A request that may write.
#[derive(Debug)]
pub struct Write {
    pub request: Request,
    pub reply: oneshot::Sender<Result<Response, Error>>,
    /// A fence that began after the request arrived was passed: an outcome that writes nothing needs no other.
    pub fenced: bool,
    /// The lease that is due, where this is its expiry and no client's request: dropped if the lessor has changed meanwhile.
    pub expires: Option<LeaseId>,
}

impl Write {
    /// A client that is gone is no concern.
    pub fn answer(self, result: Result<Response, Error>) {
        let _ = self.reply.send(result);
    }
}

#[derive(Debug)]
pub enum Command {
    /// Answer when an append that began later is committed.
    Fence(oneshot::Sender<Result<(), Error>>),
    /// Everything up to here is acknowledged and synced.
    Fenced(Sequence),
    /// Become the lessor, if it is still that one.
    Claim { over: Option<SessionId> },
    /// Append a checkpoint; answered when it is applied, with None where it was not stored.
    Checkpoint(oneshot::Sender<Option<Checkpointed>>),
    /// Finish what has been asked for, then end.
    Stop(oneshot::Sender<()>),
}
