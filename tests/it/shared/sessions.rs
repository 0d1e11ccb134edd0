//! Sessions that go on at another server.

use super::{is_error, log_in, register, server};
use crate::support::{PASSWORD, Redis, Said, Server, Visitor, eventually, frame, stop};
use porter::protocol::{Code, Wanted};
use rustix::process::Signal;
use std::process::Command;

/// Comes back with this token; what is said to that.
fn resumed(server: &Server, token: [u8; 16]) -> (Visitor, Said) {
    let mut visitor = Visitor::arrive(server);
    visitor.resume(token);
    let said = visitor.next();
    if let Said::Welcome(token, _) = &said {
        visitor.token = *token;
    }
    (visitor, said)
}

fn back(server: &Server, token: [u8; 16]) -> Visitor {
    let (visitor, said) = resumed(server, token);
    assert!(matches!(said, Said::Welcome(..)), "{said:?}");
    visitor
}

/// Whether a connection was told to be over, by now.
fn is_sent_away(visitor: &mut Visitor) -> bool {
    while !visitor.nothing_yet() {
        if let Some(Said::Bye(_)) | None = visitor.next_whole() {
            return true;
        }
    }
    false
}

/// The next that anybody says in the room, and who.
fn next_text(visitor: &mut Visitor) -> (String, String) {
    loop {
        match visitor.next() {
            Said::Message(sender, text) if !sender.is_empty() => return (sender, text),
            Said::Message(..) => {}
            said => panic!("{said:?}"),
        }
    }
}

fn expect_gone(server: &Server, token: [u8; 16]) {
    let (_, said) = resumed(server, token);
    assert!(is_error(&said, Code::NoSuchSession), "{said:?}");
}

pub(super) fn admin(server: &Server, words: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_porter-admin"));
    let output = command.arg("--data").arg(server.folder.data()).args(words).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_lost_session_goes_on_at_any_server_by_the_tokens_rules() {
    let Some(redis) = Redis::start() else { return };
    let (one, other) = (server(&redis, &[]), server(&redis, &[]));
    let ann = register(&one, "ann");
    let first = ann.token;
    ann.reset();
    // The Welcome was lost on the way: the same token is good once more, wherever.
    let second = back(&other, first).token;
    let mut ann = back(&one, first);
    let third = ann.token;
    ann.expect_echo("hi");
    // The new one was used: it alone is good.
    eventually("the old tokens are dead", || {
        (redis.command(&["EVAL", "return #redis.call('KEYS', 'porter:token:*')", "0"]) == ":1").then_some(())
    });
    expect_gone(&other, first);
    expect_gone(&other, second);
    ann.reset();
    let mut ann = back(&other, third);
    ann.expect_echo("still me");
    ann.exit();
    ann.expect_bye();
    for server in [&one, &other] {
        expect_gone(server, ann.token);
    }
}

#[test]
fn a_resume_elsewhere_takes_the_session_over() {
    let Some(redis) = Redis::start() else { return };
    let servers = [server(&redis, &[]), server(&redis, &[])];
    let mut ann = register(&servers[0], "ann");
    for turn in 1..6 {
        let mut next = back(&servers[turn % 2], ann.token);
        assert!(matches!(ann.next(), Said::Bye(reason) if reason.contains("another connection")));
        ann.expect_closed();
        next.expect_echo("mine");
        ann = next;
    }
    assert_eq!(redis.command(&["ZCARD", "porter:online"]), ":1");
}

/// The story: of twenty who came at once with one token, to three servers, up to nine had the session, each for itself, and
/// nobody could be sent away.
#[test]
fn of_many_who_come_with_one_token_one_has_the_session() {
    let Some(redis) = Redis::start() else { return };
    let servers: Vec<Server> = (0..3).map(|_| server(&redis, &["--mode", "chat"])).collect();
    let mut reader = register(&servers[0], "reader");
    for round in 0..6 {
        let name = format!("ann{round}");
        let ann = register(&servers[round % 3], &name);
        let mut crowd: Vec<Visitor> = (0..20).map(|n| Visitor::arrive(&servers[n % 3])).collect();
        crowd.iter_mut().for_each(|visitor| visitor.resume(ann.token));
        // Whoever was let in and has not heard since that the session goes on elsewhere has it.
        let mut last = Vec::new();
        for mut visitor in crowd {
            match visitor.next() {
                Said::Welcome(token, _) => {
                    visitor.token = token;
                    last.push(visitor);
                }
                // The store was slow.
                said => assert!(is_error(&said, Code::Busy), "{said:?}"),
            }
        }
        let here = eventually("all but one are sent away", || {
            last.retain_mut(|visitor| !is_sent_away(visitor));
            (last.len() == 1).then(|| last.pop())
        });
        let mut here = here.unwrap();
        here.message("it is me");
        assert_eq!(next_text(&mut reader), (name.clone(), "it is me".to_owned()));
        assert_eq!(admin(&servers[0], &["kick", &name]).trim(), format!("kicked {name}"));
        here.expect_bye();
    }
}

/// Who was taken over while its server was frozen is not heard when that wakes up.
#[test]
fn what_was_sent_to_a_frozen_server_is_not_said_after_a_takeover() {
    let Some(redis) = Redis::start() else { return };
    let servers = [server(&redis, &["--mode", "chat"]), server(&redis, &["--mode", "chat"])];
    let mut reader = register(&servers[0], "reader");
    let mut ann = register(&servers[0], "ann");
    for _ in 0..5 {
        stop(servers[0].pid());
        ann.message("from the past");
        let mut next = back(&servers[1], ann.token);
        // By the next answer the store has written to everybody what the last command said to them.
        redis.command(&["PING"]);
        servers[0].signal(Signal::CONT);
        ann.expect_bye();
        next.message("from now on");
        assert_eq!(next_text(&mut reader).1, "from now on");
        ann = back(&servers[0], next.token);
        next.expect_bye();
    }
}

/// Exit, kick, and what is done to the account end sessions everywhere, attached and lost.
#[test]
fn what_ends_a_session_ends_it_everywhere() {
    let Some(redis) = Redis::start() else { return };
    let (one, other) = (server(&redis, &["--penalty", "0"]), server(&redis, &["--penalty", "0"]));
    let mut bob = register(&other, "bob");
    register(&one, "ann").exit();
    let enter = |server: &Server| {
        let mut visitor = log_in(server, "ann", PASSWORD);
        visitor.expect_welcome();
        visitor
    };
    for words in [&["kick", "ann"][..], &["users", "disable", "ann"], &["users", "enable", "ann"]] {
        if words[1] == "enable" {
            admin(&one, words);
            continue;
        }
        let (mut here, mut there, lost) = (enter(&one), enter(&other), enter(&other));
        let token = lost.token;
        lost.reset();
        let said = admin(&one, words);
        assert!(said.contains("3 sessions"), "{said}");
        here.expect_bye();
        there.expect_bye();
        for server in [&one, &other] {
            expect_gone(server, token);
            expect_gone(server, here.token);
            expect_gone(server, there.token);
        }
    }
    // Her own change of the password leaves her own session alone.
    let (mut here, mut there) = (enter(&one), enter(&other));
    let length = u16::try_from(PASSWORD.len()).unwrap().to_be_bytes();
    here.send_raw(&frame(
        0x07,
        &[&here.token[..], &length, PASSWORD.as_bytes(), b"another password"].concat(),
    ));
    here.expect(Said::PasswordChanged);
    there.expect_bye();
    here.expect_echo("hi");
    bob.expect_echo("and I");
}

/// Who is disabled or removed between name and password, wherever, is answered as anybody with another password is.
#[test]
fn who_is_disabled_between_name_and_password_is_told_what_others_are() {
    let Some(redis) = Redis::start() else { return };
    let (one, other) = (server(&redis, &[]), server(&redis, &["--penalty", "0"]));
    for change in ["disable", "remove"] {
        drop(register(&one, change));
        // The second time the password is remembered.
        for _ in 0..2 {
            log_in(&other, change, PASSWORD).expect_welcome();
        }
        let mut visitor = Visitor::introduced(&other, change, Wanted::Login);
        admin(&one, &["users", change, change]);
        visitor.login(PASSWORD);
        visitor.expect_error(Code::WrongPassword.number());
    }
}

/// Whom a dead server carried comes back at another at once; who does not is forgotten when the window is over.
#[test]
fn the_sessions_of_a_dead_server_wait_at_the_others() {
    let Some(redis) = Redis::start() else { return };
    let other = server(&redis, &["--resume-window", "1"]);
    let one = server(&redis, &["--resume-window", "1"]);
    let (ann, bob) = (register(&one, "ann"), register(&one, "bob"));
    one.kill();
    back(&other, ann.token).exit();
    expect_gone(&server(&redis, &[]), [7; 16]);
    // Leases go on for twenty seconds more: nobody waits for that here.
    redis.command(&["ZADD", "porter:online", "1", &redis.bulk(&["ZRANGE", "porter:online", "0", "0"])]);
    eventually("nobody waits for who does not come", || {
        (redis.command(&["ZCARD", "porter:online"]) == ":0").then_some(())
    });
    expect_gone(&other, bob.token);
}

/// A server that is told to stop hands its sessions over: nobody is told Bye, nobody hashes again.
#[test]
fn a_rolling_restart_loses_nobody() {
    let Some(redis) = Redis::start() else { return };
    let mut servers = [server(&redis, &[]), server(&redis, &[])];
    let mut crowd: Vec<Visitor> = (0..20).map(|n| register(&servers[0], &format!("user{n}"))).collect();
    for round in 1..4 {
        let [old, new] = &mut servers;
        let (old, new) = if round % 2 == 1 { (old, new) } else { (new, old) };
        old.signal(Signal::TERM);
        for visitor in &mut crowd {
            visitor.expect_closed();
        }
        assert_eq!(old.exit_code(), Some(0));
        crowd = crowd.iter().map(|visitor| back(new, visitor.token)).collect();
        for visitor in &mut crowd {
            visitor.expect_echo("here");
        }
        *old = server(&redis, &[]);
    }
}

/// Who has connected by then, but was not accepted yet, or is on the way in, is told to come again, and not reset.
#[test]
fn a_rolling_restart_tells_whoever_is_not_in_yet_to_come_again() {
    let Some(redis) = Redis::start() else { return };
    let mut old = server(&redis, &[]);
    register(&old, "ann").exit();
    let greeted = Visitor::arrive(&old);
    let mut identified = Visitor::introduced(&old, "ann", Wanted::Login);
    stop(old.pid());
    // What it sends now comes too late.
    identified.login(PASSWORD);
    let new = (0..20).map(|_| Visitor::connect(&old));
    let crowd: Vec<Visitor> = new.chain([greeted, identified]).collect();
    old.signal(Signal::TERM);
    old.signal(Signal::CONT);
    for mut visitor in crowd {
        let mut said = visitor.next();
        if matches!(said, Said::Hello(_)) {
            said = visitor.next();
        }
        assert!(is_error(&said, Code::Busy), "{said:?}");
        visitor.expect_closed();
    }
    assert_eq!(old.exit_code(), Some(0));
}

/// A Resume whose asker was told Busy is not carried out when the store wakes up: its owner's client goes on.
#[test]
fn a_resume_that_nobody_waits_for_any_more_takes_nothing_over() {
    let Some(redis) = Redis::start() else { return };
    let (one, other) = (server(&redis, &[]), server(&redis, &[]));
    let mut ann = register(&one, "ann");
    ann.expect_echo("hi");
    let mut twin = Visitor::arrive(&other);
    redis.stop();
    twin.resume(ann.token);
    let said = twin.next();
    assert!(is_error(&said, Code::Busy), "{said:?}");
    redis.signal(Signal::CONT);
    eventually("both servers have the store back", || {
        [&one, &other].into_iter().all(is_served).then_some(())
    });
    // Whoever was told that it goes on elsewhere was told so before that.
    ann.expect_echo("still mine");
    let token = ann.token;
    ann.reset();
    back(&other, token).expect_echo("and by the same token");
}

/// Whether the store answers this server.
pub(super) fn is_served(server: &Server) -> bool {
    let mut visitor = Visitor::arrive(server);
    visitor.identify("dave");
    matches!(visitor.next(), Said::Wanted(_))
}

/// While the store is away: who is carried here comes back here, whom others carry is told Busy, and never that there is no
/// session. After it all is as it was, at every server.
#[test]
fn a_resume_without_the_store() {
    let Some(mut redis) = Redis::start() else { return };
    let (one, other) = (server(&redis, &[]), server(&redis, &[]));
    let (mut ann, bob) = (register(&one, "ann"), register(&one, "bob"));
    let bobs = bob.token;
    bob.reset();
    redis.kill();
    for _ in 0..2 {
        ann.expect_echo("hi");
        let token = ann.token;
        ann.reset();
        let (_, said) = resumed(&other, token);
        assert!(is_error(&said, Code::Busy), "{said:?}");
        ann = back(&one, token);
    }
    let mut exits = back(&one, bobs);
    let exited = exits.token;
    exits.exit();
    redis.restart();
    let token = ann.token;
    eventually("the other knows the token that was given meanwhile", || {
        let (visitor, said) = resumed(&other, token);
        assert!(!is_error(&said, Code::NoSuchSession) || visitor.token == [0; 16]);
        matches!(said, Said::Welcome(..)).then_some(())
    });
    ann.expect_bye();
    eventually("who has left is gone everywhere", || {
        let (_, said) = resumed(&other, exited);
        is_error(&said, Code::NoSuchSession).then_some(())
    });
}
