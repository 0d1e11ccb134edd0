//! What many, greedy, slow or silent peers can do to the server, and to each other: little.

use crate::support::{Said, Server, Visitor, allow_many_descriptors, frame, rss, stop, uninterrupted};
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const MEBIBYTE: u64 = 1024 * 1024;

/// A length that is announced reserves nothing: a thousand of the largest, and one byte each.
#[test]
fn announced_lengths_hold_no_memory() {
    allow_many_descriptors();
    let server = Server::start(&[]);
    let mut strangers: Vec<_> = (0..1000).map(|_| Visitor::arrive(&server)).collect();
    let before = rss(server.pid());
    for stranger in &mut strangers {
        stranger.send_raw(&[0xff, 0xff, 0xff, 0xff, 0x01]);
    }
    strangers.iter_mut().for_each(|stranger| {
        stranger.expect_error(101);
    });
    let grown = rss(server.pid()).saturating_sub(before);
    assert!(grown < 8 * MEBIBYTE, "{grown} bytes");
}

/// As before, with the longest frame that a stranger may send, which is never finished: memory follows what came.
#[test]
fn unfinished_frames_hold_little_memory() {
    allow_many_descriptors();
    let server = Server::start(&[]);
    let mut strangers: Vec<_> = (0..1000).map(|_| Visitor::arrive(&server)).collect();
    let before = rss(server.pid());
    for stranger in &mut strangers {
        stranger.send_raw(&[0, 0, 0x10, 0, 0x01]);
    }
    // Who knocks now is heard after them.
    Visitor::logged_in(&server, "ann").expect_echo("hi");
    let grown = rss(server.pid()).saturating_sub(before);
    assert!(grown < 8 * MEBIBYTE, "{grown} bytes");
}

/// A thousand who come at once are all greeted, although nobody comes after them.
#[test]
fn a_thousand_at_once() {
    allow_many_descriptors();
    let server = Server::start(&[]);
    let mut strangers: Vec<_> = (0..1000).map(|_| Visitor::connect(&server)).collect();
    strangers.iter_mut().for_each(|stranger| {
        stranger.expect_hello();
    });
}

/// Many who are in, each answered with their own words.
#[test]
fn three_hundred_in_conversation() {
    allow_many_descriptors();
    let server = Server::start(&[]);
    let mut friends: Vec<_> = (0..300).map(|_| Visitor::logged_in(&server, "ann")).collect();
    for (n, friend) in friends.iter_mut().enumerate() {
        friend.message(&n.to_string());
    }
    for (n, friend) in friends.iter_mut().enumerate() {
        friend.expect(Said::message("", &n.to_string()));
    }
}

/// In chat, one who never reads is told so and closed when its waiting output reaches the
/// limit; the others get everything, the server's memory does not grow with what is written, and the session can be
/// resumed.
#[test]
fn a_slow_consumer() {
    let limit = 2 * (2048 + 70);
    let limit = limit.to_string();
    let flags = ["--mode", "chat", "--max-frame", "2048", "--output-limit", &limit, "--chat-rate", "0"];
    let server = Server::start(&flags);
    let mut writer = Visitor::logged_in(&server, "writer");
    let mut slow = Visitor::connect_narrow(&server).greeted();
    slow.log_in("slow", crate::support::PASSWORD);
    writer.expect(Said::message("", "slow joined"));
    let mut reader = Visitor::logged_in(&server, "reader");
    writer.expect(Said::message("", "reader joined"));
    let before = rss(server.pid());

    let text = |n: usize| format!("{n:08}{}", "x".repeat(1900));
    let mut written = 0;
    let has_gone = |writer: &mut Visitor, reader: &mut Visitor| {
        writer.message("@slow are you there?");
        writer.message("@reader tell me when you hear this");
        reader.expect(Said::message("writer", "@reader tell me when you hear this"));
        reader.message("@writer I do");
        match writer.next() {
            Said::Error(7, _) => {
                writer.expect(Said::message("reader", "@writer I do"));
                true
            }
            other => {
                assert_eq!(other, Said::message("reader", "@writer I do"));
                false
            }
        }
    };
    while !has_gone(&mut writer, &mut reader) {
        for _ in 0..20 {
            writer.message(&text(written));
            reader.expect(Said::message("writer", &text(written)));
            written += 1;
        }
        assert!(written < 100_000, "no limit in sight");
    }
    let grown = rss(server.pid()).saturating_sub(before);
    assert!(grown < 8 * MEBIBYTE, "{grown} bytes");

    // What came in time came whole and in order, before the Error.
    slow.expect(Said::message("", "reader joined"));
    let mut heard = 0;
    loop {
        match slow.next() {
            Said::Message(sender, words) if words.starts_with('@') => assert_eq!(sender, "writer"),
            Said::Message(sender, words) => {
                assert_eq!((sender.as_str(), words), ("writer", text(heard)));
                heard += 1;
            }
            Said::Error(108, _) => break,
            other => panic!("{other:?}"),
        }
    }
    slow.expect_closed();
    assert!(heard < written);
    let mut back = server.resumed(slow.token);
    writer.message("welcome back");
    back.expect(Said::message("writer", "welcome back"));
}

/// One who does not read its own echoes is not read either; it reaches no limit, and when
/// it reads at last it has lost nothing.
#[test]
fn who_does_not_read_is_not_read() {
    let server = Server::start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let text = "x".repeat(60_000);
    let (bytes, mut sent) = (ann.message_frame(text.as_bytes()), 0);
    ann.stream.set_write_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    // Until nothing more is taken: the echoes fill all that is between here and there, and so do the messages.
    let unsent = loop {
        let mut rest = &bytes[..];
        let stuck = loop {
            match uninterrupted(|| ann.stream.write(rest)) {
                Ok(count) => rest = &rest[count..],
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    break true;
                }
                Err(error) => panic!("{error}"),
            }
            if rest.is_empty() {
                break false;
            }
        };
        if stuck {
            break rest;
        }
        sent += 1;
        assert!(sent < 10_000, "600 MB were taken from one who does not read");
    };
    Visitor::logged_in(&server, "bob").expect_echo("not disturbed");
    for _ in 0..sent {
        ann.expect(Said::message("", &text));
    }
    ann.send_raw(unsent);
    ann.expect(Said::message("", &text));
}

/// One who floods the server does not starve another. What the other gets done is the measure, not time.
#[test]
fn a_flood_starves_nobody() {
    let server = Server::start(&[]);
    let mut other = Visitor::logged_in(&server, "ann");
    let flooder = Visitor::logged_in(&server, "flood");
    let flood = flooder.message_frame(b"").repeat(2000);
    let over = Arc::new(AtomicBool::new(false));
    let mut drain = flooder.stream.try_clone().unwrap();
    let echoes = std::thread::spawn(move || {
        let (mut buffer, mut bytes) = (vec![0; 65_536], 0);
        while let Ok(count @ 1..) = uninterrupted(|| drain.read(&mut buffer)) {
            bytes += count;
        }
        bytes
    });
    let until = Arc::clone(&over);
    let mut source = flooder.stream.try_clone().unwrap();
    let pouring = std::thread::spawn(move || {
        while !until.load(Ordering::Relaxed) {
            source.write_all(&flood).unwrap();
        }
        source.write_all(&frame(0x06, &[])).unwrap();
    });
    for n in 0..300 {
        other.expect_echo(&n.to_string());
    }
    Visitor::logged_in(&server, "new").expect_echo("newcomers too");
    over.store(true, Ordering::Relaxed);
    pouring.join().unwrap();
    assert!(echoes.join().unwrap() > 0, "there was no flood");
}

/// A crowd that leaves at once is seen off a few at a time: one who is in and always has more to say is heard between.
#[test]
fn a_crowd_that_leaves_at_once_holds_nobody_up() {
    const CROWD: usize = 300;
    /// In one turn: once after the answers, once after what was hashed.
    const AT_A_TIME: usize = 2 * 32;
    allow_many_descriptors();
    let server = Server::start(&["--log-level", "debug"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let crowd: Vec<_> = (0..CROWD).map(|_| Visitor::arrive(&server)).collect();
    // Stopped, so that all of it is there together; ann's is more than she is read while the crowd leaves.
    stop(server.pid());
    ann.send_raw(&ann.message_frame(b"").repeat(10_000));
    drop(crowd);
    server.signal(Signal::CONT);
    server.folder.log_lines(&["disconnected"], CROWD);
    let log = server.folder.log_text();
    let between = log.split("message received").map(|part| part.matches("disconnected").count());
    let most = between.max().unwrap();
    assert!(most <= AT_A_TIME, "{most} were seen off before ann was heard again");
}
