//! Crowds of one address that want no handshake, or do not finish it, and honest clients between them.

use super::{Stranger, expect_echo, fingerprint, logged_in, met};
use crate::support::{CEILING, Server, Siege, Visitor, allow_many_descriptors, descriptors, eventually};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Instant;

const CROWD: usize = 600;

/// A ClientHello as it travels.
fn hello(server: &Server) -> Vec<u8> {
    let mut words = Vec::new();
    Stranger::new(server).channel.flush(&mut words).unwrap();
    words
}

/// Somebody from another address logs in, talks, loses the connection and resumes.
fn expect_let_in(server: &Server, told: &str) {
    let began = Instant::now();
    let mut ann = logged_in(server.address, told, "ann");
    expect_echo(&mut ann, "in");
    let token = ann.token().unwrap().clone();
    drop(ann);
    let mut ann = met(server.address, told);
    ann.resume(&token).unwrap();
    expect_echo(&mut ann, "and again");
    assert!(began.elapsed() < CEILING, "{:?}", began.elapsed());
}

/// Those who send nothing, one byte, half a ClientHello, or a whole one and then nothing, and come back when they are
/// closed. Before a handshake there is nothing to tell them with.
#[test]
fn a_crowd_of_one_address_keeps_nobody_out() {
    allow_many_descriptors();
    for flags in [&["--tls"][..], &["--tls", "--max-strangers", "300", "--login-timeout", "2"]] {
        let mut server = Server::start(flags);
        let told = fingerprint(&mut server);
        let hello = hello(&server);
        for words in [&b""[..], &hello[..1], &hello[..hello.len() / 2], &hello] {
            let siege = Siege::begin(&server, "127.0.0.9", CROWD, words);
            if flags.len() > 1 {
                siege.expect_returns();
            }
            expect_let_in(&server, &told);
            siege.end();
        }
    }
}

/// Five hundred at once from another address: all are greeted. Who was too slow for the others that wait comes back, as
/// an honest client does.
#[test]
fn five_hundred_at_once_are_served_in_spite_of_a_siege() {
    allow_many_descriptors();
    let server = Server::start(&["--tls"]);
    let siege = Siege::begin(&server, "127.0.0.9", CROWD, b"\x16");
    let come = || {
        let stranger = Stranger::says_hello(&server);
        stranger.socket.set_nonblocking(true).unwrap();
        stranger
    };
    let mut crowd: Vec<_> = (0..500).map(|_| (come(), false)).collect();
    eventually("all are greeted", || {
        for (stranger, greeted) in crowd.iter_mut().filter(|(_, greeted)| !greeted) {
            match stranger.channel.read(&mut stranger.socket, &mut [0; 512]) {
                Ok(1..) => *greeted = true,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                _ => *stranger = come(),
            }
        }
        crowd.iter().all(|(_, greeted)| *greeted).then_some(())
    });
    siege.end();
}

/// One that loses its place before the handshake is closed without a word, and does not linger.
#[test]
fn who_makes_room_before_the_handshake_is_closed() {
    let mut server = Server::start(&["--tls", "--max-strangers", "2"]);
    let told = fingerprint(&mut server);
    let before = descriptors(server.pid());
    let mut crowd: Vec<_> = (0..300).map(|_| Visitor::connect_from("127.0.0.9", &server).stream).collect();
    let mut said = Vec::new();
    crowd[0].read_to_end(&mut said).unwrap();
    assert!(said.is_empty() || said[0] == 0x15, "{said:?}");
    eventually("descriptors given back", || (descriptors(server.pid()) <= before + 2).then_some(()));
    expect_let_in(&server, &told);
}

/// A ClientHello in records of three bytes, and one that comes a byte at a time, are as good as any; the server waits for
/// the last byte with nothing of them in its memory.
#[test]
fn a_client_hello_may_come_in_any_pieces() {
    let server = Server::start(&["--tls"]);
    for byte_by_byte in [false, true] {
        let mut stranger = Stranger::new(&server);
        let mut words = Vec::new();
        stranger.channel.flush(&mut words).unwrap();
        let record = |part: &[u8]| [&[0x16, 3, 1, 0, part.len() as u8], part].concat();
        let pieces: Vec<Vec<u8>> = if byte_by_byte {
            words.chunks(1).map(<[u8]>::to_vec).collect()
        } else {
            words[5..].chunks(3).map(record).collect()
        };
        for piece in pieces {
            stranger.socket.write_all(&piece).unwrap();
        }
        stranger.channel.shake_hands(&mut stranger.socket).unwrap();
    }
}

/// What can become no ClientHello is seen at the first bytes that tell, and takes nothing from anybody.
#[test]
fn garbage_is_closed_at_once() {
    let server = Server::start(&["--tls"]);
    let too_long = [0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
    for garbage in [&b"GET / HTTP/1.1\r\n\r\n"[..], &[0x16, 3, 1, 0, 0], &[0x16, 3, 1, 0, 4, 2], &too_long] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(CEILING)).unwrap();
        stream.write_all(garbage).unwrap();
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        assert!(said.starts_with(&[0x15, 0x03]), "{said:?}");
    }
    server.folder.log_line(&["refused", "why=Tls", "too long"]);
}
