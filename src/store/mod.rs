//! The store: turns requests into entries of the log, the log into state, and state into answers and events.

mod aside;
mod claim;
mod compactor;
mod durations;
mod engine;
pub mod error;
mod fence;
mod hash;
mod hold;
mod lease;
mod lessor;
pub mod log;
mod open;
mod read;
mod reader;
mod records;
mod room;
mod status;
pub mod watch;
mod write;

#[cfg(test)]
mod tests;

pub use durations::Counted;
pub use engine::{Fatal, Progress};
pub use error::Error;
pub use hash::KeyspaceHash;
pub use lease::{Granted, LeaseStatus};
pub use open::{Largest, Options, Running};
pub use read::Consistency;
pub use status::{Figures, Status};
pub use watch::{WatchOutput, WatchRequest, WatchStream};

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::state::Revision;
use aside::Aside;
use engine::{Command, Shared};
use fence::Fence;
use open::Backend;

/// Serves requests on the state of one log. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    shared: Arc<Shared>,
    fence: Fence,
    engine: mpsc::UnboundedSender<Command>,
    backend: Box<dyn Backend>,
    status: status::Cache,
    aside: Aside,
}

impl Store {
    /// One per gRPC watch stream: its watchers share one ordered queue.
    pub fn watch_stream(&self) -> WatchStream {
        self.inner.shared.hub.stream()
    }

    /// The oldest revision that can be read here; no waiting.
    pub fn compacted(&self) -> Revision {
        *self.inner.shared.compacted.borrow()
    }

    /// The revision applied here; no waiting.
    pub fn revision(&self) -> Revision {
        self.inner.shared.state().revision()
    }
}
