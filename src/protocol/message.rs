//! What the frames say: requests of the client, replies of the server.
//!
//! One definition serves both sides. Decoding borrows from the body and looks only at its structure; what
//! the server judges later, in the protocol's order (is the text UTF-8, is the token right), it finds as raw
//! bytes here.

use super::frame;
use crate::limits::{PASSWORD_BYTES, TOKEN_BYTES};
use std::fmt;
use thiserror::Error;

/// The version that Hello announces.
pub const VERSION: u8 = 1;

mod kind {
    pub(super) const IDENTIFY: u8 = 0x01;
    pub(super) const REGISTER: u8 = 0x02;
    pub(super) const LOGIN: u8 = 0x03;
    pub(super) const RESUME: u8 = 0x04;
    pub(super) const MESSAGE: u8 = 0x05;
    pub(super) const EXIT: u8 = 0x06;
    pub(super) const CHANGE_PASSWORD: u8 = 0x07;
    pub(super) const WHO: u8 = 0x08;
    pub(super) const HELLO: u8 = 0x81;
    pub(super) const PASSWORD_WANTED: u8 = 0x82;
    pub(super) const WELCOME: u8 = 0x83;
    pub(super) const FORWARDED: u8 = 0x84;
    pub(super) const BYE: u8 = 0x85;
    pub(super) const PASSWORD_CHANGED: u8 = 0x86;
    pub(super) const NAMES: u8 = 0x87;
    pub(super) const ERROR: u8 = 0x8F;
}

/// A body that is no message: what was expected, never what was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct Malformed(pub(crate) &'static str);

/// A frame from the client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Request<'a> {
    /// Who connects.
    Identify(&'a [u8]),
    /// The password chosen by a new user.
    Register(&'a [u8]),
    /// The password of a known user.
    Login(&'a [u8]),
    /// The token of a session whose connection was lost.
    Resume(&'a [u8; TOKEN_BYTES]),
    /// A text, under the session's token.
    Message {
        /// The session's token.
        token: &'a [u8; TOKEN_BYTES],
        /// The text, not yet known to be UTF-8.
        text: &'a [u8],
    },
    /// The end of the conversation.
    Exit,
    /// Another password for the session's user.
    ChangePassword {
        /// The session's token.
        token: &'a [u8; TOKEN_BYTES],
        /// The password so far, not yet known to be UTF-8.
        old: &'a [u8],
        /// The one that is to count from now on, not yet known to be UTF-8.
        new: &'a [u8],
    },
    /// Which names are online.
    Who {
        /// The session's token.
        token: &'a [u8; TOKEN_BYTES],
    },
}

impl<'a> Request<'a> {
    /// Whether a body's kind is Message, whatever else is in it.
    pub fn is_message(body: &[u8]) -> bool {
        body.first() == Some(&kind::MESSAGE)
    }

    /// Reads a frame's body.
    ///
    /// # Errors
    /// [`Malformed`] if the kind is unknown or the payload has not the kind's structure.
    pub fn decode(body: &'a [u8]) -> Result<Request<'a>, Malformed> {
        let (&kind, payload) = body.split_first().ok_or(Malformed("a frame without a kind"))?;
        match kind {
            kind::IDENTIFY => Ok(Request::Identify(payload)),
            kind::REGISTER => Ok(Request::Register(payload)),
            kind::LOGIN if payload.len() <= PASSWORD_BYTES => Ok(Request::Login(payload)),
            kind::LOGIN => Err(Malformed("Login with a password of more than 1024 bytes")),
            kind::RESUME => payload
                .try_into()
                .map(Request::Resume)
                .map_err(|_| Malformed("Resume takes a token of 16 bytes and nothing else")),
            kind::MESSAGE => payload
                .split_first_chunk()
                .map(|(token, text)| Request::Message { token, text })
                .ok_or(Malformed("Message takes a token of 16 bytes before its text")),
            kind::EXIT if payload.is_empty() => Ok(Request::Exit),
            kind::EXIT => Err(Malformed("Exit takes no payload")),
            kind::CHANGE_PASSWORD => change_password(payload),
            kind::WHO => payload
                .try_into()
                .map(|token| Request::Who { token })
                .map_err(|_| Malformed("Who takes a token of 16 bytes and nothing else")),
            _ => Err(Malformed("a frame of a kind that no client sends")),
        }
    }

    /// Appends the whole frame, header included. An old password has at most 1024 bytes, or no server takes it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Request::Identify(name) => frame::append(out, [kind::IDENTIFY], [name]),
            Request::Register(password) => frame::append(out, [kind::REGISTER], [password]),
            Request::Login(password) => frame::append(out, [kind::LOGIN], [password]),
            Request::Resume(token) => frame::append(out, [kind::RESUME], [token]),
            Request::Message { token, text } => frame::append(out, [kind::MESSAGE], [token, text]),
            Request::Exit => frame::append(out, [kind::EXIT], []),
            Request::ChangePassword { token, old, new } => {
                let old_bytes = u16::try_from(old.len()).unwrap_or(u16::MAX).to_be_bytes();
                frame::append(out, [kind::CHANGE_PASSWORD], [token, &old_bytes, old, new]);
            }
            Request::Who { token } => frame::append(out, [kind::WHO], [token]),
        }
    }

    /// The kind's name in the protocol's table.
    pub fn name(&self) -> &'static str {
        match self {
            Request::Identify(_) => "Identify",
            Request::Register(_) => "Register",
            Request::Login(_) => "Login",
            Request::Resume(_) => "Resume",
            Request::Message { .. } => "Message",
            Request::Exit => "Exit",
            Request::ChangePassword { .. } => "ChangePassword",
            Request::Who { .. } => "Who",
        }
    }
}

/// Only the kind: what a request carries is a secret, or somebody's words.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(..)", self.name())
    }
}

/// Which password the server waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Wanted {
    /// The name is unknown: choose a password and send Register.
    Register = 0,
    /// The name is known: send Login.
    Login = 1,
}

/// A frame from the server.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Reply<'a> {
    /// The server's first word.
    Hello {
        /// The protocol's version.
        version: u8,
        /// Who logged in last from this address; empty if nobody.
        last_name: &'a str,
    },
    /// The name was understood; a password is wanted.
    PasswordWanted(Wanted),
    /// The session's token, and a greeting.
    Welcome {
        /// The session's token.
        token: &'a [u8; TOKEN_BYTES],
        /// A greeting for a person.
        greeting: &'a str,
    },
    /// A text.
    Message {
        /// Who wrote it; empty if it was the server itself.
        sender: &'a str,
        /// The text.
        text: &'a str,
    },
    /// The last word before the server closes, with the reason.
    Bye(&'a str),
    /// The new password is stored, and counts from now on.
    PasswordChanged,
    /// Who is online.
    Names {
        /// How many names.
        online: u32,
        /// As many of them as fit the server's frame limit, each ended by a line feed, in the order of their bytes.
        names: &'a str,
    },
    /// A refusal.
    Error {
        /// The number of a [`Code`](super::Code), or one that this version does not know.
        code: u16,
        /// An explanation for a person.
        explanation: &'a str,
    },
}

impl<'a> Reply<'a> {
    /// Reads a frame's body.
    ///
    /// # Errors
    /// [`Malformed`] if the kind is unknown, the payload has not the kind's structure, or a text is not
    /// UTF-8.
    pub fn decode(body: &'a [u8]) -> Result<Reply<'a>, Malformed> {
        let (&kind, payload) = body.split_first().ok_or(Malformed("a frame without a kind"))?;
        match kind {
            kind::HELLO => {
                let (&version, name) = payload.split_first().ok_or(Malformed("Hello without a version"))?;
                Ok(Reply::Hello { version, last_name: text(name)? })
            }
            kind::PASSWORD_WANTED => match payload {
                [0] => Ok(Reply::PasswordWanted(Wanted::Register)),
                [1] => Ok(Reply::PasswordWanted(Wanted::Login)),
                _ => Err(Malformed("PasswordWanted takes one byte, 0 or 1")),
            },
            kind::WELCOME => {
                let (token, greeting) =
                    payload.split_first_chunk().ok_or(Malformed("Welcome without a token of 16 bytes"))?;
                Ok(Reply::Welcome { token, greeting: text(greeting)? })
            }
            kind::FORWARDED => {
                let (&length, rest) = payload.split_first().ok_or(Malformed("Message without a sender"))?;
                let (sender, words) = rest
                    .split_at_checked(usize::from(length))
                    .ok_or(Malformed("Message whose sender is cut short"))?;
                Ok(Reply::Message { sender: text(sender)?, text: text(words)? })
            }
            kind::BYE => Ok(Reply::Bye(text(payload)?)),
            kind::PASSWORD_CHANGED if payload.is_empty() => Ok(Reply::PasswordChanged),
            kind::PASSWORD_CHANGED => Err(Malformed("PasswordChanged takes no payload")),
            kind::NAMES => {
                let (online, names) =
                    payload.split_first_chunk().ok_or(Malformed("Names without a number"))?;
                if names.last().is_some_and(|last| *last != b'\n') {
                    return Err(Malformed("Names whose last is not ended by a line feed"));
                }
                Ok(Reply::Names { online: u32::from_be_bytes(*online), names: text(names)? })
            }
            kind::ERROR => {
                let (code, explanation) =
                    payload.split_first_chunk().ok_or(Malformed("Error without a code"))?;
                Ok(Reply::Error { code: u16::from_be_bytes(*code), explanation: text(explanation)? })
            }
            _ => Err(Malformed("a frame of a kind that no server sends")),
        }
    }

    /// Appends the whole frame, header included. A sender's name has at most 255 bytes; [names](crate::auth::Name)
    /// have fewer.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match *self {
            Reply::Hello { version, last_name } => {
                frame::append(out, [kind::HELLO, version], [last_name.as_bytes()]);
            }
            Reply::PasswordWanted(wanted) => frame::append(out, [kind::PASSWORD_WANTED, wanted as u8], []),
            Reply::Welcome { token, greeting } => {
                frame::append(out, [kind::WELCOME], [token, greeting.as_bytes()]);
            }
            Reply::Message { sender, text } => {
                debug_assert!(sender.len() <= usize::from(u8::MAX));
                let head = [kind::FORWARDED, sender.len() as u8];
                frame::append(out, head, [sender.as_bytes(), text.as_bytes()]);
            }
            Reply::Bye(reason) => frame::append(out, [kind::BYE], [reason.as_bytes()]),
            Reply::PasswordChanged => frame::append(out, [kind::PASSWORD_CHANGED], []),
            Reply::Names { online, names } => {
                frame::append(out, [kind::NAMES], [&online.to_be_bytes(), names.as_bytes()]);
            }
            Reply::Error { code, explanation } => {
                frame::append(out, [kind::ERROR], [&code.to_be_bytes(), explanation.as_bytes()]);
            }
        }
    }

    /// The kind's name in the protocol's table.
    pub fn name(&self) -> &'static str {
        match self {
            Reply::Hello { .. } => "Hello",
            Reply::PasswordWanted(_) => "PasswordWanted",
            Reply::Welcome { .. } => "Welcome",
            Reply::Message { .. } => "Message",
            Reply::Bye(_) => "Bye",
            Reply::PasswordChanged => "PasswordChanged",
            Reply::Names { .. } => "Names",
            Reply::Error { .. } => "Error",
        }
    }
}

/// Without the token and without anybody's words.
impl fmt::Debug for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Hello { version, .. } => write!(f, "Hello(version {version}, ..)"),
            Reply::PasswordWanted(wanted) => write!(f, "PasswordWanted({wanted:?})"),
            Reply::Error { code, explanation } => write!(f, "Error({code}, {explanation:?})"),
            Reply::PasswordChanged => f.write_str("PasswordChanged"),
            Reply::Names { online, .. } => write!(f, "Names(online {online}, ..)"),
            Reply::Welcome { .. } | Reply::Message { .. } | Reply::Bye(_) => write!(f, "{}(..)", self.name()),
        }
    }
}

fn change_password(payload: &[u8]) -> Result<Request<'_>, Malformed> {
    let parts = || {
        let (token, rest) = payload.split_first_chunk()?;
        let (old_bytes, rest) = rest.split_first_chunk()?;
        let (old, new) = rest.split_at_checked(u16::from_be_bytes(*old_bytes).into())?;
        Some((token, old, new))
    };
    match parts() {
        Some((_, old, _)) if old.len() > PASSWORD_BYTES => {
            Err(Malformed("ChangePassword with an old password of more than 1024 bytes"))
        }
        Some((token, old, new)) => Ok(Request::ChangePassword { token, old, new }),
        None => Err(Malformed(
            "ChangePassword takes a token of 16 bytes, the old password behind its length, and the new one",
        )),
    }
}

fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    std::str::from_utf8(bytes).map_err(|_| Malformed("text that is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::HEADER_BYTES;
    use proptest::prelude::*;

    fn encoded(request: Request<'_>) -> Vec<u8> {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        bytes
    }

    #[test]
    fn requests_come_back_as_they_were() {
        let token = [7; TOKEN_BYTES];
        let requests = [
            Request::Identify(b"ann"),
            Request::Register(b"open sesame"),
            Request::Login(&[]),
            Request::Resume(&token),
            Request::Message { token: &token, text: b"hi" },
            Request::Exit,
            Request::ChangePassword { token: &token, old: b"open sesame", new: b"close sesame" },
            Request::ChangePassword { token: &token, old: &[], new: &[] },
            Request::Who { token: &token },
        ];
        for request in requests {
            let bytes = encoded(request);
            assert!(Request::decode(&bytes[HEADER_BYTES..]) == Ok(request), "{request:?}");
        }
    }

    #[test]
    fn structure_is_checked_for_each_kind() {
        let long = [&[kind::LOGIN][..], &[b'x'; PASSWORD_BYTES + 1]].concat();
        let token = [7; TOKEN_BYTES];
        let change = |old_bytes: u16, rest: usize| {
            [&[kind::CHANGE_PASSWORD], &token[..], &old_bytes.to_be_bytes(), &vec![b'x'; rest]].concat()
        };
        let wrong: [&[u8]; 16] = [
            &[],
            &[0x00],
            &[0x09],
            &[kind::CHANGE_PASSWORD],
            &change(3, 2),
            &change(0, 0)[..TOKEN_BYTES + 2],
            &change(PASSWORD_BYTES as u16 + 1, PASSWORD_BYTES + 9),
            &change(u16::MAX, 60_000),
            &[kind::WHO],
            &[&[kind::WHO], &token[1..]].concat(),
            &[&[kind::WHO], &token[..], b"x"].concat(),
            &[kind::HELLO, 1],
            &[kind::EXIT, 0],
            &[kind::RESUME, 1, 2, 3],
            &[kind::MESSAGE, 1, 2, 3],
            &long,
        ];
        for body in wrong {
            assert!(Request::decode(body).is_err(), "{body:02x?}");
        }
        assert!(Request::decode(&long[..=PASSWORD_BYTES]).is_ok());
        // Whether a new password is too long is a matter of the rules.
        assert!(Request::decode(&change(PASSWORD_BYTES as u16, 5_000)).is_ok());
        let wrong: [&[u8]; 4] = [&[0x86, 0], &[0x87, 0, 0, 0], b"\x87\0\0\0\x01ann", b"\x87\0\0\0\x01\xff\n"];
        for body in wrong {
            assert!(Reply::decode(body).is_err(), "{body:02x?}");
        }
    }

    #[test]
    fn debug_output_carries_no_secret() {
        let token = [0x5a; TOKEN_BYTES];
        let shown = format!(
            "{:?}{:?}{:?}{:?}",
            Request::Login(b"hunter2hunter2"),
            Request::ChangePassword { token: &token, old: b"hunter2hunter2", new: b"hunter22" },
            Request::Message { token: &token, text: b"whisper" },
            Reply::Welcome { token: &token, greeting: "Hello, ann" },
        );
        for secret in ["hunter2", "whisper", "5a", "90"] {
            assert!(!shown.contains(secret), "{shown}");
        }
        let expected = "Login(..)ChangePassword(..)Message(..)Welcome(..)";
        assert_eq!(shown, expected);
    }

    proptest! {
        #[test]
        fn replies_come_back_as_they_were(sender in "\\PC{0,16}", words in "\\PC{0,64}", code: u16, token: [u8; 16]) {
            let replies = [
                Reply::Hello { version: VERSION, last_name: &sender },
                Reply::PasswordWanted(Wanted::Register),
                Reply::PasswordWanted(Wanted::Login),
                Reply::Welcome { token: &token, greeting: &words },
                Reply::Message { sender: &sender, text: &words },
                Reply::Bye(&words),
                Reply::PasswordChanged,
                Reply::Names { online: code.into(), names: "" },
                Reply::Names { online: code.into(), names: &format!("{sender}\n") },
                Reply::Error { code, explanation: &words },
            ];
            for reply in replies {
                let mut bytes = Vec::new();
                reply.encode(&mut bytes);
                prop_assert!(Reply::decode(&bytes[HEADER_BYTES..]) == Ok(reply));
            }
        }

        #[test]
        fn no_bytes_make_a_decoder_panic(body: Vec<u8>) {
            let _ = Request::decode(&body);
            let _ = Reply::decode(&body);
        }
    }
}
