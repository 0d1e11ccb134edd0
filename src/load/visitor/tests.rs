//! A visitor on its own: what it says to what it hears, without a socket.

use super::*;
use crate::limits::HEADER_BYTES;

const WELCOME: Reply<'_> = Reply::Welcome { token: &[7; 16], greeting: "Hello" };
const HELLO: Reply<'_> = Reply::Hello { version: VERSION, last_name: "" };

/// A visitor, what it has measured, and the clock's hand.
struct Stage {
    visitor: Visitor,
    latencies: Latencies,
    now: Moment,
}

impl Stage {
    fn new(purpose: Purpose, messages: u32) -> Stage {
        let name = "load-1".to_owned();
        let pipelined = purpose == Purpose::Talks;
        let errand = Errand { name, purpose, messages, first_serial: 5, size_bytes: 20, pipelined };
        let visitor = Visitor::new(errand, Moment::START);
        Stage { visitor, latencies: Latencies::default(), now: Moment::START }
    }

    fn connected(&mut self) -> Vec<String> {
        self.now = self.now + Duration::from_millis(1);
        let mut out = Vec::new();
        self.visitor.handle_connected(self.now, &mut out, &mut self.latencies);
        names(&out)
    }

    fn told(&mut self, reply: Reply<'_>) -> Result<Vec<String>, String> {
        self.now = self.now + Duration::from_millis(1);
        let mut out = Vec::new();
        let outcome = self.visitor.handle_reply(&reply, self.now, &mut out, &mut self.latencies);
        outcome.map(|()| names(&out)).map_err(|mishap| mishap.kind.into_owned())
    }

    fn talking(messages: u32) -> Stage {
        let mut stage = Stage::new(Purpose::Talks, messages);
        stage.connected();
        stage.told(HELLO).unwrap();
        stage.told(Reply::PasswordWanted(Wanted::Login)).unwrap();
        stage.told(WELCOME).unwrap();
        stage
    }

    fn echo(&self) -> String {
        self.visitor.text.clone()
    }
}

/// The kinds of the requests in a buffer.
pub(in crate::load) fn names(mut out: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while let Some((header, rest)) = out.split_first_chunk::<HEADER_BYTES>() {
        let (body, rest) = rest.split_at(u32::from_be_bytes(*header) as usize);
        names.push(Request::decode(body).unwrap().name().to_owned());
        out = rest;
    }
    names
}

#[test]
fn a_known_user_logs_in_talks_and_leaves() {
    let mut stage = Stage::new(Purpose::Talks, 2);
    assert_eq!(stage.connected(), ["Identify", "Login"]);
    assert!(stage.told(HELLO).unwrap().is_empty());
    assert!(stage.told(Reply::PasswordWanted(Wanted::Login)).unwrap().is_empty());
    assert_eq!(stage.told(WELCOME).unwrap(), ["Message"]);
    let first = stage.echo();
    assert_eq!(stage.told(Reply::Message { sender: "", text: &first }).unwrap(), ["Message", "Exit"]);
    let second = stage.echo();
    assert_ne!(first, second);
    assert!(stage.told(Reply::Message { sender: "", text: &second }).unwrap().is_empty());
    assert!(stage.visitor.handle_closed().is_err(), "the close may not come before Bye");
    assert!(stage.told(Reply::Bye("")).unwrap().is_empty());
    assert!(stage.visitor.handle_closed().is_ok());
    let max_ms = |latency: &super::super::stats::Latency| latency.percentiles().max.round() / 1_000.0;
    let Latencies { connect, login, message } = &stage.latencies;
    assert_eq!((max_ms(connect).round(), max_ms(login).round()), (1.0, 3.0));
    assert_eq!((message.percentiles().count, max_ms(message).round()), (2, 1.0));
}

#[test]
fn a_new_user_is_registered_step_by_step() {
    let mut stage = Stage::new(Purpose::Introduces, 0);
    assert!(stage.connected().is_empty());
    assert_eq!(stage.told(HELLO).unwrap(), ["Identify"]);
    assert_eq!(stage.told(Reply::PasswordWanted(Wanted::Register)).unwrap(), ["Register"]);
    assert_eq!(stage.told(Reply::PasswordWanted(Wanted::Login)).unwrap(), ["Login"]);
    assert_eq!(stage.told(WELCOME).unwrap(), ["Exit"]);
}

#[test]
fn who_waits_for_each_answer_sends_nothing_before_it() {
    let mut stage = Stage::new(Purpose::Talks, 2);
    stage.visitor.errand.pipelined = false;
    assert!(stage.connected().is_empty());
    assert_eq!(stage.told(HELLO).unwrap(), ["Identify"]);
    assert_eq!(stage.told(Reply::PasswordWanted(Wanted::Login)).unwrap(), ["Login"]);
    assert_eq!(stage.told(WELCOME).unwrap(), ["Message"]);
    for next in ["Message", "Exit"] {
        let text = stage.echo();
        assert_eq!(stage.told(Reply::Message { sender: "", text: &text }).unwrap(), [next]);
    }
    stage.told(Reply::Bye("")).unwrap();
    // From Identify, which went out after Hello.
    let shown = stage.latencies.login.percentiles();
    assert_eq!((shown.count, (shown.max / 1_000.0).round()), (1, 2.0));
}

#[test]
fn who_guesses_is_content_with_a_refusal() {
    let mut stage = Stage::new(Purpose::Guesses, 0);
    stage.connected();
    stage.told(HELLO).unwrap();
    assert_eq!(stage.told(Reply::PasswordWanted(Wanted::Login)).unwrap(), ["Login"]);
    assert!(stage.told(Reply::Error { code: 4, explanation: "" }).unwrap().is_empty());
    assert!(stage.visitor.is_content() && stage.latencies.login.count() == 1);
}

#[test]
fn who_only_knocks_says_nothing_and_is_content_with_hello() {
    let mut stage = Stage::new(Purpose::Knocks, 1);
    assert!(stage.connected().is_empty() && !stage.visitor.is_content());
    assert!(stage.told(HELLO).unwrap().is_empty() && stage.visitor.is_content());
}

#[test]
fn what_is_no_echo_fails() {
    let echo = Stage::talking(1).echo();
    for (sender, text) in [("", ""), ("", "x"), ("ann", echo.as_str()), ("", &echo[1..])] {
        let outcome = Stage::talking(1).told(Reply::Message { sender, text });
        assert_eq!(outcome, Err("wrong_echo".to_owned()), "{sender:?} {text:?}");
    }
    let stale = Stage::talking(2).echo();
    let mut stage = Stage::talking(2);
    stage.told(Reply::Message { sender: "", text: &stale }).unwrap();
    assert_eq!(stage.told(Reply::Message { sender: "", text: &stale }), Err("wrong_echo".to_owned()));
}

#[test]
fn what_does_not_belong_here_fails_with_its_kind() {
    let knocking = |reply| {
        let mut stage = Stage::new(Purpose::Talks, 1);
        stage.connected();
        stage.told(reply).unwrap_err()
    };
    assert_eq!(knocking(Reply::Error { code: 106, explanation: "3 s" }), "Busy");
    assert_eq!(knocking(Reply::Error { code: 999, explanation: "" }), "unknown_error");
    assert_eq!(knocking(Reply::Hello { version: 9, last_name: "" }), "wrong_version");
    assert_eq!(knocking(Reply::Bye("closing")), "sent_away");
    assert_eq!(knocking(WELCOME), "unexpected_reply");
    let mut stage = Stage::new(Purpose::Talks, 1);
    stage.connected();
    stage.told(HELLO).unwrap();
    assert_eq!(stage.told(Reply::PasswordWanted(Wanted::Register)), Err("unknown_user".to_owned()));
}

#[test]
fn each_step_has_its_own_patience() {
    let patience = Patience::default();
    let stage = Stage::talking(1);
    assert_eq!(stage.visitor.deadline(&patience).since(stage.now), patience.echo);
    let mishap = stage.visitor.overdue(&patience);
    assert_eq!(mishap.kind, "no_echo");
    assert!(mishap.reason.contains("--mode echo") && mishap.reason.contains("9s"), "{}", mishap.reason);
    let mut stage = Stage::new(Purpose::Talks, 1);
    assert_eq!(stage.visitor.overdue(&patience).kind, "connect_timeout");
    stage.connected();
    assert_eq!(stage.visitor.overdue(&patience).kind, "no_answer");
}

#[test]
fn what_is_given_up_counts_with_the_time_waited() {
    let given_up = |mut stage: Stage, refused: bool| {
        stage.now = stage.now + Duration::from_secs(7);
        stage.visitor.give_up(stage.now, refused, &mut stage.latencies);
        let Latencies { connect, login, message } = stage.latencies;
        [connect, login, message]
            .map(|latency| latency.percentiles())
            .map(|shown| (shown.unfinished, shown.max >= 7e6))
    };
    let nothing = (0, false);
    let knocking = |purpose| {
        let mut stage = Stage::new(purpose, 1);
        stage.connected();
        stage
    };
    assert_eq!(given_up(Stage::talking(1), false), [nothing, nothing, (1, true)]);
    assert_eq!(given_up(Stage::talking(1), true)[2], (1, true), "whatever the reason, the echo never came");
    assert_eq!(given_up(knocking(Purpose::Talks), false), [nothing, (1, true), nothing]);
    assert_eq!(given_up(knocking(Purpose::Talks), true), [nothing; 3]);
    assert_eq!(given_up(knocking(Purpose::Knocks), false), [nothing; 3], "it was not to log in");
    assert_eq!(given_up(Stage::new(Purpose::Talks, 1), false), [(1, true), nothing, nothing]);
}
