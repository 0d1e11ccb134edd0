//! Crowds that all want a handshake at once.

use super::{Stranger, expect_echo, fingerprint, logged_in};
use crate::support::{CEILING, Server, allow_many_descriptors, eventually, frame, rss, stop};
use porter::limits::HANDSHAKE_TIME;
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Instant;

const CROWD: usize = 500;
/// Handshakes under way at once.
const PLACES: usize = 32;

/// Forty at once, none of whom goes on after its first words, while somebody is in; who comes then gets in, since those
/// lose their places.
#[test]
fn unfinished_handshakes_keep_nobody_out() {
    let mut server = Server::start(&["--tls"]);
    let told = fingerprint(&mut server);
    let mut within = logged_in(server.address, &told, "ann");
    let mut crowd: Vec<_> = (0..40).map(|_| Stranger::says_hello(&server)).collect();
    expect_echo(&mut within, "one");
    let mut late = logged_in(server.address, &told, "bob");
    expect_echo(&mut late, "two");
    expect_echo(&mut within, "three");
    server.folder.log_line(&["refused", "why=Tls", "took too long while others waited"]);
    // The first of them is told of the end; it had been answered before.
    while crowd[0].socket.read(&mut [0; 4096]).unwrap() > 0 {}
}

/// Who is answered and goes away leaves its place to the next, who else would wait until the oldest is overdue.
#[test]
fn a_handshake_that_is_given_up_leaves_its_place() {
    const ROUNDS: u32 = 8;
    let mut server = Server::start(&["--tls"]);
    let told = fingerprint(&mut server);
    let began = Instant::now();
    for _ in 0..ROUNDS {
        let crowd: Vec<_> = (0..PLACES).map(|_| Stranger::says_hello(&server)).collect();
        for stranger in &crowd {
            assert!(stranger.socket.peek(&mut [0]).unwrap() > 0, "answered");
        }
        drop(crowd);
        expect_echo(&mut logged_in(server.address, &told, "ann"), "hi");
    }
    assert!(began.elapsed() < HANDSHAKE_TIME * ROUNDS, "{:?}", began.elapsed());
}

/// Who says nothing, or no more than the beginning of a ClientHello, has no place, and so none to lose: it is the login
/// timeout that ends it.
#[test]
fn the_silent_take_no_places() {
    let server = Server::start(&["--tls", "--login-timeout", "4", "--log-level", "debug"]);
    let mut crowd: Vec<_> =
        (0..2 * (PLACES + 8)).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    for stranger in crowd.iter_mut().step_by(2) {
        stranger.write_all(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]).unwrap();
    }
    server.folder.log_lines(&["disconnected"], crowd.len());
    assert_eq!(too_late(&server), 0);
}

#[test]
fn forty_at_once_all_succeed_while_another_talks() {
    let mut server = Server::start(&["--tls"]);
    let told = fingerprint(&mut server);
    let mut within = logged_in(server.address, &told, "ann");
    let crowd: Vec<_> = (0..40)
        .map(|_| {
            let (address, told) = (server.address, told.clone());
            thread::spawn(move || logged_in(address, &told, "ann"))
        })
        .collect();
    for n in 0..100 {
        expect_echo(&mut within, &n.to_string());
    }
    let mut crowd: Vec<_> = crowd.into_iter().map(|one| one.join().unwrap()).collect();
    // More than there are places, and all of them stay.
    crowd.iter_mut().for_each(|one| expect_echo(one, "hi"));
}

/// How many of a crowd nobody has hindered: those that had their places for too long have lost them.
fn too_late(server: &Server) -> usize {
    server.folder.log_text().matches("took too long while others waited").count()
}

/// What became of one that wants to shake hands and be greeted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Greeted,
    Busy,
    Left,
}

/// What has become of one by now.
fn fate(stranger: &mut Stranger) -> Option<Fate> {
    let mut text = [0; 512];
    match stranger.channel.read(&mut stranger.socket, &mut text) {
        // A frame's length comes before its kind, and an error's code after it.
        Ok(1..) if text[4] == 0x81 => Some(Fate::Greeted),
        Ok(1..) if text[4..7] == [0x8f, 0, 106] => Some(Fate::Busy),
        Ok(0) => Some(Fate::Left),
        Ok(_) => panic!("neither Hello nor Busy: {text:?}"),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        Err(_) => Some(Fate::Left),
    }
}

/// There is room for four hundred of them: those are greeted; of the others as many are told Busy as can be at once, and
/// only then some are left without a word. Nobody waits for ever, and who is in talks on.
#[test]
fn five_hundred_at_once_are_greeted_or_refused() {
    const ROOM: usize = 400;
    allow_many_descriptors();
    let mut server = Server::start(&["--tls", "--max-connections", &(ROOM + 1).to_string()]);
    let told = fingerprint(&mut server);
    let mut within = logged_in(server.address, &told, "ann");
    let mut crowd: Vec<_> = (0..CROWD).map(|_| (Stranger::says_hello(&server), None)).collect();
    crowd.iter().for_each(|(stranger, _)| stranger.socket.set_nonblocking(true).unwrap());
    let mut echoes = 0;
    eventually("the fate of all", || {
        expect_echo(&mut within, &echoes.to_string());
        echoes += 1;
        for (stranger, fate_now) in crowd.iter_mut().filter(|(_, fate)| fate.is_none()) {
            *fate_now = fate(stranger);
        }
        crowd.iter().all(|(_, fate)| fate.is_some()).then_some(())
    });
    let count = |sought| crowd.iter().filter(|(_, fate)| *fate == Some(sought)).count();
    let (greeted, busy, too_late) = (count(Fate::Greeted), count(Fate::Busy), too_late(&server));
    assert!(greeted + too_late >= ROOM, "{greeted} greeted, {too_late} too late");
    assert!(busy >= porter::limits::REFUSALS_AT_ONCE.min(CROWD - greeted - too_late), "{busy} told Busy");
    expect_echo(&mut within, "and talks on");
}

/// So many are answered and not one more, as long as none of those goes on; the others wait, and cost next to nothing.
#[test]
fn only_so_many_are_answered_before_they_go_on() {
    allow_many_descriptors();
    let mut server = Server::start(&["--tls"]);
    let told = fingerprint(&mut server);
    let mut within = logged_in(server.address, &told, "ann");
    let before = rss(server.pid());
    let crowd: Vec<_> = (0..CROWD).map(|_| Stranger::says_hello(&server)).collect();
    let answered = || {
        let has_come = |stranger: &&Stranger| stranger.socket.peek(&mut [0]).is_ok();
        crowd.iter().filter(has_come).count()
    };
    crowd.iter().for_each(|stranger| stranger.socket.set_nonblocking(true).unwrap());
    eventually("as many answers as there can be", || (answered() >= PLACES).then_some(()));
    // Each of these is a turn, in which one more could be answered.
    for n in 0..100 {
        expect_echo(&mut within, &n.to_string());
    }
    let answered = answered();
    let too_late = too_late(&server);
    assert!(answered <= PLACES + too_late, "{answered} were answered, {too_late} have lost their places");
    let grown = rss(server.pid()).saturating_sub(before);
    let most = PLACES * 64 * 1024 + CROWD * 4096;
    assert!(grown <= most as u64, "{grown} bytes of {most}");
}

/// At most one handshake is answered in a turn, whoever was let in before and whoever comes just now: one who is in and
/// always has more to say is heard between any two of them, with all of its share.
#[test]
fn one_handshake_a_turn() {
    const EACH: usize = 8;
    const SHARE: usize = porter::limits::SHARE_FRAMES;
    let server = Server::start(&["--tls", "--log-level", "debug"]);
    let (mut ann, token) = Stranger::logged_in(&server);
    // They offer what is not spoken here, so that the log tells when each is answered.
    let hello = || {
        let mut stranger = Stranger::speaking(&server, b"another");
        let mut words = Vec::new();
        stranger.channel.flush(&mut words).unwrap();
        (stranger.socket, words)
    };
    let mut begun: Vec<_> = (0..EACH).map(|_| hello()).collect();
    for (socket, words) in &mut begun {
        socket.write_all(&words[..100]).unwrap();
    }
    // Each of these is a turn, in which one of them is let in.
    let message = frame(0x05, &token);
    for _ in 0..2 * EACH {
        ann.channel.write(&mut ann.socket, &message).unwrap();
        ann.read();
    }
    // Stopped, so that all of it is there together.
    stop(server.pid());
    let backlog = message.repeat(SHARE * (2 * EACH + 2));
    for record in backlog.chunks(porter::tls::RECORD_BYTES) {
        ann.channel.write(&mut ann.socket, record).unwrap();
    }
    for (socket, words) in &mut begun {
        socket.write_all(&words[100..]).unwrap();
    }
    let fresh: Vec<TcpStream> = (0..EACH)
        .map(|_| {
            let (mut socket, words) = hello();
            socket.write_all(&words).unwrap();
            socket
        })
        .collect();
    server.signal(Signal::CONT);
    server.folder.log_lines(&["refused", "why=Tls"], 2 * EACH);
    let log = server.folder.log_text();
    let between: Vec<_> = log.split("why=Tls").map(|part| part.matches("message received").count()).collect();
    assert!(between[1..2 * EACH].iter().all(|heard| *heard >= SHARE), "{between:?}");
    drop(fresh);
}

/// At the connection limit the answer comes inside of TLS.
#[test]
fn busy_is_said_within_tls() {
    let mut server = Server::start(&["--tls", "--max-connections", "1"]);
    let told = fingerprint(&mut server);
    let mut within = logged_in(server.address, &told, "ann");
    let trust = porter::client::tls::Trust::Fingerprint(told.parse().unwrap());
    let refused = porter::client::tls::connect("127.0.0.1", server.address.port(), &trust, CEILING);
    assert_eq!(refused.unwrap_err().code(), Some(porter::protocol::Code::Busy));
    expect_echo(&mut within, "hi");
}
