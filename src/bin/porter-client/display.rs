//! What is shown, and where.
//!
//! Replies go to stdout, notices and warnings to stderr. What others wrote is escaped here and nowhere else. On the
//! terminal at which somebody types, whatever is shown appears above the row in which they do. Nothing here waits for
//! whoever reads. This module must not know the protocol.

use crate::output::Output;
use porter::auth::Name;
use porter::cli::Failure;
use porter::editor::{Editor, Row};
use porter::limits::{LAST_WORDS_WAIT, SHOWN_WAITING_BYTES};
use porter::text::{escaped, escaped_but_tabs};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio;
use rustix::termios::isatty;
use std::fmt::Display as Text;
use std::io;
use std::os::fd::OwnedFd;

/// What makes a terminal show less brightly what follows, and what ends that.
const DIM: &str = "\x1b[2m";
const NOT_DIM: &str = "\x1b[22m";

/// How much is shown beside the replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Lengths and notices where stderr is a terminal, so that scripts see replies and what goes wrong.
    #[default]
    WhereSeen,
    /// No lengths and no notices: replies and what goes wrong.
    Quiet,
    /// Lengths and notices wherever they go.
    Verbose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Channel {
    Stdout,
    Stderr,
    /// The session's terminal, when neither of the others is one.
    Session,
}

pub(crate) struct Display {
    stdout: Output,
    stderr: Output,
    session: Option<Output>,
    /// Which of stdout and stderr are terminals.
    seen: (bool, bool),
    last: Channel,
    row: Row,
    shows_notices: bool,
    /// Lines that a stderr which nobody reads did not take.
    left_out: usize,
    stdout_error: Option<io::Error>,
}

impl Display {
    pub(crate) fn new(detail: Detail) -> Display {
        let seen = (isatty(stdio::stdout()), isatty(stdio::stderr()));
        Display {
            stdout: Output::inherited(stdio::stdout()),
            stderr: Output::inherited(stdio::stderr()),
            session: None,
            seen,
            last: Channel::Stdout,
            row: Row::default(),
            shows_notices: detail == Detail::Verbose || detail == Detail::WhereSeen && seen.1,
            left_out: 0,
            stdout_error: None,
        }
    }

    /// Whether stdout or stderr is a terminal.
    pub(crate) fn is_seen(&self) -> bool {
        self.seen.0 || self.seen.1
    }

    /// Where to ask if neither is.
    pub(crate) fn ask_at(&mut self, terminal: OwnedFd) {
        self.session = Some(Output::owned(terminal));
    }

    /// Shows a line of the conversation on stdout.
    pub(crate) fn show(&mut self, sender: &str, text: &str) {
        let sender = if sender.is_empty() { "server" } else { sender };
        self.line(Channel::Stdout, format_args!("{}: {}", escaped(sender), escaped_but_tabs(text)));
    }

    /// Answers a command, on stdout.
    pub(crate) fn answer(&mut self, text: &str) {
        self.line(Channel::Stdout, escaped(text));
    }

    /// Tells, on stderr, what is nice to know.
    pub(crate) fn notice(&mut self, text: impl Text) {
        if self.shows_notices {
            self.warn(text);
        }
    }

    /// Tells, on stderr, that a text has gone or come; to a person dimly, since they read the texts, and for whom it was.
    pub(crate) fn receipt(&mut self, what: &str, bytes: usize, to: Option<&Name>) {
        if !self.seen.1 {
            self.notice(format_args!("{what} {bytes} bytes"));
        } else if self.shows_notices && self.has_room() {
            let to = to.map_or(String::new(), |name| format!(" for {name}"));
            let text = format!("{what} {bytes} bytes{to}");
            self.line(Channel::Stderr, format_args!("{DIM}{}{NOT_DIM}", escaped(&text)));
        }
    }

    /// Tells, on stderr, what goes wrong.
    pub(crate) fn warn(&mut self, text: impl Text) {
        let text = text.to_string();
        if self.has_room() {
            self.line(Channel::Stderr, escaped(&text));
        }
    }

    /// Whether stderr is read; if not, what is left out is counted.
    fn has_room(&mut self) -> bool {
        let has_room = self.stderr.len() <= SHOWN_WAITING_BYTES;
        self.left_out += usize::from(!has_room);
        has_room
    }

    /// Draws the row in which somebody types, if it is not there as it should be.
    pub(crate) fn draw(&mut self, editor: &mut Editor, columns: usize) {
        if self.is_crowded() {
            return;
        }
        if let Some(row) = self.row.draw(editor, columns) {
            self.push(self.screen(), &row);
        }
    }

    /// What was typed is entered: it stays where it is, and what comes next comes below.
    pub(crate) fn leave_row(&mut self, editor: &mut Editor, entered: &str) {
        let row = self.row.leave(editor, entered) + "\n";
        self.push(self.screen(), &row);
    }

    /// Takes the row away.
    pub(crate) fn erase_row(&mut self) {
        let erased = self.row.erase();
        if !erased.is_empty() {
            self.push(self.screen(), erased);
        }
    }

    /// Whether more waits to be shown than should; then no more is to be taken from the server.
    pub(crate) fn is_crowded(&self) -> bool {
        self.stdout.len() > SHOWN_WAITING_BYTES
    }

    /// Writes what can be written without waiting.
    ///
    /// # Errors
    /// What stdout gives, once.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        if self.left_out > 0 && self.stderr.len() == 0 {
            let text = format!("{} lines are left out here: nobody read them", self.left_out);
            self.left_out = 0;
            self.warn(text);
        }
        for channel in [Channel::Stderr, Channel::Stdout, Channel::Session] {
            self.write_channel(channel);
        }
        self.stdout_error.take().map_or(Ok(()), Err)
    }

    /// What to wait for until more can be written.
    pub(crate) fn ports(&self) -> impl Iterator<Item = PollFd<'_>> {
        let outputs = [Some(&self.stdout), Some(&self.stderr), self.session.as_ref()];
        let full = outputs.into_iter().flatten().filter(|output| output.len() > 0);
        full.map(|output| PollFd::new(output, PollFlags::OUT))
    }

    /// Writes what waits: to stdout all of it, however long that takes, and to stderr what is taken soon.
    ///
    /// # Errors
    /// What stdout gives.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        let last_wait = Timespec::try_from(LAST_WORDS_WAIT).unwrap_or_default();
        let mut outcome = Ok(());
        loop {
            outcome = outcome.and(self.write());
            let timeout = if self.stdout.len() > 0 { None } else { Some(&last_wait) };
            let mut ports: Vec<_> = self.ports().collect();
            if ports.is_empty() || poll(&mut ports, timeout).is_ok_and(|count| count == 0) {
                return outcome;
            }
        }
    }

    /// Where the row is.
    fn screen(&self) -> Channel {
        match self.seen {
            (true, _) => Channel::Stdout,
            (false, true) => Channel::Stderr,
            (false, false) => Channel::Session,
        }
    }

    fn line(&mut self, channel: Channel, text: impl Text) {
        // On one terminal all that is shown goes one way, or it would come in another order than it was shown in.
        let channel = if self.seen == (true, true) { Channel::Stdout } else { channel };
        if channel == self.screen() {
            self.erase_row();
        }
        self.push(channel, &format!("{text}\n"));
    }

    fn push(&mut self, channel: Channel, text: &str) {
        // Two streams may be one file or pipe: what was shown first is to be first there.
        if self.last != channel {
            self.write_channel(self.last);
            self.last = channel;
        }
        if let Some(output) = self.output(channel) {
            output.push(text);
        }
    }

    fn write_channel(&mut self, channel: Channel) {
        let outcome = self.output(channel).map_or(Ok(()), Output::write);
        // With stderr gone there is nobody left to warn.
        if let (Channel::Stdout, Err(error)) = (channel, outcome) {
            self.stdout_error.get_or_insert(error);
        }
    }

    fn output(&mut self, channel: Channel) -> Option<&mut Output> {
        match channel {
            Channel::Stdout => Some(&mut self.stdout),
            Channel::Stderr => Some(&mut self.stderr),
            Channel::Session => self.session.as_mut(),
        }
    }
}

/// The end of the program, for a reason that may hold the server's words.
pub(crate) fn failed(reason: impl Text) -> Failure {
    Failure::failed(escaped(&reason.to_string()))
}
