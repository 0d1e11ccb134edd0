//! `--change-password`: a visit that changes the user's own password, and has no conversation.

use crate::display::failed;
use crate::password_file::password_from_file;
use crate::question::{ask, say};
use porter::auth::Token;
use porter::cli::{Failure, given_or_asked};
use porter::client::{ClientError, ConnectAttempt, Connection, Handshake, Protection, Step};
use porter::protocol::{Reply, Request, Wanted};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, IsTerminal};
use std::path::Path;
use zeroize::Zeroizing;

/// How long the server may be silent: its hashes may have to wait.
const ANSWER_TIMEOUT: Timespec = Timespec { tv_sec: 120, tv_nsec: 0 };

/// Whose password is changed, and where.
pub(crate) struct Account {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) protection: Protection,
    pub(crate) name: Option<String>,
    /// The old one, if it is not to be asked for.
    pub(crate) password: Option<Zeroizing<String>>,
}

/// Asks for what is not given before it connects, since a login is not waited for for ever.
///
/// # Errors
/// [`Failure`], with which the old password counts, unless it says that that is not known.
pub(crate) fn run(account: Account) -> Result<(), Failure> {
    let Account { host, port, protection, name, password } = account;
    let name = given_or_asked(name, "Name", "", |text| match text {
        "" => Err("whose password? give --name".to_owned()),
        text => Ok(text.to_owned()),
    })?;
    let old = match password {
        Some(given) => given,
        None => ask(&format!("Password for {name}: "))?,
    };
    let new = new_password(&name)?;
    let attempt = ConnectAttempt::begin(&host, port, &protection)
        .map_err(|error| failed(format_args!("cannot begin to connect: {error}")))?;
    let (connection, warning) = attempt.outcome().map_err(failed)?;
    if let Some(warning) = warning {
        say(&format!("warning: {warning}\n"));
    }
    let mut visit = Visit { connection, handshake: Handshake::new(), is_asked: false };
    let outcome = visit.change(&name, &old, &new);
    visit.leave();
    outcome?;
    say("the password is changed; other sessions end\n");
    Ok(())
}

/// Typed twice, or the next line of an input that is no terminal.
fn new_password(name: &str) -> Result<Zeroizing<String>, Failure> {
    if !io::stdin().is_terminal() {
        let line = password_from_file(Path::new("-"))?;
        return line.ok_or_else(|| Failure::usage("the new password is the next line of the input"));
    }
    loop {
        let first = ask(&format!("New password for {name}: "))?;
        if *ask("The same password again: ")? == *first {
            return Ok(first);
        }
        say("these are two different passwords\n");
    }
}

struct Visit {
    connection: Connection,
    handshake: Handshake,
    /// The new password was sent.
    is_asked: bool,
}

/// What a reply comes to.
enum Came {
    Hello,
    LoginWanted,
    Welcome(Token),
    Changed,
    Nothing,
}

impl Visit {
    fn change(&mut self, name: &str, old: &str, new: &str) -> Result<(), Failure> {
        loop {
            match self.next()? {
                Came::Hello => self.send(&Request::Identify(name.as_bytes())),
                Came::LoginWanted => self.send(&Request::Login(old.as_bytes())),
                Came::Welcome(token) => {
                    self.is_asked = true;
                    let (old, new) = (old.as_bytes(), new.as_bytes());
                    self.send(&Request::ChangePassword { token: token.expose(), old, new });
                }
                Came::Changed => return Ok(()),
                Came::Nothing => {}
            }
        }
    }

    /// Ends the session, if there is one: it would wait for somebody who does not come back. How the conversation ends
    /// changes nothing any more.
    fn leave(&mut self) {
        if self.is_asked {
            self.send(&Request::Exit);
            while self.next().is_ok() {}
        }
    }

    fn send(&mut self, request: &Request<'_>) {
        self.handshake.handle_request(request);
        self.connection.push(request);
        self.connection.write();
    }

    /// Waits for the next reply.
    fn next(&mut self) -> Result<Came, Failure> {
        let is_asked = self.is_asked;
        let lost = |reason: &dyn std::fmt::Display| match is_asked {
            true => failed(format_args!("{reason}; whether the password is changed is not known")),
            false => failed(format_args!("{reason}; the password is not changed")),
        };
        loop {
            if let Some(reply) = self.connection.next_reply().map_err(|error| lost(&error))? {
                return match is_asked {
                    true => answer(reply).map_err(failed),
                    false => step(&mut self.handshake, reply).map_err(failed),
                };
            }
            self.connection.write();
            let writing = if self.connection.wants_write() { PollFlags::OUT } else { PollFlags::empty() };
            let mut ready = [PollFd::new(&self.connection, PollFlags::IN | writing)];
            if !self.connection.has_received() && poll(&mut ready, Some(&ANSWER_TIMEOUT)) == Ok(0) {
                return Err(lost(&"the server has not answered for 120 s"));
            }
            self.connection.read().map_err(|error| lost(&error))?;
        }
    }
}

/// On the way to the session.
fn step(handshake: &mut Handshake, reply: Reply<'_>) -> Result<Came, ClientError> {
    Ok(match handshake.handle_reply(reply)? {
        Step::Hello { .. } => Came::Hello,
        Step::PasswordWanted(Wanted::Login) => Came::LoginWanted,
        Step::PasswordWanted(Wanted::Register) => {
            let explanation = "there is no such user".to_owned();
            return Err(ClientError::Refused { code: 4, explanation });
        }
        Step::Welcome { token, .. } => Came::Welcome(token),
        Step::Refused { code, explanation, .. } => {
            return Err(ClientError::Refused { code, explanation: explanation.to_owned() });
        }
    })
}

/// In the session. What others say meanwhile is not for somebody who only changes a password.
fn answer(reply: Reply<'_>) -> Result<Came, ClientError> {
    match reply {
        Reply::PasswordChanged => Ok(Came::Changed),
        Reply::Error { code, explanation } => {
            Err(ClientError::Refused { code, explanation: explanation.to_owned() })
        }
        Reply::Bye(reason) => Err(ClientError::Bye(reason.to_owned())),
        _ => Ok(Came::Nothing),
    }
}
