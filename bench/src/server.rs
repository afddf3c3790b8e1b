//! A target's processes, while they run.

use std::fs::{File, OpenOptions};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::command::{commands, free_address};
use crate::drive::Wire;
use crate::h2;
use crate::pb;
use crate::process::{self, Usage};
use crate::targets::{Kind, Target};

pub struct Server {
    pub target: Target,
    pub address: SocketAddr,
    pub directory: PathBuf,
    commands: Vec<Command>,
    /// In the order in which they were started.
    children: Vec<Child>,
}

const START: Duration = Duration::from_secs(180);
const STOP: Duration = Duration::from_secs(60);

impl Server {
    /// On an empty directory, and ready.
    pub async fn start(target: &Target, nats_server: &Path, directory: &Path) -> io::Result<Server> {
        let directory = directory.join(&target.name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory)?;
        let address = free_address()?;
        let commands = commands(target, nats_server, &directory, address)?;
        let mut server = Server { target: target.clone(), address, directory, commands, children: Vec::new() };
        server.run().await?;
        Ok(server)
    }

    /// Starts the processes. Returns how long it took until a linearizable read was answered.
    async fn run(&mut self) -> io::Result<Duration> {
        let began = Instant::now();
        for command in &mut self.commands {
            let log = self.directory.join("log");
            let log: File = OpenOptions::new().create(true).append(true).open(log)?;
            command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
            let name = command.as_std().get_program().to_owned();
            let child = command.spawn();
            self.children.push(child.map_err(|error| io::Error::other(format!("{}: {error}", name.display())))?);
        }
        while !self.answers().await {
            let ended = self.children.iter_mut().any(|child| !matches!(child.try_wait(), Ok(None)));
            if ended || began.elapsed() > START {
                return Err(io::Error::other(format!("{} did not start: {}", self.target.name, self.log())));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(began.elapsed())
    }

    async fn answers(&self) -> bool {
        if self.target.kind == Kind::Raw {
            return tokio::net::TcpStream::connect(self.address).await.is_ok();
        }
        let asked = tokio::time::timeout(Duration::from_secs(5), read_any(self.address)).await;
        matches!(asked, Ok(Ok(())))
    }

    fn log(&self) -> String {
        let text = std::fs::read(self.directory.join("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().rev().take(10).collect();
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Of all processes.
    pub fn usage(&self) -> Usage {
        self.pids().into_iter().map(process::usage).fold(Usage::default(), Usage::plus)
    }

    /// Of the process that clients talk to alone, without a nats-server that it runs.
    pub fn front_rss(&self) -> u64 {
        self.pids().last().map(|pid| process::own(*pid).rss_bytes).unwrap_or_default()
    }

    fn pids(&self) -> Vec<u32> {
        self.children.iter().filter_map(Child::id).collect()
    }

    /// Tells the CPU seconds used so far, whenever it is called.
    pub fn cpu(&self) -> impl Fn() -> f64 + use<> {
        let pids = self.pids();
        move || pids.iter().map(|pid| process::usage(*pid).cpu_seconds).sum()
    }

    pub fn disk(&self) -> u64 {
        process::disk(&self.directory)
    }

    /// Stops the processes as one should, and starts them again on what they have. Returns how long the start took.
    pub async fn restart(&mut self) -> io::Result<Duration> {
        self.end().await?;
        self.run().await
    }

    /// Those started last end first.
    async fn end(&mut self) -> io::Result<()> {
        for mut child in std::mem::take(&mut self.children).into_iter().rev() {
            let Some(pid) = child.id() else { continue };
            // SIGTERM, which std and tokio cannot send.
            Command::new("kill").arg(pid.to_string()).status().await?;
            if tokio::time::timeout(STOP, child.wait()).await.is_err() {
                child.kill().await?;
            }
        }
        Ok(())
    }

    pub async fn stop(mut self) -> io::Result<()> {
        self.end().await?;
        std::fs::remove_dir_all(&self.directory)
    }
}

/// A linearizable read of a key that need not be there.
async fn read_any(address: SocketAddr) -> io::Result<()> {
    let mut message = Vec::new();
    pb::range(&mut message, b"/any", b"", pb::Range::default());
    Wire::open(address).await?.ask(pb::RANGE, &message).await.map(drop)
}

impl Wire {
    /// One call on a connection that has no others: the beginning of its answer.
    pub async fn ask(&mut self, path: &str, message: &[u8]) -> io::Result<Vec<u8>> {
        self.http.call(h2::Kind::Unary, path, message, 0);
        loop {
            self.exchange().await?;
            match self.http.event() {
                Some(h2::Event::Answer { head, .. }) => return Ok(head),
                Some(h2::Event::Failed { why, .. }) => return Err(io::Error::other(why)),
                Some(h2::Event::Message { .. }) | None => {}
            }
        }
    }
}
