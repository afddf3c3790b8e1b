//! Compacts now and then, for clients that do not: what `--auto-compaction-retention` and `--compact-interval` ask for.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::config::Compaction;
use crate::state::{self, Revision};
use crate::store::{Error, Store};

/// How often etcd looks whether there are more revisions than are to be kept.
const LOOK: Duration = Duration::from_secs(300);

/// Until it is aborted.
pub(super) async fn run(compaction: Compaction, store: Store) {
    let revision = || store.revision();
    let compact = |revision| {
        let store = store.clone();
        async move { told(revision, store.compact(revision, false).await) }
    };
    match compaction {
        Compaction::Clients => {}
        Compaction::Every(length) => every(length, revision, compact).await,
        Compaction::Periodic(period) => periodic(period, revision, compact).await,
        Compaction::Revisions(kept) => revisions(kept, revision, compact).await,
    }
}

/// Whether it is done, by us or by somebody else.
fn told(revision: Revision, result: Result<Revision, Error>) -> bool {
    match result {
        Ok(_) => tracing::info!(revision = revision.0, "compacted"),
        // A client, or another jine of the bucket, may have compacted further.
        Err(Error::State(state::Error::Compacted(_))) => {}
        Err(error) => {
            tracing::warn!(revision = revision.0, %error, "not compacted");
            return false;
        }
    }
    true
}

/// Every interval, what was already history one interval ago goes.
async fn every<F: Future<Output = bool>>(
    length: Duration,
    now: impl Fn() -> Revision,
    compact: impl Fn(Revision) -> F,
) {
    let mut ticks = interval(length);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut then = Revision::ZERO;
    loop {
        ticks.tick().await;
        let now = now();
        if then > Revision::FIRST && now > then {
            compact(then).await;
        }
        then = now;
    }
}

/// As etcd's: the revision is noted ten times in a period (or an hour, if that is shorter), and once the first period is over compacted at
/// the one of a period ago: again after each period or hour.
async fn periodic<F: Future<Output = bool>>(
    period: Duration,
    now: impl Fn() -> Revision,
    compact: impl Fn(Revision) -> F,
) {
    let between = period.min(Duration::from_secs(3600));
    let step = between / 10;
    let kept = (period.as_nanos() / step.as_nanos().max(1)) as usize + 1;
    let mut noted = VecDeque::with_capacity(kept.min(100_000));
    let (mut last, mut since, mut wait) = (Revision::ZERO, Instant::now(), period);
    loop {
        noted.push_back(now());
        if noted.len() > kept {
            noted.pop_front();
        }
        sleep(step).await;
        let Some(then) = noted.front().copied() else { continue };
        if since.elapsed() < wait || then == last {
            continue;
        }
        wait = between;
        if compact(then).await {
            (last, since) = (then, Instant::now());
        }
    }
}

/// As etcd's: every five minutes at the revision so far back.
async fn revisions<F: Future<Output = bool>>(kept: i64, now: impl Fn() -> Revision, compact: impl Fn(Revision) -> F) {
    let mut last = Revision::ZERO;
    loop {
        sleep(LOOK).await;
        let then = Revision(now().0 - kept);
        if then > Revision::ZERO && then != last && compact(then).await {
            last = then;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    /// One revision a minute.
    fn now() -> impl Fn() -> Revision {
        let start = Instant::now();
        move || Revision(1 + (start.elapsed().as_secs() / 60) as i64)
    }

    /// Which revisions were compacted, and after how many minutes.
    type Done = RefCell<Vec<(u64, i64)>>;

    fn noting(done: &Done) -> impl Fn(Revision) -> std::future::Ready<bool> {
        let start = Instant::now();
        move |revision| {
            done.borrow_mut().push((start.elapsed().as_secs() / 60, revision.0));
            std::future::ready(true)
        }
    }

    async fn after(minutes: u64, running: impl Future<Output = ()>) {
        let _ = tokio::time::timeout(Duration::from_secs(minutes * 60 + 1), running).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_period_of_history_is_kept() {
        let half_an_hour = Duration::from_secs(1800);
        let done = Done::default();
        after(100, periodic(half_an_hour, now(), noting(&done))).await;
        assert_eq!(done.take(), [(30, 1), (60, 28), (90, 58)]);
        let three_hours = Duration::from_secs(3 * 3600);
        after(320, periodic(three_hours, now(), noting(&done))).await;
        assert_eq!(done.take(), [(180, 1), (240, 55), (300, 115)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_number_of_revisions_is_kept() {
        let done = Done::default();
        after(21, revisions(8, now(), noting(&done))).await;
        assert_eq!(done.take(), [(10, 3), (15, 8), (20, 13)]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_history_an_interval_ago_goes() {
        let ten_minutes = Duration::from_secs(600);
        let done = Done::default();
        after(35, every(ten_minutes, now(), noting(&done))).await;
        assert_eq!(done.take(), [(20, 11), (30, 21)]);
    }
}
