//! The room that is left: in a log with a limit of its own, in its account, on its disk, and below the quota.
//!
//! A full log could never be freed: deletes, compactions and checkpoints are messages too. So the last part of what has a limit is kept
//! for them, and what makes the store grow is refused a little before the server would refuse everything. The quota is jine's
//! alone, and does not hold for them at all.
//!
//! A limit that jine cannot know (another server's `max_file_store`) is met as a refusal. Not even the alarm can be written then, so this
//! process keeps it for itself until it can.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

use super::engine::{Service, Shared, Write};
use super::log::{Log, LogInfo};
use crate::state::{Alarm, AlarmKind, Request, Sequence};

/// How often a limited log is asked for its size.
const LOOK: Duration = Duration::from_secs(1);

/// How often a log without a limit is asked whether it has one now.
const LOOK_UNLIMITED: Duration = Duration::from_secs(60);

/// How often it is told that the log's beginning is gone.
const SAY_PURGED: Duration = Duration::from_secs(60);

/// Of the limit, this part is kept for what frees room …
const KEPT: u64 = 16;

/// … but not more bytes than this: enough for a batch of deletes and the checkpoint after it.
const MOST_KEPT: u64 = 16 << 20;

/// Of the disk this much is kept for what frees room, and for the server's own bookkeeping …
const DISK_KEPT: u64 = 64 << 20;

/// … and with less than this nothing is written at all: a server that runs into the end of its disk writes no more until it is restarted.
const DISK_BARE: u64 = 4 << 20;

/// How long what the disk said is believed: it is asked for every write, and does not fill that fast.
const DISK_ASKED: Duration = Duration::from_millis(10);

/// How long the log may take to store an alarm.
const PATIENCE: Duration = Duration::from_secs(7);

/// What is free on the disk, if that can be seen.
pub type DiskLeft = Box<dyn Fn() -> Option<u64> + Send + Sync>;

/// How much more the log can take, and the NOSPACE alarm.
pub struct Room {
    /// Bytes (`--quota-backend-bytes`).
    quota: Option<u64>,
    /// The bytes that the log may come to; [`u64::MAX`]: any.
    limit: AtomicU64,
    /// Those by which it may still grow.
    left: AtomicU64,
    /// The same in its account.
    account: AtomicU64,
    disk: Disk,
    /// There was no room, and an alarm that says so is not in the log yet.
    alarmed: AtomicBool,
    raised: Notify,
}

struct Disk {
    left: DiskLeft,
    began: Instant,
    /// When it was asked last, in milliseconds since then, and what it said.
    asked: AtomicU64,
    said: AtomicU64,
}

impl Disk {
    fn left(&self) -> u64 {
        let now = self.began.elapsed().as_millis() as u64;
        let asked = self.asked.load(Ordering::Relaxed);
        if asked == u64::MAX || now.saturating_sub(asked) >= DISK_ASKED.as_millis() as u64 {
            self.said.store((self.left)().unwrap_or(u64::MAX), Ordering::Relaxed);
            self.asked.store(now, Ordering::Relaxed);
        }
        self.said.load(Ordering::Relaxed)
    }
}

impl Room {
    pub fn new(quota: Option<u64>, disk: DiskLeft) -> Room {
        let unlimited = || AtomicU64::new(u64::MAX);
        let disk = Disk { left: disk, began: Instant::now(), asked: unlimited(), said: unlimited() };
        let (limit, left, account) = (unlimited(), unlimited(), unlimited());
        Room { quota, limit, left, account, disk, alarmed: AtomicBool::new(false), raised: Notify::new() }
    }

    /// What the log says of itself.
    pub fn note(&self, info: &LogInfo) {
        let log = info.max_bytes.map(|max| max - (max / KEPT).min(MOST_KEPT));
        let limit = self.quota.into_iter().chain(log).min();
        self.limit.store(limit.unwrap_or(u64::MAX), Ordering::Relaxed);
        self.left.store(limit.map_or(u64::MAX, |limit| limit.saturating_sub(info.bytes)), Ordering::Relaxed);
    }

    /// What the account has left for a log of so many bytes.
    fn note_account(&self, left: Option<u64>, bytes: u64) {
        let kept = |left: u64| (left.saturating_add(bytes) / KEPT).min(MOST_KEPT);
        self.account.store(left.map_or(u64::MAX, |left| left.saturating_sub(kept(left))), Ordering::Relaxed);
    }

    /// Whether the store may grow by so many bytes.
    pub fn has(&self, bytes: usize) -> bool {
        let bytes = bytes as u64;
        let left = self.left.load(Ordering::Relaxed).min(self.account.load(Ordering::Relaxed));
        left >= bytes && self.disk.left() >= DISK_KEPT.saturating_add(bytes)
    }

    /// Whether anything may be written, be it only to make room.
    pub fn has_any(&self) -> bool {
        self.disk.left() >= DISK_BARE
    }

    /// So many bytes are on their way.
    pub fn take(&self, bytes: usize) {
        for room in [&self.left, &self.account] {
            let left = room.load(Ordering::Relaxed);
            if left != u64::MAX {
                // If it was measured anew in between, that stands.
                let less = left.saturating_sub(bytes as u64);
                let _ = room.compare_exchange(left, less, Ordering::Relaxed, Ordering::Relaxed);
            }
        }
    }

    /// There was no room; false if that was known.
    pub fn raise(&self) -> bool {
        let news = !self.alarmed.swap(true, Ordering::Relaxed);
        self.raised.notify_one();
        news
    }

    /// The alarm is in the log, or lifted.
    pub fn alarm_noted(&self) {
        self.alarmed.store(false, Ordering::Relaxed);
    }

    /// Whether there is an alarm that is not in the log yet.
    pub fn is_alarmed(&self) -> bool {
        self.alarmed.load(Ordering::Relaxed)
    }

    fn is_limited(&self) -> bool {
        self.limit().is_some() || self.account.load(Ordering::Relaxed) != u64::MAX
    }

    /// What the log may come to before the store may not grow any more.
    pub fn limit(&self) -> Option<u64> {
        Some(self.limit.load(Ordering::Relaxed)).filter(|limit| *limit != u64::MAX)
    }
}

/// Looks at the log's size now and then, until the store stops; and writes the alarm down that could not be written.
pub(super) async fn look<L: Log>(log: Arc<L>, shared: Arc<Shared>, member: u64) {
    let (mut account_asked, mut purge_told) = (None, None);
    let long_ago = |asked: Instant| asked.elapsed() >= LOOK_UNLIMITED;
    loop {
        let service = shared.service.borrow().clone();
        match service {
            Service::Stopped(_) => return,
            Service::Up => {
                if let Ok(info) = log.info().await {
                    shared.room.note(&info);
                    tell_of_purges(&info, &mut purge_told);
                    // Who may not ask gets no answer, and waits for it: seldom, where there was none.
                    if shared.room.account.load(Ordering::Relaxed) != u64::MAX || account_asked.is_none_or(long_ago) {
                        account_asked = Some(Instant::now());
                        shared.room.note_account(log.account_left().await, info.bytes);
                    }
                }
                if shared.room.is_alarmed() && shared.room.has_any() {
                    store_alarm(&shared, member).await;
                }
            }
            Service::Starting | Service::Outage { .. } => {}
        }
        let soon = shared.room.is_limited() || shared.room.is_alarmed();
        if soon {
            tokio::time::sleep(LOOK).await;
        } else {
            // Nobody would look for a minute whether there is room for the alarm.
            let _ = tokio::time::timeout(LOOK_UNLIMITED, shared.room.raised.notified()).await;
        }
    }
}

/// The genesis record is never removed by a jine. Where it is gone the store cannot be read again, which would else be told at the next
/// start only: when nobody has the data any more.
fn tell_of_purges(info: &LogInfo, told: &mut Option<Instant>) {
    if info.first > Sequence(1) && told.is_none_or(|told| told.elapsed() >= SAY_PURGED) {
        *told = Some(Instant::now());
        tracing::error!(
            first = info.first.0,
            "the beginning of the stream was removed by somebody else: it cannot be read again, and what is served now will be lost when jine \
             ends; save it now, or restore a backup of the stream"
        );
    }
}

async fn store_alarm(shared: &Shared, member: u64) {
    let (reply, stored) = oneshot::channel();
    let request = Request::AlarmRaise(Alarm { member, kind: AlarmKind::NoSpace });
    let _ = shared.writes().send(Write { request, reply, fenced: false, expires: None });
    if matches!(tokio::time::timeout(PATIENCE, stored).await, Ok(Ok(Ok(_)))) {
        shared.room.alarm_noted();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(bytes: u64, max_bytes: Option<u64>) -> LogInfo {
        let (created, leader) = (String::new(), String::new());
        LogInfo { created, first: Sequence(1), last: Sequence(1), messages: 1, bytes, max_bytes, replicas: 1, leader }
    }

    #[test]
    fn the_last_part_of_a_limit_is_kept() {
        let room = Room::new(None, Box::new(|| None));
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
        let room = Room::new(Some(1000), Box::new(|| None));
        room.note(&info(400, None));
        assert!(room.has(600) && !room.has(601));
        room.note(&info(400, Some(1600)));
        assert_eq!(room.limit(), Some(1000));
        room.note(&info(400, Some(800)));
        assert_eq!(room.limit(), Some(750));
    }

    #[test]
    fn an_account_counts_like_a_limit() {
        let room = Room::new(None, Box::new(|| None));
        room.note(&info(600, None));
        room.note_account(Some(1000), 600);
        assert!(room.has(900) && !room.has(901) && room.is_limited());
        room.take(400);
        assert!(room.has(500) && !room.has(501));
        room.note_account(None, 600);
        assert!(room.has(1 << 40) && !room.is_limited());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_part_of_a_disk_is_kept_and_its_end_for_nobody() {
        let free = Arc::new(AtomicU64::new(DISK_KEPT + 1000));
        let left = free.clone();
        let room = Room::new(None, Box::new(move || Some(left.load(Ordering::Relaxed))));
        assert!(room.has(1000) && !room.has(1001));
        free.store(DISK_BARE, Ordering::Relaxed);
        tokio::time::advance(DISK_ASKED).await;
        assert!(!room.has(1) && room.has_any());
        free.store(DISK_BARE - 1, Ordering::Relaxed);
        tokio::time::advance(DISK_ASKED).await;
        assert!(!room.has_any());
    }
}
