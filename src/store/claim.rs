//! Who is the lessor, and what the others ask of it.
//!
//! The author of the last claim in the log is the lessor. Where several jine share a bucket, the others forward keepalives to it, and
//! whoever finds it gone appends a claim. Claiming too often is harmless: every claim gives all leases their full TTL.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::compactor::{MANY_FENCES, removed_elsewhere};
use super::engine::{Command, Shared};
use super::fence::Fence;
use super::lessor::Renewal;
use super::log::{Log, PeerError, Peers, Question, SessionId};
use crate::state::{LeaseId, Revision, Sequence};

/// How often the lessor is asked whether it is there.
const ASK: Duration = Duration::from_secs(1);

/// How long a question to the lessor may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Unanswered questions in a row after which a lessor counts as gone.
const MISSES: u32 = 3;

/// What a jine is asked by another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Answered only by one that can serve.
    Ping,
    KeepAlive(LeaseId),
    Remaining(LeaseId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// With what was removed from the log: all that a checkpoint up to there permitted, and what was superseded up to the
    /// revision (not for certain durably).
    Pong(Sequence, Revision),
    /// Seconds.
    Ttl(i64),
    Missing,
    NotLessor,
}

impl Ask {
    pub fn encode(self) -> Bytes {
        Bytes::from(match self {
            Ask::Ping => "ping".to_owned(),
            Ask::KeepAlive(LeaseId(id)) => format!("keepalive {id}"),
            Ask::Remaining(LeaseId(id)) => format!("remaining {id}"),
        })
    }

    pub fn decode(question: &[u8]) -> Option<Ask> {
        let text = std::str::from_utf8(question).ok()?;
        let id = |id: &str| id.parse().ok().map(LeaseId);
        match text.split_once(' ') {
            None if text == "ping" => Some(Ask::Ping),
            Some(("keepalive", lease)) => id(lease).map(Ask::KeepAlive),
            Some(("remaining", lease)) => id(lease).map(Ask::Remaining),
            _ => None,
        }
    }
}

impl Told {
    pub fn encode(self) -> Bytes {
        Bytes::from(match self {
            Told::Pong(Sequence(collected), Revision(purged)) => format!("pong {collected} {purged}"),
            Told::Ttl(seconds) => format!("ttl {seconds}"),
            Told::Missing => "missing".to_owned(),
            Told::NotLessor => "not lessor".to_owned(),
        })
    }

    pub fn decode(answer: &[u8]) -> Option<Told> {
        let words: Vec<_> = std::str::from_utf8(answer).ok()?.split(' ').collect();
        match words[..] {
            ["pong", collected, purged] => {
                Some(Told::Pong(Sequence(collected.parse().ok()?), Revision(purged.parse().ok()?)))
            }
            ["missing"] => Some(Told::Missing),
            ["not", "lessor"] => Some(Told::NotLessor),
            ["ttl", seconds] => seconds.parse().ok().map(Told::Ttl),
            _ => None,
        }
    }
}

/// Sees to it that there is a lessor while there are leases.
pub struct Claimer<L> {
    pub log: Arc<L>,
    pub shared: Arc<Shared>,
    pub engine: mpsc::UnboundedSender<Command>,
    pub session: SessionId,
}

impl<L: Log + Peers> Claimer<L> {
    /// Runs until the engine ends.
    pub async fn run(self) {
        let mut misses = 0;
        loop {
            tokio::select! {
                () = self.shared.claim_needed.notified() => {}
                () = tokio::time::sleep(ASK) => {}
                () = self.engine.closed() => return,
            }
            let claimed = self.shared.claim();
            if claimed == Some(self.session) || !self.is_lessor_needed() || self.shared.check_available().is_err() {
                misses = 0;
                continue;
            }
            let presence = self.presence(claimed).await;
            misses = if presence == Presence::There { 0 } else { misses + 1 };
            if misses >= MISSES || presence == Presence::Gone {
                // Done when the claim is applied; lost claims are wanted again at the next look.
                let _ = self.engine.send(Command::Claim { over: claimed });
                misses = 0;
            }
        }
    }

    fn is_lessor_needed(&self) -> bool {
        let waits = *self.shared.purged.borrow() < *self.shared.compacted.borrow();
        let fences = self.shared.counters.fences.load(Ordering::Relaxed);
        waits || !self.shared.lessor().is_empty() || self.shared.state().has_garbage() || fences >= MANY_FENCES
    }

    async fn presence(&self, lessor: Option<SessionId>) -> Presence {
        // Who could write before is gone, if nobody else can.
        let Some(lessor) = lessor.filter(|_| !self.log.traits().exclusive) else { return Presence::Gone };
        match self.log.ask(lessor, Ask::Ping.encode(), PATIENCE).await {
            Ok(answer) => match Told::decode(&answer) {
                Some(Told::Pong(collected, purged)) => {
                    removed_elsewhere(&self.shared, collected, purged).await;
                    Presence::There
                }
                _ => Presence::Silent,
            },
            Err(PeerError::NoResponders) => Presence::Gone,
            Err(_) => Presence::Silent,
        }
    }
}

/// Of the lessor, as far as an answer shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Presence {
    There,
    /// It may be there.
    Silent,
    Gone,
}

/// Answers what other jine ask.
pub struct Answerer<L> {
    pub log: Arc<L>,
    pub shared: Arc<Shared>,
    pub fence: Fence,
    pub engine: mpsc::UnboundedSender<Command>,
    pub session: SessionId,
}

impl<L: Log + Peers> Answerer<L> {
    /// Runs until the engine ends; takes it up again after each loss of the connection.
    pub async fn run(self) {
        let this = Arc::new(self);
        while !this.engine.is_closed() {
            if this.log.traits().exclusive {
                // Nobody else is there to ask.
                return;
            }
            match this.log.serve(this.session).await {
                // One that cannot serve any more does not even take questions: so others learn at once that it is gone.
                Ok(mut questions) => loop {
                    let question = tokio::select! {
                        question = questions.recv() => question,
                        () = this.engine.closed() => return,
                    };
                    let Some(question) = question else { break };
                    tokio::spawn(answer(this.clone(), question));
                },
                Err(error) => tracing::debug!(%error, "cannot be asked by other jine"),
            }
            tokio::time::sleep(ASK).await;
        }
    }

    /// None: no answer is the truth. The fence proves that this process is not cut off from the log.
    async fn told(&self, ask: Ask) -> Option<Told> {
        let _waiting = Waiting::of(&self.shared, ask);
        self.fence.pass().await.ok()?;
        Some(told_here(&self.shared, ask).unwrap_or(Told::NotLessor))
    }
}

async fn answer<L: Log + Peers>(answerer: Arc<Answerer<L>>, question: Question) {
    if let Some(told) = match Ask::decode(&question.question) {
        Some(ask) => answerer.told(ask).await,
        None => None,
    } {
        let _ = question.answer.send(told.encode());
    }
}

/// A keepalive that waits to be answered: as long as it does, its lease does not expire here.
pub(super) struct Waiting<'a> {
    shared: &'a Shared,
    id: LeaseId,
}

impl<'a> Waiting<'a> {
    /// None for other questions.
    pub(super) fn of(shared: &'a Shared, ask: Ask) -> Option<Waiting<'a>> {
        let Ask::KeepAlive(id) = ask else { return None };
        shared.lessor().arrived(id);
        Some(Waiting { shared, id })
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.lessor().answered(self.id);
    }
}

/// The answer of this process, behind a fence that the caller has just passed; None if it is not the lessor, or cannot tell yet
/// because the lease's revocation is on its way: ask again, behind another fence.
pub(super) fn told_here(shared: &Shared, ask: Ask) -> Option<Told> {
    let mut lessor = shared.lessor();
    match ask {
        Ask::Ping => Some(Told::Pong(Sequence(shared.collected.load(Ordering::Relaxed)), *shared.purged.borrow())),
        Ask::KeepAlive(id) => match lessor.renew(id, Instant::now()) {
            Renewal::Renewed(ttl) => Some(Told::Ttl(ttl)),
            Renewal::Missing => Some(Told::Missing),
            Renewal::NotLessor | Renewal::Expiring => None,
        },
        Ask::Remaining(id) => {
            let remaining = lessor.remaining(id, Instant::now()).map_or(Told::Missing, Told::Ttl);
            lessor.is_mine().then_some(remaining)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_come_back_as_they_were() {
        for ask in [Ask::Ping, Ask::KeepAlive(LeaseId(-7)), Ask::Remaining(LeaseId(i64::MAX))] {
            assert_eq!(Ask::decode(&ask.encode()), Some(ask));
        }
        for told in [Told::Pong(Sequence(9), Revision(7)), Told::Ttl(3), Told::Missing, Told::NotLessor] {
            assert_eq!(Told::decode(&told.encode()), Some(told));
        }
        assert_eq!(Ask::decode(b"keepalive x"), None);
        assert_eq!(Told::decode(b"\xff"), None);
    }
}
