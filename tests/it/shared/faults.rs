//! What becomes of servers whose path to the store, or whose store, behaves badly.

use super::sessions::is_served;
use super::{is_error, log_in, register, server};
use crate::support::{PASSWORD, Path, Proxy, Redis, Said, Server, Visitor, eventually, frame};
use porter::protocol::{Code, Wanted};
use std::time::Duration;

/// A server whose path to the store leads through a proxy.
fn through(redis: &Redis) -> (Proxy, Server) {
    let proxy = Proxy::start(redis.address());
    let url = proxy.url();
    let server = Server::start(&["--store", &url, "--penalty", "0"]);
    (proxy, server)
}

/// Says who it is; what is answered to that, which something is.
fn identified(server: &Server, name: &str) -> Said {
    let mut visitor = Visitor::arrive(server);
    visitor.identify(name);
    visitor.next()
}

fn await_served(server: &Server) {
    eventually("the store is back", || is_served(server).then_some(()));
}

/// However replies are cut up and slowed down they are the same; what takes too long is Busy, and never somebody else's.
#[test]
fn a_path_that_is_bad_changes_no_answer() {
    let Some(redis) = Redis::start() else { return };
    let (proxy, one) = through(&redis);
    let mut ann = register(&one, "ann");
    for path in [Path::Bytewise, Path::Slow(Duration::from_millis(20))] {
        proxy.set(path);
        register(&one, "bob").expect_echo("hi");
        let mut bob = Visitor::arrive(&one);
        bob.resume(ann.token);
        bob.expect_welcome();
        ann.expect_bye();
        bob.expect_echo("it goes on here");
        ann = bob;
    }
    // More than anybody waits for, again and again; what was asked before is answered to nobody.
    proxy.set(Path::Slow(Duration::from_millis(450)));
    for _ in 0..3 {
        let said = identified(&one, "ann");
        assert!(is_error(&said, Code::Busy), "{said:?}");
        ann.expect_echo("still here");
    }
    proxy.set(Path::Open);
    await_served(&one);
    for held in [Path::Held, Path::HeldFrom("porter:user:nobody")] {
        proxy.set(held);
        let said = identified(&one, "nobody");
        assert!(is_error(&said, Code::Busy), "{said:?}");
        ann.expect_echo("still here");
        proxy.set(Path::Open);
        await_served(&one);
        log_in(&one, "ann", PASSWORD).expect_welcome();
    }
}

/// The connection is cut in the midst of a reply, at one byte after the other: whoever waits is told, and the next is answered
/// rightly.
#[test]
fn a_reply_that_is_cut_is_no_reply() {
    let Some(redis) = Redis::start() else { return };
    let (proxy, one) = through(&redis);
    let mut ann = register(&one, "ann");
    for cut in [0, 1, 3, 10, 25, 60, 90, 130, 200, 400] {
        proxy.set(Path::CutAfter(cut));
        for _ in 0..20 {
            let said = identified(&one, "ann");
            assert!(is_error(&said, Code::Busy) || matches!(said, Said::Wanted(_)), "{said:?}");
            if proxy.path() == Path::Open {
                break;
            }
        }
        ann.expect_echo("still here");
        await_served(&one);
        let mut again = log_in(&one, "ann", PASSWORD);
        again.expect_welcome();
        again.exit();
        again.expect_bye();
    }
}

/// What asks for a user's record, and no script does.
const FETCH: &str = "\r\nMGET\r\n";

/// What was fetched to answer Identify serves for the login that comes at once, so that takes a round trip less: with a right
/// password, with a wrong one, and for a name that nobody has. The next login, and whatever comes later, is compared anew.
#[test]
fn a_login_that_comes_at_once_asks_for_no_record_again() {
    let Some(redis) = Redis::start() else { return };
    let (proxy, one) = through(&redis);
    drop(register(&one, "ann"));
    let closed = Server::start(&["--store", &proxy.url(), "--penalty", "0", "--registration", "closed"]);
    for (server, name, password, is_welcome) in [
        (&one, "ann", PASSWORD, true),
        (&one, "ann", "a guess", false),
        (&closed, "ann", "a guess", false),
        (&closed, "nobody", "a guess", false),
    ] {
        // On a machine that is busy it may come too late, and then the record is fetched.
        eventually("a login without a fetch", || {
            proxy.set(Path::Open);
            await_served(server);
            let mut visitor = Visitor::introduced(server, name, Wanted::Login);
            proxy.set(Path::HeldFrom(FETCH));
            visitor.login(password);
            let said = visitor.next();
            if is_error(&said, Code::Busy) {
                return None;
            }
            assert_eq!(matches!(said, Said::Welcome(..)), is_welcome, "{said:?}");
            assert!(is_welcome || is_error(&said, Code::WrongPassword), "{said:?}");
            assert_eq!(proxy.path(), Path::HeldFrom(FETCH));
            if !is_welcome {
                visitor.login(password);
                assert!(is_error(&visitor.next(), Code::Busy));
                assert_eq!(proxy.path(), Path::Held);
            }
            Some(())
        });
    }
}

/// A store that does nothing for a while, over and over, while people register: whoever was told that they are registered is.
#[test]
fn a_store_that_sleeps_loses_nobody() {
    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &["--penalty", "0"]);
    let mut ann = register(&one, "ann");
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        let names: Vec<String> = (0..5).map(|n| format!("user{round}-{n}")).collect();
        let mut crowd: Vec<Visitor> = names.iter().map(|_| Visitor::arrive(&one)).collect();
        for (visitor, name) in crowd.iter_mut().zip(&names) {
            visitor.identify(name);
            assert!(matches!(visitor.next(), Said::Wanted(_)));
        }
        for (n, (visitor, name)) in crowd.iter_mut().zip(&names).enumerate() {
            if n == 2 {
                redis.send(&["DEBUG", "SLEEP", "0.7"]);
            }
            visitor.register(PASSWORD);
            // The first two before it sleeps.
            let said = visitor.next();
            match said {
                Said::Wanted(_) => acknowledged.push(name.clone()),
                said => assert!(is_error(&said, Code::Busy), "{said:?}"),
            }
        }
        ann.expect_echo("still here");
        await_served(&one);
    }
    assert!(acknowledged.len() >= 12, "{acknowledged:?}");
    for name in acknowledged {
        log_in(&one, &name, PASSWORD).expect_welcome();
    }
}

/// A change of a password of which it is not known whether it was stored: if it was, the sessions of the old one end all the
/// same, and the new one is good.
#[test]
fn a_change_of_unknown_outcome_is_carried_through() {
    let Some(redis) = Redis::start() else { return };
    let (proxy, one) = through(&redis);
    let other = server(&redis, &["--penalty", "0"]);
    let mut here = register(&one, "ann");
    let mut there = log_in(&other, "ann", PASSWORD);
    there.expect_welcome();
    proxy.set(Path::HeldFrom("-- Another password."));
    let length = u16::try_from(PASSWORD.len()).unwrap().to_be_bytes();
    let change = [&here.token[..], &length, PASSWORD.as_bytes(), b"another password"].concat();
    here.send_raw(&frame(0x07, &change));
    let said = here.next();
    assert!(is_error(&said, Code::Busy), "{said:?}");
    there.expect_echo("not yet");
    proxy.set(Path::Open);
    there.expect_bye();
    for server in [&one, &other] {
        await_served(server);
        log_in(server, "ann", PASSWORD).expect_error(Code::WrongPassword.number());
        log_in(server, "ann", "another password").expect_welcome();
    }
    // One that the store never heard of changes nothing, and ends nothing.
    let mut here = log_in(&one, "ann", "another password");
    here.expect_welcome();
    let mut there = log_in(&other, "ann", "another password");
    there.expect_welcome();
    proxy.set(Path::Held);
    let length = u16::try_from("another password".len()).unwrap().to_be_bytes();
    let change = [&here.token[..], &length, b"another password", PASSWORD.as_bytes()].concat();
    here.send_raw(&frame(0x07, &change));
    assert!(is_error(&here.next(), Code::Busy));
    proxy.set(Path::Open);
    await_served(&one);
    there.expect_echo("still here");
}
