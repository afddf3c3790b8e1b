//! What clients are told to connect to: they move to it as soon as they are told, so it must be within their reach.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use super::Ports;
use crate::config::Config;

pub(super) fn urls(config: &Config, ports: &Ports) -> Vec<String> {
    if !config.clients.advertise.is_empty() {
        return config.clients.advertise.clone();
    }
    ports.0.iter().map(|(port, tls)| url(port.address(), *tls)).collect()
}

fn url(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    let ip = if address.ip().is_unspecified() { own_address(address.is_ipv6(), towards) } else { address.ip() };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

/// Addresses for documentation (RFC 5737, RFC 3849): on the default route, if there is one. The port is of no matter.
const SOMEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9);
const SOMEWHERE_IN_IPV6: SocketAddr = SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9);

/// This machine's address towards the world, as etcd takes it: that of the default route, IPv4's if there is one.
fn own_address(ipv6: bool, towards: impl Fn(SocketAddr) -> io::Result<IpAddr>) -> IpAddr {
    let found = towards(SOMEWHERE).or_else(|error| if ipv6 { towards(SOMEWHERE_IN_IPV6) } else { Err(error) });
    found.unwrap_or(Ipv4Addr::LOCALHOST.into())
}

/// Where a packet would come from. Nothing is sent.
fn towards(target: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = if target.is_ipv6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_advertises_the_address_of_the_default_route() {
        let ours = |ipv4: Option<&str>, ipv6: Option<&str>, listens_on_ipv6| {
            let address = |target: SocketAddr| if target.is_ipv6() { ipv6 } else { ipv4 };
            let towards = |target| address(target).map(|ip| ip.parse().unwrap()).ok_or(io::Error::other("no route"));
            own_address(listens_on_ipv6, towards).to_string()
        };
        assert_eq!(ours(Some("10.0.0.7"), Some("fd00::7"), true), "10.0.0.7");
        assert_eq!(ours(None, Some("fd00::7"), true), "fd00::7");
        assert_eq!(ours(None, Some("fd00::7"), false), "127.0.0.1");
        assert_eq!(ours(None, None, true), "127.0.0.1");
    }

    #[test]
    fn a_route_has_an_address_of_its_family() {
        assert_eq!(towards("127.0.0.1:9".parse().unwrap()).unwrap(), Ipv4Addr::LOCALHOST);
        if UdpSocket::bind("[::1]:0").is_ok() {
            assert_eq!(towards("[::1]:9".parse().unwrap()).unwrap(), Ipv6Addr::LOCALHOST);
        }
    }
}
