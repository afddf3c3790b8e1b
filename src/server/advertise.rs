//! What clients are told to connect to: they move to it as soon as they are told, so it must be within their reach.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

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
    let ip = if address.ip().is_unspecified() { own_address() } else { address.ip() };
    format!("{scheme}://{}", SocketAddr::new(ip, address.port()))
}

/// This machine's address towards the world, as etcd takes it: that of the default route. Nothing is sent.
fn own_address() -> IpAddr {
    let towards = |target: &str| {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.connect(target)?;
        socket.local_addr()
    };
    // An address for documentation (RFC 5737): on the default route, if there is one.
    towards("192.0.2.1:9").map_or(Ipv4Addr::LOCALHOST.into(), |address| address.ip())
}
