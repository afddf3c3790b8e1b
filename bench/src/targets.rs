//! The servers that are measured: each with a directory of its own on the same disk.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use crate::process::{self, Usage};

/// How to start a server.
#[derive(Clone, Debug)]
pub struct Target {
    pub name: String,
    pub kind: Kind,
    pub program: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// With a nats-server of its own.
    Jine,
    Etcd,
    /// A nats-server, for JetStream's own publishes.
    Raw,
}

pub struct Server {
    pub target: Target,
    pub address: SocketAddr,
    pub directory: PathBuf,
    child: Child,
}

/// No scenario reaches it.
const QUOTA: &str = "--quota-backend-bytes=16000000000";

const START: Duration = Duration::from_secs(60);

impl Server {
    pub async fn start(target: &Target, nats_server: &Path, directory: &Path) -> io::Result<Server> {
        let directory = directory.join(&target.name);
        let _ = std::fs::remove_dir_all(&directory);
        std::fs::create_dir_all(&directory)?;
        let address = free_address()?;
        let mut command = match target.kind {
            Kind::Jine => jine(target, nats_server, &directory, address),
            Kind::Etcd => etcd(target, &directory, address)?,
            Kind::Raw => raw(target, &directory, address)?,
        };
        let log = std::fs::File::create(directory.join("log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).kill_on_drop(true);
        let child = command.spawn().map_err(|error| about(&target.program, &error))?;
        let mut server = Server { target: target.clone(), address, directory, child };
        server.await_port().await?;
        Ok(server)
    }

    async fn await_port(&mut self) -> io::Result<()> {
        let end = Instant::now() + START;
        while tokio::net::TcpStream::connect(self.address).await.is_err() {
            if Instant::now() > end || self.child.try_wait()?.is_some() {
                let log = std::fs::read_to_string(self.directory.join("log")).unwrap_or_default();
                return Err(io::Error::other(format!("{} did not start: {log}", self.target.name)));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    }

    pub fn usage(&self) -> Usage {
        self.child.id().map(process::usage).unwrap_or_default()
    }

    /// Tells the CPU seconds used so far, whenever it is called.
    pub fn usage_of(&self) -> impl Fn() -> f64 + use<> {
        let pid = self.child.id();
        move || pid.map(process::usage).unwrap_or_default().cpu_seconds
    }

    pub fn disk(&self) -> u64 {
        process::disk(&self.directory)
    }

    pub async fn stop(mut self) -> io::Result<()> {
        if let Some(pid) = self.child.id() {
            // SIGTERM, which std and tokio cannot send.
            Command::new("kill").arg(pid.to_string()).status().await?;
            if tokio::time::timeout(Duration::from_secs(20), self.child.wait()).await.is_err() {
                self.child.kill().await?;
            }
        }
        std::fs::remove_dir_all(&self.directory)
    }
}

fn jine(target: &Target, nats_server: &Path, directory: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(&target.program);
    command.arg("--endpoint=nats://").arg(format!("--data-dir={}", directory.join("data").display()));
    command.arg(format!("--nats-server={}", nats_server.display()));
    command.arg(format!("--listen-client-urls=http://{address}")).arg("--metrics-bind-address=0");
    command.arg(QUOTA);
    command
}

/// With etcd's defaults, which sync every write.
fn etcd(target: &Target, directory: &Path, address: SocketAddr) -> io::Result<Command> {
    let (client, peer) = (format!("http://{address}"), format!("http://{}", free_address()?));
    let mut command = Command::new(&target.program);
    command.arg("--name=default").arg(format!("--data-dir={}", directory.join("data").display()));
    command.arg(format!("--listen-client-urls={client}")).arg(format!("--advertise-client-urls={client}"));
    command.arg(format!("--listen-peer-urls={peer}")).arg(format!("--initial-advertise-peer-urls={peer}"));
    command.arg(format!("--initial-cluster=default={peer}"));
    command.args(["--log-level=warn", QUOTA]);
    Ok(command)
}

/// As jine runs its own.
fn raw(target: &Target, directory: &Path, address: SocketAddr) -> io::Result<Command> {
    let file = directory.join("nats-server.conf");
    let store = directory.join("data");
    let text = format!(
        "listen: \"{address}\"\nmax_payload: 8MB\njetstream {{\n store_dir: \"{}\"\n sync_interval: always\n}}\n",
        store.display()
    );
    std::fs::write(&file, text)?;
    let mut command = Command::new(&target.program);
    command.arg("-c").arg(file);
    Ok(command)
}

fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}
