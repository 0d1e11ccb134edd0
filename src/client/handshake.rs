//! The client's side of a login, without a socket: what each request is answered by, in which order.
//!
//! Requests may go out before the answers to those before them, and before Hello: the server answers in order. Whoever
//! uses it decides what to send and sends it. It must not know sockets, clocks, nor where names and passwords come from.
//!
//! ```
//! use porter::client::{Asked, Handshake, Step};
//! use porter::protocol::{Reply, Request, Wanted};
//!
//! let mut handshake = Handshake::new();
//! // Both frames may travel together, before the server has said anything.
//! for request in [Request::Identify(b"ann"), Request::Login(b"open sesame")] {
//!     handshake.handle_request(&request);
//! }
//! let hello = Reply::Hello { version: 1, last_name: "" };
//! assert!(matches!(handshake.handle_reply(hello), Ok(Step::Hello { last_name: "" })));
//! let known = Reply::PasswordWanted(Wanted::Login);
//! assert!(matches!(handshake.handle_reply(known), Ok(Step::PasswordWanted(Wanted::Login))));
//! let wrong = Reply::Error { code: 4, explanation: "2 attempts left" };
//! assert!(matches!(handshake.handle_reply(wrong), Ok(Step::Refused { asked: Asked::Login, code: 4, .. })));
//! assert!(!handshake.is_waiting());
//! ```

use super::ClientError;
use crate::auth::Token;
use crate::protocol::{Code, Reply, Request, VERSION, Wanted};
use std::collections::VecDeque;
use thiserror::Error;

/// A request on the way to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Identify.
    Identify,
    /// Register.
    Register,
    /// Login.
    Login,
    /// Resume.
    Resume,
}

/// One answer that the server owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    Hello,
    Answer(Asked),
    /// PasswordWanted after NameTaken.
    NameOfAnother,
}

/// What a reply comes to.
#[derive(Debug)]
pub enum Step<'a> {
    /// The server speaks this protocol and version.
    Hello {
        /// Who logged in last from this address; empty if nobody.
        last_name: &'a str,
    },
    /// The name is to be registered or logged in.
    PasswordWanted(Wanted),
    /// A request came to nothing, with a code below 100: the conversation goes on.
    Refused {
        /// The request.
        asked: Asked,
        /// The number of a [`Code`], or one that this version does not know.
        code: u16,
        /// The server's explanation.
        explanation: &'a str,
    },
    /// There is a session: the handshake is over.
    Welcome {
        /// The session's token.
        token: Token,
        /// A greeting for a person.
        greeting: &'a str,
        /// Whether it is the session that was lost.
        resumed: bool,
    },
}

/// What ends a handshake without a session.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// The server refused, and closes.
    #[error("error {code}: {explanation}")]
    Refused {
        /// The number of a [`Code`], or one that this version does not know.
        code: u16,
        /// The server's explanation. It may hold any characters: escape it before showing it on a terminal.
        explanation: String,
    },
    /// The server ended the conversation, with this reason.
    #[error("the server ended the conversation: {0}")]
    Bye(String),
    /// The server speaks this version of the protocol, which is not [`VERSION`].
    #[error("it speaks version {0} of the protocol, this client version {VERSION}")]
    WrongVersion(u8),
    /// A reply that was not due.
    #[error("{got} where {due} was due")]
    Unexpected {
        /// Its kind.
        got: &'static str,
        /// The kind that was due.
        due: &'static str,
    },
}

impl From<HandshakeError> for ClientError {
    fn from(error: HandshakeError) -> ClientError {
        match error {
            HandshakeError::Refused { code, explanation } => ClientError::Refused { code, explanation },
            HandshakeError::Bye(reason) => ClientError::Bye(reason),
            violation => ClientError::Violation(violation.to_string()),
        }
    }
}

/// One client's way from the connection to its session.
#[derive(Clone, Debug)]
pub struct Handshake {
    /// In the order in which the answers come.
    due: VecDeque<Due>,
}

impl Default for Handshake {
    fn default() -> Handshake {
        Handshake::new()
    }
}

impl Handshake {
    /// The connection is there, and Hello is due.
    pub fn new() -> Handshake {
        Handshake { due: VecDeque::from([Due::Hello]) }
    }

    /// A request goes out: its answer is due. Other requests than those of a login change nothing.
    pub fn handle_request(&mut self, request: &Request<'_>) {
        let asked = match request {
            Request::Identify(_) => Asked::Identify,
            Request::Register(_) => Asked::Register,
            Request::Login(_) => Asked::Login,
            Request::Resume(_) => Asked::Resume,
            _ => return,
        };
        self.due.push_back(Due::Answer(asked));
    }

    /// What a reply comes to.
    ///
    /// # Errors
    /// [`HandshakeError`] for what ends the conversation: a refusal from code 100 on, a Bye, a reply that was not due.
    pub fn handle_reply<'a>(&mut self, reply: Reply<'a>) -> Result<Step<'a>, HandshakeError> {
        let step = match (self.due.front().copied(), reply) {
            (_, Reply::Bye(reason)) => return Err(HandshakeError::Bye(reason.to_owned())),
            (Some(Due::Answer(asked)), Reply::Error { code, explanation })
                if code < Code::Malformed.number() =>
            {
                Step::Refused { asked, code, explanation }
            }
            (_, Reply::Error { code, explanation }) => {
                return Err(HandshakeError::Refused { code, explanation: explanation.to_owned() });
            }
            (Some(Due::Hello), Reply::Hello { version: VERSION, last_name }) => Step::Hello { last_name },
            (Some(Due::Hello), Reply::Hello { version, .. }) => {
                return Err(HandshakeError::WrongVersion(version));
            }
            (
                Some(Due::Answer(Asked::Identify | Asked::Register) | Due::NameOfAnother),
                Reply::PasswordWanted(wanted),
            ) => Step::PasswordWanted(wanted),
            (
                Some(Due::Answer(asked @ (Asked::Login | Asked::Resume))),
                Reply::Welcome { token, greeting },
            ) => Step::Welcome { token: Token::new(*token), greeting, resumed: asked == Asked::Resume },
            (_, reply) => {
                return Err(HandshakeError::Unexpected { got: reply.name(), due: self.awaited() });
            }
        };
        self.due.pop_front();
        if matches!(step, Step::Refused { code, .. } if code == Code::NameTaken.number()) {
            self.due.push_front(Due::NameOfAnother);
        }
        Ok(step)
    }

    /// Whether the server owes an answer.
    pub fn is_waiting(&self) -> bool {
        !self.due.is_empty()
    }

    /// Whether the answer that is due may take as long as a password hash.
    pub fn needs_hash(&self) -> bool {
        matches!(self.due.front(), Some(Due::Answer(Asked::Register | Asked::Login)))
    }

    /// The kind of reply that is due.
    pub fn awaited(&self) -> &'static str {
        match self.due.front() {
            Some(Due::Hello) => "Hello",
            Some(Due::Answer(Asked::Identify | Asked::Register) | Due::NameOfAnother) => "PasswordWanted",
            Some(Due::Answer(Asked::Login | Asked::Resume)) => "Welcome",
            None => "nothing",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: Reply<'_> = Reply::Hello { version: VERSION, last_name: "ann" };
    const WELCOME: Reply<'_> = Reply::Welcome { token: &[7; 16], greeting: "Hello, ann" };

    fn error(code: Code) -> Reply<'static> {
        Reply::Error { code: code.number(), explanation: "no" }
    }

    fn after(requests: &[Request<'_>]) -> Handshake {
        let mut handshake = Handshake::new();
        requests.iter().for_each(|request| handshake.handle_request(request));
        handshake
    }

    #[test]
    fn answers_come_in_the_order_of_what_was_sent_though_all_went_out_at_once() {
        let mut handshake = after(&[Request::Identify(b"ann"), Request::Login(b"open sesame")]);
        let mut awaited = vec![handshake.awaited()];
        for reply in [HELLO, Reply::PasswordWanted(Wanted::Login)] {
            handshake.handle_reply(reply).unwrap();
            awaited.push(handshake.awaited());
        }
        assert!(handshake.needs_hash());
        let Ok(Step::Welcome { token, .. }) = handshake.handle_reply(WELCOME) else { panic!() };
        assert!(token.matches(&[7; 16]) && !handshake.is_waiting());
        assert_eq!(awaited, ["Hello", "PasswordWanted", "Welcome"]);
    }

    #[test]
    fn a_refusal_says_of_what_and_leaves_the_rest_due() {
        let mut handshake = after(&[Request::Resume(&[3; 16]), Request::Identify(b"ann")]);
        handshake.handle_reply(HELLO).unwrap();
        let step = handshake.handle_reply(error(Code::NoSuchSession));
        assert!(matches!(step, Ok(Step::Refused { asked: Asked::Resume, code: 6, .. })), "{step:?}");
        assert_eq!(handshake.awaited(), "PasswordWanted");
    }

    #[test]
    fn after_a_taken_name_a_password_wanted_is_still_due() {
        let mut handshake = after(&[Request::Register(b"open sesame")]);
        handshake.handle_reply(HELLO).unwrap();
        handshake.handle_reply(error(Code::NameTaken)).unwrap();
        assert_eq!((handshake.is_waiting(), handshake.awaited()), (true, "PasswordWanted"));
        handshake.handle_reply(Reply::PasswordWanted(Wanted::Login)).unwrap();
        assert!(!handshake.is_waiting());
    }

    #[test]
    fn what_ends_a_conversation_is_an_error() {
        let ends = |requests: &[Request<'_>], replies: &[Reply<'_>]| {
            let mut handshake = after(requests);
            let outcomes = replies.iter().map(|reply| handshake.handle_reply(*reply).map(drop));
            outcomes.last().unwrap().unwrap_err()
        };
        let identify = [Request::Identify(b"ann")];
        let later = Reply::Hello { version: 2, last_name: "" };
        assert_eq!(ends(&identify, &[later]), HandshakeError::WrongVersion(2));
        assert_eq!(ends(&identify, &[HELLO, Reply::Bye("full")]), HandshakeError::Bye("full".into()));
        for replies in [&[WELCOME][..], &[HELLO, WELCOME], &[HELLO, HELLO]] {
            assert!(matches!(ends(&identify, replies), HandshakeError::Unexpected { .. }));
        }
        assert!(matches!(ends(&identify, &[error(Code::Busy)]), HandshakeError::Refused { code: 106, .. }));
        // Nothing was asked, so nothing can have been refused.
        let unasked = ends(&[], &[HELLO, error(Code::WrongPassword)]);
        assert!(matches!(unasked, HandshakeError::Refused { code: 4, .. }));
    }
}
