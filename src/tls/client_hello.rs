//! Whether a peer's first bytes hold a whole ClientHello: what is known of it before anything is spent on it.

use crate::limits::CLIENT_HELLO_BYTES;

const RECORD_HEADER_BYTES: usize = 5;
/// The longest fragment of a record that is not encrypted.
const FRAGMENT_BYTES: usize = 1 << 14;
const MESSAGE_HEADER_BYTES: usize = 4;
const ALERT: u8 = 0x15;
const HANDSHAKE: u8 = 0x16;
const CLIENT_HELLO: u8 = 1;

/// What a peer's first bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FirstBytes {
    /// The beginning of what may become a ClientHello, or nothing yet.
    Incomplete,
    /// A ClientHello, whole.
    ClientHello,
    /// An alert: the peer has given up.
    Alert,
    /// No TLS.
    NotTls,
    /// TLS, but no handshake can begin so, for this reason.
    Refused(&'static str),
}

impl FirstBytes {
    /// Looks at all that has come so far; more than [`CLIENT_HELLO_BYTES`] need not be shown.
    ///
    /// A ClientHello may be spread over records of any size, so they are walked through from the first each time:
    /// nothing is kept between two looks.
    pub(crate) fn of(bytes: &[u8]) -> FirstBytes {
        let mut rest = bytes;
        let mut header = Vec::with_capacity(MESSAGE_HEADER_BYTES);
        let mut message_bytes = 0;
        loop {
            if !super::is_tls_record(rest) {
                return FirstBytes::NotTls;
            }
            let Some((record, after)) = rest.split_first_chunk::<RECORD_HEADER_BYTES>() else { break };
            let fragment_bytes = usize::from(u16::from_be_bytes([record[3], record[4]]));
            if fragment_bytes == 0 || fragment_bytes > FRAGMENT_BYTES {
                return FirstBytes::Refused("a record of a length that none has");
            }
            let fragment = &after[..after.len().min(fragment_bytes)];
            let is_whole = fragment.len() == fragment_bytes;
            match record[0] {
                ALERT if is_whole => return FirstBytes::Alert,
                ALERT => break,
                _ => {}
            }
            debug_assert_eq!(record[0], HANDSHAKE);
            let missing = MESSAGE_HEADER_BYTES - header.len();
            header.extend_from_slice(&fragment[..fragment.len().min(missing)]);
            message_bytes += fragment.len();
            if header.first().is_some_and(|kind| *kind != CLIENT_HELLO) {
                return FirstBytes::Refused("a handshake that does not begin with a ClientHello");
            }
            if let [_, high, middle, low] = header[..] {
                let length = MESSAGE_HEADER_BYTES + u32::from_be_bytes([0, high, middle, low]) as usize;
                if length > CLIENT_HELLO_BYTES {
                    return FirstBytes::Refused("a ClientHello that is too long");
                }
                if message_bytes >= length {
                    return FirstBytes::ClientHello;
                }
            }
            if !is_whole {
                break;
            }
            rest = &after[fragment_bytes..];
        }
        if bytes.len() >= CLIENT_HELLO_BYTES {
            return FirstBytes::Refused("a ClientHello that is too long");
        }
        FirstBytes::Incomplete
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::tests::{client_config, name, server_config};
    use rustls::{ClientConnection, ServerConnection};

    /// A real ClientHello, as one record.
    fn hello() -> Vec<u8> {
        let mut bytes = Vec::new();
        ClientConnection::new(client_config(), name()).unwrap().write_tls(&mut bytes).unwrap();
        bytes
    }

    /// The same message in records of so many bytes.
    fn fragmented(hello: &[u8], fragment_bytes: usize) -> Vec<u8> {
        let record =
            |part: &[u8]| [&[HANDSHAKE, 3, 1], &(part.len() as u16).to_be_bytes()[..], part].concat();
        hello[RECORD_HEADER_BYTES..].chunks(fragment_bytes).flat_map(record).collect()
    }

    #[test]
    fn a_client_hello_is_whole_with_its_last_byte_however_it_is_cut() {
        let hello = hello();
        for bytes in [&hello, &fragmented(&hello, 1), &fragmented(&hello, 3), &fragmented(&hello, 100)] {
            for cut in 0..bytes.len() {
                assert_eq!(FirstBytes::of(&bytes[..cut]), FirstBytes::Incomplete, "{cut} bytes");
            }
            assert_eq!(FirstBytes::of(bytes), FirstBytes::ClientHello);
            assert_eq!(FirstBytes::of(&[bytes, &b"more"[..]].concat()), FirstBytes::ClientHello);
        }
    }

    /// What this takes for whole and what `rustls` does is the same.
    #[test]
    fn rustls_answers_what_is_whole() {
        for fragment_bytes in [1, 7, 10_000] {
            let bytes = fragmented(&hello(), fragment_bytes);
            let mut server = ServerConnection::new(server_config()).unwrap();
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                assert!(server.protocol_version().is_none());
                server.read_tls(&mut rest).unwrap();
                server.process_new_packets().unwrap();
            }
            assert!(server.wants_write() && server.protocol_version().is_some(), "{fragment_bytes}");
        }
    }

    #[test]
    fn what_cannot_become_one_is_refused_at_the_first_byte_that_tells() {
        let refused = |bytes: &[u8]| matches!(FirstBytes::of(bytes), FirstBytes::Refused(_));
        assert!(refused(&[HANDSHAKE, 3, 1, 0, 0]) && refused(&[HANDSHAKE, 3, 1, 0x40, 1]));
        assert!(refused(&[HANDSHAKE, 3, 1, 0, 9, 2]) && !refused(&[HANDSHAKE, 3, 1, 0, 9, 1]));
        assert!(refused(&[HANDSHAKE, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff]), "longer than any");
        assert_eq!(FirstBytes::of(b"\0\0\0\x04"), FirstBytes::NotTls);
        assert_eq!(FirstBytes::of(b"GET /"), FirstBytes::NotTls);
        let second = [&fragmented(&hello(), 50)[..55], b"\x17"].concat();
        assert_eq!(FirstBytes::of(&second), FirstBytes::NotTls);
        assert_eq!(FirstBytes::of(&[ALERT, 3, 3, 0, 2, 1, 0]), FirstBytes::Alert);
        assert_eq!(FirstBytes::of(&[ALERT, 3, 3, 0, 2, 1]), FirstBytes::Incomplete);
    }

    /// Headers count: a message of a byte a record has six on the way.
    #[test]
    fn no_more_than_the_limit_is_waited_for() {
        let drip = [HANDSHAKE, 3, 1, 0, 1, 1].into_iter().chain([HANDSHAKE, 3, 1, 0, 1, 0]);
        let zeros = std::iter::repeat_n([HANDSHAKE, 3, 1, 0, 1, 0x10], CLIENT_HELLO_BYTES).flatten();
        let bytes: Vec<u8> = drip.chain(zeros).take(CLIENT_HELLO_BYTES).collect();
        assert_eq!(FirstBytes::of(&bytes[..CLIENT_HELLO_BYTES - 1]), FirstBytes::Incomplete);
        assert!(matches!(FirstBytes::of(&bytes), FirstBytes::Refused(_)));
    }
}
