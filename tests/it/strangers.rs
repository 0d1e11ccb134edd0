//! Connections that are not logged in: how many there may be, who makes room, and that a crowd of one address keeps
//! nobody out. The same inside TLS is in `tls/strangers.rs`.

use crate::support::{
    CEILING, Folder, PASSWORD, SLOW_PASSWORD, Said, Server, Setup, Siege, Visitor, allow_many_descriptors,
    descriptors,
};
use porter::limits::{REFUSALS_AT_ONCE, SHARE_ACCEPTS};
use porter::protocol::Wanted;
use std::rc::Rc;
use std::time::Instant;

/// Connects from this address, is greeted, and says nothing.
fn stranger(server: &Server, source: &str) -> Visitor {
    Visitor::connect_from(source, server).greeted()
}

/// The seconds to wait come first.
fn expect_busy(visitor: &mut Visitor) {
    let explanation = visitor.expect_last_error(106);
    assert!(explanation.starts_with("1 s or more: too many connections of this address"), "{explanation}");
}

#[test]
fn the_address_with_the_most_loses_its_oldest() {
    let server = Server::start(&["--max-strangers", "3"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut many: Vec<_> = (0..3).map(|_| stranger(&server, "127.0.0.2")).collect();
    let mut few = vec![stranger(&server, "127.0.0.3")];
    expect_busy(&mut many[0]);
    // Now it is two and one; another of the same address loses one of its own.
    many.push(stranger(&server, "127.0.0.2"));
    expect_busy(&mut many[1]);
    // Two and two would be too many: the older makes room.
    few.push(stranger(&server, "127.0.0.3"));
    expect_busy(&mut many[2]);
    let mut third = stranger(&server, "127.0.0.4");
    expect_busy(&mut few[0]);
    // Everyone has one now: the oldest goes.
    let _fourth = stranger(&server, "127.0.0.5");
    expect_busy(&mut many[3]);
    third.log_in("bob", PASSWORD);
    ann.expect_echo("who is in is none of them");
    let _fifth = stranger(&server, "127.0.0.6");
    third.expect_echo("nor is who has logged in");
    few[1].identify("carol");
    few[1].expect(Said::Wanted(Wanted::Register));
}

/// At the connection limit one of an address with many makes room for one of an address with fewer.
#[test]
fn a_house_full_of_strangers_is_open_to_other_addresses() {
    let server = Server::start(&["--max-connections", "4"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut many: Vec<_> = (0..3).map(|_| stranger(&server, "127.0.0.2")).collect();
    let explanation = Visitor::connect_from("127.0.0.2", &server).expect_last_error(106);
    assert!(explanation.contains("connection limit"), "{explanation}");
    let mut bob = stranger(&server, "127.0.0.3");
    expect_busy(&mut many[0]);
    bob.log_in("bob", PASSWORD);
    // Two of one, none of the other.
    let _carol = stranger(&server, "127.0.0.3");
    expect_busy(&mut many[1]);
    // One each: no room is to be won by taking from one and giving to the other.
    Visitor::connect_from("127.0.0.3", &server).expect_last_error(106);
    assert!(many[2].nothing_yet());
    ann.expect_echo("hi");
    bob.expect_echo("hi");
}

/// A password that is being seen to is the last to be given up, and costs what it costs.
#[test]
fn who_waits_for_a_hash_is_the_last_to_go() {
    let folder = Rc::new(Folder::with_users(&[("bob", SLOW_PASSWORD)]));
    let flags = ["--max-strangers", "2", "--penalty", "500", "--hash-wait", "31536000"];
    let server = Setup::new(&flags).folder(folder).start();
    let mut ann = Visitor::logged_in(&server, "ann");
    let introduced = || {
        let mut visitor = stranger(&server, "127.0.0.2");
        visitor.identify("bob");
        visitor.expect(Said::Wanted(Wanted::Login));
        visitor
    };
    let mut slow = introduced();
    slow.login("a guess");
    ann.expect_echo("hi");
    let mut idle = stranger(&server, "127.0.0.2");
    let mut queued = introduced();
    expect_busy(&mut idle);
    queued.login("another");
    // When this has come back the login has been taken.
    ann.expect_echo("hi");
    Visitor::connect_from("127.0.0.2", &server).expect_last_error(106);
    // But another address has none: the older is given up.
    let _other = stranger(&server, "127.0.0.3");
    expect_busy(&mut slow);
    queued.reset();
    server.folder.log_lines(&["disconnected", "peer=127.0.0.2"], 4);
    let mut again = introduced();
    again.login("a third");
    again.expect_last_error(105);
}

/// Those who do not go though they are sent away are not waited for without end. Those whose time is over are closed
/// together, a share in each turn: until then others have their places, on a machine that is busy when it is seen.
#[test]
fn who_keeps_the_socket_open_holds_no_more_than_is_allowed() {
    const MOST: usize = 50;
    allow_many_descriptors();
    let server = Server::start(&["--max-strangers", &MOST.to_string()]);
    let before = descriptors(server.pid());
    let mut crowd: Vec<_> = (0..1000).map(|_| Visitor::connect_from("127.0.0.2", &server)).collect();
    crowd[999].expect_hello();
    let open = descriptors(server.pid()) - before;
    assert!(open <= (MOST + 2 * REFUSALS_AT_ONCE + SHARE_ACCEPTS) as u64, "{open} descriptors");
    crowd[0].expect_hello();
    expect_busy(&mut crowd[0]);
    Visitor::logged_in(&server, "ann").expect_echo("and in between");
}

/// Six hundred of one address that say nothing, or the beginning of something, and come back whenever they are closed;
/// who comes from elsewhere logs in and resumes all the same.
#[test]
fn a_crowd_of_one_address_keeps_nobody_out() {
    allow_many_descriptors();
    for flags in [&[][..], &["--max-strangers", "300", "--login-timeout", "2"]] {
        let server = Server::start(flags);
        for words in [&b""[..], b"\x16", &[0, 0, 0, 9, 1, b'a']] {
            let siege = Siege::begin(&server, "127.0.0.9", 600, words);
            if !flags.is_empty() {
                siege.expect_returns();
            }
            let began = Instant::now();
            let mut ann = Visitor::logged_in(&server, "ann");
            let token = ann.token;
            ann.expect_echo("in");
            ann.reset();
            server.resumed(token).expect_echo("and again");
            assert!(began.elapsed() < CEILING, "{:?} with {words:?}", began.elapsed());
            siege.end();
        }
    }
}
