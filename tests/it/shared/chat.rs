//! One room at several servers.

use super::sessions::admin;
use super::{register, server};
use crate::support::{PASSWORD, Redis, Said, Server, Visitor, eventually};
use porter::protocol::Code;

fn chat(redis: &Redis) -> Server {
    server(redis, &["--mode", "chat", "--resume-window", "3", "--chat-rate", "0"])
}

/// Logs in, and has heard of nobody yet but of itself being let in.
fn enter(server: &Server, name: &str) -> Visitor {
    register(server, name)
}

fn message(sender: &str, text: &str) -> Said {
    Said::message(sender, text)
}

/// Everybody reads everybody, in the order of each, and hears once of who comes and goes.
#[test]
fn two_servers_are_one_room() {
    let Some(redis) = Redis::start() else { return };
    let (one, other) = (chat(&redis), chat(&redis));
    let mut ann = enter(&one, "ann");
    let mut bob = enter(&other, "bob");
    ann.expect(message("", "bob joined"));
    let mut carol = enter(&one, "carol");
    for visitor in [&mut ann, &mut bob] {
        visitor.expect(message("", "carol joined"));
    }
    for n in 0..200 {
        ann.message(&format!("{n}"));
    }
    for n in 0..200 {
        let text = format!("{n}");
        bob.expect(message("ann", &text));
        carol.expect(message("ann", &text));
    }
    // The same name again is nobody new, and reads along.
    let mut again = Visitor::arrive(&other);
    again.log_in("ann", PASSWORD);
    bob.message("hi");
    for visitor in [&mut ann, &mut carol, &mut again] {
        visitor.expect(message("bob", "hi"));
    }
    again.exit();
    again.expect_bye();
    carol.exit();
    carol.expect_bye();
    for visitor in [&mut ann, &mut bob] {
        visitor.expect(message("", "carol left"));
    }
}

#[test]
fn a_direct_message_finds_every_session_of_the_name() {
    let Some(redis) = Redis::start() else { return };
    let (one, other) = (chat(&redis), chat(&redis));
    let mut ann = enter(&one, "ann");
    let mut bobs = vec![enter(&other, "bob")];
    ann.expect(message("", "bob joined"));
    for server in [&one, &other] {
        let mut bob = Visitor::arrive(server);
        bob.log_in("bob", PASSWORD);
        bobs.push(bob);
    }
    ann.message("@bob psst");
    for bob in &mut bobs {
        bob.expect(message("ann", "@bob psst"));
    }
    ann.who();
    ann.expect(Said::Names(2, vec!["ann".to_owned(), "bob".to_owned()]));
    for mut bob in bobs {
        bob.exit();
        bob.expect_bye();
    }
    ann.expect(message("", "bob left"));
    ann.message("@bob psst");
    assert!(matches!(ann.next(), Said::Error(code, _) if code == Code::NoSuchRecipient.number()));
    ann.who();
    ann.expect(Said::Names(1, vec!["ann".to_owned()]));
}

/// Who goes on at another server has not left; whose server dies has left once nobody waits any more.
#[test]
fn comings_and_goings_are_said_once_whatever_happens_to_servers() {
    let Some(redis) = Redis::start() else { return };
    let (one, other) = (chat(&redis), chat(&redis));
    let dies = chat(&redis);
    let mut ann = enter(&one, "ann");
    let bob = enter(&dies, "bob");
    ann.expect(message("", "bob joined"));
    let carol = enter(&dies, "carol");
    ann.expect(message("", "carol joined"));
    dies.kill();
    let mut back = Visitor::arrive(&other);
    back.resume(bob.token);
    back.expect_welcome();
    back.message("back");
    ann.expect(message("bob", "back"));
    // Her lease is over sooner here than it would be.
    let first = redis.bulk(&["SRANDMEMBER", "porter:sessions:carol"]);
    redis.command(&["ZADD", "porter:online", "1", &first]);
    ann.expect(message("", "carol left"));
    back.expect(message("", "carol left"));
    back.message("bye");
    ann.expect(message("bob", "bye"));
    let _ = carol;
}

/// The operator of any server sees, reaches and speaks to all of them.
#[test]
fn one_operator_for_all_servers() {
    let Some(redis) = Redis::start() else { return };
    let (mut one, other) = (chat(&redis), chat(&redis));
    let mut ann = enter(&one, "ann");
    let mut bob = enter(&other, "bob");
    ann.expect(message("", "bob joined"));
    let lost = enter(&other, "carol");
    for visitor in [&mut ann, &mut bob] {
        visitor.expect(message("", "carol joined"));
    }
    lost.reset();
    eventually("all are listed, and who is lost", || {
        let listed = admin(&one, &["who", "--json"]);
        let names: Vec<String> = listed
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter_map(|object| Some(object.get("name")?.as_str()?.to_owned()))
            .collect();
        assert_eq!(names, ["ann", "bob", "carol"], "{listed}");
        (listed.contains("\"online\":2") && listed.contains("\"lost\":1")).then_some(())
    });
    // She is forgotten when her time is over, or before.
    for visitor in [&mut ann, &mut bob] {
        visitor.expect(message("", "carol left"));
    }
    one.type_line("tea?");
    for visitor in [&mut ann, &mut bob] {
        visitor.expect(message("", "tea?"));
    }
    assert!(admin(&one, &["kick", "bob"]).contains("kicked bob"));
    bob.expect_bye();
    ann.expect(message("", "bob left"));
}

/// Without the store each server is a room of its own, and afterwards they are one again.
#[test]
fn without_the_store_each_room_goes_on_by_itself() {
    let Some(mut redis) = Redis::start() else { return };
    let (one, other) = (chat(&redis), chat(&redis));
    let mut ann = enter(&one, "ann");
    let mut bob = enter(&one, "bob");
    ann.expect(message("", "bob joined"));
    let mut carol = enter(&other, "carol");
    for visitor in [&mut ann, &mut bob] {
        visitor.expect(message("", "carol joined"));
    }
    redis.kill();
    ann.message("still here");
    bob.expect(message("ann", "still here"));
    ann.who();
    eventually("the server knows that it is alone", || {
        ann.who();
        let Said::Names(count, _) = ann.next() else { return None };
        (count == 2).then_some(())
    });
    redis.restart();
    let mut count = 0;
    eventually("it is one room again", || {
        carol.message(&format!("{count}"));
        carol.who();
        count += 1;
        let Said::Names(online, _) = carol.next() else { return None };
        (online == 3).then_some(())
    });
    carol.message("all here?");
    let read = |visitor: &mut Visitor| {
        loop {
            match visitor.next() {
                Said::Message(sender, text) if sender == "carol" && text == "all here?" => return,
                Said::Message(_, text) => {
                    assert!(!text.ends_with(" left") && !text.ends_with(" joined"), "{text}")
                }
                Said::Names(..) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    read(&mut bob);
    read(&mut ann);
}
