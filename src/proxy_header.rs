//! PROXY protocol headers, versions 1 and 2: with one in front a proxy says for whom it has connected.
//!
//! The header's end is found here, so that it may come in any pieces; what is in it is read by `ppp`, once it is whole.
//! This module must not know sockets, nor whose header is believed.

use crate::limits::PROXY_HEADER_BYTES;
use ppp::v2::{Type, TypeLengthValue, TypeLengthValues};
use std::net::{IpAddr, SocketAddr};

const V1: &[u8] = b"PROXY ";
/// A whole line of version 1, with its end.
const V1_BYTES: usize = 107;
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN";
const NOT_VERSION_1: &str = "the PROXY header is not as version 1 has it";
/// What version 2 has before addresses and extensions: signature, version with command, family, and the length of those.
const V2_HEAD_BYTES: usize = 16;
/// What an extension about the client's TLS has before extensions of its own: flags, and whether a certificate was verified.
const V2_TLS_HEAD_BYTES: usize = 5;
/// The one length of a checksum.
const V2_CHECKSUM_BYTES: usize = 4;
/// The most that a connection's identifier may have.
const V2_UNIQUE_ID_BYTES: usize = 128;

/// What the first bytes of a connection say, as far as they have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// More are needed.
    Incomplete,
    /// It is whole, and so many bytes long.
    Whole(usize, ProxyClient),
    /// It never will be one, for this reason.
    Wrong(&'static str),
}

/// For whom a proxy has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyClient {
    /// For a client at this address.
    At(SocketAddr),
    /// For somebody whose address it does not tell: then the socket's own address counts.
    Untold,
    /// For nobody: it looks whether the server is there.
    HealthCheck,
}

impl ProxyHeader {
    /// Reads the first bytes of a connection: all that have come, or at least [`PROXY_HEADER_BYTES`].
    pub fn of(bytes: &[u8]) -> ProxyHeader {
        if begins(bytes, ppp::v2::PROTOCOL_PREFIX) {
            version_2(bytes)
        } else if begins(bytes, V1) {
            version_1(bytes)
        } else {
            ProxyHeader::Wrong("what came is not a PROXY header")
        }
    }
}

/// Whether these bytes are the beginning of what begins with `prefix`.
fn begins(bytes: &[u8], prefix: &[u8]) -> bool {
    let common = bytes.len().min(prefix.len());
    bytes[..common] == prefix[..common]
}

fn version_1(bytes: &[u8]) -> ProxyHeader {
    let line = &bytes[..bytes.len().min(V1_BYTES)];
    let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
        return match line.len() {
            V1_BYTES => ProxyHeader::Wrong("the PROXY header is longer than 107 bytes"),
            _ => ProxyHeader::Incomplete,
        };
    };
    let line = &line[..=end];
    // Whatever stands behind that word is not to be looked at.
    let is_unknown =
        line.strip_prefix(V1_UNKNOWN).is_some_and(|rest| rest.starts_with(b" ") || rest == b"\r\n");
    if is_unknown && line.ends_with(b"\r\n") {
        return ProxyHeader::Whole(line.len(), ProxyClient::Untold);
    }
    // Ports are digits alone: a sign before them is none.
    if line.contains(&b'+') {
        return ProxyHeader::Wrong(NOT_VERSION_1);
    }
    use ppp::v1::Addresses;
    let client = match ppp::v1::Header::try_from(line).map(|header| header.addresses) {
        Ok(Addresses::Tcp4(tcp)) => at(tcp.source_address.into(), tcp.source_port),
        Ok(Addresses::Tcp6(tcp)) => at(tcp.source_address.into(), tcp.source_port),
        Ok(Addresses::Unknown) | Err(_) => {
            return ProxyHeader::Wrong(NOT_VERSION_1);
        }
    };
    ProxyHeader::Whole(line.len(), client)
}

fn version_2(bytes: &[u8]) -> ProxyHeader {
    let Some(head) = bytes.first_chunk::<V2_HEAD_BYTES>() else { return ProxyHeader::Incomplete };
    let length = V2_HEAD_BYTES + usize::from(u16::from_be_bytes([head[14], head[15]]));
    if length > PROXY_HEADER_BYTES {
        return ProxyHeader::Wrong("the PROXY header is longer than 536 bytes");
    }
    let Some(header) = bytes.get(..length) else { return ProxyHeader::Incomplete };
    // Version and command. Nothing else of a local connection's header is to be looked at.
    if head[12] == 0x20 {
        return ProxyHeader::Whole(length, ProxyClient::HealthCheck);
    }
    use ppp::v2::Addresses;
    let Ok(header) = ppp::v2::Header::try_from(header) else {
        return ProxyHeader::Wrong("the PROXY header is not as version 2 has it");
    };
    if !header.tlvs().all(|extension| extension.is_ok_and(|extension| is_whole(&extension))) {
        return ProxyHeader::Wrong("the lengths in the PROXY header do not add up to its own");
    }
    let client = match header.addresses {
        Addresses::IPv4(ip) => at(ip.source_address.into(), ip.source_port),
        Addresses::IPv6(ip) => at(ip.source_address.into(), ip.source_port),
        // Behind an address that is not told nothing is to be looked at.
        Addresses::Unspecified | Addresses::Unix(_) => ProxyClient::Untold,
    };
    ProxyHeader::Whole(length, client)
}

/// Whether an extension has the length that its kind has, and those in it have theirs.
fn is_whole(extension: &TypeLengthValue<'_>) -> bool {
    const CHECKSUM: u8 = Type::CRC32C as u8;
    const UNIQUE_ID: u8 = Type::UniqueId as u8;
    const TLS: u8 = Type::SSL as u8;
    let value = &*extension.value;
    match extension.kind {
        CHECKSUM => value.len() == V2_CHECKSUM_BYTES,
        UNIQUE_ID => value.len() <= V2_UNIQUE_ID_BYTES,
        TLS => value
            .get(V2_TLS_HEAD_BYTES..)
            .is_some_and(|inner| TypeLengthValues::from(inner).all(|extension| extension.is_ok())),
        _ => true,
    }
}

fn at(ip: IpAddr, port: u16) -> ProxyClient {
    ProxyClient::At(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let head = [command, family, (rest.len() >> 8) as u8, rest.len() as u8];
        [ppp::v2::PROTOCOL_PREFIX, &head, rest].concat()
    }

    fn client(text: &str) -> ProxyClient {
        ProxyClient::At(text.parse().unwrap())
    }

    /// Each kind of header, with whom it speaks of.
    fn headers() -> Vec<(Vec<u8>, ProxyClient)> {
        let ipv4 = [203, 0, 113, 7, 192, 0, 2, 1, 0x12, 0x67, 0x23, 0x82];
        let mut ipv6 = [0; 36];
        ipv6[..16].copy_from_slice(&"2001:db8::7".parse::<std::net::Ipv6Addr>().unwrap().octets());
        ipv6[32..].copy_from_slice(&[0, 1, 0, 2]);
        let longest = [&ipv4[..], &[0x04, 0x01, 0xf9], &[0; 505]].concat();
        let cipher = [0x20, 0, 11, 7, 0, 0, 0, 0, 0x23, 0, 3, b'a', b'e', b's'];
        let extensions =
            [&[0x01, 0, 2, b'h', b'2', 0x03, 0, 4, 1, 2, 3, 4, 0xea, 0, 0][..], &cipher].concat();
        let extended = [&ipv4[..], &extensions].concat();
        let line = |text: &str| text.as_bytes().to_vec();
        vec![
            (line("PROXY TCP4 203.0.113.7 192.0.2.1 4711 9090\r\n"), client("203.0.113.7:4711")),
            (line("PROXY TCP4 203.0.113.7 192.0.2.1 0 0\r\n"), client("203.0.113.7:0")),
            (line("PROXY TCP6 2001:db8::7 ::1 65535 9090\r\n"), client("[2001:db8::7]:65535")),
            (line("PROXY UNKNOWN\r\n"), ProxyClient::Untold),
            (line("PROXY UNKNOWN a b c d e f g h i j\r\n"), ProxyClient::Untold),
            (v2(0x21, 0x11, &ipv4), client("203.0.113.7:4711")),
            (v2(0x21, 0x11, &longest), client("203.0.113.7:4711")),
            (v2(0x21, 0x11, &extended), client("203.0.113.7:4711")),
            (v2(0x21, 0x21, &ipv6), client("[2001:db8::7]:1")),
            (v2(0x21, 0x00, b"whatever"), ProxyClient::Untold),
            (v2(0x21, 0x31, &[0; 216]), ProxyClient::Untold),
            (v2(0x20, 0x00, b""), ProxyClient::HealthCheck),
            (v2(0x20, 0xff, b"whatever"), ProxyClient::HealthCheck),
        ]
    }

    /// The story: in pieces, what `ppp` says of an end behind a blank is an error, though more bytes would mend it.
    #[test]
    fn a_header_is_whole_at_its_end_and_nowhere_before() {
        for (header, client) in headers() {
            for cut in 0..header.len() {
                assert_eq!(ProxyHeader::of(&header[..cut]), ProxyHeader::Incomplete, "{header:?} {cut}");
            }
            for behind in [&b""[..], b"\r\n", b"PROXY ", &[0xff; 600]] {
                let bytes = [&header, behind].concat();
                assert_eq!(ProxyHeader::of(&bytes), ProxyHeader::Whole(header.len(), client), "{header:?}");
            }
        }
    }

    /// Of all lengths in a header none may lead past what it is in, or leave something over.
    #[test]
    fn lengths_that_do_not_add_up_are_wrong() {
        for extensions in [
            &[0x04][..],
            &[0x04, 0],
            &[0x04, 0, 1],
            &[0x04, 0xff, 0xff, 0],
            &[0x04, 0, 1, 0, 0x04],
            &[0x01, 0, 2, b'h', b'2', 0x02, 0, 9, b'a'],
            &[0x03, 0, 3, 1, 2, 3],
            &[0x03, 0, 5, 1, 2, 3, 4, 5],
            &[0x20, 0, 4, 7, 0, 0, 0],
            &[0x20, 0, 7, 7, 0, 0, 0, 0, 0x23, 0],
            &[0x20, 0, 9, 7, 0, 0, 0, 0, 0x23, 0, 2, b'a'],
            &[&[0x05, 0, 129][..], &[0; 129]].concat(),
        ] {
            for (family, addresses) in [(0x11, 12), (0x21, 36), (0x31, 216)] {
                let header = v2(0x21, family, &[&vec![1; addresses], extensions].concat());
                assert!(matches!(ProxyHeader::of(&header), ProxyHeader::Wrong(_)), "{extensions:?}");
            }
        }
    }

    #[test]
    fn what_is_no_header_is_known_as_soon_as_it_can_be() {
        let line = |text: &str| text.as_bytes().to_vec();
        for wrong in [
            line("G"),
            line("PROXX"),
            line("\r\n\r\nx"),
            line("PROXY TCP4 203.0.113.7 192.0.2.1 4711 9090\n"),
            line("PROXY TCP4 203.0.113.7 192.0.2.1 4711\r\n"),
            line("PROXY TCP4 203.0.113.7 192.0.2.1 04711 9090\r\n"),
            line("PROXY TCP4 203.0.113.7 192.0.2.1 +4711 9090\r\n"),
            line("PROXY TCP4 203.0.113.7 192.0.2.1 65536 9090\r\n"),
            line("PROXY TCP4 2001:db8::7 ::1 1 2\r\n"),
            line("PROXY TCP4 example.org 192.0.2.1 1 2\r\n"),
            line("PROXY UNKNOWN\n"),
            line("PROXY UNKNOWNS\r\n"),
            line("PROXY UDP4 203.0.113.7 192.0.2.1 1 2\r\n"),
            line("PROXY \r\n"),
            [b"PROXY UNKNOWN ".to_vec(), vec![b'x'; 93]].concat(),
            v2(0x31, 0x11, &[0; 12]),
            v2(0x22, 0x11, &[0; 12]),
            v2(0x21, 0x11, &[0; 11]),
            v2(0x21, 0x41, &[0; 12]),
            v2(0x20, 0x00, &[0; 521])[..16].to_vec(),
        ] {
            assert!(matches!(ProxyHeader::of(&wrong), ProxyHeader::Wrong(_)), "{wrong:?}");
        }
    }
}
