//! The disk that the server stores on: how much it may take, which is what it has and what is free, less a reserve; and syncing what is there.

use std::fs::{self, File};
use std::io;
use std::path::Path;

/// Kept free by the server for its own bookkeeping. (jine stops earlier, so that there is room for what makes room.)
const RESERVE: u64 = 16 << 20;

/// Enough to begin anew after the disk was full.
const ROOM: u64 = 64 << 20;

/// In bytes. A disk whose size cannot be told gets no limit.
pub(super) fn limit(dir: &Path) -> u64 {
    match free(dir) {
        Some(free) => used(dir) + free.saturating_sub(RESERVE).max(1 << 20),
        None => i64::MAX as u64,
    }
}

/// What an unprivileged process may still write there.
pub(super) fn free(dir: &Path) -> Option<u64> {
    let disk = rustix::fs::statvfs(dir).ok()?;
    Some(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// There is room to go on after the disk was full.
pub(super) fn has_room(dir: &Path) -> bool {
    free(dir).is_none_or(|free| free > ROOM)
}

fn used(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let of = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => used(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(of).sum()
}

/// Returns when everything under this directory is on the disk: what was written and not synced by a server that was killed is still read by
/// the next one, and without this only until the power fails. What is removed meanwhile is left out.
pub(super) fn sync(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        let synced = match (kind.is_dir(), kind.is_file()) {
            (true, _) => sync(&entry.path()),
            (_, true) => File::open(entry.path()).and_then(|file| file.sync_all()),
            _ => Ok(()),
        };
        match synced {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    File::open(dir)?.sync_all()
}
