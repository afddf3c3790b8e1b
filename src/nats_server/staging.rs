//! Where nats-server puts an atomic batch together before it commits it: in memory instead of on the disk.
//!
//! At one replica the server makes a directory for every batch, with some five synced files in it, under
//! `<stream>/batches/`. What it is for is finishing a batch that was half committed when the server was killed; memory
//! survives that too. After a power cut a batch that was never acknowledged may remain as a prefix, which every reader
//! of the log takes for void. So the directory is a link to one of ours on a tmpfs, and a batch costs one sync.
//!
//! The server removes the link whenever it starts (after it has finished what it finds behind it), so it is laid after
//! every start, before the first batch. Where that does not work, batches are staged on the disk: slower, not less safe.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, statfs};

use super::disk;

const PREFIX: &str = "jine-";

/// Held as long as the area is in use, so that others can tell whether it is.
const LOCK: &str = "lock";

/// statfs(2): TMPFS_MAGIC.
const TMPFS: u64 = 0x0102_1994;

/// One group is in flight at a time, of at most 8 MiB unless a single request is larger.
const ROOM: u64 = 48 << 20;

/// Less than this may not do for one more batch.
const NEEDED: u64 = 16 << 20;

pub(super) struct Staging {
    /// The stream's directory in the server's store.
    stream: PathBuf,
    area: Option<Area>,
}

/// A directory of ours on a tmpfs. Removed when dropped.
struct Area {
    path: PathBuf,
    _lock: File,
}

impl Staging {
    pub(super) fn new(stream: PathBuf) -> Self {
        Staging { stream, area: None }
    }

    /// Lays the link, or says why batches stay on the disk. The server must have started, and nobody may be writing.
    pub(super) fn lay(&mut self) {
        if !self.stream.is_dir() {
            return;
        }
        let link = self.stream.join("batches");
        match self.try_to_lay(&link) {
            Ok(area) => tracing::debug!(area = %area.display(), "batches are staged in memory"),
            Err(why) => {
                self.area = None;
                if link.is_symlink() {
                    let _ = fs::remove_file(&link);
                }
                tracing::warn!("batches are staged on the disk, which is slower: {why}");
            }
        }
    }

    /// Whether batches can go on to be staged where they are: what is in memory is shared with others, who may fill or remove it.
    pub(super) fn is_sound(&self) -> bool {
        let Some(area) = &self.area else { return true };
        area.path.join(LOCK).exists() && disk::free(&area.path).is_none_or(|free| free >= NEEDED)
    }

    fn try_to_lay(&mut self, link: &Path) -> Result<PathBuf, String> {
        let area = match self.area.take().filter(|area| disk::free(&area.path).is_some_and(|free| free >= ROOM)) {
            Some(area) => area,
            None => Area::make(&roots())?,
        };
        area.empty().map_err(|error| format!("{} cannot be emptied: {error}", area.path.display()))?;
        replace(link, &area.path).map_err(|error| format!("{} cannot be made a link: {error}", link.display()))?;
        let path = area.path.clone();
        self.area = Some(area);
        Ok(path)
    }
}

/// Where a tmpfs is usually to be found.
fn roots() -> Vec<PathBuf> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    [Some(PathBuf::from("/dev/shm")), runtime].into_iter().flatten().collect()
}

/// Makes `link` point to `area`, and checks that writing by way of it works.
fn replace(link: &Path, area: &Path) -> io::Result<()> {
    match fs::symlink_metadata(link) {
        Ok(meta) if meta.is_symlink() => fs::remove_file(link)?,
        // Fails if a batch is in it: then it must stay.
        Ok(_) => fs::remove_dir(link)?,
        Err(_) => {}
    }
    symlink(area, link)?;
    let probe = link.join("probe");
    fs::create_dir(&probe)?;
    fs::remove_dir(&probe)
}

impl Area {
    /// On the first of the roots that will do.
    fn make(roots: &[PathBuf]) -> Result<Self, String> {
        let mut problems = Vec::new();
        for root in roots {
            remove_abandoned(root);
            match usable(root).and_then(|()| Self::make_in(root).map_err(|error| error.to_string())) {
                Ok(area) => return Ok(area),
                Err(why) => problems.push(format!("{}: {why}", root.display())),
            }
        }
        Err(if problems.is_empty() { "there is no tmpfs".to_owned() } else { problems.join("; ") })
    }

    fn make_in(root: &Path) -> io::Result<Self> {
        let path = root.join(format!("{PREFIX}{:016x}", rand::random::<u64>()));
        // Under a name that nobody takes for an area until it is locked.
        let new = path.with_extension("new");
        DirBuilder::new().mode(0o700).create(&new)?;
        let lock = Self::lock(&new).and_then(|lock| fs::rename(&new, &path).map(|()| lock));
        match lock {
            Ok(lock) => Ok(Area { path, _lock: lock }),
            Err(error) => {
                let _ = fs::remove_dir_all(&new);
                Err(error)
            }
        }
    }

    fn lock(area: &Path) -> io::Result<File> {
        let lock = OpenOptions::new().write(true).create_new(true).mode(0o600).open(area.join(LOCK))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)?;
        Ok(lock)
    }

    fn empty(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else if entry.file_name() != LOCK {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn usable(root: &Path) -> Result<(), String> {
    let disk = statfs(root).map_err(|error| error.to_string())?;
    if disk.f_type as u64 != TMPFS {
        return Err("is no tmpfs".to_owned());
    }
    match disk::free(root) {
        Some(free) if free < ROOM => Err(format!("has only {} MiB free, and {} are needed", free >> 20, ROOM >> 20)),
        _ => Ok(()),
    }
}

/// Areas of ours whose jine was killed: the kernel has released their locks.
fn remove_abandoned(root: &Path) {
    let Ok(entries) = fs::read_dir(root) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Some(rest) = name.strip_prefix(PREFIX) else { continue };
        // Whose directory it is says whose it was to make; others' are not followed.
        let ours =
            entry.metadata().is_ok_and(|meta| meta.is_dir() && meta.uid() == rustix::process::geteuid().as_raw());
        let is_abandoned = match rest.strip_suffix(".new") {
            Some(rest) => rest.len() == 16 && is_old(&entry),
            None => rest.len() == 16 && is_abandoned(&entry.path()),
        };
        if ours && is_abandoned {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Making one takes no time at all.
fn is_old(new: &fs::DirEntry) -> bool {
    let changed = new.metadata().and_then(|meta| meta.modified());
    changed.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > Duration::from_secs(600)))
}

fn is_abandoned(area: &Path) -> bool {
    // One without a lock is just being removed.
    let Ok(lock) = File::open(area.join(LOCK)) else { return false };
    flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stream's directory, and a root for areas that passes for a tmpfs as far as the test goes.
    fn setup() -> (tempfile::TempDir, PathBuf, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let (stream, root) = (dir.path().join("KV_jine"), dir.path().join("shm"));
        fs::create_dir(&stream).unwrap();
        fs::create_dir(&root).unwrap();
        (dir, stream, root)
    }

    #[test]
    fn a_link_replaces_an_old_one_and_an_empty_directory() {
        let (_dir, stream, root) = setup();
        let link = stream.join("batches");
        for old in [None, Some("link"), Some("directory")] {
            match old {
                Some("link") => symlink("/nonexistent", &link).unwrap(),
                Some(_) => fs::create_dir(&link).unwrap(),
                None => {}
            }
            replace(&link, &root).unwrap();
            assert_eq!(fs::read_link(&link).unwrap(), root);
            fs::remove_file(&link).unwrap();
        }
    }

    #[test]
    fn a_batch_under_way_stays_where_it_is() {
        let (_dir, stream, root) = setup();
        let batch = stream.join("batches/b1");
        fs::create_dir_all(&batch).unwrap();
        assert!(replace(&stream.join("batches"), &root).is_err());
        assert!(batch.is_dir());
    }

    /// Another jine that starts at the same time looks for abandoned ones all along.
    #[test]
    fn an_area_that_is_just_being_made_is_not_taken_for_abandoned() {
        let (_dir, _, root) = setup();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    remove_abandoned(&root);
                }
            });
            let lost = (0..2000).filter(|_| !Area::make_in(&root).is_ok_and(|area| area.path.join(LOCK).exists()));
            let lost = lost.count();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(lost, 0);
        });
        assert_eq!(fs::read_dir(&root).unwrap().count(), 0);
    }

    #[test]
    fn abandoned_areas_are_removed_and_others_are_not() {
        let (_dir, _, root) = setup();
        let used = Area::make_in(&root).unwrap();
        let abandoned = root.join("jine-0123456789abcdef");
        fs::create_dir(&abandoned).unwrap();
        fs::write(abandoned.join(LOCK), "").unwrap();
        let foreign = root.join("jine-of-someone-else");
        fs::create_dir(&foreign).unwrap();
        remove_abandoned(&root);
        assert!(used.path.is_dir() && foreign.is_dir() && !abandoned.exists());
        let path = used.path.clone();
        drop(used);
        assert!(!path.exists());
    }
}
