//! Nobody is connected: what do the servers do?

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::process::Usage;
use crate::round::{Round, figures};
use crate::server::Server;

/// How long the servers have to come to rest after the keys were stored.
const REST: Duration = Duration::from_secs(5);

/// All servers at the same time.
pub async fn run(servers: &[&Server], time: Duration) -> io::Result<Vec<Round>> {
    tokio::time::sleep(REST.min(time)).await;
    let before: Vec<(Usage, Option<f64>)> = look(servers).await;
    tokio::time::sleep(time).await;
    // The figures first: the question for the last place is a request.
    let usages: Vec<(Usage, Round)> = servers.iter().map(|server| (server.usage(), figures(server))).collect();
    let mut rounds = Vec::new();
    for ((server, (before, first)), (after, figures)) in servers.iter().zip(before).zip(usages) {
        let mut more = vec![("written".to_owned(), (after.written_bytes - before.written_bytes) as f64)];
        if let (Some(first), Some(last)) = (first, applied(server).await) {
            more.push(("entries".to_owned(), last - first));
        }
        let cpu_seconds = after.cpu_seconds - before.cpu_seconds;
        rounds.push(Round { seconds: time.as_secs_f64(), cpu_seconds, more: more.into_iter().collect(), ..figures });
    }
    Ok(rounds)
}

async fn look(servers: &[&Server]) -> Vec<(Usage, Option<f64>)> {
    let mut all = Vec::new();
    for server in servers {
        let place = applied(server).await;
        all.push((server.usage(), place));
    }
    all
}

/// The last place in the log that is applied, as /metrics tells: for jine the stream's sequence, for etcd raft's index.
async fn applied(server: &Server) -> Option<f64> {
    let mut stream = TcpStream::connect(server.address).await.ok()?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", server.address);
    stream.write_all(request.as_bytes()).await.ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await.ok()?;
    text.lines().find_map(|line| line.strip_prefix("etcd_server_proposals_applied_total ")?.parse().ok())
}
