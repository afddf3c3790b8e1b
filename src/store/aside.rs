//! Work that takes long without waiting for anything: not on the threads that serve everybody.

use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

use super::Error;

/// Keys that are looked at in passing: about as long as it takes to hand work over to another thread.
const QUICK: usize = 1000;

/// As many at once as there are processors: more would only take time, and memory, from each other and from everybody else.
pub(super) struct Aside {
    turns: Arc<Semaphore>,
}

impl Default for Aside {
    fn default() -> Aside {
        Aside { turns: Arc::new(Semaphore::new(available_parallelism().map_or(1, usize::from))) }
    }
}

impl Aside {
    /// Runs what takes as long as looking at `effort` keys. Goes on to the end if the caller does not wait for it.
    ///
    /// Errors: [`Error::Stopped`].
    pub(super) async fn run<T: Send + 'static>(
        &self,
        effort: usize,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        if effort <= QUICK {
            return Ok(work());
        }
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Error::Stopped)?;
        let work = move || {
            let result = work();
            drop(turn);
            result
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Error::Stopped)
    }
}
