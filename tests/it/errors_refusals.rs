//! The error codes that need a history: storage, attempts, penalties, load, time.

use crate::support::{
    FOREVER_ROUNDS, Folder, PASSWORD, SLOW_PASSWORD, Said, Server, Setup, Visitor, eventually, limit,
    stored_password,
};
use porter::protocol::Wanted;
use rustix::process::Resource;
use std::rc::Rc;

/// The whole seconds that an explanation begins with.
#[track_caller]
fn seconds(explanation: &str) -> u64 {
    let digits: String = explanation.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("does not begin with seconds: {explanation}"))
}

/// Waits until what was sent before on other connections has been seen by the server.
fn settle(server: &Server) {
    Visitor::arrive(server);
}

/// Code 5: the file cannot grow. Nothing is registered, the file is as before, logins go on, and once there is room
/// the same connection registers.
#[test]
fn storage_failed() {
    let mut server = Server::start(&[]);
    Visitor::logged_in(&server, "ann");
    let before = server.folder.read("users.csv");
    limit(server.pid(), Resource::Fsize, Some(before.len() as u64 + 10));
    let mut bob = Visitor::introduced(&server, "bob", Wanted::Register);
    bob.register(PASSWORD);
    bob.expect_error(5);
    assert_eq!(server.folder.read("users.csv"), before);
    Visitor::introduced(&server, "bob", Wanted::Register);
    Visitor::logged_in(&server, "ann").expect_echo("logins go on");

    limit(server.pid(), Resource::Fsize, None);
    bob.register(PASSWORD);
    bob.expect(Said::Wanted(Wanted::Login));
    bob.login(PASSWORD);
    bob.expect_welcome();
    let after = server.folder.read("users.csv");
    assert!(after.starts_with(&before) && after[before.len()..].starts_with("bob,"), "{after}");
    assert_eq!(after.lines().count(), 3);
    server.close_stdin();
    let again = Setup::new(&[]).folder(server.terminate()).start();
    Visitor::introduced(&again, "bob", Wanted::Login);
}

/// Code 104: the last allowed wrong password; Identify in between gives no more of them.
#[test]
fn too_many_wrong_passwords() {
    let server = Server::start(&["--penalty", "0"]);
    Visitor::logged_in(&server, "ann");
    let mut visitor = Visitor::introduced(&server, "ann", Wanted::Login);
    for _ in 0..2 {
        visitor.login("wrong password");
        visitor.expect_error(4);
        visitor.identify("ann");
        visitor.expect(Said::Wanted(Wanted::Login));
    }
    visitor.login("wrong password");
    visitor.expect_last_error(104);

    let strict = Server::start(&["--max-attempts", "1"]);
    Visitor::logged_in(&strict, "ann");
    let mut visitor = Visitor::introduced(&strict, "ann", Wanted::Login);
    visitor.login("wrong password");
    visitor.expect_last_error(104);
}

/// Code 104: one registration more than allowed, weak ones and those of other names counted.
#[test]
fn too_many_registrations() {
    let server = Server::start(&["--penalty", "0"]);
    let mut visitor = Visitor::introduced(&server, "ann", Wanted::Register);
    for name in ["ann", "bob"] {
        visitor.identify(name);
        visitor.expect(Said::Wanted(Wanted::Register));
        visitor.register("weak");
        visitor.expect_error(2);
    }
    visitor.register(PASSWORD);
    visitor.expect(Said::Wanted(Wanted::Login));
    visitor.identify("cid");
    visitor.expect(Said::Wanted(Wanted::Register));
    visitor.register(PASSWORD);
    visitor.expect_last_error(104);
    Visitor::introduced(&server, "cid", Wanted::Register);
}

/// protocol.md: wrong passwords and registrations are counted apart.
#[test]
fn the_counts_are_two() {
    let server = Server::start(&["--penalty", "0"]);
    let mut visitor = Visitor::introduced(&server, "ann", Wanted::Register);
    for _ in 0..2 {
        visitor.register("weak");
        visitor.expect_error(2);
    }
    visitor.register(PASSWORD);
    visitor.expect(Said::Wanted(Wanted::Login));
    for _ in 0..2 {
        visitor.login("wrong password");
        visitor.expect_error(4);
    }
    visitor.login(PASSWORD);
    visitor.expect_welcome();
}

/// Code 105: an address in debt is refused, recognised passwords and registrations too; others and open sessions
/// are not touched.
#[test]
fn throttled() {
    let server = Server::start(&["--penalty", "500"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut guesser = Visitor::introduced(&server, "ann", Wanted::Login);
    guesser.login("wrong password");
    guesser.expect_error(4);
    guesser.login(PASSWORD);
    let wait = seconds(&guesser.expect_last_error(105));
    assert!((1..=600).contains(&wait), "{wait}");

    let mut recognised = Visitor::introduced(&server, "ann", Wanted::Login);
    recognised.login(PASSWORD);
    seconds(&recognised.expect_last_error(105));
    let mut new = Visitor::introduced(&server, "bob", Wanted::Register);
    new.register(PASSWORD);
    seconds(&new.expect_last_error(105));

    ann.expect_echo("an open session");
    let token = ann.token;
    ann.reset();
    server.resumed(token).expect_echo("a resumed one");
    let mut elsewhere = Visitor::connect_from("127.0.0.2", &server).greeted();
    elsewhere.log_in("ann", PASSWORD);
    elsewhere.expect_echo("not affected");
}

/// The debt is taken back when the password was right, and some wrong ones are tolerated.
#[test]
fn right_passwords_cost_no_debt() {
    let server = Server::start(&["--penalty", "10", "--login-cache", "0"]);
    for _ in 0..5 {
        Visitor::logged_in(&server, "ann");
    }
    let mut visitor = Visitor::introduced(&server, "ann", Wanted::Login);
    visitor.login("wrong password");
    visitor.expect_error(4);
    visitor.login(PASSWORD);
    visitor.expect_welcome();
}

/// `--penalty 0`: nothing is charged.
#[test]
fn no_penalty() {
    let server = Server::start(&["--penalty", "0", "--max-attempts", "50"]);
    Visitor::logged_in(&server, "ann");
    let mut visitor = Visitor::introduced(&server, "ann", Wanted::Login);
    for _ in 0..40 {
        visitor.login("wrong password");
        visitor.expect_error(4);
    }
    visitor.login(PASSWORD);
    visitor.expect_welcome();
}

/// Code 106, alone and instead of Hello: the connection limit. When somebody has gone there is room again.
#[test]
fn busy_at_the_connection_limit() {
    let server = Server::start(&["--max-connections", "2"]);
    let (mut first, mut second) = (Visitor::arrive(&server), Visitor::arrive(&server));
    let mut third = Visitor::connect(&server);
    seconds(&third.expect_last_error(106));
    first.exit();
    first.expect_bye();
    drop(first);
    let mut next = eventually("room for a second one", || {
        let mut visitor = Visitor::connect(&server);
        matches!(visitor.next(), Said::Hello(_)).then_some(visitor)
    });
    next.log_in("ann", PASSWORD);
    second.log_in("ann", PASSWORD);
}

/// Code 106: a hash that would have to wait longer than `--hash-wait`, at once. Its own hash is not counted, and
/// who needs none is served.
#[test]
fn busy_hash_queue() {
    let bobs = stored_password(PASSWORD, b"sixteen bytes ok", 1000);
    let folder = Rc::new(Folder::with_users(&[("ann", SLOW_PASSWORD), ("bob", &bobs)]));
    let server = Setup::new(&["--hash-wait", "1"]).folder(folder).start();
    let mut bob = Visitor::logged_in(&server, "bob");
    // So many at once are not yet too many guesses; one more could be.
    let anns: Vec<Visitor> = (0..4)
        .map(|_| {
            let mut ann = Visitor::introduced(&server, "ann", Wanted::Login);
            ann.login("a password that takes some 20 s");
            ann
        })
        .collect();
    settle(&server);
    let mut wrong = Visitor::introduced(&server, "bob", Wanted::Login);
    wrong.login("wrong password");
    seconds(&wrong.expect_last_error(106));
    let mut new = Visitor::introduced(&server, "new", Wanted::Register);
    new.register(PASSWORD);
    seconds(&new.expect_last_error(106));
    bob.expect_echo("the loop goes on");
    Visitor::logged_in(&server, "bob").expect_echo("recognised without a hash");
    assert!(anns[0].nothing_yet());
}

/// The job of a visitor who has gone is dropped.
#[test]
fn nobody_waits_for_those_who_have_gone() {
    let flags = ["--hash-rounds", FOREVER_ROUNDS, "--hash-wait", "1", "--log-level", "debug"];
    let server = Server::start(&flags);
    for n in 0..5 {
        let mut visitor = Visitor::introduced(&server, &format!("user{n}"), Wanted::Register);
        visitor.register(PASSWORD);
        settle(&server);
        // Not refused: nobody else's hash is in the way.
        assert!(visitor.nothing_yet());
        visitor.reset();
        // This visitor, and the one who came to settle.
        server.folder.log_lines(&["disconnected"], 2 * (n + 1));
    }
}

/// Code 107: not authenticated within the login timeout, whatever was sent meanwhile.
#[test]
fn timed_out_before_login() {
    let server = Server::start(&["--login-timeout", "1"]);
    let mut friend = Visitor::logged_in(&server, "ann");
    let mut silent = Visitor::arrive(&server);
    let mut busy = Visitor::introduced(&server, "bob", Wanted::Register);
    silent.expect_last_error(107);
    busy.expect_last_error(107);
    friend.expect_echo("not for those who are in");
}

/// The login timeout does not run while the server itself keeps a client waiting.
#[test]
fn the_servers_own_time_is_not_counted() {
    let server = Server::start(&["--login-timeout", "1", "--hash-rounds", FOREVER_ROUNDS]);
    let mut waiting = Visitor::introduced(&server, "ann", Wanted::Register);
    waiting.register(PASSWORD);
    // Who comes after it is timed out first.
    for _ in 0..2 {
        Visitor::arrive(&server).expect_last_error(107);
    }
    assert!(waiting.nothing_yet());
}

/// Code 107: idle for longer than the idle timeout; the session can be resumed.
#[test]
fn timed_out_idle() {
    let server = Server::start(&["--idle-timeout", "1"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.expect_echo("hi");
    ann.expect_last_error(107);
    server.resumed(ann.token).expect_echo("back");
}
