//! What waits to be written is bounded for all together, whoever does not read it, and however it came to wait.

use crate::support::{Said, Server, Setup, Visitor, allow_many_descriptors, rss, uninterrupted};
use std::fs;

const MEBIBYTE: u64 = 1024 * 1024;
const CROWD: usize = 600;

/// The most memory that the server has held so far.
fn peak(server: &Server) -> u64 {
    let path = format!("/proc/{}/status", server.pid().as_raw_nonzero());
    let status = fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

/// Six hundred who do not read, with a long frame each: they would make it hold 150 MB. Those with the most waiting are
/// cut off, the others hear it all in the end, and whoever reads is not disturbed.
#[test]
fn six_hundred_long_frames_that_nobody_reads() {
    allow_many_descriptors();
    let total = 24 * MEBIBYTE;
    let server = Server::start(&["--max-frame", "262144", "--output-total", &total.to_string()]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut crowd: Vec<Visitor> = (0..CROWD)
        .map(|_| {
            let mut stalled = Visitor::connect_tiny(&server).greeted();
            stalled.log_in("stalled", crate::support::PASSWORD);
            stalled
        })
        .collect();
    let before = rss(server.pid());
    let text = "x".repeat(250_000);
    for (n, stalled) in crowd.iter_mut().enumerate() {
        stalled.message(&text);
        // Its echo has begun to come: the message is not held any more.
        uninterrupted(|| stalled.stream.peek(&mut [0])).unwrap();
        if n % 20 == 0 {
            ann.expect_echo("not disturbed");
        }
    }
    ann.expect_echo("nor after it");
    let grown = peak(&server).saturating_sub(before);
    assert!(grown < total + total / 10 + 4 * MEBIBYTE, "{grown} bytes");
    // What is held is used: so many echoes have room, at least.
    let whole = Said::message("", &text);
    let heard = crowd.iter_mut().filter_map(Visitor::next_whole).filter(|said| *said == whole).count() as u64;
    assert!((total / 2 / 262_144..CROWD as u64).contains(&heard), "{heard} were kept");
}

/// Many who are cut off in the midst of one long text: what they have begun to take is not copied for each of them.
#[test]
fn one_long_text_that_many_have_begun_to_take() {
    let flags = ["--mode", "chat", "--max-frame", "4194304", "--output-limit", "8388748"];
    let server = Server::start(&flags);
    let mut ann = Visitor::logged_in(&server, "ann");
    let crowd: Vec<Visitor> = (0..60)
        .map(|_| {
            let mut stalled = Visitor::connect_tiny(&server).greeted();
            stalled.log_in("stalled", crate::support::PASSWORD);
            stalled
        })
        .collect();
    ann.expect(Said::message("", "stalled joined"));
    let before = rss(server.pid());
    let text = "x".repeat(4_000_000);
    for _ in 0..3 {
        ann.message(&text);
    }
    // Behind the texts, and so when they have reached the limit of each.
    ann.message("@nobody there?");
    ann.expect_error(7);
    let grown = peak(&server).saturating_sub(before);
    assert!(grown < 64 * MEBIBYTE, "{grown} bytes");
    drop(crowd);
}

/// What one connection may have is what all may have, at least.
#[test]
fn a_total_below_what_one_may_have() {
    let said = Setup::new(&["--output-limit", "1048576", "--output-total", "1048575"]).refused(2);
    assert!(said.contains("--output-total") && said.contains("1048576"), "{said}");
    Server::start(&["--output-limit", "1048576", "--output-total", "1048576"]);
}
