//! Behind a proxy that passes TLS through: its header comes before the handshake.

use super::Stranger;
use crate::proxies::{v1, v2};
use crate::support::{CEILING, Server, frame};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

const FLAGS: [&str; 3] = ["--tls", "--proxy-from", "127.0.0.1"];

/// The header and the first message of the handshake in one packet, and in pieces of a byte.
#[test]
fn the_handshake_follows_the_header_in_any_pieces() {
    let server = Server::start(&FLAGS);
    for (header, piece_bytes) in [
        (v1("203.0.113.7:4711"), 10_000),
        (v2("203.0.113.7:4711", &[&[4, 1, 141][..], &[0; 397]].concat()), 10_000),
        (v1("203.0.113.7:4711"), 1),
    ] {
        let mut stranger = Stranger::new(&server);
        let mut words = header;
        stranger.channel.flush(&mut words).unwrap();
        for piece in words.chunks(piece_bytes) {
            stranger.socket.write_all(piece).unwrap();
        }
        stranger.channel.shake_hands(&mut stranger.socket).unwrap();
        stranger.channel.write(&mut stranger.socket, &frame(0x06, b"")).unwrap();
        stranger.read_until("bye");
    }
    server.folder.log_lines(&[" connected ", "peer=203.0.113.7:4711 proxy=127.0.0.1:"], 3);
}

/// Without a header there is nobody to whom anything could be said: the connection is closed, and the log tells why.
#[test]
fn without_a_header_it_is_closed() {
    let server = Server::start(&FLAGS);
    let mut words = Vec::new();
    Stranger::new(&server).channel.flush(&mut words).unwrap();
    for wrong in [&words[..], b"PROXY TCP4 nobody\r\n"] {
        let mut socket = TcpStream::connect(server.address).unwrap();
        socket.set_read_timeout(Some(CEILING)).unwrap();
        socket.write_all(wrong).unwrap();
        match socket.read(&mut [0; 100]) {
            Ok(count) => assert_eq!(count, 0, "something was said"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        let own = format!("peer={}", socket.local_addr().unwrap());
        server.folder.log_line(&[" refused ", &own, "why=Malformed", "PROXY header"]);
    }
}
