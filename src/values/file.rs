//! The file that values are in which memory has no room for.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use super::slab::Slab;
use crate::state::Stored;

/// statfs(2): TMPFS_MAGIC.
const TMPFS: u64 = 0x0102_1994;

/// Free bytes that are left to others on the disk: jine's own nats-server may write there, and takes it badly when it cannot.
const LEFT: u64 = 128 << 20;

/// The disk is asked for its room once for so many bytes by which the file grows.
const STEP: u64 = 8 << 20;

#[derive(Debug)]
pub(super) struct ValueFile {
    file: File,
    space: Mutex<Space>,
}

#[derive(Debug, Default)]
struct Space {
    slab: Slab,
    /// Up to where the disk had room for the file.
    granted: u64,
}

/// A value in the file.
#[derive(Debug)]
pub(super) struct Place {
    file: Arc<ValueFile>,
    at: u64,
    length: u32,
    /// CRC-32C.
    checksum: u32,
}

impl ValueFile {
    /// Without a name: nobody else can open it, and it is gone with this process.
    pub(super) fn create(directory: &Path) -> io::Result<ValueFile> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        let path = directory.join(format!("values-{}-{:016x}", std::process::id(), rand::random::<u64>()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        fs::remove_file(&path)?;
        Ok(ValueFile::on(file))
    }

    pub(super) fn on(file: File) -> ValueFile {
        ValueFile { file, space: Mutex::default() }
    }

    pub(super) fn is_in_memory(&self) -> bool {
        rustix::fs::fstatfs(&self.file).is_ok_and(|disk| disk.f_type as u64 == TMPFS)
    }

    /// Errors: the disk is full, or as good as that; or it does not work.
    pub(super) fn write(self: &Arc<Self>, value: &[u8]) -> io::Result<Place> {
        let length = u32::try_from(value.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let at = self.take(length)?;
        // Gives the place back if it comes to nothing.
        let place = Place { file: self.clone(), at, length, checksum: crc32c::crc32c(value) };
        self.file.write_all_at(value, at)?;
        Ok(place)
    }

    /// Where the file ends, and how much of it is taken; in bytes.
    pub(super) fn size(&self) -> (u64, u64) {
        let space = self.space();
        (space.slab.end(), space.slab.used())
    }

    fn take(&self, length: u32) -> io::Result<u64> {
        let mut space = self.space();
        let length = u64::from(length);
        if let Some(at) = space.slab.take(length) {
            return Ok(at);
        }
        let end = space.slab.end() + length;
        if end > space.granted {
            let disk = rustix::fs::fstatvfs(&self.file)?;
            if disk.f_bavail.saturating_mul(disk.f_frsize) < LEFT + STEP + length {
                return Err(io::Error::new(io::ErrorKind::StorageFull, "the disk is nearly full"));
            }
            space.granted = end + STEP;
        }
        Ok(space.slab.extend(length))
    }

    fn space(&self) -> MutexGuard<'_, Space> {
        self.space.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Place {
    fn try_read(&self) -> io::Result<Bytes> {
        let mut value = vec![0; self.length as usize];
        self.file.file.read_exact_at(&mut value, self.at)?;
        if crc32c::crc32c(&value) != self.checksum {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it holds something else than was written"));
        }
        Ok(value.into())
    }
}

impl Stored for Place {
    fn size(&self) -> usize {
        self.length as usize
    }

    /// Ends the process where the value cannot be read: any answer would be wrong, and the log has it.
    fn read(&self) -> Bytes {
        self.try_read().unwrap_or_else(|error| {
            tracing::error!(
                %error,
                "a value cannot be read from the file of --value-memory: check the disk of the data directory. Nothing is lost: jine ends \
                 now, and reads the log when it is started again"
            );
            // The nats-server ends with this process.
            std::process::exit(1)
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.file.space().slab.give_back(self.at, u64::from(self.length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> Arc<ValueFile> {
        Arc::new(ValueFile::create(&std::env::temp_dir()).unwrap())
    }

    #[test]
    fn a_place_is_free_again_when_the_value_is_dropped() {
        let file = file();
        let places: Vec<_> = (0..10u8).map(|n| file.write(&[n; 1000]).unwrap()).collect();
        assert!(places.iter().zip(0..).all(|(place, n)| place.read() == vec![n; 1000] && place.size() == 1000));
        assert_eq!(file.size(), (10_240, 10_240));
        drop(places);
        assert_eq!(file.size(), (10_240, 0));
        let large = file.write(&[1; 10_000]).unwrap();
        assert_eq!((large.at, file.size()), (0, (10_240, 10_240)));
    }

    #[test]
    fn another_value_at_its_place_is_told_from_the_one_that_was_written() {
        let file = file();
        let place = file.write(&[7; 500]).unwrap();
        file.file.write_all_at(&[8], 499).unwrap();
        assert_eq!(place.try_read().unwrap_err().kind(), io::ErrorKind::InvalidData);
        file.file.set_len(499).unwrap();
        assert_eq!(place.try_read().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_is_not_written_takes_no_place() {
        let unwritable = Arc::new(ValueFile::on(File::open("/dev/null").unwrap()));
        unwritable.space().granted = 1 << 20;
        assert!(unwritable.write(&[1; 1000]).is_err());
        assert_eq!(unwritable.size().1, 0);
    }

    #[test]
    fn its_name_is_gone_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = ValueFile::create(&directory.path().join("a/b")).unwrap();
        assert_eq!(fs::read_dir(directory.path().join("a/b")).unwrap().count(), 0);
        assert_eq!(file.file.metadata().unwrap().len(), 0);
    }
}
