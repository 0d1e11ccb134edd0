//! A real store that answers, and refuses: what the log, /health and clients are told, and what becomes of it afterwards.

use super::{is_error, log_in, register, server};
use crate::support::{PASSWORD, Redis, Said, Server, Setup, Visitor, eventually};
use porter::protocol::{Code, Wanted};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

fn log(server: &Server) -> String {
    // It is made, and written, by a thread of its own.
    std::fs::read_to_string(server.folder.log()).unwrap_or_default()
}

/// What is told at the address of its figures.
fn told(server: &Server, path: &str) -> String {
    let at = eventually("the place of the figures", || {
        let log = log(server);
        let rest = log.split("metrics addr=").nth(1)?.split_once('\n')?.0.to_owned();
        Some(rest.split_whitespace().next()?.to_owned())
    });
    let mut stream = TcpStream::connect(at).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: porter\r\nConnection: close\r\n\r\n").unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    told
}

/// What ann is told who logs in: of her name, or of her password.
fn answer(server: &Server) -> Said {
    let mut visitor = Visitor::arrive(server);
    visitor.identify("ann");
    match visitor.next() {
        Said::Wanted(_) => {
            visitor.login(PASSWORD);
            visitor.next()
        }
        said => said,
    }
}

/// What is done to a store, what the reason has of it, and what undoes it.
type Fault<'a> = (&'a [&'a [&'a str]], &'a [&'a str], &'a [&'a [&'a str]]);

const FAULTS: &[Fault<'static>] = &[
    (
        &[&["CONFIG", "SET", "min-replicas-to-write", "1"]],
        &["min-replicas-to-write", "NOREPLICAS"],
        &[&["CONFIG", "SET", "min-replicas-to-write", "0"]],
    ),
    (
        &[&["CONFIG", "SET", "maxmemory", "1"]],
        &["raise maxmemory", "OOM"],
        &[&["CONFIG", "SET", "maxmemory", "0"]],
    ),
    (
        &[&["RENAME", "porter:attached", "kept"], &["SET", "porter:attached", "x"]],
        &["something else in it", "WRONGTYPE", "porter:attached"],
        &[&["RENAME", "kept", "porter:attached"]],
    ),
    (
        &[&["RENAME", "porter:online", "kept"], &["SET", "porter:online", "x"]],
        &["something else in it", "WRONGTYPE", "porter:online"],
        &[&["RENAME", "kept", "porter:online"]],
    ),
    (
        &[&["ACL", "SETUSER", "default", "-@scripting"]],
        &["ACL", "eval"],
        &[&["ACL", "SETUSER", "default", "+@all"]],
    ),
    (
        &[&["ACL", "SETUSER", "default", "-mget"]],
        &["ACL", "MGET porter:birth"],
        &[&["ACL", "SETUSER", "default", "+@all"]],
    ),
    (
        &[&["ACL", "SETUSER", "default", "-zadd"]],
        &["ACL", "ZADD porter:online"],
        &[&["ACL", "SETUSER", "default", "+@all"]],
    ),
];

/// The story: a store that refused every write was well by all that was told, with no line in the log, and clients were told
/// that it could not be reached.
#[test]
fn a_store_that_refuses_is_told_with_its_reason_until_it_takes_writes_again() {
    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &["--metrics", "127.0.0.1:0", "--penalty", "0"]);
    let mut ann = register(&one, "ann");
    for (fault, reasons, mend) in FAULTS {
        let before = log(&one).len();
        fault.iter().for_each(|command| drop(redis.command(command)));
        let said = answer(&one);
        let Said::Error(number, text) = &said else { panic!("{reasons:?}: {said:?}") };
        assert_eq!(*number, Code::Busy.number(), "{text}");
        assert!(text.starts_with("1 s") && text.contains("the shared store refuses it"), "{text}");
        eventually("it is told", || told(&one, "/health").contains(" 503 ").then_some(()));
        assert!(told(&one, "/metrics").contains("porter_store_up 0.0"));
        let health = told(&one, "/health");
        for reason in *reasons {
            assert!(health.contains(reason), "{reason}: {health}");
        }
        for _ in 0..3 {
            let said = answer(&one);
            assert!(
                matches!(&said, Said::Error(_, text) if text.contains("the shared store refuses it")),
                "{said:?}"
            );
        }
        ann.expect_echo("still here");
        mend.iter().for_each(|command| drop(redis.command(command)));
        // Nobody logs in: it is found out by itself.
        eventually("it is well", || told(&one, "/health").contains(" 200 ").then_some(()));
        assert!(told(&one, "/metrics").contains("porter_store_up 1.0"));
        log_in(&one, "ann", PASSWORD).expect_welcome();
        eventually("the log has a line each way", || {
            let log = log(&one)[before..].to_owned();
            let count = |what: &str| log.matches(what).count();
            assert!(count("refuses what it is told: ") <= 1, "{log}");
            (count("refuses what it is told: ") == 1 && count("takes again what it is told") == 1)
                .then_some(())
        });
    }
}

/// A session that ends while the store refuses everything cannot be resumed afterwards, wherever.
#[test]
fn what_ends_while_a_store_refuses_has_ended_when_it_takes_writes_again() {
    let Some(redis) = Redis::start() else { return };
    let (one, other) = (server(&redis, &["--metrics", "127.0.0.1:0"]), server(&redis, &[]));
    let mut ann = register(&one, "ann");
    redis.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    let token = ann.token;
    ann.exit();
    ann.expect_bye();
    eventually("it is told", || told(&one, "/health").contains("NOREPLICAS").then_some(()));
    redis.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]);
    eventually("it is over", || (redis.command(&["ZCARD", "porter:online"]) == ":0").then_some(()));
    let mut back = Visitor::arrive(&other);
    back.resume(token);
    back.expect_error(Code::NoSuchSession.number());
}

/// A key of one user's that has something else in it costs nobody else anything.
#[test]
fn what_is_refused_to_one_user_is_no_trouble_of_the_store() {
    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &["--metrics", "127.0.0.1:0", "--penalty", "0"]);
    drop((register(&one, "ann"), register(&one, "bob")));
    redis.command(&["SET", "porter:sessions:ann", "x"]);
    let said = log_in(&one, "ann", PASSWORD).next();
    assert!(is_error(&said, Code::Busy), "{said:?}");
    eventually("a line says why", || log(&one).contains("refuses something").then_some(()));
    assert!(log(&one).contains("WRONGTYPE"), "{}", log(&one));
    log_in(&one, "bob", PASSWORD).expect_welcome();
    assert!(told(&one, "/health").contains(" 200 "));
}

/// What leaves no user half registered.
#[test]
fn a_registration_that_is_refused_is_none() {
    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &["--penalty", "0"]);
    for fault in [&["SET", "porter:users", "x"][..], &["CONFIG", "SET", "maxmemory", "1"]] {
        redis.command(fault);
        let mut ann = Visitor::introduced(&one, "ann", Wanted::Register);
        ann.register(PASSWORD);
        let said = ann.next();
        assert!(is_error(&said, Code::StorageFailed), "{said:?}");
        assert_eq!(redis.command(&["EXISTS", "porter:user:ann"]), ":0");
        redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
        redis.command(&["DEL", "porter:users"]);
    }
    drop(register(&one, "ann"));
    assert_eq!(redis.bulk(&["GET", "porter:users"]), "1");
}

/// The story: each registration that a store refused was a line, 190 a second of one address.
#[test]
fn registrations_that_are_refused_do_not_fill_the_log() {
    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &["--penalty", "0"]);
    redis.command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    for number in 0..60 {
        let mut visitor = Visitor::introduced(&one, &format!("user{number}"), Wanted::Register);
        visitor.register(PASSWORD);
        visitor.expect_error(Code::StorageFailed.number());
    }
    one.signal(Signal::TERM);
    eventually("all is summed up", || log(&one).contains(" not_stored=").then_some(()));
    let told = log(&one).matches("registration not stored").count();
    assert!((1..=20).contains(&told), "{told}");
}

/// Something else under a user's key is not taken for another who looks alike.
#[test]
fn a_record_of_another_type_is_told() {
    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &[]);
    drop(register(&one, "ann"));
    redis.command(&["DEL", "porter:user:ann"]);
    redis.command(&["HSET", "porter:user:ann", "x", "y"]);
    let mut back = Visitor::arrive(&one);
    back.identify("ann");
    back.expect_error(Code::Busy.number());
    eventually("the log names it", || log(&one).contains("the record of ann is").then_some(()));
}

/// Nor does a removal that is refused half remove.
#[test]
fn a_removal_that_is_refused_is_none() {
    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &["--penalty", "0"]);
    drop(register(&one, "ann"));
    for key in ["porter:users", "porter:alike:ann", "porter:look:ann"] {
        let before = redis.bulk(&["GET", "porter:users"]);
        redis.command(&["RENAME", key, "kept"]);
        redis.command(&["HSET", key, "x", "y"]);
        let (is_done, said) = admin(&redis.url(), &[], &["users", "remove", "ann"]);
        assert!(!is_done && said.contains("ann is as before: "), "{said}");
        redis.command(&["DEL", key]);
        redis.command(&["RENAME", "kept", key]);
        assert_eq!(redis.bulk(&["GET", "porter:users"]), before);
        log_in(&one, "ann", PASSWORD).expect_welcome();
    }
    // It takes no memory: a full store is no reason to keep anybody.
    redis.command(&["CONFIG", "SET", "maxmemory", "1"]);
    let (is_done, said) = admin(&redis.url(), &[], &["users", "remove", "ann"]);
    assert!(is_done, "{said}");
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(redis.bulk(&["GET", "porter:users"]), "0");
}

/// The story: a full store refused leases and let sessions be reaped: whoever was logged in for longer than a lease had left.
#[test]
fn nobody_is_taken_for_dead_while_nobody_can_say_that_they_live() {
    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &["--metrics", "127.0.0.1:0"]);
    let other = server(&redis, &["--metrics", "127.0.0.1:0"]);
    let mut ann = register(&one, "ann");
    let key = redis.bulk(&["KEYS", "porter:session:*"]);
    let id = key.rsplit(':').next().unwrap();
    // As if her lease were over, at the moment at which nobody can renew it.
    let mut stream = TcpStream::connect(redis.address()).unwrap();
    let commands = format!("MULTI\r\nZADD porter:online XX 1 {id}\r\nCONFIG SET maxmemory 1\r\nEXEC\r\n");
    stream.write_all(commands.as_bytes()).unwrap();
    for server in [&one, &other] {
        eventually("it is told", || told(server, "/health").contains("raise maxmemory").then_some(()));
    }
    ann.expect_echo("still here");
    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    for server in [&one, &other] {
        eventually("it is well", || told(server, "/health").contains(" 200 ").then_some(()));
    }
    assert_eq!(redis.command(&["EXISTS", &key]), ":1");
    ann.expect_echo("still here");
    other.resumed(ann.token).expect_echo("and there");
}

/// Whoever cannot come back because something else is under a key of theirs has lost nothing when it is gone.
#[test]
fn a_resume_that_is_refused_is_none() {
    let Some(redis) = Redis::start() else { return };
    let (one, other) = (server(&redis, &[]), server(&redis, &[]));
    let mut ann = register(&one, "ann");
    redis.command(&["RENAME", "porter:sessions:ann", "kept"]);
    redis.command(&["SET", "porter:sessions:ann", "x"]);
    let mut back = Visitor::arrive(&other);
    back.resume(ann.token);
    back.expect_error(Code::Busy.number());
    ann.expect_echo("still here");
    redis.command(&["RENAME", "kept", "porter:sessions:ann"]);
    other.resumed(ann.token).expect_echo("and there");
    ann.expect_bye();
}

/// The story: an administrator disabled somebody while the store refused what ends sessions, was told that it was done, and the
/// session went on for ever.
#[test]
fn who_is_disabled_is_out_however_little_the_store_takes() {
    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &["--metrics", "127.0.0.1:0"]);
    let mut ann = register(&one, "ann");
    let mut bob = register(&one, "bob");
    let id = redis.bulk(&["SMEMBERS", "porter:sessions:ann"]);
    redis.command(&["HSET", "porter:attached", "kept", "1"]);
    redis.command(&["RENAME", "porter:attached", "kept"]);
    redis.command(&["SET", "porter:attached", "x"]);
    let (is_done, said) = admin(&redis.url(), &[], &["users", "disable", "ann"]);
    assert!(!is_done && said.contains("ann is disabled") && said.contains("do it again"), "{said}");
    let said = log_in(&one, "bob", PASSWORD).next();
    assert!(is_error(&said, Code::Busy), "{said:?}");
    eventually("it is told", || told(&one, "/health").contains("WRONGTYPE").then_some(()));
    // Resumed she is not either.
    redis.command(&["DEL", "porter:attached"]);
    let mut back = Visitor::arrive(&one);
    back.resume(ann.token);
    back.expect_error(Code::NoSuchSession.number());
    eventually("it is well", || told(&one, "/health").contains(" 200 ").then_some(()));
    let (is_done, said) = admin(&redis.url(), &[], &["users", "disable", "ann"]);
    assert!(is_done, "{said}");
    assert!(matches!(ann.next(), Said::Bye(text) if text.contains("disabled")));
    assert_eq!(redis.command(&["ZSCORE", "porter:online", &id]), "$-1");
    // Who is here was counted anew.
    eventually("bob is here", || (redis.bulk(&["HGET", "porter:attached", "bob"]) == "1").then_some(()));
    assert_eq!(redis.command(&["HLEN", "porter:attached"]), ":1");
    // So it is by whoever says what it carries.
    redis.command(&["DEL", "porter:attached", "porter:names", "porter:sessions:bob"]);
    redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    eventually("bob is here", || (redis.bulk(&["HGET", "porter:attached", "bob"]) == "1").then_some(()));
    assert_eq!(redis.bulk(&["SMEMBERS", "porter:names"]), "bob");
    assert_eq!(redis.command(&["SCARD", "porter:sessions:bob"]), ":1");
    bob.expect_echo("still here");
}

/// What `porter-admin` says of this store, and whether it has done it.
fn admin(url: &str, flags: &[&str], words: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_porter-admin"));
    let output = command.args(["--store", url]).args(flags).args(words).output().unwrap();
    (output.status.success(), String::from_utf8(output.stderr).unwrap())
}

/// A user of the store with exactly the rights that the page lists is enough for all that servers and administrators do.
#[test]
fn the_rights_that_are_listed_are_enough() {
    let Some(redis) = Redis::with("always", |_| Vec::new()) else { return };
    let page = include_str!("../../../src/store/shared/shared.md");
    let rights = page.split("ACL SETUSER porter on >PASSWORD ").nth(1).unwrap().split("```").next().unwrap();
    let rights: Vec<&str> = rights.split_whitespace().collect();
    let set = [&["ACL", "SETUSER", "porter", "on", ">secret"], rights.as_slice()].concat();
    assert_eq!(redis.command(&set), "+OK");
    let url = redis.url().replace("redis://", "redis://porter:secret@");
    let (is_done, said) = admin(&url, &[], &["store", "init"]);
    assert!(is_done && said.is_empty(), "{said}");
    let flags = ["--store", url.as_str(), "--metrics", "127.0.0.1:0", "--penalty", "1", "--mode", "chat"];
    let (one, other) = (Server::start(&flags), Server::start(&flags));
    let mut ann = register(&one, "ann");
    let mut bob = register(&other, "bob");
    log_in(&other, "ann", "a guess").expect_error(Code::WrongPassword.number());
    ann.message("hi");
    eventually("bob reads ann", || {
        matches!(bob.next(), Said::Message(_, text) if text == "hi").then_some(())
    });
    let mut again = Visitor::arrive(&other);
    again.resume(ann.token);
    again.expect_welcome();
    super::sessions::admin(&one, &["forgive", "127.0.0.1"]);
    super::sessions::admin(&one, &["kick", "bob"]);
    for words in [&["users", "list"][..], &["users", "disable", "bob"], &["users", "remove", "bob"]] {
        let (is_done, said) = admin(&url, &[], words);
        assert!(is_done && said.is_empty(), "{words:?}: {said}");
    }
    assert!(told(&one, "/health").contains(" 200 "));
    for server in [&one, &other] {
        let log = log(server);
        assert!(!log.contains("refuses") && !log.contains("cannot be used"), "{log}");
    }
    // Without any of them it is told what is missing: here, that it may hear the channels.
    redis.command(&["ACL", "SETUSER", "porter", "resetchannels"]);
    redis.command(&["CLIENT", "KILL", "USER", "porter"]);
    eventually("it is told", || log(&one).contains("its ACL does not allow it").then_some(()));
}

/// What would keep porter's keys apart, or throws them away, and what may lose them, is told before anybody relies on it.
#[test]
fn a_store_that_is_not_what_users_should_be_kept_in_is_told_of() {
    let Some(redis) = Redis::with("always", |_| vec!["--cluster-enabled".to_owned(), "yes".to_owned()])
    else {
        return;
    };
    let url = redis.url();
    let refusal = Setup::new(&["--store", &url]).refused(1);
    assert!(refusal.contains("Redis Cluster") && refusal.contains("cluster-enabled no"), "{refusal}");
    let (is_done, said) = admin(&url, &[], &["store", "init"]);
    assert!(!is_done && said.contains("Redis Cluster"), "{said}");
    drop(redis);

    let Some(redis) = Redis::start() else { return };
    let one = server(&redis, &[]);
    let url = redis.url();
    drop(register(&one, "bob"));
    eventually("the log is there", || log(&one).contains("registered").then_some(()));
    assert!(!log(&one).contains("maxmemory"), "{}", log(&one));
    redis.command(&["CONFIG", "SET", "maxmemory", "1gb"]);
    redis.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]);
    let next = server(&redis, &[]);
    // It is connected: there is a connection to be killed.
    drop(register(&next, "cid"));
    redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    for server in [&one, &next] {
        eventually("it is told", || {
            log(server).contains("its maxmemory-policy is allkeys-lru").then_some(())
        });
    }
    eventually("it is connected again", || log(&next).contains("is back after").then_some(()));
    assert_eq!(log(&next).matches("maxmemory-policy is").count(), 1, "{}", log(&next));

    redis.command(&["CONFIG", "SET", "maxmemory", "0"]);
    let lax = ["--store-durability", "none"];
    let (is_done, said) = admin(&url, &lax, &["users", "list"]);
    assert!(is_done && said.is_empty(), "{said}");
    register(&next, "ann");
    let (is_done, said) = admin(&url, &lax, &["users", "disable", "ann"]);
    assert!(is_done && said.contains("warning: ") && said.contains("--store-durability none"), "{said}");
    redis.command(&["CONFIG", "SET", "appendfsync", "everysec"]);
    let lax = server(&redis, &lax);
    let warning = "may lose what it has acknowledged when it dies: its appendfsync is everysec";
    eventually("it is warned of", || log(&lax).contains(warning).then_some(()));
    let refusal = Setup::new(&["--store-durability", "none"]).refused(2);
    assert!(refusal.contains("--store-durability: it is for a shared store"), "{refusal}");
    let output = Command::new(env!("CARGO_BIN_EXE_porter-admin"))
        .args(["--store-durability", "none", "users", "list"])
        .output();
    let refusal = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(refusal.contains("--store-durability: it is for a shared store"), "{refusal}");
}

/// The story: the log kept the first reason for as long as a store was away, whatever else was wrong by then.
#[test]
fn each_reason_of_an_outage_is_told() {
    let Some(mut redis) = Redis::start() else { return };
    let one = server(&redis, &["--metrics", "127.0.0.1:0"]);
    let reason = |reason: &str| {
        eventually("the log has it", || log(&one).contains(reason).then_some(()));
        eventually("and /health", || told(&one, "/health").contains(reason).then_some(()));
    };
    let flags = |flags: &[&str]| flags.iter().map(|flag| (*flag).to_owned()).collect::<Vec<_>>();
    redis.kill();
    reason("cannot be reached");
    redis.restart_with(flags(&["--requirepass", "secret"]));
    reason("it wants a password: give it in --store");
    redis.kill();
    redis.restart_with(flags(&["--appendfsync", "no"]));
    reason("its appendfsync is no");
    redis.command(&["CONFIG", "SET", "appendfsync", "always"]);
    eventually("it is back", || log(&one).contains("is back after").then_some(()));
    redis.command(&["FLUSHALL"]);
    redis.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    reason("it was emptied");
    redis.command(&["ACL", "SETUSER", "bob", "on", ">secret", "~*", "+@all", "-get"]);
    let refusal =
        Setup::new(&["--store", &redis.url().replace("redis://", "redis://bob:secret@")]).refused(1);
    assert!(refusal.contains("ACL") && !refusal.contains("store init"), "{refusal}");
    let refusal = Setup::new(&["--store", &redis.url().replace("redis://", "redis://ann:wrong@")]).refused(1);
    assert!(refusal.contains("does not take this user and password"), "{refusal}");
}
