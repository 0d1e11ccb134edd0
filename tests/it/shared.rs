//! Several servers, one store: real servers and a real `redis-server`, which is stopped, killed and emptied under them.

mod administration;
mod chat;
mod commands;
mod differential;
#[cfg(feature = "tls")]
mod encrypted;
mod faults;
mod kills;
mod names;
mod refusing;
mod sessions;

use crate::support::{Folder, PASSWORD, Redis, Said, Server, Setup, Visitor, eventually, frame};
use porter::protocol::{Code, Wanted};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::process::Command;
use std::rc::Rc;

/// A server on this store, with these further flags.
fn server(redis: &Redis, flags: &[&str]) -> Server {
    let url = redis.url();
    let mut all = vec!["--store", url.as_str()];
    all.extend(flags);
    Server::start(&all)
}

fn register(server: &Server, name: &str) -> Visitor {
    Visitor::logged_in(server, name)
}

fn is_error(said: &Said, code: Code) -> bool {
    matches!(said, Said::Error(number, _) if *number == code.number())
}

/// A login with this password, up to what is answered.
fn log_in(server: &Server, name: &str, password: &str) -> Visitor {
    let mut visitor = Visitor::introduced(server, name, Wanted::Login);
    visitor.login(password);
    visitor
}

#[test]
fn a_user_of_one_server_is_a_user_of_all() {
    let Some(redis) = Redis::start() else { return };
    let (one, other) = (server(&redis, &[]), server(&redis, &[]));
    let mut ann = register(&one, "ann");
    ann.expect_echo("hi");
    log_in(&other, "ann", PASSWORD).expect_welcome();
    log_in(&other, "ann", "a guess").expect_error(Code::WrongPassword.number());
    // She was last at this address, wherever she was.
    assert_eq!(Visitor::connect(&one).expect_hello(), "ann");
    // Nobody's name is given twice, nor one that looks like it.
    let mut twin = Visitor::arrive(&other);
    twin.identify("аnn");
    twin.expect_error(Code::BadName.number());
}

/// Whoever is first has the name, and the others are told so, wherever they come in.
#[test]
fn a_name_is_given_once_however_many_want_it() {
    let Some(redis) = Redis::start() else { return };
    let servers = [server(&redis, &["--penalty", "0"]), server(&redis, &["--penalty", "0"])];
    let mut crowd: Vec<Visitor> =
        (0..20).map(|n| Visitor::introduced(&servers[n % 2], "ann", Wanted::Register)).collect();
    for (n, visitor) in crowd.iter_mut().enumerate() {
        visitor.register(&format!("the password of {n}"));
    }
    let mut given = Vec::new();
    for (n, visitor) in crowd.iter_mut().enumerate() {
        // PasswordWanted(1), with or without a NameTaken before it.
        visitor.login(&format!("the password of {n}"));
        let mut said = visitor.next();
        if matches!(said, Said::Error(..)) {
            assert!(is_error(&said, Code::NameTaken), "{said:?}");
            said = visitor.next();
        } else {
            given.push(n);
        }
        assert_eq!(said, Said::Wanted(Wanted::Login));
    }
    assert_eq!(given.len(), 1, "{given:?}");
    for (n, visitor) in crowd.iter_mut().enumerate() {
        match given == [n] {
            true => drop(visitor.expect_welcome()),
            false => drop(visitor.next()),
        }
    }
    assert_eq!(redis.command(&["GET", "porter:users"]), "$1");
}

/// Acknowledged is there, whoever is killed right after it.
#[test]
fn a_registration_survives_kill_of_everything() {
    let Some(mut redis) = Redis::start() else { return };
    for round in 0..10 {
        let one = server(&redis, &[]);
        let name = format!("user{round}");
        let mut visitor = Visitor::introduced(&one, &name, Wanted::Register);
        visitor.register(PASSWORD);
        visitor.next();
        redis.kill();
        one.kill();
        redis.restart();
        let next = server(&redis, &[]);
        log_in(&next, &name, PASSWORD).expect_welcome();
    }
}

/// An address owes at every server what it owes at one.
#[test]
fn guesses_are_charged_at_all_servers() {
    let Some(redis) = Redis::start() else { return };
    let servers = [server(&redis, &["--penalty", "5"]), server(&redis, &["--penalty", "5"])];
    register(&servers[0], "ann");
    let mut wrong = 0;
    for n in 0.. {
        let said = log_in(&servers[n % 2], "ann", "a guess").next();
        if !is_error(&said, Code::WrongPassword) {
            assert!(is_error(&said, Code::Throttled), "{said:?}");
            break;
        }
        wrong += 1;
    }
    assert!(wrong <= 5, "{wrong} guesses, where one server allows 4 and is told of the last a moment later");
    // It owes at a server that it was never at.
    log_in(&server(&redis, &["--penalty", "5"]), "ann", PASSWORD).expect_error(Code::Throttled.number());
    let [one, _] = servers;
    let data = one.folder.data();
    let forgiven = Command::new(env!("CARGO_BIN_EXE_porter-admin"))
        .arg("--data")
        .arg(data)
        .args(["forgive", "127.0.0.1"])
        .output();
    assert!(forgiven.unwrap().status.success());
    log_in(&one, "ann", PASSWORD).expect_welcome();
    log_in(&server(&redis, &["--penalty", "5"]), "ann", PASSWORD).expect_welcome();
}

/// A server that has the debt in memory hears that it is forgiven at another.
#[test]
fn a_debt_is_forgiven_at_all_servers() {
    let Some(redis) = Redis::start() else { return };
    // It is not paid off while anybody waits here.
    let [one, other] = [(); 2].map(|()| server(&redis, &["--penalty", "500"]));
    register(&one, "ann");
    log_in(&other, "ann", "a guess").expect_error(Code::WrongPassword.number());
    for server in [&one, &other] {
        eventually("it owes", || {
            is_error(&log_in(server, "ann", PASSWORD).next(), Code::Throttled).then_some(())
        });
    }
    sessions::admin(&one, &["forgive", "127.0.0.1"]);
    for server in [&one, &other] {
        eventually("it is forgiven", || {
            matches!(log_in(server, "ann", PASSWORD).next(), Said::Welcome(..)).then_some(())
        });
    }
}

/// While the store does not answer those who are here go on, the others are told Busy, and the log has a line each way.
#[test]
fn a_store_that_hangs_or_dies_holds_up_nobody_who_is_here() {
    let Some(mut redis) = Redis::start() else { return };
    let one = server(&redis, &["--metrics", "127.0.0.1:0"]);
    let told = || {
        let log = std::fs::read_to_string(one.folder.log()).unwrap();
        let at = log
            .split("metrics addr=")
            .nth(1)
            .and_then(|rest| rest.split_whitespace().next())
            .unwrap()
            .to_owned();
        let mut stream = std::net::TcpStream::connect(at).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: porter\r\nConnection: close\r\n\r\n").unwrap();
        let mut told = String::new();
        stream.read_to_string(&mut told).unwrap();
        told
    };
    let mut ann = register(&one, "ann");
    let figures = told();
    for figure in ["porter_store_up 1.0", "porter_store_requests_waiting "] {
        assert!(figures.contains(figure), "{figures}");
    }
    let refused = |one: &Server| {
        let mut visitor = Visitor::connect(one);
        visitor.expect_hello();
        visitor.identify("ann");
        let said = visitor.expect_last_error(Code::Busy.number());
        assert!(said.starts_with("1 s") && said.contains("shared store"), "{said}");
    };
    let comes_in = |one: &Server| {
        eventually("the store is back", || {
            let mut visitor = Visitor::arrive(one);
            visitor.identify("ann");
            (visitor.next() == Said::Wanted(Wanted::Login)).then(|| {
                visitor.login(PASSWORD);
                visitor.expect_welcome();
            })
        });
    };
    let log = one.folder.log();
    let lines = |what: &str| std::fs::read_to_string(&log).unwrap().matches(what).count();
    for outage in 1..=4 {
        match outage {
            1 | 3 => redis.signal(Signal::STOP),
            _ => redis.kill(),
        }
        refused(&one);
        ann.expect_echo("still here");
        refused(&one);
        assert!(
            told().contains("porter_store_up 0.0") && told().contains("porter_store_round_trip_seconds ")
        );
        match outage {
            1 | 3 => redis.signal(Signal::CONT),
            _ => redis.restart(),
        }
        comes_in(&one);
        eventually("the log has a line each way", || {
            (lines("cannot be reached: ") == outage && lines("is back after") == outage).then_some(())
        });
    }
}

/// A store that was emptied is recognised: nobody takes the name of somebody who was there.
#[test]
fn a_store_that_was_emptied_registers_nobody() {
    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &[]);
    let mut ann = register(&one, "ann");
    redis.command(&["FLUSHALL"]);
    let mut thief = Visitor::arrive(&one);
    thief.identify("ann");
    thief.expect_last_error(Code::Busy.number());
    ann.expect_echo("still here");
    // Nor does another's mark make it the old one.
    redis.command(&["SET", "porter:birth", "another"]);
    let mut thief = Visitor::arrive(&one);
    thief.identify("ann");
    thief.expect_last_error(Code::Busy.number());
    let log = std::fs::read_to_string(one.folder.log()).unwrap();
    assert!(log.contains("it was emptied"), "{log}");
}

/// What would lose what it has acknowledged, or is nobody's yet, is refused, with the way out.
#[test]
fn a_store_that_promises_too_little_is_refused() {
    let Some(redis) = Redis::bare("everysec") else { return };
    let url = redis.url();
    let refusal = Setup::new(&["--store", &url]).refused(1);
    assert!(
        refusal.contains("appendfsync is everysec") && refusal.contains("--store-durability none"),
        "{refusal}"
    );
    let refusal = Setup::new(&["--store", &url, "--store-durability", "none"]).refused(1);
    assert!(refusal.contains(&format!("porter-admin --store {url} store init")), "{refusal}");
    redis.command(&["SET", "porter:birth", "a birth"]);
    register(&server(&redis, &["--store-durability", "none"]), "ann");
    let refusal = Setup::new(&["--store", "redis://127.0.0.1:1"]).refused(1);
    assert!(refusal.contains("cannot be reached"), "{refusal}");
    let refusal = Setup::new(&["--store", "127.0.0.1"]).refused(2);
    assert!(refusal.contains("redis://"), "{refusal}");
    // Whatever is wrong with it, a password is not shown.
    let bad = "redis://ann:secret@store/x";
    let admin =
        Command::new(env!("CARGO_BIN_EXE_porter-admin")).args(["--store", bad, "users", "list"]).output();
    let folder = Rc::new(Folder::new());
    std::fs::write(folder.path().join("porter.toml"), format!("store = {bad:?}\n")).unwrap();
    for refusal in [
        Setup::new(&["--store", bad]).refused(2),
        Setup::new(&[]).environment("PORTER_STORE", bad).refused(2),
        Setup::new(&["--config", "porter.toml"]).folder(folder).refused(2),
        String::from_utf8(admin.unwrap().stderr).unwrap(),
    ] {
        assert!(refusal.contains("the database is not a number") && !refusal.contains("secret"), "{refusal}");
    }
}

/// A primary that became a replica, scripts that were forgotten, connections that were cut: all heals by itself.
#[test]
fn what_operators_do_to_a_store_heals() {
    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &[]);
    register(&one, "ann");
    redis.command(&["SCRIPT", "FLUSH"]);
    register(&one, "bob");
    redis.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    eventually("it is connected again", || {
        let mut visitor = Visitor::arrive(&one);
        visitor.identify("ann");
        matches!(visitor.next(), Said::Wanted(_)).then_some(())
    });
    redis.command(&["REPLICAOF", "127.0.0.1", "1"]);
    eventually("writes are refused", || {
        let mut visitor = Visitor::arrive(&one);
        visitor.identify("carol");
        let mut said = visitor.next();
        let is_wanted = matches!(said, Said::Wanted(_));
        if is_wanted {
            visitor.register(PASSWORD);
            said = visitor.next();
        }
        assert!(is_error(&said, Code::Busy), "{said:?}");
        (!is_wanted).then_some(())
    });
    redis.command(&["REPLICAOF", "NO", "ONE"]);
    eventually("writes are taken", || {
        let mut visitor = Visitor::arrive(&one);
        visitor.identify("carol");
        matches!(visitor.next(), Said::Wanted(_)).then(|| {
            visitor.register(PASSWORD);
            visitor.expect(Said::Wanted(Wanted::Login));
        })
    });
}

/// A password that was changed is not recognised by a server that has it in its cache.
#[test]
fn a_changed_password_is_the_old_one_nowhere() {
    let Some(redis) = Redis::start() else { return };
    let (one, other) = (server(&redis, &["--penalty", "0"]), server(&redis, &["--penalty", "0"]));
    let mut ann = register(&one, "ann");
    for server in [&one, &other] {
        log_in(server, "ann", PASSWORD).expect_welcome();
    }
    let length = u16::try_from(PASSWORD.len()).unwrap().to_be_bytes();
    let change = [&ann.token[..], &length, PASSWORD.as_bytes(), b"another password"].concat();
    ann.send_raw(&frame(0x07, &change));
    ann.expect(Said::PasswordChanged);
    for server in [&one, &other] {
        log_in(server, "ann", PASSWORD).expect_error(Code::WrongPassword.number());
        log_in(server, "ann", "another password").expect_welcome();
    }
}
