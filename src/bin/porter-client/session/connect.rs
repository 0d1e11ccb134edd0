//! The way into a session: connecting, and answering the server's questions, if need be by asking a prompter.

use super::ending::{Stop, Trouble};
use super::{GREETING_TIMEOUT, Link, Session, now};
use crate::display::failed;
use crate::login::{Dialogue, Next};
use crate::prompter::Answer;
use porter::cli::Failure;
use porter::client::{ClientError, ConnectAttempt};
use porter::protocol::Request;
use porter::text::without_number;
use std::io;
use zeroize::Zeroizing;

impl Session {
    /// Begins to connect.
    pub(super) fn open(&mut self) -> Result<(), Stop> {
        let attempt = ConnectAttempt::begin(&self.host, self.port, &self.protection)
            .map_err(|error| Stop::Failed(failed(format_args!("cannot begin to connect: {error}"))))?;
        self.link = Link::Connecting(attempt);
        self.wanted = None;
        self.has_asked = false;
        self.quiet_since = now();
        Ok(())
    }

    /// The try to connect is over.
    pub(super) fn opened(&mut self) -> Result<(), Trouble> {
        let Link::Connecting(attempt) = &self.link else { return Ok(()) };
        match attempt.outcome() {
            Ok((connection, warning)) => {
                if let Some(warning) = warning {
                    self.display.warn(format_args!("warning: {warning}"));
                }
                self.greeting_due = connection.is_plain().then(|| now() + GREETING_TIMEOUT);
                self.prompter.is_met_again();
                let dialogue = match &self.token {
                    Some(token) => Dialogue::returning(token.clone()),
                    None => Dialogue::fresh(),
                };
                self.link = Link::Joining(connection, dialogue);
                self.quiet_since = now();
                Ok(())
            }
            Err(ClientError::UnknownServer { server, fingerprint, key }) if self.is_edited => {
                // By the time that somebody has answered the server may have given up: it is met anew.
                self.link = Link::Away(None);
                self.prompter.ask_trust(server, &fingerprint, key, &mut self.display);
                self.put_question();
                Ok(())
            }
            Err(ClientError::Io(error)) if self.token.is_none() => {
                let (host, port) = (&self.host, self.port);
                let advice = match error.kind() {
                    io::ErrorKind::ConnectionRefused => "; is the server running?",
                    _ => "",
                };
                let reason = without_number(&error);
                Err(failed(format_args!("cannot connect to {host}, port {port}: {reason}{advice}")).into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Does what the dialogue before a session needs, or asks the person for it.
    pub(super) fn answer(&mut self, next: Next) -> Result<(), Trouble> {
        let Link::Joining(connection, dialogue) = &mut self.link else { return Ok(()) };
        let (prompter, display) = (&mut self.prompter, &mut self.display);
        self.quiet_since = now();
        let mut send = |dialogue: &mut Dialogue, request: &Request<'_>| {
            dialogue.handle_request(request);
            connection.push(request);
        };
        match next {
            Next::Reply => {}
            Next::Resume(token) => send(dialogue, &Request::Resume(token.expose())),
            Next::Identify => send(dialogue, &Request::Identify(prompter.settled_name().as_bytes())),
            Next::Login(password) => send(dialogue, &Request::Login(password.as_bytes())),
            Next::Name { likely, refusal } => {
                match prompter.name(likely.clone(), refusal.as_deref(), display)? {
                    Some(name) => send(dialogue, &Request::Identify(name.as_bytes())),
                    None => self.want(Next::Name { likely, refusal: None }),
                }
            }
            Next::NewPassword { refusal } => match prompter.password(true, refusal.as_deref(), display)? {
                Some(password) => {
                    dialogue.registers(&password);
                    send(dialogue, &Request::Register(password.as_bytes()));
                }
                None => self.want(Next::NewPassword { refusal: None }),
            },
            Next::Password { refusal } => match prompter.password(false, refusal.as_deref(), display)? {
                Some(password) => send(dialogue, &Request::Login(password.as_bytes())),
                None => self.want(Next::Password { refusal: None }),
            },
            Next::Welcome { token, greeting, resumed } => {
                self.token = Some(token);
                if resumed {
                    self.display.warn("resumed");
                } else {
                    self.display.notice(&greeting);
                }
                self.be_up();
            }
        }
        Ok(())
    }

    fn want(&mut self, next: Next) {
        self.wanted = Some(next);
        self.has_asked = true;
        self.put_question();
    }

    fn put_question(&mut self) {
        if let Some((prompt, is_hidden)) = self.prompter.prompt() {
            self.editor.begin_question(&prompt, is_hidden);
            if let Some(terminal) = &mut self.terminal {
                terminal.take_keys();
            }
        }
    }

    /// Takes what was typed for an answer; `None` is a line that was too long.
    ///
    /// # Errors
    /// [`Failure`] if that is the end, and what the way on gives.
    pub(super) fn answered(&mut self, line: Option<Zeroizing<String>>) -> Result<(), Trouble> {
        match self.prompter.answer(line, &mut self.display)? {
            Answer::NotYet => {
                self.put_question();
                return Ok(());
            }
            Answer::Known => {}
            Answer::Trusted { server, key } => {
                self.protection.remember(&server, &key).map_err(failed)?;
            }
        }
        self.questions_are_over();
        self.quiet_since = now();
        match (self.wanted.take(), &self.link) {
            (Some(next), Link::Joining(..)) => self.answer(next),
            // The server did not wait for the answer: it is given on another connection.
            (_, Link::Away(None)) => self.open().map_err(Trouble::from),
            _ => Ok(()),
        }
    }

    pub(super) fn questions_are_over(&mut self) {
        self.editor.end_question();
        if let Some(terminal) = self.terminal.as_mut().filter(|_| !self.is_edited) {
            terminal.give_back();
        }
    }

    fn be_up(&mut self) {
        self.prompter.is_in();
        self.lost_since = None;
        if let Some(terminal) = self.terminal.as_mut().filter(|_| self.is_edited) {
            terminal.take_keys();
        }
        let link = std::mem::replace(&mut self.link, Link::Away(None));
        if let Link::Joining(connection, _) = link {
            self.link = Link::Up(connection, now());
        }
        if let Some(message) = self.message.take() {
            self.take_text(message);
            self.is_ending = true;
        }
    }

    /// A connection that ended before there was a session. If somebody was asked on it, that took the time that the
    /// server gives for a login: their answers are given on another one, as soon as they are there.
    pub(super) fn ended_while_asked(&mut self, error: ClientError) -> Result<(), Stop> {
        if !self.has_asked {
            return Err(Stop::Failed(self.refused_for_good(&error)));
        }
        self.wanted = None;
        if self.prompter.is_asked() {
            self.link = Link::Away(None);
            return Ok(());
        }
        self.open()
    }

    fn refused_for_good(&self, error: &ClientError) -> Failure {
        failed(super::ending::with_advice(error))
    }
}
