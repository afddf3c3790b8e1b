//! Ports: taken first of all, so that one that is busy is told at once, and opened to clients last.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::net::sockopt::{set_ipv6_v6only, set_socket_keepalive, set_tcp_keepidle, set_tcp_keepintvl};
use tokio::net::{TcpListener, TcpSocket, lookup_host};

use crate::config::HostPort;

/// As etcd's: Go listens with the system's limit, which is this by default.
const BACKLOG: u32 = 4096;

/// After so much silence the system asks whether the other side is still there, and then again as often, as etcd has it; after nine
/// questions without an answer (Linux' default) the connection ends. Pings find that out sooner on HTTP/2, and nothing else does elsewhere.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// A port that does not answer yet: a client is refused instead of kept waiting. Until it is opened another program may listen there all
/// the same, as most set SO_REUSEADDR too.
pub struct Port {
    socket: TcpSocket,
    address: SocketAddr,
}

impl Port {
    /// Of the first address that this machine has; when that one is busy, others are no help to a client that asks there.
    pub async fn take(address: &HostPort) -> Result<Self, String> {
        let mut last = None;
        for candidate in addresses(address).await.map_err(|error| cannot(address, &error))? {
            match bind(candidate) {
                Ok(port) => return Ok(port),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Err(cannot(address, &error)),
                Err(error) => last = Some(error),
            }
        }
        Err(cannot(address, &last.unwrap_or_else(|| io::Error::other("it has no address"))))
    }

    /// With the port that the system has chosen where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Clients can connect from now on. Fails where another program was quicker.
    pub fn open(self) -> Result<TcpListener, String> {
        self.socket.listen(BACKLOG).map_err(|error| cannot(&self.address, &error))
    }
}

async fn addresses(address: &HostPort) -> io::Result<Vec<SocketAddr>> {
    if address.host.is_empty() {
        return Ok(in_order(vec![(Ipv4Addr::UNSPECIFIED, address.port).into()]));
    }
    Ok(in_order(lookup_host((address.host.as_str(), address.port)).await?.collect()))
}

/// As Go's net.Listen has it, whatever the system's resolver thinks best: of a name the IPv4 address, and of all addresses IPv6's, which
/// takes IPv4 along, unless there is no IPv6 here.
fn in_order(mut found: Vec<SocketAddr>) -> Vec<SocketAddr> {
    found.sort_by_key(SocketAddr::is_ipv6);
    match found.first() {
        Some(first) if first.ip() == IpAddr::V4(Ipv4Addr::UNSPECIFIED) => {
            vec![(Ipv6Addr::UNSPECIFIED, first.port()).into(), *first]
        }
        _ => found,
    }
}

fn bind(address: SocketAddr) -> io::Result<Port> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if address.is_ipv6() {
        // Whatever the system's default is (net.ipv6.bindv6only).
        set_ipv6_v6only(&socket, false)?;
    }
    // A port whose last connections are still winding down is free.
    socket.set_reuseaddr(true)?;
    // Connections have it from the socket that accepts them.
    set_socket_keepalive(&socket, true)?;
    set_tcp_keepidle(&socket, KEEPALIVE)?;
    set_tcp_keepintvl(&socket, KEEPALIVE)?;
    socket.bind(address)?;
    let address = socket.local_addr()?;
    Ok(Port { socket, address })
}

fn cannot(address: &impl std::fmt::Display, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("the address {address} is in use by another process: stop that one or choose another address")
        }
        io::ErrorKind::AddrNotAvailable => format!("{address} is no address of this machine"),
        io::ErrorKind::PermissionDenied => format!("listening on {address} is not permitted"),
        _ => format!("cannot listen on {address}: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use rustix::net::sockopt;

    use super::*;

    fn at(port: u16) -> HostPort {
        HostPort { host: "127.0.0.1".into(), port }
    }

    #[tokio::test]
    async fn a_taken_port_refuses_until_it_is_opened() {
        let port = Port::take(&at(0)).await.unwrap();
        let address = port.address();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
        let _listener = port.open().unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_ok());
    }

    #[tokio::test]
    async fn who_takes_a_port_away_before_it_is_opened_is_told_of() {
        let port = Port::take(&at(0)).await.unwrap();
        // With SO_REUSEADDR, as nearly all do.
        let _quicker = std::net::TcpListener::bind(port.address()).unwrap();
        let error = port.open().err().unwrap();
        assert!(error.contains("in use"), "{error}");
    }

    #[tokio::test]
    async fn connections_are_asked_whether_they_are_alive() {
        let port = Port::take(&at(0)).await.unwrap();
        let address = port.address();
        let listener = port.open().unwrap();
        let (_client, accepted) = tokio::join!(tokio::net::TcpStream::connect(address), listener.accept());
        let (accepted, _) = accepted.unwrap();
        assert!(sockopt::socket_keepalive(&accepted).unwrap());
        assert_eq!(sockopt::tcp_keepidle(&accepted).unwrap(), KEEPALIVE);
        assert_eq!(sockopt::tcp_keepintvl(&accepted).unwrap(), KEEPALIVE);
    }

    #[test]
    fn a_name_is_listened_on_at_its_ipv4_address() {
        let found = ["[::1]:7", "[fe80::1]:7", "127.0.0.1:7", "127.0.0.2:7"].map(|text| text.parse().unwrap());
        let order = in_order(found.to_vec()).into_iter().map(|address| address.to_string()).collect::<Vec<_>>();
        assert_eq!(order, ["127.0.0.1:7", "127.0.0.2:7", "[::1]:7", "[fe80::1]:7"]);
    }

    #[tokio::test]
    async fn all_addresses_are_those_of_both_families() {
        let ipv6 = std::net::TcpListener::bind("[::1]:0").is_ok();
        for host in ["", "0.0.0.0", "::"].into_iter().filter(|host| ipv6 || *host != "::") {
            let port = Port::take(&HostPort { host: host.into(), port: 0 }).await.unwrap();
            let number = port.address().port();
            let _listener = port.open().unwrap();
            for (client, there) in [("127.0.0.1", true), ("::1", ipv6)] {
                let connected = tokio::net::TcpStream::connect((client, number)).await;
                assert_eq!(connected.is_ok(), there, "'{host}' from {client}");
            }
        }
    }

    #[tokio::test]
    async fn a_name_whose_address_is_busy_is_not_listened_on_elsewhere() {
        let busy = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = busy.local_addr().unwrap().port();
        let error = Port::take(&HostPort { host: "localhost".into(), port }).await.err().unwrap();
        assert!(error.contains("in use"), "{error}");
    }

    #[tokio::test]
    async fn a_busy_port_is_told_at_once() {
        let busy = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let error = Port::take(&at(busy.local_addr().unwrap().port())).await.err().unwrap();
        assert!(error.contains("in use"), "{error}");
    }
}
