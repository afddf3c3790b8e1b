//! Where nats-server puts an atomic batch together before it commits it: in memory instead of on the disk.

use std::path::PathBuf;

pub(super) struct Staging {
    #[allow(dead_code)]
    stream: PathBuf,
    #[allow(dead_code)]
    record: PathBuf,
}

impl Staging {
    pub(super) fn new(stream: PathBuf, record: PathBuf) -> Self {
        Staging { stream, record }
    }

    pub(super) fn lay(&mut self) {}
}
