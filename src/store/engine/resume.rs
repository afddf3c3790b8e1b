//! Taking up the log again after the connection or the follower was lost.

use std::time::Duration;

use tokio::time::Instant;

use super::{Engine, Fatal, Trouble};
use crate::state::Sequence;
use crate::store::error::Error;
use crate::store::log::{Log, LogInfo};

/// Between two attempts to reach the log.
pub(super) const TRY_AGAIN: Duration = Duration::from_millis(200);

/// How long a replicated log may look shorter than it was before that is believed: a server that is not the leader any more, or has not
/// heard yet that there is one, may answer for a while, also after a long outage.
const LAGGING: Duration = Duration::from_secs(30);

impl<L: Log> Engine<L> {
    /// Does what a trouble asks for, finds out what became of the group in flight, and serves again.
    pub(super) async fn overcome(&mut self, mut trouble: Trouble) -> Result<(), Fatal> {
        let last = self.inflight.as_mut().map(|inflight| {
            inflight.done = None;
            inflight.last
        });
        loop {
            self.reach(trouble).await?;
            let Some(last) = last else { break };
            match self.close(last).await {
                Ok(()) => break,
                Err(again) => trouble = again,
            }
            self.wait_out().await?;
        }
        self.shared.end_outage();
        // The outage has put leases off already.
        self.last_tick = Instant::now();
        // Leases have their full time again: no expiry that was planned before may go as it is.
        self.plan_next_again();
        self.finish_settled();
        Ok(())
    }

    /// Until the log can be read again, without regard to a group in flight.
    async fn reach(&mut self, mut trouble: Trouble) -> Result<(), Fatal> {
        loop {
            let outcome = match trouble {
                Trouble::Fatal(fatal) => return Err(fatal),
                Trouble::Rebuild(why) => {
                    tracing::warn!(why, "the log has to be read again from its beginning: open watches end");
                    self.follower = None;
                    self.rebuild().await?;
                    if let (Some(inflight), Some(base)) = (&mut self.inflight, self.base) {
                        inflight.give_up(base);
                    }
                    Ok(())
                }
                Trouble::Again(why) => {
                    self.shared.begin_outage(&why);
                    self.resume().await
                }
            };
            match outcome {
                Ok(()) => break,
                Err(again) => trouble = again,
            }
            self.wait_out().await?;
        }
        Ok(())
    }

    /// Between two attempts: tells those who have waited long enough.
    async fn wait_out(&mut self) -> Result<(), Fatal> {
        if self.shared.check_available().is_err() {
            self.refuse_waiting(Error::NoLeader);
        }
        if self.shared.is_stopping() {
            return Err(Fatal("told to stop while the log was out of reach".to_owned()));
        }
        tokio::time::sleep(TRY_AGAIN).await;
        Ok(())
    }

    /// One attempt on a new connection: checks that the log is the one that was read, and reads what was missed.
    async fn resume(&mut self) -> Result<(), Trouble> {
        self.follower = None;
        self.unfenced.clear();
        self.fence_asked = false;
        self.log.reconnect().await?;
        let info = self.log.info().await?;
        self.check_created(&info.created)?;
        self.shared.room.note(&info);
        self.check_length(&info)?;
        self.check_mark().await?;
        self.catch_up().await
    }

    fn check_length(&mut self, info: &LogInfo) -> Result<(), Trouble> {
        let known = self.reader.last();
        if info.last >= known {
            self.shorter_since = None;
            return Ok(());
        }
        let since = *self.shorter_since.get_or_insert_with(Instant::now);
        let why = format!(
            "the stream went backwards: its last sequence is {}, and {known} was read already. Acknowledged writes may be lost; \
             check the servers' storage, restore the stream, or start jine again to serve what is left",
            info.last
        );
        if self.log.traits().replicated && since.elapsed() < LAGGING {
            return Err(Trouble::Again(why));
        }
        Err(Trouble::Fatal(Fatal(why)))
    }

    /// The last message received must still stand where it stood: a log can have been cut back and grown again.
    async fn check_mark(&mut self) -> Result<(), Trouble> {
        let Some((at, identity)) = self.mark else { return Ok(()) };
        match self.log.get(at).await? {
            Some(message) if message.identity == identity => Ok(()),
            Some(_) => Err(another_message(at)),
            None => Err(Trouble::Rebuild(format!("the message at sequence {at} was removed"))),
        }
    }

    /// Follows from where reading stands (at the last message, which must come again the same) to the present end.
    pub(super) async fn catch_up(&mut self) -> Result<(), Trouble> {
        if self.follower.is_none() {
            let from = self.mark.map_or(Sequence(1), |(at, _)| at);
            self.follower = Some(self.log.follow(from).await?);
        }
        let target = if self.log.traits().replicated { self.log.info().await?.last } else { self.log.last().await? };
        self.read_to(target).await
    }
}

pub(super) fn another_message(at: Sequence) -> Trouble {
    Trouble::Fatal(Fatal(format!(
        "the stream holds another message at sequence {at} than was read there: it lost its end and grew again, or was replaced. \
         Acknowledged writes may be lost; check the servers' storage, restore the stream, or start jine again to serve what is left"
    )))
}
