//! How the servers are started: each with a directory of its own on the same disk.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::targets::{Kind, Target};

/// No scenario reaches it.
const QUOTA: &str = "--quota-backend-bytes=64000000000";

/// The commands of a target, in the order in which they are started; clients connect to the last, at `address`.
pub fn commands(
    target: &Target,
    nats_server: &Path,
    directory: &Path,
    address: SocketAddr,
) -> io::Result<Vec<Command>> {
    Ok(match target.kind {
        Kind::External { replicas, always } => external(target, nats_server, directory, address, replicas, always)?,
        Kind::Jine => vec![own(target, nats_server, directory, address)],
        Kind::ValueMemory => {
            let mut command = own(target, nats_server, directory, address);
            command.arg("--value-memory=64MiB");
            vec![command]
        }
        Kind::Etcd => vec![etcd(target, directory, address)?],
        Kind::Raw => vec![one_nats_server(&target.program, directory, address, true)?],
        Kind::KineNats => vec![kine_nats(target, directory, address)?],
        Kind::KineSqlite => vec![kine(target, &sqlite(directory), address)],
    })
}

fn jine(target: &Target, endpoint: &str, address: SocketAddr) -> Command {
    let mut command = Command::new(&target.program);
    command.arg("--endpoint").arg(endpoint).arg(format!("--listen-client-urls=http://{address}"));
    command.arg("--metrics-bind-address=0").arg(QUOTA);
    command
}

fn own(target: &Target, nats_server: &Path, directory: &Path, address: SocketAddr) -> Command {
    let mut command = jine(target, "nats://", address);
    command.arg(format!("--data-dir={}", directory.join("data").display()));
    command.arg(format!("--nats-server={}", nats_server.display()));
    command
}

fn external(
    target: &Target,
    nats_server: &Path,
    directory: &Path,
    address: SocketAddr,
    replicas: usize,
    always: bool,
) -> io::Result<Vec<Command>> {
    let clients = free_addresses(replicas)?;
    let routes = free_addresses(replicas)?;
    let urls: Vec<String> = clients.iter().map(|address| format!("nats://{address}")).collect();
    let mut commands = Vec::new();
    for (n, client) in clients.iter().enumerate() {
        let directory = directory.join(format!("nats-{n}"));
        std::fs::create_dir_all(&directory)?;
        let cluster = if replicas > 1 { cluster(n, &routes) } else { String::new() };
        commands.push(nats(nats_server, &directory, *client, always, &cluster)?);
    }
    commands.push(jine(target, &format!("{}?bucket=jine&replicas={replicas}", urls.join(",")), address));
    Ok(commands)
}

fn cluster(n: usize, routes: &[SocketAddr]) -> String {
    let others = routes.iter().enumerate().filter(|(other, _)| *other != n);
    let others: Vec<String> = others.map(|(_, address)| format!("\"nats://{address}\"")).collect();
    format!("cluster {{ name: bench, listen: \"{}\", routes: [{}] }}\n", routes[n], others.join(", "))
}

fn one_nats_server(program: &Path, directory: &Path, address: SocketAddr, always: bool) -> io::Result<Command> {
    nats(program, directory, address, always, "")
}

/// Configured as jine configures its own, but for the sync.
fn nats(program: &Path, directory: &Path, address: SocketAddr, always: bool, more: &str) -> io::Result<Command> {
    let file = nats_config(directory, &format!("listen: \"{address}\"\n{more}"), always)?;
    let mut command = Command::new(program);
    command.arg("-c").arg(file);
    Ok(command)
}

fn nats_config(directory: &Path, more: &str, always: bool) -> io::Result<PathBuf> {
    let name = directory.file_name().unwrap_or_default().display();
    let store = directory.join("data");
    let sync = if always { " sync_interval: always\n" } else { "" };
    let text = format!(
        "server_name: \"{name}\"\nmax_payload: 8MB\n{more}jetstream {{\n store_dir: \"{}\"\n{sync}}}\n",
        store.display()
    );
    let file = directory.join("nats-server.conf");
    std::fs::write(&file, text)?;
    Ok(file)
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

fn kine(target: &Target, endpoint: &str, address: SocketAddr) -> Command {
    let mut command = Command::new(&target.program);
    command.arg("--endpoint").arg(endpoint).arg("--listen-address").arg(address.to_string());
    command.args(["--metrics-bind-address", "0"]);
    command
}

fn kine_nats(target: &Target, directory: &Path, address: SocketAddr) -> io::Result<Command> {
    let nats = free_address()?;
    let config = nats_config(directory, &format!("listen: \"{nats}\"\n"), true)?;
    let endpoint = format!("nats://{nats}?bucket=kine&serverConfig={}", config.display());
    Ok(kine(target, &endpoint, address))
}

/// kine's own settings, but with `synchronous=FULL` for `NORMAL`, which would not sync.
fn sqlite(directory: &Path) -> String {
    let settings = "_journal_mode=WAL&_busy_timeout=30000&_synchronous=FULL&_txlock=immediate";
    format!("sqlite://{}?{settings}", directory.join("state.db").display())
}

pub fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// All different.
fn free_addresses(count: usize) -> io::Result<Vec<SocketAddr>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
    listeners.iter().map(TcpListener::local_addr).collect()
}
