//! One virtual client, from its first word to the server's last: which frame it sends when, what it expects back,
//! and what it measures on the way.
//!
//! This module must not know sockets or the clock: replies and times are handed in, requests are appended to a
//! buffer, and whoever drives it does the rest.

use super::stats::{Latencies, Mishap};
use super::{Patience, text};
use crate::Moment;
use crate::auth::Token;
use crate::protocol::{Code, Reply, Request, VERSION, Wanted};
use std::time::Duration;

/// The password of every user that the load tester registers. No secret: such users belong on test servers only.
pub const PASSWORD: &str = "porter-load's own password";

/// The way out when what comes back is no echo.
pub(super) const ECHO_WANTED: &str = "the server must run with `--mode echo`";

/// What a client comes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be known: it may register its user, and waits for each answer.
    Introduces,
    /// To talk: it sends Identify and Login together.
    Talks,
    /// For Hello, and nothing else.
    Knocks,
}

/// What one client is to do.
#[derive(Clone, Debug)]
pub(super) struct Errand {
    /// The user that it logs in as.
    pub(super) name: String,
    /// What it comes for.
    pub(super) purpose: Purpose,
    /// Messages to send, each after the echo of the last.
    pub(super) messages: u32,
    /// The number of the first message; every message of a run has its own.
    pub(super) first_serial: u64,
    /// Bytes of text in each message.
    pub(super) size_bytes: usize,
}

/// Where a client stands; each step waits for one thing.
#[derive(Debug)]
enum Step {
    /// For the connection.
    Connecting,
    /// For Hello.
    Knocking { identified: Moment },
    /// For the answer to Identify.
    Identifying { identified: Moment },
    /// For the answer to Register.
    Registering { identified: Moment },
    /// For Welcome.
    LoggingIn { identified: Moment },
    /// For the echo of the last message.
    Talking { token: Token, left: u32 },
    /// For Bye.
    Leaving,
    /// For the server's close. Who closes first keeps the port for a minute; that must not be the client, or a
    /// long run has no ports left.
    Parting,
    /// For nothing more: it has what it came for, and is the one who closes.
    Content,
}

/// A client on its way.
#[derive(Debug)]
pub(super) struct Visitor {
    errand: Errand,
    step: Step,
    /// When the step began.
    since: Moment,
    text: String,
}

impl Visitor {
    /// A client that begins to connect now.
    pub(super) fn new(errand: Errand, now: Moment) -> Visitor {
        Visitor { errand, step: Step::Connecting, since: now, text: String::new() }
    }

    /// Its errand, for another attempt.
    pub(super) fn into_errand(self) -> Errand {
        self.errand
    }

    /// The connection is there: says who it is.
    pub(super) fn handle_connected(&mut self, now: Moment, out: &mut Vec<u8>, latencies: &mut Latencies) {
        latencies.connect.record(now.since(self.since));
        if self.errand.purpose != Purpose::Knocks {
            Request::Identify(self.errand.name.as_bytes()).encode(out);
        }
        if self.errand.purpose == Purpose::Talks {
            Request::Login(PASSWORD.as_bytes()).encode(out);
        }
        self.enter(Step::Knocking { identified: now }, now);
    }

    /// A frame came.
    ///
    /// # Errors
    /// [`Mishap`] if it is not the one that belongs here: the visit has failed.
    pub(super) fn handle_reply(
        &mut self,
        reply: &Reply<'_>,
        now: Moment,
        out: &mut Vec<u8>,
        latencies: &mut Latencies,
    ) -> Result<(), Mishap> {
        let next = match (&self.step, reply) {
            (_, Reply::Error { code, explanation }) => return Err(refusal(*code, explanation)),
            (Step::Knocking { .. }, Reply::Hello { version: VERSION, .. })
                if self.errand.purpose == Purpose::Knocks =>
            {
                Step::Content
            }
            (Step::Knocking { identified }, Reply::Hello { version: VERSION, .. }) => {
                Step::Identifying { identified: *identified }
            }
            (Step::Knocking { .. }, Reply::Hello { version, .. }) => {
                let reason = format!("the server speaks version {version} of the protocol, not {VERSION}");
                return Err(Mishap::new("wrong_version", reason));
            }
            (Step::Identifying { identified }, Reply::PasswordWanted(Wanted::Register)) => {
                if self.errand.purpose != Purpose::Introduces {
                    let reason = format!("the server does not know {} any more", self.errand.name);
                    return Err(Mishap::new("unknown_user", reason));
                }
                Request::Register(PASSWORD.as_bytes()).encode(out);
                Step::Registering { identified: *identified }
            }
            (
                Step::Identifying { identified } | Step::Registering { identified },
                Reply::PasswordWanted(Wanted::Login),
            ) => {
                if self.errand.purpose == Purpose::Introduces {
                    Request::Login(PASSWORD.as_bytes()).encode(out);
                }
                Step::LoggingIn { identified: *identified }
            }
            (Step::LoggingIn { identified }, Reply::Welcome { token, .. }) => {
                latencies.login.record(now.since(*identified));
                let token = Token::new(**token);
                self.talk(token, self.errand.messages, out)
            }
            (Step::Talking { token, left }, Reply::Message { sender, text }) => {
                self.check_echo(sender, text)?;
                latencies.message.record(now.since(self.since));
                let (token, left) = (token.clone(), *left);
                self.talk(token, left, out)
            }
            (Step::Leaving, Reply::Bye(_)) => Step::Parting,
            (Step::Talking { left: 0, .. }, Reply::Bye(_)) => {
                return Err(Mishap::new("no_echo", format!("Bye came before the echo; {ECHO_WANTED}")));
            }
            (_, Reply::Bye(reason)) => {
                let reason = format!("the server said Bye {}: {}", self.awaited(), reason.escape_debug());
                return Err(Mishap::new("sent_away", reason));
            }
            (_, reply) => {
                let reason = format!("{} came {}", reply.name(), self.awaited());
                return Err(Mishap::new("unexpected_reply", reason));
            }
        };
        self.enter(next, now);
        Ok(())
    }

    /// Whether it has what it came for, and leaves of its own accord.
    pub(super) fn is_content(&self) -> bool {
        matches!(self.step, Step::Content)
    }

    /// The server closed the connection: the end of the visit.
    ///
    /// # Errors
    /// [`Mishap`] if it came too early.
    pub(super) fn handle_closed(&self) -> Result<(), Mishap> {
        if matches!(self.step, Step::Parting) {
            return Ok(());
        }
        Err(Mishap::new("connection_lost", format!("the server closed the connection {}", self.awaited())))
    }

    /// When it stops waiting.
    pub(super) fn deadline(&self, patience: &Patience) -> Moment {
        self.since + self.patience(patience)
    }

    /// Why it stopped waiting at its deadline.
    pub(super) fn overdue(&self, patience: &Patience) -> Mishap {
        let waited = self.patience(patience);
        match self.step {
            Step::Connecting => Mishap::new("connect_timeout", format!("no connection within {waited:?}")),
            Step::Talking { .. } => {
                Mishap::new("no_echo", format!("no echo of a message within {waited:?}; {ECHO_WANTED}"))
            }
            Step::Leaving | Step::Parting | Step::Content => {
                Mishap::new("no_bye", format!("nothing came for {waited:?} {}", self.awaited()))
            }
            _ => Mishap::new("no_answer", format!("nothing came for {waited:?} {}", self.awaited())),
        }
    }

    /// Sends the next of `left` messages, and gives the step that follows. Exit goes along with the last of them: it need
    /// not wait for the echo, and saves a way there and back.
    fn talk(&mut self, token: Token, left: u32, out: &mut Vec<u8>) -> Step {
        let Some(left) = left.checked_sub(1) else {
            if self.errand.messages == 0 {
                Request::Exit.encode(out);
            }
            return Step::Leaving;
        };
        let sent_before = u64::from(self.errand.messages - left - 1);
        let serial = self.errand.first_serial.wrapping_add(sent_before);
        text::compose(&mut self.text, serial, self.errand.size_bytes);
        Request::Message { token: token.expose(), text: self.text.as_bytes() }.encode(out);
        if left == 0 {
            Request::Exit.encode(out);
        }
        Step::Talking { token, left }
    }

    fn check_echo(&self, sender: &str, text: &str) -> Result<(), Mishap> {
        if !sender.is_empty() {
            let reason = format!("a message of another client came instead of the echo; {ECHO_WANTED}");
            return Err(Mishap::new("wrong_echo", reason));
        }
        if text != self.text {
            let (sent, came) = (self.text.len(), text.len());
            let reason = format!(
                "what came back ({came} bytes) is not the message that was sent ({sent} bytes); {ECHO_WANTED}"
            );
            return Err(Mishap::new("wrong_echo", reason));
        }
        Ok(())
    }

    fn enter(&mut self, step: Step, now: Moment) {
        self.step = step;
        self.since = now;
    }

    fn patience(&self, patience: &Patience) -> Duration {
        match self.step {
            Step::Connecting => patience.connect,
            Step::Talking { .. } => patience.echo,
            Step::Leaving | Step::Parting | Step::Content => patience.bye,
            _ => patience.login,
        }
    }

    fn awaited(&self) -> &'static str {
        match self.step {
            Step::Connecting => "before the connection was there",
            Step::Knocking { .. } => "where Hello was due",
            Step::Identifying { .. } => "where the answer to Identify was due",
            Step::Registering { .. } => "where the answer to Register was due",
            Step::LoggingIn { .. } => "where Welcome was due",
            Step::Talking { .. } => "where an echo was due",
            Step::Leaving => "where Bye was due",
            Step::Parting => "where the close after Bye was due",
            Step::Content => "after all that was wanted",
        }
    }
}

/// What an Error of the server's is counted as.
pub(super) fn refusal(number: u16, explanation: &str) -> Mishap {
    let explanation = explanation.escape_debug();
    match Code::from_number(number) {
        Some(Code::WrongPassword) => {
            let way_out = "somebody else owns this name there, or registration is closed";
            Mishap::new("WrongPassword", format!("error {number} WrongPassword: {explanation} ({way_out})"))
        }
        Some(code) => Mishap::new(code.to_string(), format!("error {number} {code}: {explanation}")),
        None => Mishap::new("unknown_error", format!("error {number}: {explanation}")),
    }
}

#[cfg(test)]
mod tests {
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
            let errand = Errand { name, purpose, messages, first_serial: 5, size_bytes: 20 };
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
    fn names(mut out: &[u8]) -> Vec<String> {
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
        assert_eq!(stage.connected(), ["Identify"]);
        assert!(stage.told(HELLO).unwrap().is_empty());
        assert_eq!(stage.told(Reply::PasswordWanted(Wanted::Register)).unwrap(), ["Register"]);
        assert_eq!(stage.told(Reply::PasswordWanted(Wanted::Login)).unwrap(), ["Login"]);
        assert_eq!(stage.told(WELCOME).unwrap(), ["Exit"]);
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
        assert!(mishap.reason.contains("--mode echo") && mishap.reason.contains("5s"), "{}", mishap.reason);
        let mut stage = Stage::new(Purpose::Talks, 1);
        assert_eq!(stage.visitor.overdue(&patience).kind, "connect_timeout");
        stage.connected();
        assert_eq!(stage.visitor.overdue(&patience).kind, "no_answer");
    }
}
