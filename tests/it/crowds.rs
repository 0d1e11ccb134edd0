//! What is for many, or happens to many at once, goes in shares over turns: everybody is told all of it, once, in order.

use crate::support::{
    Folder, PASSWORD, Said, Server, Setup, Visitor, allow_many_descriptors, frame, stored_password,
};
use std::collections::BTreeSet;
use std::rc::Rc;

const CROWD: usize = 300;

/// A chat in which everybody may write as often as they like.
fn chat(more: &[&str]) -> Server {
    allow_many_descriptors();
    Server::start(&[&["--mode", "chat", "--chat-rate", "0", "--max-strangers", "2000"], more].concat())
}

/// Waits until a visitor is told this, and returns what came before it.
fn until(visitor: &mut Visitor, last: &Said) -> Vec<Said> {
    let mut heard = Vec::new();
    loop {
        match visitor.next() {
            said if said == *last => return heard,
            Said::Closed | Said::Reset => panic!("{last:?} did not come, but {heard:?} and the end"),
            said => heard.push(said),
        }
    }
}

/// Three write at once to hundreds, whole bursts in one packet, cut in unkind places, while others come and go. Everyone who was there
/// before hears each writer's texts once and in order, and what a writer says to one comes behind what it said to all.
#[test]
fn texts_for_a_crowd() {
    let server = chat(&[]);
    let mut readers: Vec<Visitor> = (0..CROWD).map(|_| Visitor::logged_in(&server, "reader")).collect();
    let mut writers = ["ann", "bob", "cid"].map(|name| Visitor::logged_in(&server, name));
    let texts: Vec<String> = (0..100).map(|n| format!("{n} {}", "x".repeat(n * 7 % 200))).collect();
    let mut leavers: Vec<Visitor> = (0..20).map(|_| Visitor::logged_in(&server, "reader")).collect();
    for (n, portion) in texts.chunks(10).enumerate() {
        for writer in &mut writers {
            let mut bytes: Vec<u8> =
                portion.iter().flat_map(|text| writer.message_frame(text.as_bytes())).collect();
            bytes.extend(writer.message_frame(format!("@reader {n}").as_bytes()));
            let (first, rest) = bytes.split_at(bytes.len() - 3);
            writer.send_raw(first);
            writer.send_raw(rest);
        }
        leavers.drain(..2).for_each(Visitor::reset);
        drop(Visitor::logged_in(&server, "passer-by"));
    }
    for writer in &mut writers {
        writer.send_raw(&[writer.message_frame(b"@nobody"), frame(0x06, b"")].concat());
        // What the others wrote, the refusal, and then the Bye.
        let mut heard = Vec::new();
        while !matches!(heard.last(), Some(Said::Bye(_))) {
            heard.push(writer.next());
        }
        assert!(matches!(heard[heard.len() - 2..], [Said::Error(8, _), _]), "{heard:?}");
    }
    let expected: Vec<String> = texts
        .chunks(10)
        .enumerate()
        .flat_map(|(n, portion)| portion.iter().cloned().chain([format!("@reader {n}")]))
        .collect();
    for reader in &mut readers {
        let heard = until(reader, &Said::message("", "cid left"));
        for name in ["ann", "bob", "cid"] {
            let by_name = heard.iter().filter_map(|said| match said {
                Said::Message(sender, text) if sender == name => Some(text),
                _ => None,
            });
            assert!(by_name.eq(&expected), "of {name}: {heard:?}");
        }
    }
}

/// A server that knows so many, and all of them logged in, each under a name of its own.
fn guests(flags: &[&str]) -> (Server, Vec<Visitor>) {
    allow_many_descriptors();
    let stored = stored_password(PASSWORD, b"sixteen bytes ok", 1_000);
    let names: Vec<String> = (0..CROWD).map(|n| format!("guest{n}")).collect();
    let users: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), stored.as_str())).collect();
    let setup = Setup::new(&[&["--mode", "chat"], flags].concat());
    let server = setup.folder(Rc::new(Folder::with_users(&users))).start();
    let guests = names.iter().map(|name| Visitor::logged_in(&server, name)).collect();
    (server, guests)
}

/// Those who stay are told of each who went, once. Who goes on is not held up: what it writes meanwhile reaches all.
fn are_told_of_each(server: &Server, mut stay: Vec<Visitor>, gone: Vec<Visitor>, first: usize) {
    let expected: BTreeSet<String> = (first..first + gone.len()).map(|n| format!("guest{n} left")).collect();
    let mut writer = Visitor::logged_in(server, "writer");
    gone.into_iter().for_each(Visitor::reset);
    writer.message("meanwhile");
    let came_in = Said::message("", "writer joined");
    for visitor in &mut stay {
        until(visitor, &came_in);
        let (mut left, mut may_handle_frame) = (Vec::new(), false);
        while left.len() < expected.len() || !may_handle_frame {
            match visitor.next() {
                Said::Message(sender, text) if sender.is_empty() => left.push(text),
                said => may_handle_frame = said == Said::message("writer", "meanwhile"),
            }
        }
        assert_eq!(left.len(), expected.len());
        assert_eq!(left.into_iter().collect::<BTreeSet<String>>(), expected);
    }
    // Nothing more came behind it.
    writer.message("for all");
    for visitor in &mut stay {
        visitor.expect(Said::message("writer", "for all"));
    }
}

/// Two thirds of a chat lose their connections at once, and the windows of all end together.
#[test]
fn windows_that_end_together() {
    let (server, mut guests) = guests(&["--resume-window", "1"]);
    let gone = guests.split_off(CROWD / 3);
    are_told_of_each(&server, guests, gone, CROWD / 3);
}

/// And where there is no window.
#[test]
fn a_burst_of_disconnects_without_a_window() {
    let (server, mut guests) = guests(&["--resume-window", "0"]);
    let gone = guests.split_off(CROWD / 3);
    are_told_of_each(&server, guests, gone, CROWD / 3);
}

/// A kick reaches every session that the name has, in more than one share, and none that it has later; the others are told
/// once that it left.
#[test]
fn a_kick_of_a_crowd() {
    let mut server = chat(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut crowd: Vec<Visitor> = (0..2 * CROWD).map(|_| Visitor::logged_in(&server, "bob")).collect();
    let lost = crowd.pop().map(Visitor::reset);
    assert!(lost.is_some());
    server.folder.log_line(&["disconnected"]);
    server.type_line("/kick bob");
    server.stdout.wait_for_line(|line| line == "kicked bob, 600 sessions");
    let mut late = Visitor::logged_in(&server, "bob");
    for visitor in &mut crowd {
        visitor.expect_bye();
    }
    for text in ["bob joined", "bob left", "bob joined"] {
        ann.expect(Said::message("", text));
    }
    late.message("back");
    ann.expect(Said::message("bob", "back"));
}

/// A list of a crowd is whole, and a stop tells everybody: first what the console said to all, then Bye.
#[test]
fn a_list_and_a_stop_of_a_crowd() {
    let mut server = chat(&[]);
    let mut crowd: Vec<Visitor> = (0..2 * CROWD).map(|_| Visitor::logged_in(&server, "bob")).collect();
    server.type_line("/who");
    let listed = server.stdout.lines_until(|line| line.ends_with("online, 0 lost, 0 not logged in"));
    assert_eq!(listed.iter().filter(|line| line.starts_with("bob  127.0.0.1:")).count(), 2 * CROWD);
    server.type_line("we close");
    server.type_line("/quit");
    for visitor in &mut crowd {
        visitor.expect(Said::message("", "we close"));
        visitor.expect_bye();
    }
    assert_eq!(server.exit_code(), Some(0));
}

/// `/stats` shows how long turns were.
#[test]
fn the_lengths_of_turns_are_shown() {
    let mut server = chat(&[]);
    let _ann = Visitor::logged_in(&server, "ann");
    server.type_line("/stats");
    let line = server.stdout.wait_for_line(|line| line.starts_with("turns"));
    let counts =
        line.strip_prefix("turns without syncs: ").and_then(|rest| rest.split_once("; the longest "));
    let (counts, longest) = counts.unwrap_or_else(|| panic!("{line}"));
    let of = |class: &str| class.split(' ').next().and_then(|count| count.parse::<u64>().ok());
    let turns: u64 = counts.split(", ").map(|class| of(class).unwrap_or_else(|| panic!("{line}"))).sum();
    assert!(turns > 3 && longest.ends_with(" ms"), "{line}");
}
