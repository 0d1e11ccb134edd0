//! Guesses at a password, and that none is free.

use crate::support::{Said, Server, Visitor, frame};
use porter::protocol::Wanted;
use rustix::net::{SendFlags, send};

/// Somebody of one other address, whose login goes out in one packet with the end of the stream.
fn guess_and_leave(server: &Server, password: &[u8]) -> Visitor {
    let guesser = Visitor::connect_from("127.0.0.9", server);
    let login = [frame(0x01, b"ann"), frame(0x03, password)].concat();
    assert_eq!(send(&guesser.stream, &login, SendFlags::MORE).unwrap(), login.len());
    guesser.finish_sending();
    let mut guesser = guesser.greeted();
    guesser.expect(Said::Wanted(Wanted::Login));
    guesser
}

/// The story: while ann's password was remembered, a right guess was answered with Welcome and a wrong one with the end
/// alone, which cost nothing, thousands of times a second.
#[test]
fn a_guess_that_leaves_at_once_is_charged() {
    let server = Server::start(&["--penalty", "500"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    guess_and_leave(&server, crate::support::PASSWORD.as_bytes()).expect_welcome();
    guess_and_leave(&server, b"wrong password").expect_closed();
    guess_and_leave(&server, b"another wrong one").expect_last_error(105);
    guess_and_leave(&server, crate::support::PASSWORD.as_bytes()).expect_last_error(105);
    ann.expect_echo("and from elsewhere");
    Visitor::logged_in(&server, "ann").expect_echo("all are welcome");
}

/// `--exempt`: no penalty is put on these addresses; wrong passwords in one connection are counted all the same.
#[test]
fn an_exempt_address_owes_nothing() {
    let flags = ["--exempt", "127.0.0.1,::ffff:127.0.0.8/125", "--registration", "closed"];
    let server = Server::start(&flags);
    for (from, is_exempt) in [("127.0.0.1", true), ("127.0.0.9", true), ("127.0.0.2", false)] {
        let codes: Vec<u16> = (0..3)
            .flat_map(|_| {
                let mut guesser = Visitor::connect_from(from, &server).greeted();
                guesser.identify("ann");
                guesser.expect(Said::Wanted(Wanted::Login));
                let guess = |_| {
                    guesser.login("guess");
                    match guesser.next() {
                        Said::Error(code, _) => code,
                        other => panic!("{other:?}"),
                    }
                };
                let mut codes = Vec::new();
                (0..3)
                    .map(guess)
                    .take_while(|code| {
                        codes.push(*code);
                        *code < 100
                    })
                    .for_each(drop);
                codes
            })
            .collect();
        let expected: &[u16] =
            if is_exempt { &[4, 4, 104, 4, 4, 104, 4, 4, 104] } else { &[4, 4, 104, 4, 105, 105] };
        assert_eq!(codes, expected, "{from}");
    }
}
