//! Handshakes: slow ones, broken ones, and ends at every stage.

use super::{Stranger, expect_echo, fingerprint, logged_in, openssl};
use crate::support::{CEILING, Server, Visitor, allow_many_descriptors, frame, rss, uninterrupted};
use porter::limits::CLOSE_DISCARD;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Instant;

/// `close_notify` before anything is encrypted.
const GOODBYE: [u8; 7] = [0x15, 3, 3, 0, 2, 1, 0];

/// Passes on what comes either way, one byte at a time.
fn dribbling_proxy(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (near, _) = listener.accept().unwrap();
        let far = TcpStream::connect(server).unwrap();
        for (mut from, mut to) in [(near.try_clone().unwrap(), far.try_clone().unwrap()), (far, near)] {
            to.set_nodelay(true).unwrap();
            thread::spawn(move || {
                let mut byte = [0];
                while from.read(&mut byte).is_ok_and(|count| count == 1) && to.write_all(&byte).is_ok() {}
                let _ = to.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

#[test]
fn one_byte_at_a_time_is_as_good() {
    let mut server = Server::start(&["--tls"]);
    let told = fingerprint(&mut server);
    let mut client = logged_in(dribbling_proxy(server.address), &told, "ann");
    expect_echo(&mut client, &"naïve 李 ".repeat(1500));
    assert_eq!(client.exit().unwrap(), "bye");
}

/// Messages of many records, more than any buffer takes at once, both ways.
#[test]
fn long_messages_come_back_whole() {
    let mut server = Server::start(&["--tls", "--max-frame", "4000000"]);
    let told = fingerprint(&mut server);
    let mut client = logged_in(server.address, &told, "ann");
    let text: String = (0..500_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
    for _ in 0..3 {
        expect_echo(&mut client, &text);
    }
}

/// The connection's end is logged while the peer keeps its socket open: nothing but the farewell tells of it.
fn expect_gone(server: &Server, count: usize) {
    server.folder.log_lines(&["disconnected", "why=closed-by-peer"], count);
}

/// `close_notify` alone, at every stage, ends the connection, and the server says its own.
#[test]
fn close_notify_is_an_end_at_every_stage() {
    let server = Server::start(&["--tls", "--log-level", "debug"]);
    let mut at_once = TcpStream::connect(server.address).unwrap();
    at_once.write_all(&GOODBYE).unwrap();
    expect_gone(&server, 1);

    let mut after_hello = Stranger::says_hello(&server);
    after_hello.socket.write_all(&GOODBYE).unwrap();
    expect_gone(&server, 2);

    let all = [frame(0x01, b"ann"), frame(0x02, b"open sesame"), frame(0x03, b"open sesame")].concat();
    for (stage, (words, answer)) in
        [(0, "\u{fffd}\u{1}"), (8, "\u{fffd}\0"), (all.len(), "Hello, ann")].into_iter().enumerate()
    {
        let mut stranger = Stranger::new(&server);
        stranger.channel.shake_hands(&mut stranger.socket).unwrap();
        stranger.channel.write(&mut stranger.socket, &all[..words]).unwrap();
        stranger.read_until(answer);
        stranger.channel.finish();
        stranger.channel.flush(&mut stranger.socket).unwrap();
        assert_eq!(stranger.read(), 0, "the server's own farewell");
        expect_gone(&server, 3 + stage);
    }
}

/// Whoever is told Bye is told the end with it. Each of these waits would last as long as the server looks on at what a
/// peer still sends after its end.
#[test]
fn the_end_is_said_at_once() {
    const VISITS: u32 = 20;
    let server = Server::start(&["--tls"]);
    let (mut stranger, _) = Stranger::logged_in(&server);
    let began = Instant::now();
    for _ in 0..VISITS {
        stranger.channel.write(&mut stranger.socket, &frame(0x06, &[])).unwrap();
        stranger.read_until("bye");
        assert_eq!(stranger.read(), 0, "close_notify");
        assert_eq!(uninterrupted(|| stranger.socket.read(&mut [0])).unwrap(), 0, "the end of the connection");
        stranger = Stranger::new(&server);
        stranger.channel.shake_hands(&mut stranger.socket).unwrap();
    }
    assert!(began.elapsed() < VISITS * CLOSE_DISCARD / 2, "{:?}", began.elapsed());
}

/// A bare end of the connection is one too, with the token good for a resume.
#[test]
fn an_end_without_farewell_leaves_the_session() {
    let mut server = Server::start(&["--tls"]);
    let told = fingerprint(&mut server);
    let client = logged_in(server.address, &told, "ann");
    let token = client.token().unwrap().clone();
    drop(client);
    server.folder.log_line(&["disconnected", "why=closed-by-peer"]);
    let mut client = super::met(server.address, &told);
    client.resume(&token).unwrap();
    expect_echo(&mut client, "again");
}

#[test]
fn what_is_not_tls_is_told_so_and_logged() {
    let server = Server::start(&["--tls"]);
    let mut plain = TcpStream::connect(server.address).unwrap();
    plain.set_read_timeout(Some(CEILING)).unwrap();
    plain.write_all(&frame(0x01, b"ann")).unwrap();
    let mut said = Vec::new();
    plain.read_to_end(&mut said).unwrap();
    assert!(said.starts_with(&[0x15, 0x03]), "{said:?}");
    server.folder.log_line(&["refused", "why=Tls", "what came is not TLS", "--plaintext"]);
    // A record that is none, after a good beginning.
    let mut stranger = Stranger::new(&server);
    stranger.channel.shake_hands(&mut stranger.socket).unwrap();
    stranger
        .socket
        .write_all(&[
            0x17, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20,
        ])
        .unwrap();
    server.folder.log_lines(&["refused", "why=Tls"], 2);
    server.folder.log_lines(&["disconnected", "why=tls"], 2);
}

#[test]
fn tls_at_a_plaintext_port_is_told_so_and_logged() {
    let server = Server::start(&[]);
    let mut stranger = Visitor::arrive(&server);
    stranger.send_raw(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);
    assert!(stranger.expect_last_error(101).contains("looks like TLS"));
    server.folder.log_line(&["refused", "FrameTooLarge", "looks like TLS"]);
    let (said, content) = openssl(&server, &["-alpn", "porter/1"]);
    assert!(!content, "{said}");
}

/// A handshake that is never finished ends with the login timeout, whether it was begun or not; who waits for a
/// frame sees what is spoken here.
#[test]
fn the_login_timeout_counts_from_the_start() {
    let server = Server::start(&["--tls", "--login-timeout", "1"]);
    let mut begun = Stranger::says_hello(&server);
    let mut silent = TcpStream::connect(server.address).unwrap();
    silent.set_read_timeout(Some(CEILING)).unwrap();
    let mut said = Vec::new();
    silent.read_to_end(&mut said).unwrap();
    assert_eq!(said, GOODBYE);
    while uninterrupted(|| begun.socket.read(&mut [0; 4096])).unwrap() > 0 {}
    server.folder.log_lines(&["refused", "why=TimedOut"], 2);
}

/// Two hundred peers that never finish their first message, each with as much of it as the server takes.
#[test]
fn half_done_handshakes_hold_little_memory() {
    allow_many_descriptors();
    let mut server = Server::start(&["--tls"]);
    let told = fingerprint(&mut server);
    let mut within = logged_in(server.address, &told, "ann");
    let before = rss(server.pid());
    // A message of 16 MiB is announced, in records of 16 KiB.
    let mut record = vec![0x16, 3, 1, 0x40, 0, 1, 0xff, 0xff, 0xff];
    record.resize(5 + 0x4000, 0);
    let mut later = record.clone();
    later[5..9].fill(0);
    let crowd: Vec<_> = (0..200)
        .map(|_| {
            let mut stream = TcpStream::connect(server.address).unwrap();
            stream.set_nonblocking(true).unwrap();
            for part in [&record, &later, &later, &later] {
                if let Err(error) = stream.write_all(part) {
                    let kind = error.kind();
                    let is_refused = matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset);
                    assert!(is_refused || kind == ErrorKind::WouldBlock, "{error}");
                }
            }
            stream
        })
        .collect();
    expect_echo(&mut within, "hi");
    expect_echo(&mut logged_in(server.address, &told, "bob"), "who knocks now is heard after them");
    let grown = rss(server.pid()).saturating_sub(before);
    assert!(grown < 8 * 1024 * 1024, "{grown} bytes");
    drop(crowd);
}

/// The story: each idle connection kept a buffer of 4 KiB for what might come, more than all else that it needs.
#[test]
fn idle_connections_hold_little_memory() {
    allow_many_descriptors();
    let mut server = Server::start(&["--tls"]);
    let told = fingerprint(&mut server);
    let mut within: Vec<_> = (0..20).map(|_| logged_in(server.address, &told, "ann")).collect();
    let before = rss(server.pid());
    within.extend((0..150).map(|_| logged_in(server.address, &told, "ann")));
    expect_echo(&mut within[169], "hi");
    let grown = rss(server.pid()).saturating_sub(before);
    assert!(grown < 150 * 4_000, "{grown} bytes");
}
