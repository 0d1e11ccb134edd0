//! Crowds that mean no good, and what becomes of them and of who comes between: the outcomes. What an honest client
//! sees meanwhile, in microseconds, is `tests/bench/siege.rs`'s to measure.

use crate::support::{
    Folder, PASSWORD, SLOW_PASSWORD, Said, Server, Setup, Visitor, allow_many_descriptors, cpu_time,
    descriptors, eventually, frame, rss, stop, stored_password,
};
use porter::protocol::Wanted;
use rustix::process::Signal;
use std::io::{ErrorKind, Write};
use std::rc::Rc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

const MEBIBYTE: u64 = 1024 * 1024;

/// Waits until the server holds no more descriptors than it did.
fn all_gone(server: &Server, before: u64) {
    eventually("descriptors given back", || (descriptors(server.pid()) <= before).then_some(()));
}

/// Those who send a byte now and then are told and closed at the login timeout, as if they had sent nothing, and
/// meanwhile others log in and talk.
#[test]
fn slowloris() {
    allow_many_descriptors();
    let server = Server::start(&["--login-timeout", "3"]);
    Visitor::logged_in(&server, "ann");
    let before = descriptors(server.pid());
    let mut strangers: Vec<_> = (0..300).map(|_| Visitor::arrive(&server)).collect();
    let mut streams: Vec<_> = strangers.iter().map(|stranger| stranger.stream.try_clone().unwrap()).collect();
    let (over, until) = channel::<()>();
    let drip = std::thread::spawn(move || {
        let endless = [&[0, 0, 0x10, 0, 0x01][..], &[b'a'; 4000]].concat();
        for byte in endless {
            for stream in &mut streams {
                // The server may have gone by now: that is what is waited for.
                let _ = stream.write(&[byte]);
            }
            if until.recv_timeout(Duration::from_millis(250)) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    });
    let mut served = 0;
    eventually("the first is told", || {
        Visitor::logged_in(&server, "ann").expect_echo("hi");
        served += 1;
        (!strangers[0].nothing_yet()).then_some(())
    });
    for stranger in &mut strangers {
        stranger.expect_error(107);
    }
    over.send(()).unwrap();
    drip.join().unwrap();
    assert!(served > 1, "nobody was served between them");
    drop(strangers);
    all_gone(&server, before);
}

/// A crowd that says nothing costs next to no memory and no CPU time, and is sent away in time.
#[test]
fn a_silent_crowd() {
    allow_many_descriptors();
    let server = Server::start(&["--login-timeout", "5"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let (open, held) = (descriptors(server.pid()), rss(server.pid()));
    let mut crowd: Vec<_> = (0..1000).map(|_| Visitor::arrive(&server)).collect();
    let used = cpu_time(server.pid());
    ann.expect_echo("not disturbed");
    let grown = rss(server.pid()).saturating_sub(held);
    assert!(grown < 4 * MEBIBYTE, "{grown} bytes");
    // The first goes after a time in which all were there.
    crowd[0].expect_last_error(107);
    let used = cpu_time(server.pid()) - used;
    assert!(used < Duration::from_millis(150), "{used:?} of CPU time");
    for silent in &mut crowd[1..] {
        silent.expect_last_error(107);
    }
    ann.expect_echo("nor later");
    drop(crowd);
    all_gone(&server, open);
}

/// Many who do not read their echoes are not read: what the server holds for them stays within their limits.
#[test]
fn many_who_do_not_read() {
    const CROWD: usize = 40;
    let server = Server::start(&["--output-limit", "262144"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut crowd: Vec<_> = (0..CROWD)
        .map(|_| {
            let mut visitor = Visitor::connect_narrow(&server).greeted();
            visitor.log_in("stalled", PASSWORD);
            visitor.stream.set_nonblocking(true).unwrap();
            let bytes = visitor.message_frame(&[b'x'; 30_000]);
            (visitor, bytes, 0)
        })
        .collect();
    let before = rss(server.pid());
    let mut rounds_without_progress = 0;
    // Until nothing more is taken of any of them, whatever the server does between.
    while rounds_without_progress < 50 {
        rounds_without_progress += 1;
        for (visitor, bytes, sent) in &mut crowd {
            match visitor.stream.write(&bytes[*sent..]) {
                Ok(count) => {
                    *sent = (*sent + count) % bytes.len();
                    rounds_without_progress = 0;
                }
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        ann.expect_echo("heard between");
    }
    let grown = rss(server.pid()).saturating_sub(before);
    let most = CROWD as u64 * 262_144 * 11 / 10;
    assert!(grown <= most, "{grown} bytes of {most}");
    Visitor::logged_in(&server, "bob").expect_echo("newcomers too");
}

/// Guesses from many addresses, several from each, are hashed in turns: an honest login waits for one of each address
/// at most, not for all, and is not taken for one of them.
#[test]
fn guessing_from_many_addresses() {
    const ADDRESSES: usize = 30;
    let rounds = 100_000;
    let stored = stored_password(PASSWORD, b"sixteen bytes ok", rounds);
    let folder = Rc::new(Folder::with_users(&[("ann", &stored)]));
    let flags = ["--login-cache", "0", "--hash-rounds", &rounds.to_string()];
    let server = Setup::new(&flags).folder(folder).start();
    let mut guessers: Vec<_> = (0..3)
        .flat_map(|_| 1..=ADDRESSES)
        .map(|address| Visitor::connect_from(&format!("127.0.1.{address}"), &server).greeted())
        .collect();
    let mut honest = Visitor::introduced(&server, "ann", Wanted::Login);
    // Stopped, so that the honest login comes after all guesses and before the first is hashed.
    stop(server.pid());
    for guesser in &mut guessers {
        guesser.send_raw(&[frame(0x01, b"ann"), frame(0x03, b"wrong password")].concat());
    }
    honest.login(PASSWORD);
    server.signal(Signal::CONT);
    honest.expect_welcome();
    stop(server.pid());
    guessers.iter_mut().for_each(|guesser| guesser.expect(Said::Wanted(Wanted::Login)));
    let ahead = guessers.iter().filter(|guesser| !guesser.nothing_yet()).count();
    // Some to spare, for what went on between the login and the count.
    assert!(ahead <= ADDRESSES + ADDRESSES / 2, "{ahead} guesses were hashed before an honest login");
    server.signal(Signal::CONT);
    honest.expect_echo("in");
    for guesser in &mut guessers {
        guesser.expect_error(4);
    }
}

/// Each of many addresses pays for its own guesses, after which they cost nothing; who shares none of them is not
/// concerned.
#[test]
fn each_address_pays_for_its_own_guesses() {
    let server = Server::start(&["--penalty", "500", "--login-cache", "0"]);
    Visitor::logged_in(&server, "ann");
    for address in 1..=50 {
        let mut guesser = Visitor::connect_from(&format!("127.0.1.{address}"), &server).greeted();
        guesser.identify("ann");
        guesser.expect(Said::Wanted(Wanted::Login));
        guesser.login("wrong password");
        guesser.expect_error(4);
        guesser.login("another wrong one");
        guesser.expect_last_error(105);
    }
    Visitor::logged_in(&server, "ann").expect_echo("not concerned");
}

/// Those who leave while their password is hashed, again and again, leave no work behind.
#[test]
fn a_storm_of_hashes_that_nobody_waits_for() {
    let anns = stored_password(PASSWORD, b"sixteen bytes ok", 1000);
    let folder = Rc::new(Folder::with_users(&[("ann", &anns), ("bob", SLOW_PASSWORD)]));
    let flags = ["--login-timeout", "2", "--penalty", "0", "--hash-wait", "31536000", "--log-level", "debug"];
    let server = Setup::new(&flags).folder(folder).start();
    let mut ann = Visitor::logged_in(&server, "ann");
    for _ in 0..10 {
        let storm: Vec<_> = (0..20)
            .map(|_| {
                let mut visitor = Visitor::introduced(&server, "bob", Wanted::Login);
                visitor.login("a password that takes some 20 s");
                visitor
            })
            .collect();
        ann.expect_echo("heard between");
        storm.into_iter().for_each(Visitor::reset);
    }
    server.folder.log_lines(&["disconnected"], 200);
    let before = cpu_time(server.pid());
    // Two seconds in which a hash that was left behind would go on.
    Visitor::arrive(&server).expect_last_error(107);
    let used = cpu_time(server.pid()) - before;
    assert!(used < Duration::from_millis(300), "{used:?} of CPU time");
    ann.expect_echo("and on it goes");
}

/// When the network was away, all are back by their tokens at once, and not one of them by a hash: one that takes
/// 20 s is in the way of any other.
#[test]
fn a_crowd_comes_back_without_a_hash() {
    allow_many_descriptors();
    let anns = stored_password(PASSWORD, b"sixteen bytes ok", 1000);
    let folder = Rc::new(Folder::with_users(&[("ann", &anns), ("bob", SLOW_PASSWORD)]));
    let server = Setup::new(&["--login-cache", "0"]).folder(folder).start();
    let friends: Vec<_> = (0..500).map(|_| Visitor::logged_in(&server, "ann")).collect();
    let mut slow = Visitor::connect_from("127.0.0.2", &server).greeted();
    slow.send_raw(&[frame(0x01, b"bob"), frame(0x03, b"wrong password")].concat());
    slow.expect(Said::Wanted(Wanted::Login));
    let tokens: Vec<_> = friends.iter().map(|friend| friend.token).collect();
    friends.into_iter().for_each(Visitor::reset);
    let mut back: Vec<_> = tokens
        .iter()
        .map(|token| {
            let mut visitor = Visitor::connect(&server);
            visitor.resume(*token);
            visitor
        })
        .collect();
    for (n, (friend, token)) in back.iter_mut().zip(&tokens).enumerate() {
        friend.expect_hello();
        assert_ne!(friend.expect_welcome(), *token);
        friend.expect_echo(&n.to_string());
    }
    assert!(slow.nothing_yet(), "the hash in the way is over: this run has shown nothing");
}
