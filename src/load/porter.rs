//! porter's own protocol as a [`Dialect`].

use super::SIZE_BYTES_MOST;
use super::dialect::{Dialect, Exchange, Farewell, LoginStep, Other, Role, User, text};
use super::error::{LoadError, garbled, refusal, refused_transport};
use crate::auth::Token;
use crate::client::{Asked, ClientError, Handshake, HandshakeError, Step};
use crate::limits::{HEADER_BYTES, MAX_FRAME_BYTES_MOST, REPLY_EXTRA_BYTES};
use crate::protocol::{Code, Reply, Request, VERSION, Wanted, body_length};

/// The password of every user that the load tester registers. No secret: such users belong on test servers only.
pub const PASSWORD: &str = "porter-load's own password";
/// No user's password.
const WRONG_PASSWORD: &str = "not porter-load's own password";

/// What clients come for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Task {
    /// To log in as users whom the server knows.
    LogIn,
    /// To be known: they may register, and wait for each answer.
    Introduce,
    /// For the answer to a wrong password, which the server never remembers and must hash.
    Guess,
    /// For Hello, and nothing else.
    Knock,
}

/// Clients that speak porter's protocol.
#[derive(Clone, Copy, Debug)]
pub struct Porter {
    pub(super) task: Task,
    /// Whether clients send what they can without waiting for the answer to what they sent before.
    pub pipelined: bool,
    /// The user that the client of a number is, of so many [users](Porter::users).
    pub name: fn(u64, u32) -> String,
    /// Users that the clients take turns to be.
    pub users: u32,
    /// Everybody's password.
    pub password: &'static str,
    /// In a chat, what each text begins with so that it comes back to its sender alone, or what whispers begin with; what
    /// others write passes by.
    pub address_words: Option<&'static str>,
}

/// A client's way in.
#[derive(Debug, Default)]
pub struct PorterLogin {
    handshake: Handshake,
    /// What it comes back with; without one it needs its password.
    token: Option<Token>,
}

impl PorterLogin {
    fn ask(&mut self, request: &Request<'_>, out: &mut Vec<u8>) {
        self.handshake.handle_request(request);
        request.encode(out);
    }
}

impl Porter {
    /// Clients that log in as `load-1` to `load-U`, in turn.
    pub fn new(users: u32, pipelined: bool) -> Porter {
        let name = |number, users: u32| format!("load-{}", number % u64::from(users.max(1)) + 1);
        Porter { task: Task::LogIn, pipelined, name, users, password: PASSWORD, address_words: None }
    }

    /// Clients in a chat; `load-0` is whispered to.
    pub(super) fn chatting(users: u32, pipelined: bool) -> Porter {
        let name = |number: u64, users: u32| {
            let user = number.checked_sub(1).map_or(0, |number| number % u64::from(users.max(1)) + 1);
            format!("load-{user}")
        };
        Porter { name, address_words: Some("@load-0 "), ..Porter::new(users, pipelined) }
    }

    /// Says who it is, by its token if it has one.
    fn identify(&self, login: &mut PorterLogin, name: &str, out: &mut Vec<u8>) {
        match login.token.clone() {
            Some(token) => login.ask(&Request::Resume(token.expose()), out),
            None => login.ask(&Request::Identify(name.as_bytes()), out),
        }
    }
}

impl Dialect for Porter {
    type Login = PorterLogin;

    fn name(&self, number: u64) -> String {
        (self.name)(number, self.users)
    }

    fn message_bytes(&self, bytes: &[u8]) -> Result<Option<usize>, LoadError> {
        let Some((header, rest)) = bytes.split_first_chunk() else { return Ok(None) };
        // A text comes back with its sender's name.
        let limit_bytes = MAX_FRAME_BYTES_MOST + REPLY_EXTRA_BYTES;
        let length = body_length(*header, limit_bytes).map_err(|bad| match ClientError::from(bad) {
            mismatch @ ClientError::Mismatch { .. } => refused_transport(&mismatch),
            _ => garbled(&bad),
        })?;
        Ok((rest.len() >= length).then_some(HEADER_BYTES + length))
    }

    fn connected(&self, login: &mut PorterLogin, user: &User<'_>, out: &mut Vec<u8>) -> LoginStep {
        login.handshake = Handshake::new();
        if self.task == Task::Knock {
            return LoginStep::Waiting;
        }
        if self.pipelined {
            let resumes = login.token.is_some();
            self.identify(login, user.name, out);
            if !resumes {
                login.ask(&Request::Login(self.password.as_bytes()), out);
            }
        }
        LoginStep::Asked
    }

    fn handle_answer(
        &self,
        login: &mut PorterLogin,
        user: &User<'_>,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<LoginStep, LoadError> {
        let reply = Reply::decode(&message[HEADER_BYTES..]).map_err(|error| garbled(&error))?;
        match login.handshake.handle_reply(reply).map_err(failed)? {
            Step::Hello { .. } if self.task == Task::Knock => return Ok(LoginStep::Done),
            Step::Hello { .. } if !self.pipelined => {
                self.identify(login, user.name, out);
                return Ok(LoginStep::Asked);
            }
            Step::Hello { .. } => {}
            Step::PasswordWanted(Wanted::Register) if self.task == Task::Introduce => {
                login.ask(&Request::Register(self.password.as_bytes()), out);
            }
            Step::PasswordWanted(Wanted::Register) => {
                let reason = format!("the server does not know {} any more", user.name);
                return Err(LoadError::new("unknown_user", reason));
            }
            Step::PasswordWanted(Wanted::Login) if !self.pipelined => {
                let password = if self.task == Task::Guess { WRONG_PASSWORD } else { self.password };
                login.ask(&Request::Login(password.as_bytes()), out);
            }
            Step::PasswordWanted(Wanted::Login) => {}
            Step::Refused { asked: Asked::Login, code, .. }
                if self.task == Task::Guess && code == Code::WrongPassword.number() =>
            {
                return Ok(LoginStep::Done);
            }
            Step::Refused { code, explanation, .. } => return Err(refusal(code, explanation)),
            Step::Welcome { token, .. } => {
                login.token = Some(token);
                return Ok(LoginStep::Inside);
            }
        }
        Ok(LoginStep::Waiting)
    }

    fn awaited(&self, login: &PorterLogin) -> &'static str {
        login.handshake.awaited()
    }

    fn exchange(&self, login: &PorterLogin, user: &User<'_>, size_bytes: usize) -> Exchange {
        let words = match user.role {
            Some(Role::Writer) => "",
            _ => self.address_words.unwrap_or_default(),
        };
        // A whisper has room for whom it is to.
        let size_bytes = size_bytes.min(SIZE_BYTES_MOST - words.len());
        let text = words.to_owned() + &text(user.number, size_bytes);
        let sender = if self.address_words.is_some() { user.name } else { "" };
        let (mut request, mut answer) = (Vec::new(), Vec::new());
        if let Some(token) = &login.token {
            Request::Message { token: token.expose(), text: text.as_bytes() }.encode(&mut request);
        }
        Reply::Message { sender, text: &text }.encode(&mut answer);
        Exchange::new(request, answer, size_bytes, 0)
    }

    fn handle_other(&self, _: &mut PorterLogin, message: &[u8]) -> Result<Other, LoadError> {
        match Reply::decode(&message[HEADER_BYTES..]).map_err(|error| garbled(&error))? {
            Reply::Error { code, explanation } => Err(refusal(code, explanation)),
            Reply::Bye(reason) => Ok(Other::Bye(reason.to_owned())),
            Reply::Message { .. } if self.address_words.is_some() => Ok(Other::Aside),
            Reply::Message { .. } => Ok(Other::Answer),
            reply => {
                Err(LoadError::new("unexpected_reply", format!("{} came within the session", reply.name())))
            }
        }
    }

    fn farewell(&self) -> Option<Farewell> {
        let (bytes, is_along) = (b"\0\0\0\x01\x06".as_slice(), self.pipelined);
        (self.task != Task::Knock).then_some(Farewell { bytes, is_along, is_answered: true })
    }

    fn greets(&self) -> bool {
        true
    }

    fn advice(&self) -> &'static str {
        match self.address_words {
            None => "the server must run with `--mode echo`",
            Some(_) => "the server must run with `--mode chat --chat-rate 0`",
        }
    }
}

/// What a login is counted as that came to nothing.
fn failed(error: HandshakeError) -> LoadError {
    match error {
        HandshakeError::Refused { code, explanation } => refusal(code, &explanation),
        HandshakeError::Bye(reason) => LoadError::sent_away(&reason),
        HandshakeError::WrongVersion(version) => LoadError::new(
            "wrong_version",
            format!("the server speaks version {version} of the protocol, not {VERSION}"),
        ),
        unexpected @ HandshakeError::Unexpected { .. } => {
            LoadError::new("unexpected_reply", unexpected.to_string())
        }
    }
}
