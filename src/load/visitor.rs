//! One virtual client, from its first word to the server's last: which frame it sends when, what it expects back,
//! and what it measures on the way.
//!
//! This module must not know sockets or the clock: replies and times are handed in, requests are appended to a
//! buffer, and whoever drives it does the rest.

use super::mishap::{ECHO_WANTED, Mishap, refusal};
use super::stats::Latencies;
use super::{Patience, text};
use crate::Moment;
use crate::auth::Token;
use crate::protocol::{Code, Reply, Request, VERSION, Wanted};
use std::time::Duration;

/// The password of every user that the load tester registers. No secret: such users belong on test servers only.
pub const PASSWORD: &str = "porter-load's own password";

/// No user's password.
const WRONG_PASSWORD: &str = "not porter-load's own password";

/// What a client comes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be known: it may register its user, and waits for each answer.
    Introduces,
    /// To talk.
    Talks,
    /// For the answer to a wrong password, which the server never remembers and must hash.
    Guesses,
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
    /// Whether it sends what it can without waiting for the answer to what it sent before.
    pub(super) pipelined: bool,
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

    /// The connection is there: who does not wait for Hello says who it is.
    pub(super) fn handle_connected(&mut self, now: Moment, out: &mut Vec<u8>, latencies: &mut Latencies) {
        latencies.connect.record(now.since(self.since));
        if self.errand.purpose == Purpose::Talks && self.errand.pipelined {
            Request::Identify(self.errand.name.as_bytes()).encode(out);
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
            (Step::LoggingIn { identified }, Reply::Error { code, .. })
                if self.errand.purpose == Purpose::Guesses && *code == Code::WrongPassword.number() =>
            {
                latencies.login.record(now.since(*identified));
                Step::Content
            }
            (_, Reply::Error { code, explanation }) => return Err(refusal(*code, explanation)),
            (Step::Knocking { .. }, Reply::Hello { version: VERSION, .. })
                if self.errand.purpose == Purpose::Knocks =>
            {
                Step::Content
            }
            (Step::Knocking { identified }, Reply::Hello { version: VERSION, .. }) => {
                let identified = if self.errand.pipelined { *identified } else { now };
                if !self.errand.pipelined {
                    Request::Identify(self.errand.name.as_bytes()).encode(out);
                }
                Step::Identifying { identified }
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
                if !self.errand.pipelined {
                    let guesses = self.errand.purpose == Purpose::Guesses;
                    let password = if guesses { WRONG_PASSWORD } else { PASSWORD };
                    Request::Login(password.as_bytes()).encode(out);
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
            (_, reply) => return Err(self.unexpected(reply)),
        };
        self.enter(next, now);
        Ok(())
    }

    /// It goes without what it waited for, which counts with the time waited: a message's echo always, a connection or a
    /// login only if it was not `refused`.
    pub(super) fn give_up(&self, now: Moment, refused: bool, latencies: &mut Latencies) {
        let (latency, since) = match self.step {
            Step::Talking { .. } => (&mut latencies.message, self.since),
            Step::Connecting if !refused => (&mut latencies.connect, self.since),
            Step::Identifying { identified } | Step::LoggingIn { identified } if !refused => {
                (&mut latencies.login, identified)
            }
            Step::Knocking { identified } if !refused && self.errand.purpose == Purpose::Talks => {
                (&mut latencies.login, identified)
            }
            _ => return,
        };
        latency.record_unfinished(now.since(since));
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

    /// Sends the next of `left` messages, and gives the step that follows. Exit goes along with the last of them, unless it
    /// is to wait for the echo: that saves a way there and back.
    fn talk(&mut self, token: Token, left: u32, out: &mut Vec<u8>) -> Step {
        let Some(left) = left.checked_sub(1) else {
            if self.errand.messages == 0 || !self.errand.pipelined {
                Request::Exit.encode(out);
            }
            return Step::Leaving;
        };
        let sent_before = u64::from(self.errand.messages - left - 1);
        let serial = self.errand.first_serial.wrapping_add(sent_before);
        text::compose(&mut self.text, serial, self.errand.size_bytes);
        Request::Message { token: token.expose(), text: self.text.as_bytes() }.encode(out);
        if left == 0 && self.errand.pipelined {
            Request::Exit.encode(out);
        }
        Step::Talking { token, left }
    }

    /// What a reply is counted as that does not belong where it came.
    fn unexpected(&self, reply: &Reply<'_>) -> Mishap {
        if let Reply::Bye(reason) = reply {
            let reason = format!("the server said Bye {}: {}", self.awaited(), reason.escape_debug());
            return Mishap::new("sent_away", reason);
        }
        Mishap::new("unexpected_reply", format!("{} came {}", reply.name(), self.awaited()))
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

#[cfg(test)]
pub(super) mod tests;
