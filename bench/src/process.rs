//! What the servers' processes use.

use std::fs;
use std::path::Path;

/// Linux' USER_HZ.
const TICKS: f64 = 100.0;

#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time.
    pub cpu_seconds: f64,
    pub rss_bytes: u64,
    pub peak_rss_bytes: u64,
    /// What went to the disk, or is on its way there.
    pub written_bytes: u64,
}

impl Usage {
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            cpu_seconds: self.cpu_seconds + other.cpu_seconds,
            rss_bytes: self.rss_bytes + other.rss_bytes,
            peak_rss_bytes: self.peak_rss_bytes + other.peak_rss_bytes,
            written_bytes: self.written_bytes + other.written_bytes,
        }
    }
}

/// Of a process and its children.
pub fn usage(pid: u32) -> Usage {
    family(pid).into_iter().map(own).fold(Usage::default(), Usage::plus)
}

/// Of one process alone.
pub fn own(pid: u32) -> Usage {
    Usage {
        cpu_seconds: stat(pid).unwrap_or_default().0,
        rss_bytes: status(pid, "VmRSS:"),
        peak_rss_bytes: status(pid, "VmHWM:"),
        written_bytes: written(pid),
    }
}

fn family(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let all: Vec<u32> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    found.extend(all.into_iter().filter(|other| stat(*other).is_some_and(|(_, parent)| parent == pid)));
    found
}

/// CPU seconds and the parent.
fn stat(pid: u32) -> Option<(f64, u32)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, but ends with the last parenthesis.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |n: usize| fields.get(n)?.parse::<f64>().ok();
    Some(((ticks(11)? + ticks(12)?) / TICKS, fields.get(1)?.parse().ok()?))
}

fn written(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|line| line.parse().ok()).unwrap_or_default()
}

fn status(pid: u32, field: &str) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<u64>().ok()).unwrap_or_default() * 1024
}

/// Bytes that the files below a directory take on the disk.
pub fn disk(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let of = |path: &Path| match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => disk(path),
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(|entry| of(&entry.path())).sum()
}
