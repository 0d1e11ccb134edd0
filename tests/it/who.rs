//! Who is online, asked for over the wire.

use crate::support::{Said, Server, Visitor};

fn names(count: u32, names: &[&str]) -> Said {
    Said::Names(count, names.iter().map(|name| (*name).to_owned()).collect())
}

#[test]
fn who_is_answered_in_every_mode() {
    for mode in ["echo", "operator", "chat"] {
        let server = Server::start(&["--mode", mode]);
        let mut ann = Visitor::logged_in(&server, "ann");
        ann.who();
        ann.expect(names(1, &["ann"]));
        let mut bob = Visitor::logged_in(&server, "bob");
        let _stranger = Visitor::arrive(&server);
        bob.send_raw(&crate::support::frame(0x08, &bob.token).repeat(2));
        bob.expect(names(2, &["ann", "bob"]));
        bob.expect(names(2, &["ann", "bob"]));
        // The first word to others: nobody hears of it.
        if mode == "chat" {
            ann.expect(Said::message("", "bob joined"));
        }
        bob.exit();
        bob.expect_bye();
        if mode == "chat" {
            ann.expect(Said::message("", "bob left"));
        }
        ann.who();
        ann.expect(names(1, &["ann"]));
    }
}

#[test]
fn who_needs_its_own_token_and_nothing_else() {
    let server = Server::start(&[]);
    let mut ann = Visitor::logged_in(&server, "ann");
    let mut bob = Visitor::logged_in(&server, "bob");
    bob.token = ann.token;
    bob.who();
    bob.expect_last_error(103);
    ann.send_raw(&crate::support::frame(0x08, &[&ann.token[..], b"x"].concat()));
    ann.expect_last_error(100);
    let mut stranger = Visitor::arrive(&server);
    stranger.who();
    stranger.expect_last_error(102);
}
