//! Names and passwords of every script, however they were typed; and names that look like others.

use crate::support::{Folder, PASSWORD, Said, Server, Setup, Visitor, frame, stored_password};
use porter::protocol::Wanted;
use std::rc::Rc;
use unicode_normalization::UnicodeNormalization;

/// Greeted by the one form of a name.
#[track_caller]
fn expect_welcome_as(visitor: &mut Visitor, name: &str) {
    match visitor.next() {
        Said::Welcome(token, greeting) => {
            assert!(greeting.ends_with(name), "{greeting} to {name}");
            visitor.token = token;
        }
        other => panic!("{name} hears {other:?}"),
    }
}

/// protocol.md, "Names": every script has its letters, vowels and joiners, and a name is one however it was composed.
#[test]
fn names_of_every_script_are_one_however_they_were_typed() {
    let server = Server::start(&["--login-cache", "0"]);
    for name in [
        "तेन्दुलकर",
        "क्\u{200d}ष",
        "தமிழ்செல்வி",
        "রবীন্দ্রনাথ",
        "សុខា",
        "အောင်ဆန်း",
        "สมชาย",
        "น้ำฝน",
        "ນ້ຳຝົນ",
        "김철수",
        "שָׁלוֹם",
        "ދިވެހި",
        "Nguyễn",
        "Zoë",
        "ガン",
    ] {
        let decomposed: String = name.nfd().collect();
        let mut first = Visitor::introduced(&server, &decomposed, Wanted::Register);
        first.register(PASSWORD);
        first.expect(Said::Wanted(Wanted::Login));
        first.login(PASSWORD);
        expect_welcome_as(&mut first, name);
        let mut second = Visitor::introduced(&server, name, Wanted::Login);
        second.login(PASSWORD);
        expect_welcome_as(&mut second, name);
        assert_eq!(Visitor::connect(&server).expect_hello(), name);
    }
    let mut wide = Visitor::introduced(&server, "ａｎｎ", Wanted::Register);
    wide.register(PASSWORD);
    wide.expect(Said::Wanted(Wanted::Login));
    Visitor::introduced(&server, "ann", Wanted::Login);
}

/// What nobody can see, what is no letter, and what looks like the server's name; each with its reason.
#[test]
fn names_that_nobody_shall_have() {
    let server = Server::start(&[]);
    let mut visitor = Visitor::arrive(&server);
    for (name, reason) in [
        ("s\u{435}rver", "looks like it"),
        ("ｓｅｒｖｅｒ", "looks like it"),
        ("SErver", "looks like it"),
        ("\u{405}ЕRVЕR", "looks like it"),
        ("ⓢⓔⓡⓥⓔⓡ", "U+24E2"),
        ("𝓼𝓮𝓻𝓿𝓮𝓻", "U+1D4FC"),
        ("ser\u{115f}ver", "U+115F"),
        ("\u{3164}", "U+3164"),
        ("\u{115f}", "U+115F"),
        ("\u{ffa0}", "U+3164"),
        ("an\u{3164}n", "U+3164"),
        ("an\u{200d}n", "U+200D"),
        ("\u{301}ann", "begins"),
        ("annא", "right to left"),
        (&"e\u{301}".repeat(33), "32 characters"),
        (&"\u{301}".repeat(2_000), "64 bytes"),
    ] {
        visitor.identify(name);
        let explanation = visitor.expect_error(1);
        assert!(explanation.contains(reason), "{name}: {explanation}");
    }
    visitor.identify("server.");
    visitor.expect(Said::Wanted(Wanted::Register));
}

/// Of two names that can be taken for each other the second is not given: neither when the first is there, nor when both
/// are on their way.
#[test]
fn look_alikes_are_refused() {
    let server = Server::start(&[]);
    Visitor::logged_in(&server, "scope");
    let mut visitor = Visitor::arrive(&server);
    for name in ["ѕсоре", "Scope", "SCOPE", "ѕcope"] {
        visitor.identify(name);
        let explanation = visitor.expect_error(1);
        assert!(explanation.contains("somebody else"), "{explanation}");
    }
    visitor.identify("scape");
    visitor.expect(Said::Wanted(Wanted::Register));

    let mut first = Visitor::introduced(&server, "user1", Wanted::Register);
    let mut second = Visitor::introduced(&server, "userl", Wanted::Register);
    let mut third = Visitor::introduced(&server, "USER1", Wanted::Register);
    first.register(PASSWORD);
    first.expect(Said::Wanted(Wanted::Login));
    second.register(PASSWORD);
    assert!(second.expect_error(1).contains("userl can be taken for"));
    second.login(PASSWORD);
    second.expect_last_error(102);
    third.register("short");
    third.expect_error(2);
    third.register(PASSWORD);
    third.expect_error(1);
    third.log_in("user2", PASSWORD);

    // Both are hashed at once.
    let names = ["\u{430}nna", "anna"];
    let mut both = names.map(|name| Visitor::introduced(&server, name, Wanted::Register));
    both.iter_mut().for_each(|visitor| visitor.register(PASSWORD));
    let refused = both.iter_mut().filter_map(|visitor| match visitor.next() {
        Said::Wanted(Wanted::Login) => None,
        said => Some(said),
    });
    let refused: Vec<Said> = refused.collect();
    assert!(matches!(&refused[..], [Said::Error(1, _)]), "{refused:?}");
    assert_eq!(server.folder.read("users.csv").matches("nna,").count(), 1);
}

/// Nobody is told who looks like whom while registration is closed.
#[test]
fn look_alikes_while_registration_is_closed() {
    let folder = Rc::new(Folder::with_user("scope", PASSWORD, 1000));
    let server = Setup::new(&["--registration", "closed"]).folder(folder).start();
    let mut visitor = Visitor::introduced(&server, "ѕсоре", Wanted::Login);
    visitor.login(PASSWORD);
    visitor.expect_error(4);
}

/// protocol.md, "Passwords": one password however it was composed, in every frame that carries one.
#[test]
fn a_password_is_one_however_it_was_typed() {
    let server = Server::start(&["--login-cache", "0"]);
    for (name, chosen, typed) in [
        ("ann", "pa\u{30a}sswo\u{308}rter", "påsswörter"),
        ("bob", "påsswörter", "pa\u{30a}sswo\u{308}rter"),
        ("cid", "비밀번호입니다요", "\u{1107}\u{1175}\u{1106}\u{1175}\u{11af}번호입니다요"),
        ("dan", "\u{1107}\u{1175}\u{1106}\u{1175}\u{11af}번호입니다요", "비밀번호입니다요"),
        ("eve", "open\u{a0}sesame", "open sesame"),
    ] {
        let mut visitor = Visitor::introduced(&server, name, Wanted::Register);
        visitor.register(chosen);
        visitor.expect(Said::Wanted(Wanted::Login));
        visitor.login(typed);
        visitor.expect_welcome();
        let mut again = Visitor::introduced(&server, name, Wanted::Login);
        again.login(chosen);
        again.expect_welcome();
    }
    let mut visitor = Visitor::introduced(&server, "fay", Wanted::Register);
    for (weak, reason) in [("e\u{301}e\u{301}e\u{301}e\u{301}", "8 characters"), ("tab\tand more", "U+0009")]
    {
        visitor.register(weak);
        let explanation = visitor.expect_error(2);
        assert!(explanation.contains(reason), "{explanation}");
    }
}

/// A password that is none under the profile is a wrong one, whosever name it comes with.
#[test]
fn a_password_outside_of_the_profile_is_a_wrong_one() {
    let folder = Rc::new(Folder::with_user("ann", PASSWORD, 1000));
    let server = Setup::new(&["--registration", "closed"]).folder(folder).start();
    for name in ["ann", "nobody"] {
        let mut visitor = Visitor::introduced(&server, name, Wanted::Login);
        visitor.login("open\tsesame");
        visitor.expect_error(4);
    }
}

/// Who was stored by an earlier version keeps name and password: names that are none any more, and passwords that were
/// hashed as they were typed.
#[test]
fn users_from_before_the_rules_are_kept() {
    const DECOMPOSED: &str = "pa\u{30a}sswo\u{308}rter";
    let hash = |password| stored_password(password, b"sixteen bytes ok", 1000);
    let jamo = "\u{1112}\u{1161}\u{11ab}";
    let users = [
        ("Ⓐnn", hash(PASSWORD)),
        (jamo, hash(PASSWORD)),
        ("s\u{435}rver", hash(PASSWORD)),
        ("bob", hash(DECOMPOSED)),
        ("BOB", hash("tab\tand more")),
    ];
    let folder = Folder::with_users(&users.each_ref().map(|(name, stored)| (*name, stored.as_str())));
    let flags = ["--mode", "chat", "--penalty", "0", "--login-cache", "0"];
    let server = Setup::new(&flags).folder(Rc::new(folder)).start();

    let mut there = Visitor::introduced(&server, "Ⓐnn", Wanted::Login);
    there.login(PASSWORD);
    expect_welcome_as(&mut there, "Ⓐnn");
    for (name, password) in [(jamo, PASSWORD), ("s\u{435}rver", PASSWORD), ("BOB", "tab\tand more")] {
        let mut visitor = Visitor::introduced(&server, name, Wanted::Login);
        visitor.login(password);
        expect_welcome_as(&mut visitor, name);
        there.expect(Said::message("", &format!("{name} joined")));
        visitor.message("@Ⓐnn hi");
        there.expect(Said::message(name, "@Ⓐnn hi"));
        there.message(&format!("@{name} hi"));
        visitor.expect(Said::message("Ⓐnn", &format!("@{name} hi")));
        visitor.exit();
        visitor.expect_bye();
        there.expect(Said::message("", &format!("{name} left")));
    }

    // Wrong in either form, once for each frame; then as it was hashed.
    let mut bob = Visitor::introduced(&server, "bob", Wanted::Login);
    bob.login("wro\u{308}ng");
    bob.expect_error(4);
    bob.login(DECOMPOSED);
    bob.expect_welcome();
    // From now on it is stored in its one form.
    let stored = |server: &Server| server.folder.read("users.csv").matches("bob,").count();
    crate::support::eventually("a new hash", || (stored(&server) == 2).then_some(()));
    let mut composed = Visitor::introduced(&server, "bob", Wanted::Login);
    composed.login(&DECOMPOSED.nfc().collect::<String>());
    composed.expect_welcome();
}

/// Whoever is meant is meant in any spelling: in chat, and at the console.
#[test]
fn names_are_addressed_in_any_spelling() {
    let mut server = Server::start(&["--mode", "chat"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut zoe = Visitor::logged_in(&server, "Zoe\u{308}");
    ann.expect(Said::message("", "Zoë joined"));
    ann.message("@Zoe\u{308} one");
    zoe.expect(Said::message("ann", "@Zoe\u{308} one"));
    ann.message("@Ｚｏë two");
    zoe.expect(Said::message("ann", "@Ｚｏë two"));
    zoe.send_raw(&zoe.message_frame(b"three"));
    ann.expect(Said::message("Zoë", "three"));
    server.type_line("@Zoe\u{308} four");
    zoe.expect(Said::message("", "four"));
    server.type_line("/kick Zoe\u{308}");
    zoe.expect_bye();
}

/// A Login of more than 1024 bytes is malformed, whatever the profile would make of it and whatever the state is.
#[test]
fn a_login_is_measured_before_anything_else() {
    let server = Server::start(&[]);
    let mut visitor = Visitor::arrive(&server);
    visitor.send_raw(&frame(0x03, "e\u{301}".repeat(342).as_bytes()));
    visitor.expect_last_error(100);
}
