//! Telling whether a process that was written down is still that one: by its start time, as ids are used again.

use std::fs;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Process {
    pub(super) pid: u32,
    /// In clock ticks since the machine was booted (proc_pid_stat(5), field 22).
    start: u64,
    /// Tells one boot from another.
    boot: String,
}

impl Process {
    /// None: there is no such process, or it has ended and nobody has asked how.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name before it may hold anything, blanks and parentheses too.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
        let ended = matches!(fields.next()?, "Z" | "X");
        let start = fields.nth(18)?.parse().ok()?;
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned();
        (!ended).then_some(Process { pid, start, boot })
    }

    pub(super) fn me() -> Option<Self> {
        Self::of(std::process::id())
    }

    pub(super) fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Asks it to end, kills it if that takes too long, and returns when it is gone. False: it is still there.
    pub(super) async fn end(&self, patience: Duration) -> bool {
        // The descriptor stands for one process: none that gets the same id later can be hit.
        let Some(handle) = self.handle() else { return !self.is_alive() };
        for signal in [Signal::TERM, Signal::KILL] {
            let _ = pidfd_send_signal(&handle, signal);
            let deadline = Instant::now() + patience;
            while self.is_alive() && Instant::now() < deadline {
                sleep(Duration::from_millis(10)).await;
            }
        }
        !self.is_alive()
    }

    fn handle(&self) -> Option<OwnedFd> {
        let pid = Pid::from_raw(i32::try_from(self.pid).ok()?)?;
        let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        self.is_alive().then_some(handle)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_and_no_other() {
        let me = Process::me().unwrap();
        assert!(me.is_alive());
        assert!(!Process { start: me.start + 1, ..me.clone() }.is_alive());
        assert!(!Process { boot: "another".into(), ..me }.is_alive());
    }

    #[tokio::test]
    async fn ends_a_process_that_does_not_listen() {
        let script = "trap '' TERM; echo ready; while :; do sleep 0.05; done";
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", script])
            .stdout(std::process::Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut ready = [0];
        tokio::io::AsyncReadExt::read_exact(child.stdout.as_mut().unwrap(), &mut ready).await.unwrap();
        let process = Process::of(child.id().unwrap()).unwrap();
        assert!(process.end(Duration::from_millis(50)).await);
        assert!(!process.is_alive());
    }
}
