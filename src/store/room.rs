//! The room that is left: in a log with a limit of its own, and below the quota.
//!
//! A full log could never be freed: deletes, compactions and checkpoints are messages too. So the last part of a limited log is kept
//! for them, and what makes the store grow is refused a little before the server would refuse everything. The quota is jine's
//! alone, and does not hold for them at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::engine::{Service, Shared};
use super::log::{Log, LogInfo};

/// How often a limited log is asked for its size.
const LOOK: Duration = Duration::from_secs(1);

/// How often a log without a limit is asked whether it has one now.
const LOOK_UNLIMITED: Duration = Duration::from_secs(60);

/// Of the limit, this part is kept for what frees room …
const KEPT: u64 = 16;

/// … but not more bytes than this: enough for a batch of deletes and the checkpoint after it.
const MOST_KEPT: u64 = 16 << 20;

#[derive(Debug)]
pub struct Room {
    quota: Option<u64>,
    /// The bytes that the log may come to; [`u64::MAX`]: any.
    limit: AtomicU64,
    /// Those by which it may still grow.
    left: AtomicU64,
}

impl Room {
    pub fn new(quota: Option<u64>) -> Room {
        Room { quota, limit: AtomicU64::new(u64::MAX), left: AtomicU64::new(u64::MAX) }
    }

    /// What the log says of itself.
    pub fn note(&self, info: &LogInfo) {
        let log = info.max_bytes.map(|max| max - (max / KEPT).min(MOST_KEPT));
        let limit = self.quota.into_iter().chain(log).min();
        self.limit.store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.left.store(limit.map_or(u64::MAX, |limit| limit.saturating_sub(info.bytes)), Ordering::Relaxed);
    }

    pub fn has(&self, bytes: usize) -> bool {
        self.left.load(Ordering::Relaxed) >= bytes as u64
    }

    /// So many bytes are on their way.
    pub fn take(&self, bytes: usize) {
        let left = self.left.load(Ordering::Relaxed);
        if left != u64::MAX {
            // If it was measured anew in between, that stands.
            let less = left.saturating_sub(bytes as u64);
            let _ = self.left.compare_exchange(left, less, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// What the log may come to before the store may not grow any more.
    pub fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit != u64::MAX)
    }
}

/// Looks at the log's size now and then, until the store stops.
pub(super) async fn look<L: Log>(log: Arc<L>, shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(if shared.room.limit().is_some() { LOOK } else { LOOK_UNLIMITED }).await;
        let service = shared.service.borrow().clone();
        match service {
            Service::Stopped(_) => return,
            Service::Up => {
                if let Ok(info) = log.info().await {
                    shared.room.note(&info);
                }
            }
            Service::Starting | Service::Outage { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Sequence;

    fn info(bytes: u64, max_bytes: Option<u64>) -> LogInfo {
        let (created, leader) = (String::new(), String::new());
        LogInfo { created, first: Sequence(1), last: Sequence(1), messages: 1, bytes, max_bytes, replicas: 1, leader }
    }

    #[test]
    fn the_last_part_of_a_limit_is_kept() {
        let room = Room::new(None);
        assert!(room.has(usize::MAX) && room.limit().is_none());
        room.note(&info(500, Some(1600)));
        assert!(room.has(1000) && !room.has(1001));
        room.take(400);
        assert!(room.has(600) && !room.has(601));
        room.note(&info(1550, Some(1600)));
        assert!(room.has(0) && !room.has(1));
        room.note(&info(1550, None));
        room.take(1000);
        assert!(room.has(usize::MAX));
    }

    #[test]
    fn the_smaller_of_quota_and_limit_counts() {
        let room = Room::new(Some(1000));
        room.note(&info(400, None));
        assert!(room.has(600) && !room.has(601));
        room.note(&info(400, Some(1600)));
        assert_eq!(room.limit(), Some(1000));
        room.note(&info(400, Some(800)));
        assert_eq!(room.limit(), Some(750));
    }
}
