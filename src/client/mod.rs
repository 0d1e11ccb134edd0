//! The client's end of the wire: a plain blocking [`Client`] for programs, and what a program with an event loop of its
//! own puts together: a [`Handshake`] that knows no socket and, with feature `client`, a [`Connection`] that never blocks.
//!
//! A program connects, says who it is, logs in, and sends and receives:
//!
//! ```no_run
//! use porter::client::{Client, ClientError};
//! use porter::protocol::Wanted;
//! use std::time::Duration;
//!
//! let mut client = Client::connect("127.0.0.1:9090", Duration::from_secs(5))?;
//! if client.identify("ann")? == Wanted::Register {
//!     client.register("open sesame")?;
//! }
//! println!("{}", client.login("open sesame")?);
//! client.send("hi")?;
//! println!("{}", client.receive()?.text);
//! println!("{}", client.exit()?);
//! # Ok::<(), ClientError>(())
//! ```
//!
//! This module must not know what a server does with what it receives; both sides share [`crate::protocol`] only.

#[cfg(feature = "client")]
mod attempt;
mod connecting;
#[cfg(feature = "client")]
mod connection;
mod error;
#[cfg(any(feature = "client", feature = "load"))]
mod flags;
mod handshake;
#[cfg(any(feature = "client", feature = "load"))]
mod protection;
#[cfg(feature = "tls")]
pub mod tls;
#[cfg(all(not(feature = "tls"), any(feature = "client", feature = "load")))]
mod unencrypted;

#[cfg(feature = "client")]
pub use attempt::ConnectAttempt;
use connecting::connected;
#[cfg(feature = "client")]
pub use connection::Connection;
pub use error::ClientError;
#[cfg(any(feature = "client", feature = "load"))]
pub use flags::ProtectionFlags;
pub use handshake::{Asked, Handshake, HandshakeError, Step};
#[cfg(any(feature = "client", feature = "load"))]
pub use protection::Protection;
#[cfg(feature = "load")]
pub(crate) use protection::failure;

use crate::auth::Token;
use crate::limits::{MAX_FRAME_BYTES_MOST, REPLY_EXTRA_BYTES};
use crate::protocol::{Code, FrameRead, Reply, Request, Wanted};
use std::collections::VecDeque;
use std::io::{BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;
use zeroize::Zeroizing;

/// The longest body of any legal server's.
const REPLY_BYTES_MOST: u32 = MAX_FRAME_BYTES_MOST + REPLY_EXTRA_BYTES;

/// A text that came from the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Who wrote it; empty if it was the server itself.
    pub sender: String,
    /// What was written. It may hold any characters: escape it before showing it on a terminal.
    pub text: String,
}

/// Who is online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OnlineNames {
    /// How many names.
    pub count: u32,
    /// As many of them as fit the server's frame limit, in the order of their bytes.
    pub names: Vec<String>,
}

/// One conversation with a server, in blocking calls: each waits for its answer.
///
/// Dropping it without [`exit`](Client::exit) leaves the session to be [resumed](Client::resume) for as long as the
/// server keeps it.
#[derive(Debug)]
pub struct Client<S = TcpStream> {
    stream: BufReader<S>,
    handshake: Handshake,
    last_name: String,
    token: Option<Token>,
    /// What came while something else was waited for.
    kept: VecDeque<Result<Message, ClientError>>,
}

impl Client {
    /// Connects to the first address of a host that answers, and waits for the server's Hello, each for at most `timeout`.
    ///
    /// Where the system can find out, a server that does not acknowledge what it was sent for 30 s, or is silent when the
    /// system asks for it, fails the connection; one that takes nothing for so long counts as such.
    ///
    /// # Errors
    /// [`ClientError::Io`] if no address answers, [`ClientError::Refused`] if the server is full, and those of
    /// [`over`](Client::over).
    pub fn connect(host: impl ToSocketAddrs, timeout: Duration) -> Result<Client, ClientError> {
        let stream = connected(host, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        let client = Client::over(stream)?;
        client.set_timeout(None)?;
        Ok(client)
    }

    /// How long each wait for the server may last; `None`, the default, is for ever. When one was too long the call
    /// gives [`ClientError::Io`], and the connection is of no more use.
    ///
    /// # Errors
    /// [`ClientError::Io`] for a timeout of zero.
    pub fn set_timeout(&self, timeout: Option<Duration>) -> Result<(), ClientError> {
        self.stream.get_ref().set_read_timeout(timeout)?;
        self.stream.get_ref().set_write_timeout(timeout)?;
        Ok(())
    }
}

impl<S: Read + Write> Client<S> {
    /// Leads the conversation over any stream, such as one inside TLS, and waits for the server's Hello.
    ///
    /// # Errors
    /// [`ClientError::Refused`] if the server is full, [`ClientError::Violation`] if it speaks another protocol or
    /// version, [`ClientError::Closed`] and [`ClientError::Io`].
    pub fn over(stream: S) -> Result<Client<S>, ClientError> {
        let mut client = Client {
            stream: BufReader::new(stream),
            handshake: Handshake::new(),
            last_name: String::new(),
            token: None,
            kept: VecDeque::new(),
        };
        client.last_name = client.completed(|step| match step {
            Step::Hello { last_name } => Some(last_name.to_owned()),
            _ => None,
        })?;
        Ok(client)
    }

    /// Who logged in last from this address, as the server's Hello said; empty if nobody.
    pub fn last_name(&self) -> &str {
        &self.last_name
    }

    /// The session's token, to [resume](Client::resume) it over another connection.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref()
    }

    /// Says who is there, and learns whether the name is to be registered or logged in.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with `BadName`, and what ends a connection.
    pub fn identify(&mut self, name: &str) -> Result<Wanted, ClientError> {
        self.request(&Request::Identify(name.as_bytes()))?;
        self.completed(password_wanted)
    }

    /// Registers the name with a new password; the [login](Client::login) is still to come.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with `WeakPassword`, `NameTaken` (the name is then to be logged in), `StorageFailed`,
    /// `Throttled` or `Busy`, and what ends a connection.
    pub fn register(&mut self, password: &str) -> Result<(), ClientError> {
        self.request(&Request::Register(password.as_bytes()))?;
        self.completed(password_wanted).map(drop)
    }

    /// Logs in and gives the server's greeting. The token that comes with it is kept for what follows.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with `WrongPassword`, `TooManyAttempts`, `Throttled` or `Busy`, and what ends a
    /// connection.
    pub fn login(&mut self, password: &str) -> Result<String, ClientError> {
        self.request(&Request::Login(password.as_bytes()))?;
        self.welcome()
    }

    /// Goes on with a session whose connection was lost, right after connecting, and gives the server's greeting. The
    /// session has a new token afterwards.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with `NoSuchSession`, and what ends a connection.
    pub fn resume(&mut self, token: &Token) -> Result<String, ClientError> {
        self.request(&Request::Resume(token.expose()))?;
        self.welcome()
    }

    /// Sends a text, of at most the server's frame limit less 17 bytes. Returns when the operating system has taken it.
    ///
    /// A server stops reading from those who do not read from it: whoever sends much also has to
    /// [receive](Client::receive).
    ///
    /// # Errors
    /// [`ClientError::NotLoggedIn`], and what ends a connection.
    pub fn send(&mut self, text: &str) -> Result<(), ClientError> {
        let token = self.token.clone().ok_or(ClientError::NotLoggedIn)?;
        self.request(&Request::Message { token: token.expose(), text: text.as_bytes() })
    }

    /// Waits for the next text.
    ///
    /// # Errors
    /// [`ClientError::Refused`] with what the server has against an earlier message (`NoSuchRecipient` leaves the
    /// conversation open), [`ClientError::Bye`] if it ends the conversation, and what ends a connection.
    pub fn receive(&mut self) -> Result<Message, ClientError> {
        if let Some(kept) = self.kept.pop_front() {
            return kept;
        }
        self.answer("Message", |reply| match reply {
            Reply::Message { sender, text } => {
                Some(Message { sender: sender.to_owned(), text: text.to_owned() })
            }
            _ => None,
        })
    }

    /// Asks who is online. Texts that come meanwhile are kept for [`receive`](Client::receive).
    ///
    /// # Errors
    /// [`ClientError::NotLoggedIn`], and what ends a connection.
    pub fn who(&mut self) -> Result<OnlineNames, ClientError> {
        let token = self.token.clone().ok_or(ClientError::NotLoggedIn)?;
        self.request(&Request::Who { token: token.expose() })?;
        self.answer_beside_texts("Names", |reply| match reply {
            Reply::Names { online, names } => {
                Some(OnlineNames { count: online, names: names.lines().map(str::to_owned).collect() })
            }
            _ => None,
        })
    }

    /// Changes the user's password, and returns when the new one is on the server's stable storage. Every other session
    /// of the user ends right after that: some may live a little longer, since many end in shares. Texts that come meanwhile are kept for [`receive`](Client::receive).
    ///
    /// # Errors
    /// [`ClientError::NotLoggedIn`]; [`ClientError::Refused`] with `WeakPassword` (the new one), `WrongPassword` (the old
    /// one) or `StorageFailed`, with which the old one stays, or with `TooManyAttempts`, `Throttled` or `Busy`; and what
    /// ends a connection. One that ends before the answer has come leaves it open which of the two counts.
    pub fn change_password(&mut self, old: &str, new: &str) -> Result<(), ClientError> {
        let token = self.token.clone().ok_or(ClientError::NotLoggedIn)?;
        let (old, new) = (old.as_bytes(), new.as_bytes());
        self.request(&Request::ChangePassword { token: token.expose(), old, new })?;
        self.answer_beside_texts("PasswordChanged", |reply| (reply == Reply::PasswordChanged).then_some(()))
    }

    /// Ends the session and gives the reason in the server's Bye. What else still arrives before it is dropped.
    ///
    /// # Errors
    /// What ends a connection before the Bye has come.
    pub fn exit(mut self) -> Result<String, ClientError> {
        self.request(&Request::Exit)?;
        loop {
            match self.receive() {
                Err(ClientError::Bye(reason)) => return Ok(reason),
                Err(ClientError::Refused { code, .. }) if code < 100 => {}
                Err(error) => return Err(error),
                Ok(_) => {}
            }
        }
    }

    fn welcome(&mut self) -> Result<String, ClientError> {
        let (token, greeting) = self.completed(|step| match step {
            Step::Welcome { token, greeting, .. } => Some((token, greeting.to_owned())),
            _ => None,
        })?;
        self.token = Some(token);
        Ok(greeting)
    }

    fn request(&mut self, request: &Request<'_>) -> Result<(), ClientError> {
        self.handshake.handle_request(request);
        // Wiped, since it may hold a password.
        let mut frame = Zeroizing::new(Vec::new());
        request.encode(&mut frame);
        Ok(self.stream.get_mut().write_all(&frame)?)
    }

    /// Waits until the server owes no answer more, and gives what came of it.
    fn completed<T>(&mut self, take: impl Fn(Step<'_>) -> Option<T>) -> Result<T, ClientError> {
        let mut outcome = None;
        loop {
            let body = self.stream.read_frame(REPLY_BYTES_MOST)?.ok_or(ClientError::Closed)?;
            let came = match self.handshake.handle_reply(Reply::decode(&body)?)? {
                Step::Refused { code, explanation, .. } => {
                    Err(ClientError::Refused { code, explanation: explanation.to_owned() })
                }
                step => take(step).ok_or_else(|| ClientError::unexpected("another answer", "this one")),
            };
            // A refusal stays one, whatever follows it.
            let came = outcome.filter(Result::is_err).unwrap_or(came);
            if !self.handshake.is_waiting() {
                return came;
            }
            outcome = Some(came);
        }
    }

    /// The next frame that is neither a text nor the refusal of an earlier one, if it is the one that is due.
    fn answer_beside_texts<T>(
        &mut self,
        due: &str,
        pick: impl Fn(Reply<'_>) -> Option<T>,
    ) -> Result<T, ClientError> {
        loop {
            let answer = self.answer(due, |reply| match reply {
                Reply::Message { sender, text } => {
                    Some(Err(Message { sender: sender.to_owned(), text: text.to_owned() }))
                }
                reply => pick(reply).map(Ok),
            });
            match answer {
                Ok(Ok(picked)) => return Ok(picked),
                Ok(Err(message)) => self.kept.push_back(Ok(message)),
                Err(error) if matches!(error.code(), Some(Code::NoSuchRecipient | Code::BadAddress)) => {
                    self.kept.push_back(Err(error));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The next frame, if it is the one that is due.
    fn answer<T>(&mut self, due: &str, pick: impl FnOnce(Reply<'_>) -> Option<T>) -> Result<T, ClientError> {
        let body = self.stream.read_frame(REPLY_BYTES_MOST)?.ok_or(ClientError::Closed)?;
        match Reply::decode(&body)? {
            Reply::Error { code, explanation } => {
                Err(ClientError::Refused { code, explanation: explanation.to_owned() })
            }
            Reply::Bye(reason) => Err(ClientError::Bye(reason.to_owned())),
            reply => pick(reply).ok_or_else(|| ClientError::unexpected(reply.name(), due)),
        }
    }
}

fn password_wanted(step: Step<'_>) -> Option<Wanted> {
    match step {
        Step::PasswordWanted(wanted) => Some(wanted),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
