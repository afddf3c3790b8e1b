//! Starting a child that does not outlive this process, even if this process is killed.
//!
//! Linux sends the signal when the *thread* ends that has started the child, and a runtime ends idle threads. So one
//! thread of our own starts them all and lives as long as its [`Spawner`].

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::mpsc;
use std::thread;

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Pid, Signal, getpid, getppid, set_parent_process_death_signal};
use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Dropping it kills the children.
pub(super) struct Spawner {
    requests: mpsc::Sender<Request>,
}

struct Request {
    command: Command,
    answer: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    pub(super) fn new() -> io::Result<Self> {
        let (requests, inbox) = mpsc::channel::<Request>();
        let runtime = Handle::current();
        thread::Builder::new().name("spawner".to_owned()).spawn(move || {
            let _runtime = runtime.enter();
            for mut request in inbox {
                let _ = request.answer.send(request.command.spawn());
            }
        })?;
        Ok(Spawner { requests })
    }

    /// The child keeps `inherited` open.
    pub(super) async fn spawn(&self, mut command: Command, inherited: &File) -> io::Result<Child> {
        tie_to_parent(&mut command, inherited);
        let (answer, child) = oneshot::channel();
        let gone = || io::Error::other("the thread that starts processes has ended");
        self.requests.send(Request { command, answer }).map_err(|_| gone())?;
        child.await.map_err(|_| gone())?
    }
}

fn tie_to_parent(command: &mut Command, inherited: &File) {
    let parent = getpid();
    let inherited = inherited.as_raw_fd();
    // SAFETY: between fork and exec only system calls are made, which are all that is allowed there; the descriptor
    // is open, as `spawn` holds the file until the child has been started.
    #[allow(unsafe_code)]
    unsafe {
        command.pre_exec(move || prepare(parent, BorrowedFd::borrow_raw(inherited)));
    }
}

/// Runs in the child, before it becomes nats-server.
fn prepare(parent: Pid, inherited: BorrowedFd<'_>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // The parent may have died before the line above.
    if getppid() != Some(parent) {
        return Err(io::Error::other("the parent is gone"));
    }
    fcntl_setfd(inherited, FdFlags::empty())?;
    Ok(())
}
