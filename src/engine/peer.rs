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

/// Three lines of the log have it for each who comes and goes, and std takes an IPv4 address apart into a dozen pieces:
/// that was a seventh of all that the server executes for one.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let IpAddr::V4(ip) = self.ip() else { return SocketAddr::from(*self).fmt(f) };
        let mut text = [0; "255.255.255.255:65535".len()];
        let mut begin = text.len();
        // From its end.
        let mut write = |mut number: u16, before: &[u8]| {
            loop {
                begin -= 1;
                text[begin] = b'0' + (number % 10) as u8;
                number /= 10;
                if number == 0 {
                    break;
                }
            }
            begin -= before.len();
            text[begin..][..before.len()].copy_from_slice(before);
        };
        let [first, rest @ ..] = ip.octets();
        write(self.port, b":");
        rest.iter().rev().for_each(|octet| write(u16::from(*octet), b"."));
        write(u16::from(first), b"");
        f.pad(std::str::from_utf8(&text[begin..]).map_err(|_| fmt::Error)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_written_as_its_address_and_a_mapped_one_as_the_ipv4_address_that_it_is() {
        for (address, written) in [
            ("192.0.2.1:4000", "192.0.2.1:4000"),
            ("0.0.0.0:0", "0.0.0.0:0"),
            ("9.10.99.100:9", "9.10.99.100:9"),
            ("255.255.255.255:65535", "255.255.255.255:65535"),
            ("[::ffff:192.0.2.1]:4000", "192.0.2.1:4000"),
            ("[2001:db8::1]:4000", "[2001:db8::1]:4000"),
            ("[fe80::1%3]:4000", "[fe80::1%3]:4000"),
        ] {
            let address: SocketAddr = address.parse().unwrap();
            assert_eq!(Peer::from(address).to_string(), written);
            assert_eq!(format!("{:>50}", Peer::from(address)), format!("{written:>50}"));
            assert_eq!(Peer::from(address).ip(), address.ip().to_canonical());
        }
    }
}
