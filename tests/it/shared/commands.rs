//! What is asked of one server and is about all of them, and what is said of it while their store does not answer.

use super::sessions::admin;
use super::{is_error, log_in, register, server};
use crate::support::{PASSWORD, Redis, Server, Visitor, eventually};
use porter::protocol::Code;
use rustix::process::Signal;
use std::process::{Command, Output};

fn asked(server: &Server, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_porter-admin"));
    command.arg("--data").arg(server.folder.data()).args(words).output().unwrap()
}

/// The story: four servers said of one address that it owed 4.7, 9.6, 14.6 and 19.6 seconds.
#[test]
fn what_an_address_owes_is_shown_alike_at_all_servers() {
    let Some(redis) = Redis::start() else { return };
    let servers = [(); 3].map(|()| server(&redis, &["--penalty", "100"]));
    register(&servers[0], "ann").exit();
    for source in ["127.0.0.2", "127.0.0.3"] {
        let mut guesser = Visitor::connect_from(source, &servers[0]).greeted();
        guesser.identify("ann");
        guesser.next();
        guesser.login("a guess");
        assert!(is_error(&guesser.next(), Code::WrongPassword));
    }
    for server in &servers {
        let shown = admin(server, &["throttled"]);
        for source in ["127.0.0.2", "127.0.0.3"] {
            assert!(shown.contains(source), "{source} is not in {shown:?}");
        }
    }
    admin(&servers[2], &["forgive", "127.0.0.2"]);
    for server in &servers {
        eventually("only the other one owes anything", || {
            let shown = admin(server, &["throttled"]);
            (!shown.contains("127.0.0.2") && shown.contains("127.0.0.3")).then_some(())
        });
    }
}

/// The story: `kick` said "bob is not here", who was at another server, and a minute later he was kicked.
#[test]
fn what_cannot_be_asked_of_others_is_said_to_be_of_one_server() {
    let Some(redis) = Redis::start() else { return };
    let (one, other) = (server(&redis, &[]), server(&redis, &[]));
    let (_ann, mut bob) = (register(&one, "ann"), register(&other, "bob"));
    assert!(admin(&one, &["who"]).contains("bob"));
    redis.signal(Signal::STOP);
    for (words, here, missing) in
        [(&["who"][..], "ann", "alone"), (&["throttled"], "", "alone"), (&["kick", "bob"], "", "as soon as")]
    {
        let output = asked(&one, words);
        let (shown, error) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
        assert_eq!(output.status.code(), Some(1), "{words:?}: {shown} {error}");
        assert!(shown.contains(here) && error.contains(missing), "{words:?}: {shown:?}, {error:?}");
        assert!(!error.contains("not here") && error.lines().count() == 1, "{words:?}: {error:?}");
    }
    redis.signal(Signal::CONT);
    bob.expect_bye();
    log_in(&other, "bob", PASSWORD).expect_welcome();
}
