//! The conversation between a person, or a pipe, and a server: one loop that waits on both at once.
//!
//! A connection that breaks is made again, with growing pauses, and the session is resumed. This module must not know
//! how questions are asked or shown, nor what bytes travel.

mod backoff;
mod connection;
mod hearing;
mod input;
mod login;
mod meeting;
mod password_file;
mod terminal;
mod waiting;

pub use self::password_file::{password_from_file, password_from_text};

use self::backoff::Backoff;
use self::connection::Connection;
use self::hearing::{Trouble, hear, with_advice};
use self::input::{Line, Lines};
use self::login::{Dialogue, Next};
use self::meeting::{greeting_due, met, now};
use self::terminal::{Person, failed, notice};
use self::waiting::Waiting;
use super::{ClientError, Protection};
use crate::auth::Token;
use crate::cli::Failure;
use crate::limits::{RECONNECT_MOST, TYPED_WAITING_BYTES};
use crate::protocol::{Code, Request};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::AsFd;
use std::time::Instant;
use zeroize::Zeroizing;

/// Bytes of one read of the input.
const READ_BYTES: usize = 64 * 1024;
/// Frames are made of typed texts only up to this many bytes ahead of what the connection takes.
const HANDED_BYTES: usize = 16 * 1024;

/// With whom to talk, and as whom.
pub struct Settings {
    /// The server's name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection is encrypted, and whom to trust then.
    pub protection: Protection,
    /// The person's name at the server; asked for on a terminal if it is not given.
    pub name: Option<String>,
    /// Their password; asked for on a terminal if it is not given.
    pub password: Option<Zeroizing<String>>,
}

/// Leads a conversation on this process's stdin, stdout and stderr until either side ends it.
///
/// # Errors
/// [`Failure`] if something is missing that nobody can be asked for (wrong usage), if the server cannot be reached or
/// refuses, and if the connection is lost for good.
pub fn converse(settings: Settings) -> Result<(), Failure> {
    let person = Person::new(settings.name, settings.password)?;
    let Settings { host, port, protection, .. } = settings;
    let connection = met(&host, port, &protection, &person)?;
    let mut talk = Talk {
        silent_until: greeting_due(&connection),
        host,
        port,
        protection,
        person,
        link: Link::Joining(connection, Dialogue::fresh()),
        token: None,
        backoff: Backoff::new(),
        waiting: Waiting::default(),
        lines: Lines::default(),
        portion: vec![0; READ_BYTES],
        is_ending: false,
        exit_is_pushed: false,
        has_sent: false,
    };
    loop {
        match talk.turn() {
            Ok(()) => {}
            Err(Stop::Done) => return Ok(()),
            Err(Stop::Failed(failure)) => return Err(failure),
        }
    }
}

/// Why the loop ends.
enum Stop {
    Done,
    Failed(Failure),
}

/// How the server is reached at the moment.
enum Link {
    /// Not at all; to be tried again at this time.
    Away(Instant),
    /// Connected, not yet in a session.
    Joining(Connection, Dialogue),
    /// In a session, since this time.
    Up(Connection, Instant),
}

struct Talk {
    host: String,
    port: u16,
    protection: Protection,
    /// Until when a server's silence is nothing to speak of; `None` once it has spoken or that was said.
    silent_until: Option<Instant>,
    person: Person,
    link: Link,
    /// The session's; kept while the connection is lost. Without one, a lost connection is the end.
    token: Option<Token>,
    backoff: Backoff,
    waiting: Waiting,
    lines: Lines,
    portion: Vec<u8>,
    /// The input has ended, or said `exit`.
    is_ending: bool,
    exit_is_pushed: bool,
    /// A text was sent on the connection at hand.
    has_sent: bool,
}

impl Talk {
    fn turn(&mut self) -> Result<(), Stop> {
        self.send();
        let (input_is_ready, connection_is_ready) = self.wait().map_err(Stop::Failed)?;
        if input_is_ready {
            self.read_input();
        }
        if matches!(self.link, Link::Joining(..)) && self.silent_until.is_some_and(|until| until <= now()) {
            self.silent_until = None;
            notice("the server has said nothing yet; if it speaks TLS, use --tls");
        }
        if connection_is_ready && let Err(trouble) = self.read_connection() {
            self.end_or_retry(trouble)?;
        }
        match self.link {
            Link::Up(..) => Ok(()),
            // Nobody is left to wait for the server's return.
            _ if self.is_ending => Err(Stop::Failed(self.lost_for_good(&ClientError::Closed))),
            Link::Away(again) if again <= now() => self.connect_again(),
            _ => Ok(()),
        }
    }

    /// Hands what was typed to the connection, as far as it takes it.
    fn send(&mut self) {
        let (connection, token) = match (&mut self.link, &self.token) {
            (Link::Up(connection, _), Some(token)) => (connection, token.expose()),
            (Link::Joining(connection, _), _) => return connection.write(),
            _ => return,
        };
        loop {
            while connection.waiting_bytes() < HANDED_BYTES
                && self
                    .waiting
                    .hand_over(|text| connection.push(&Request::Message { token, text: text.as_bytes() }))
            {
            }
            if self.is_ending && self.waiting.is_handed_over() && !self.exit_is_pushed {
                connection.push(&Request::Exit);
                self.exit_is_pushed = true;
            }
            connection.write();
            while let Some(text) = self.waiting.sent(connection.written()) {
                self.has_sent = true;
                notice(format_args!("sent {} bytes", text.len()));
            }
            if connection.waiting_bytes() > 0 || self.waiting.is_handed_over() {
                return;
            }
        }
    }

    /// Waits until the input or the connection is ready, or it is time to connect again.
    fn wait(&self) -> Result<(bool, bool), Failure> {
        let (stdin, mut has_received) = (io::stdin(), false);
        let mut ports = Vec::with_capacity(2);
        if self.wants_input() {
            ports.push(PollFd::new(&stdin, PollFlags::IN));
        }
        let inputs = ports.len();
        if let Link::Joining(connection, _) | Link::Up(connection, _) = &self.link {
            let writable = if connection.wants_write() { PollFlags::OUT } else { PollFlags::empty() };
            ports.push(PollFd::from_borrowed_fd(connection.as_fd(), PollFlags::IN | writable));
            has_received = connection.has_received();
        }
        let timeout = if has_received { Some(Timespec::default()) } else { self.patience() };
        match poll(&mut ports, timeout.as_ref()) {
            Ok(_) => {
                let is_ready = |port: &PollFd<'_>| port.revents().intersects(!PollFlags::OUT);
                Ok((
                    ports[..inputs].iter().any(is_ready),
                    has_received || ports[inputs..].iter().any(is_ready),
                ))
            }
            Err(Errno::INTR) => Ok((false, false)),
            Err(error) => Err(failed(format_args!("cannot wait for the input and the server: {error}"))),
        }
    }

    fn patience(&self) -> Option<Timespec> {
        let due = match self.link {
            Link::Away(again) => Some(again),
            Link::Joining(..) => self.silent_until,
            Link::Up(..) => None,
        };
        Timespec::try_from(due?.saturating_duration_since(now())).ok()
    }

    /// While the server does not take what was typed, what is still to be read waits where it is. Before the first
    /// login the input belongs to the questions.
    fn wants_input(&self) -> bool {
        let handed = match &self.link {
            Link::Up(connection, _) => connection.waiting_bytes(),
            _ => 0,
        };
        self.token.is_some() && !self.is_ending && self.waiting.typed_bytes() + handed <= TYPED_WAITING_BYTES
    }

    fn read_input(&mut self) {
        let (waiting, is_ending) = (&mut self.waiting, &mut self.is_ending);
        let mut take = |line| match line {
            _ if *is_ending => {}
            Line::Text(text) if text == "exit" => *is_ending = true,
            Line::Text(text) => waiting.push(text),
            Line::Mended(text) => {
                notice("this line was not UTF-8; what could not be read is replaced");
                waiting.push(text);
            }
            Line::TooLong => notice("a line was longer than any server takes and is not sent"),
        };
        match rustix::io::read(io::stdin(), &mut self.portion) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            // A terminal that is gone is as good as the end.
            Ok(0) | Err(_) => {
                self.lines.finish().map(&mut take);
                self.is_ending = true;
            }
            Ok(count) => self.lines.feed(&self.portion[..count], take),
        }
    }

    /// Handles what the server said.
    fn read_connection(&mut self) -> Result<(), Trouble> {
        match &mut self.link {
            Link::Away(_) => return Ok(()),
            Link::Joining(connection, _) | Link::Up(connection, _) => connection.read()?,
        }
        loop {
            match &mut self.link {
                Link::Up(connection, _) => match connection.next_reply()? {
                    Some(reply) => hear(reply)?,
                    None => return Ok(()),
                },
                Link::Joining(connection, dialogue) => {
                    let Some(reply) = connection.next_reply()? else { return Ok(()) };
                    self.silent_until = None;
                    let next = dialogue.handle(reply)?;
                    self.answer(next)?;
                }
                Link::Away(_) => return Ok(()),
            }
        }
    }

    /// Does what the dialogue before a session needs.
    fn answer(&mut self, next: Next) -> Result<(), Trouble> {
        let Link::Joining(connection, dialogue) = &mut self.link else { return Ok(()) };
        let person = &mut self.person;
        match next {
            Next::Reply => {}
            Next::Resume(token) => _ = connection.push(&Request::Resume(token.expose())),
            Next::Identify => _ = connection.push(&Request::Identify(person.settled_name().as_bytes())),
            Next::Name { likely, refusal } => {
                let name = person.name(likely.as_ref(), refusal.as_deref())?;
                connection.push(&Request::Identify(name.as_bytes()));
            }
            Next::NewPassword { refusal } => {
                let password = person.new_password(refusal.as_deref())?;
                dialogue.registers(&password);
                connection.push(&Request::Register(password.as_bytes()));
            }
            Next::Password { refusal } => {
                let password = person.password(refusal.as_deref())?;
                connection.push(&Request::Login(password.as_bytes()));
            }
            Next::Login(password) => _ = connection.push(&Request::Login(password.as_bytes())),
            Next::Welcome { token, greeting, resumed } => {
                self.token = Some(token);
                notice(if resumed { "resumed" } else { &greeting });
                self.be_up();
            }
        }
        Ok(())
    }

    fn be_up(&mut self) {
        let link = std::mem::replace(&mut self.link, Link::Away(now()));
        if let Link::Joining(connection, _) = link {
            self.link = Link::Up(connection, now());
        }
    }

    fn end_or_retry(&mut self, trouble: Trouble) -> Result<(), Stop> {
        match trouble {
            Trouble::Output(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                self.leave();
                Err(Stop::Done)
            }
            Trouble::Output(error) => {
                Err(Stop::Failed(failed(format_args!("cannot write to stdout: {error}"))))
            }
            Trouble::Person(failure) => Err(Stop::Failed(failure)),
            Trouble::Server(ClientError::Bye(reason)) if self.token.is_some() => {
                let who = if self.exit_is_pushed { "goodbye" } else { "the server ended the conversation" };
                notice(format_args!("{who}: {reason}"));
                Err(Stop::Done)
            }
            Trouble::Server(error) if self.token.is_some() && self.is_passing(&error) => self.lost(&error),
            Trouble::Server(error) => Err(Stop::Failed(failed(with_advice(&error)))),
        }
    }

    /// Nobody reads what the server says any more: says Exit, if that can be done at once.
    fn leave(&mut self) {
        if let Link::Up(connection, _) = &mut self.link {
            connection.push(&Request::Exit);
            connection.write();
        }
    }

    /// Whether the session may well be there after this.
    fn is_passing(&self, error: &ClientError) -> bool {
        match error {
            ClientError::Closed | ClientError::Io(_) => true,
            ClientError::Refused { .. } => match error.code() {
                Some(Code::TimedOut | Code::SlowConsumer) => true,
                Some(Code::Busy | Code::Throttled) => !matches!(self.link, Link::Up(..)),
                _ => false,
            },
            _ => false,
        }
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
        self.waiting.take_back();
        if self.is_ending {
            return Err(Stop::Failed(self.lost_for_good(error)));
        }
        let pause = self.backoff.pause(draw(), error.retry_after_seconds());
        notice(format_args!("{what}; trying again in {:.1} s", pause.as_secs_f64()));
        if std::mem::take(&mut self.has_sent) {
            notice("what was sent last may not have arrived");
        }
        self.link = Link::Away(now() + pause);
        Ok(())
    }

    fn lost_for_good(&self, error: &ClientError) -> Failure {
        let unsent = match self.waiting.len() {
            0 => String::new(),
            1 => "; 1 message was not sent".to_owned(),
            count => format!("; {count} messages were not sent"),
        };
        failed(format_args!("the connection was lost before the server said goodbye ({error}){unsent}"))
    }

    fn connect_again(&mut self) -> Result<(), Stop> {
        let Some(token) = self.token.clone() else { return Ok(()) };
        match Connection::open(&self.host, self.port, &self.protection) {
            Ok(connection) => {
                self.silent_until = greeting_due(&connection);
                self.person.is_met_again();
                self.link = Link::Joining(connection, Dialogue::returning(token));
                Ok(())
            }
            Err(error) if self.is_passing(&error) => self.lost(&error),
            Err(error) => Err(Stop::Failed(failed(error))),
        }
    }
}

/// A uniform random number. Without a random source every pause is its longest.
fn draw() -> u32 {
    getrandom::u32().unwrap_or(u32::MAX)
}
