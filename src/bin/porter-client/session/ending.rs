//! How a connection, and how the conversation ends.

use super::{Link, Session, now};
use crate::backoff::Backoff;
use crate::display::failed;
use crate::tally::losses;
use porter::cli::Failure;
use porter::client::ClientError;
use porter::editor::act_as_default;
use porter::limits::{COUNT_WAIT, LEAVE_WAIT, RECONNECT_GIVE_UP, RECONNECT_MOST};
use porter::protocol::{Code, Reply, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, read};
use rustix::stdio;
use std::io;
use std::os::fd::AsFd;

/// Why the loop ends.
pub(super) enum Stop {
    Done,
    Failed(Failure),
    /// Stdout fails.
    Output(io::Error),
    Signal(i32),
}

/// What goes wrong, or to its end, while replies are handled.
pub(super) enum Trouble {
    Server(ClientError),
    Stop(Stop),
}

impl Session {
    /// Ends the conversation, and the process by the signal if that was the reason.
    pub(super) fn end(mut self, stop: Stop) -> Result<(), Failure> {
        if self.prompter.is_asked() {
            self.display.leave_row(&mut self.editor, "");
        } else {
            self.display.erase_row();
        }
        if let Some(terminal) = &mut self.terminal {
            terminal.give_back();
        }
        let outcome = match stop {
            Stop::Done => Ok(()),
            Stop::Failed(failure) => Err(failure),
            Stop::Signal(signal) => {
                self.signals.begin_leaving();
                // What waits to be shown is shown as far as somebody reads.
                let _ = self.display.write();
                self.take_leave();
                act_as_default(signal);
                Ok(())
            }
            Stop::Output(error) => {
                self.signals.begin_leaving();
                self.ask_behind_texts();
                self.take_leave();
                let is_whole =
                    self.queue.len() == 0 && self.unconfirmed() == 0 && self.tally.complaint().is_none();
                match error.kind() {
                    // Whoever read has seen enough; no other program says so either then.
                    io::ErrorKind::BrokenPipe if is_whole => Ok(()),
                    io::ErrorKind::BrokenPipe => Err(Failure::silent()),
                    _ => Err(stdout_failed(&error)),
                }
            }
        };
        self.signals.begin_leaving();
        match self.display.finish() {
            // Whoever stopped reading has seen enough. But what a full disk did not take is lost.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                outcome.and(Err(stdout_failed(&error)))
            }
            _ => outcome,
        }
    }

    pub(super) fn end_or_retry(&mut self, trouble: Trouble) -> Result<(), Stop> {
        let error = match trouble {
            Trouble::Stop(stop) => return Err(stop),
            Trouble::Server(error) => error,
        };
        match error {
            ClientError::Bye(reason) if self.token.is_some() => Err(self.end_by_bye(&reason)),
            error if self.token.is_some() && self.is_passing(&error) => self.lost(&error),
            error if matches!(self.link, Link::Joining(..)) && self.is_passing(&error) => {
                self.ended_while_asked(error)
            }
            error => Err(Stop::Failed(failed(with_advice(&error)))),
        }
    }

    /// Whether the session may well be there after this; or, before there was one, the server.
    fn is_passing(&self, error: &ClientError) -> bool {
        match error {
            ClientError::Closed => true,
            ClientError::Io(error) => self.token.is_some() || error.kind() != io::ErrorKind::TimedOut,
            ClientError::Refused { .. } => match error.code() {
                Some(Code::TimedOut | Code::SlowConsumer) => true,
                Some(Code::Busy | Code::Throttled) => {
                    self.token.is_some() && !matches!(self.link, Link::Up(..))
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// The server has sent Bye: whether that was asked for, and all was sent before.
    fn end_by_bye(&mut self, reason: &str) -> Stop {
        let is_asked_for = self.exit_is_pushed
            && !self.receipts.is_last_who_due()
            && matches!(&self.link, Link::Up(connection, _) if connection.waiting_bytes() == 0);
        let unanswered = if is_asked_for { self.receipts.unanswered() } else { self.unconfirmed() };
        let (unsent, is_at_least) = if is_asked_for { (0, false) } else { self.count_unsent() };
        let who = if is_asked_for { "goodbye" } else { "the server ended the conversation" };
        if unsent + unanswered > 0 {
            return Stop::Failed(failed(format_args!(
                "{who}: {reason}{}",
                losses(unsent, is_at_least, unanswered)
            )));
        }
        if let Some(complaint) = self.tally.complaint().filter(|_| self.is_scripted()) {
            return Stop::Failed(failed(format_args!("{who}: {reason}; but {complaint}")));
        }
        if is_asked_for {
            self.display.notice(format_args!("{who}: {reason}"));
        } else {
            self.display.warn(format_args!("{who}: {reason}"));
        }
        Stop::Done
    }

    /// The connection is gone: takes back what it had not taken, and waits before the next try.
    fn lost(&mut self, error: &ClientError) -> Result<(), Stop> {
        let what = match (&self.link, error) {
            (Link::Up(..), ClientError::Closed) => "connection lost".to_owned(),
            (Link::Up(..), _) => format!("connection lost ({error})"),
            _ => format!("no connection ({error})"),
        };
        if let Link::Up(_, since) = self.link
            && now().saturating_duration_since(since) >= RECONNECT_MOST
        {
            self.backoff = Backoff::new();
        }
        self.queue.take_back();
        let since = *self.lost_since.get_or_insert(now());
        let must_give_up = self.is_scripted() && now().saturating_duration_since(since) >= RECONNECT_GIVE_UP;
        if self.is_ending || must_give_up {
            return Err(Stop::Failed(self.lost_for_good(error)));
        }
        let pause = self.backoff.pause(draw(), error.retry_after_seconds());
        self.display.warn(format_args!("{what}; trying again in {:.1} s", pause.as_secs_f64()));
        if self.receipts.connection_lost() {
            self.tally.may_have_lost = true;
            self.display.warn("what was sent last may not have arrived");
        }
        self.link = Link::Away(Some(now() + pause));
        Ok(())
    }

    pub(super) fn lost_for_good(&mut self, error: &ClientError) -> Failure {
        let (unsent, is_at_least) = self.count_unsent();
        let losses = losses(unsent, is_at_least, self.unconfirmed());
        failed(format_args!("the connection was lost before the server said goodbye ({error}){losses}"))
    }

    /// How many messages may not have been handled. A script is warned too if it cannot be known.
    fn unconfirmed(&self) -> usize {
        if self.is_scripted() { self.receipts.unconfirmed() } else { self.receipts.unanswered() }
    }

    /// How many messages are not sent, with what can still be read of a script's input, and whether there may be more.
    fn count_unsent(&mut self) -> (usize, bool) {
        if !self.is_scripted() {
            return (self.queue.len(), false);
        }
        let (until, mut count, mut is_at_end) = (now() + COUNT_WAIT, self.queue.len(), self.is_ending);
        while !is_at_end && now() < until {
            let mut ports = [PollFd::from_borrowed_fd(stdio::stdin(), PollFlags::IN)];
            if !poll(&mut ports, Some(&Timespec::default())).is_ok_and(|ready| ready > 0) {
                break;
            }
            match read(stdio::stdin(), &mut self.portion[..]) {
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break,
                Ok(0) | Err(_) => {
                    count += usize::from(self.lines.finish().is_some());
                    is_at_end = true;
                }
                Ok(bytes) => self.lines.feed(&self.portion[..bytes], |_| count += 1),
            }
        }
        (count, !is_at_end && count > 0)
    }

    /// Asks a script's last question, if that is not done: the answer shows that all before it was handled.
    fn ask_behind_texts(&mut self) {
        let is_due = self.is_scripted() && !self.exit_is_pushed;
        if let (true, Link::Up(connection, _), Some(token)) = (is_due, &mut self.link, &self.token) {
            connection.push(&Request::Who { token: token.expose() });
            self.receipts.last_who_asked();
        }
    }

    /// Says Exit, so that the session ends with this process, and waits a little for Bye: a connection that is closed
    /// while something of the server's is unread takes with it what the server has not read.
    fn take_leave(&mut self) {
        let (Link::Up(connection, _) | Link::Joining(connection, _)) = &mut self.link else { return };
        connection.push(&Request::Exit);
        connection.write();
        if self.token.is_none() {
            return;
        }
        let until = now() + LEAVE_WAIT;
        loop {
            loop {
                match connection.next_reply() {
                    Ok(Some(Reply::Bye(_))) | Err(_) => return,
                    Ok(Some(Reply::Message { sender: "", text })) => self.receipts.server_said(text),
                    Ok(Some(Reply::Names { .. })) => _ = self.receipts.who_answered(),
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                }
            }
            let flags = if connection.wants_write() { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
            let Ok(wait) = Timespec::try_from(until.saturating_duration_since(now())) else { return };
            if !connection.has_received() {
                let mut ports = [PollFd::from_borrowed_fd(connection.as_fd(), flags)];
                // A signal ends the process.
                let _ = poll(&mut ports, Some(&wait));
            }
            connection.write();
            if connection.read().is_err() || now() >= until {
                return;
            }
        }
    }
}

fn stdout_failed(error: &io::Error) -> Failure {
    failed(format_args!("cannot write to stdout: {error}"))
}

/// The reason, with the way out where the client knows one.
pub(super) fn with_advice(error: &ClientError) -> String {
    match (error.retry_after_seconds(), error.code()) {
        (Some(seconds), _) => format!("{error}; try again in {seconds} s"),
        (None, Some(Code::FrameTooLarge)) => format!("{error}; give the server's limit with --max-frame"),
        _ => error.to_string(),
    }
}

/// A uniform random number. Without a random source every pause is its longest.
fn draw() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Trouble {
        Trouble::Server(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Stop(Stop::Failed(failure))
    }
}

impl From<Stop> for Trouble {
    fn from(stop: Stop) -> Trouble {
        Trouble::Stop(stop)
    }
}
