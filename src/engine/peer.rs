//! Where a connection comes from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// A peer's address in three quarters of a `SocketAddr`'s room, since every idle connection has one. An IPv4 address is
/// one, even if the system hands it in as a mapped IPv6 address; what is left out is IPv6's flow label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer {
    /// An IPv4 address is kept mapped.
    octets: [u8; 16],
    port: u16,
    /// Which link an address that is local to one belongs to.
    scope_id: u32,
}

impl Peer {
    /// The address without its port.
    #[inline]
    pub(super) fn ip(self) -> IpAddr {
        Ipv6Addr::from(self.octets).to_canonical()
    }
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Peer {
        let (ip, scope_id) = match address {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
        };
        Peer { octets: ip.octets(), port: address.port(), scope_id }
    }
}

impl From<Peer> for SocketAddr {
    fn from(peer: Peer) -> SocketAddr {
        match peer.ip() {
            IpAddr::V4(v4) => SocketAddr::from((v4, peer.port)),
            IpAddr::V6(v6) => SocketAddrV6::new(v6, peer.port, 0, peer.scope_id).into(),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::from(*self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_written_as_its_address_and_a_mapped_one_as_the_ipv4_address_that_it_is() {
        for (address, written) in [
            ("192.0.2.1:4000", "192.0.2.1:4000"),
            ("[::ffff:192.0.2.1]:4000", "192.0.2.1:4000"),
            ("[2001:db8::1]:4000", "[2001:db8::1]:4000"),
            ("[fe80::1%3]:4000", "[fe80::1%3]:4000"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(Peer::from(address).to_string(), written);
            assert_eq!(Peer::from(address).ip(), address.ip().to_canonical());
        }
    }
}
