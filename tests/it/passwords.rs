//! A password is changed over the wire.

use crate::support::{PASSWORD, Said, Server, Setup, Visitor, frame};
use porter::protocol::Wanted;

const NEW: &str = "close sesame";

impl Visitor {
    fn change_password(&mut self, old: &str, new: &str) {
        let change = [&self.token[..], &(old.len() as u16).to_be_bytes(), old.as_bytes(), new.as_bytes()];
        self.send_raw(&frame(0x07, &change.concat()));
    }

    /// What a login with this password comes to.
    fn tried(server: &Server, name: &str, password: &str) -> Said {
        let mut visitor = Visitor::introduced(server, name, Wanted::Login);
        visitor.login(password);
        visitor.next()
    }
}

fn is_welcome(said: &Said) -> bool {
    matches!(said, Said::Welcome(..))
}

#[test]
fn a_changed_password_outlives_a_kill_and_ends_all_other_sessions() {
    let folder = {
        let server = Server::start(&[]);
        let mut ann = Visitor::logged_in(&server, "ann");
        let mut elsewhere = Visitor::logged_in(&server, "ann");
        let mut bob = Visitor::logged_in(&server, "bob");
        // Everything behind it waits.
        ann.change_password(PASSWORD, NEW);
        ann.message("still here");
        ann.expect(Said::PasswordChanged);
        ann.expect(Said::message("", "still here"));
        elsewhere.expect_bye();
        bob.expect_echo("bob is somebody else");
        assert!(matches!(Visitor::tried(&server, "ann", PASSWORD), Said::Error(4, _)));
        assert!(is_welcome(&Visitor::tried(&server, "ann", NEW)));
        server.kill()
    };
    let server = Setup::new(&[]).folder(folder).start();
    assert!(matches!(Visitor::tried(&server, "ann", PASSWORD), Said::Error(4, _)));
    assert!(is_welcome(&Visitor::tried(&server, "ann", NEW)));
    assert!(is_welcome(&Visitor::tried(&server, "bob", PASSWORD)));
}

#[test]
fn a_change_is_refused_as_a_login_or_a_registration_would_be() {
    let server = Server::start(&["--penalty", "0"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.change_password(PASSWORD, "short");
    ann.expect_error(2);
    for code in [4, 4] {
        ann.change_password("a guess", NEW);
        ann.expect_error(code);
    }
    ann.expect_echo("still here");
    ann.change_password("a guess", NEW);
    ann.expect_last_error(104);
    let mut ann = server.resumed(ann.token);
    ann.token[0] ^= 1;
    ann.change_password(PASSWORD, NEW);
    ann.expect_last_error(103);
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.send_raw(&frame(0x07, &[&ann.token[..], &[0, 9], b"too short"[..8].as_ref()].concat()));
    ann.expect_last_error(100);
    let mut ann = Visitor::introduced(&server, "ann", Wanted::Login);
    ann.change_password(PASSWORD, NEW);
    ann.expect_last_error(102);
}

/// Whoever leaves behind it is not answered, and a guess is charged all the same.
#[test]
fn a_guess_in_one_packet_with_the_end_is_not_free() {
    let server = Server::start(&["--penalty", "100"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.change_password("a guess", NEW);
    ann.finish_sending();
    ann.expect_closed();
    let mut again = Visitor::introduced(&server, "ann", Wanted::Login);
    again.login(PASSWORD);
    again.expect_last_error(105);
}
