//! The conversation between a person, or a pipe, and a server: one loop that waits for both at once, for signals, and
//! for whoever reads what is shown.
//!
//! A connection that breaks is made again, with growing pauses, and the session is resumed. This module must not know
//! how questions are asked or shown, nor what bytes travel.

mod connect;
mod ending;
mod receiving;
mod sending;

use self::ending::{Stop, Trouble};
use crate::backoff::Backoff;
use crate::display::{Detail, Display, failed};
use crate::input::Lines;
use crate::login::{Dialogue, Next};
use crate::output::session_terminal;
use crate::prompter::Prompter;
use crate::receipts::Receipts;
use crate::send_queue::SendQueue;
use crate::signals::{Asked, Signals};
use crate::tally::Tally;
use porter::auth::Token;
use porter::cli::Failure;
use porter::client::{ClientError, ConnectAttempt, Connection, Protection};
use porter::editor::{Editor, Terminal, act_as_default};
use porter::limits::{ANSWER_WAIT, HASH_ANSWER_WAIT, OPENING_WAIT, TYPED_LINE_BYTES};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::stdio;
use signal_hook::consts::SIGTSTP;
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Bytes of one read of the input.
const READ_BYTES: usize = 64 * 1024;
/// How long a server may be silent before the person is warned of what may be the matter.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);

/// Which server to connect to, and as whom.
pub(crate) struct Settings {
    /// The server's name or address.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// Whether the connection is encrypted, and whom to trust then.
    pub(crate) protection: Protection,
    /// The person's name at the server; asked for on a terminal if it is not given.
    pub(crate) name: Option<String>,
    /// Their password; asked for on a terminal if it is not given.
    pub(crate) password: Option<Zeroizing<String>>,
    /// All that is to be sent, instead of the input.
    pub(crate) message: Option<String>,
    /// The longest frame body that the server takes: a longer line is refused here.
    pub(crate) max_frame_bytes: u32,
    /// How much is shown beside the replies.
    pub(crate) detail: Detail,
}

/// Leads a conversation on this process's stdin, stdout and stderr until either side ends it.
///
/// At SIGINT, SIGTERM, SIGHUP and SIGQUIT Exit is sent, and the process ends by that signal.
///
/// # Errors
/// [`Failure`] if something is missing that nobody can be asked for (wrong usage), if the server cannot be reached or
/// refuses, if the connection is lost for good, and if not everything that was to be sent is known to be: at any Bye
/// that was not asked for, and where the input is no terminal also if the server refused a message.
pub(crate) fn run(settings: Settings) -> Result<(), Failure> {
    let signals =
        Signals::new().map_err(|error| Failure::failed(format_args!("cannot watch for signals: {error}")))?;
    let mut session = Session::new(settings, signals)?;
    let stop = match session.open() {
        Ok(()) => loop {
            if let Err(stop) = session.turn() {
                break stop;
            }
        },
        Err(stop) => stop,
    };
    session.end(stop)
}

/// How the server is reached at the moment.
enum Link {
    /// Not at all; to be tried again at this time, or when somebody has answered.
    Away(Option<Instant>),
    /// Being connected.
    Connecting(ConnectAttempt),
    /// Connected, not yet in a session.
    Joining(Connection, Dialogue),
    /// In a session, since this time.
    Up(Connection, Instant),
}

struct Session {
    host: String,
    port: u16,
    protection: Protection,
    text_bytes_most: usize,
    link: Link,
    /// Since when the server is waited for, if it owes something.
    quiet_since: Instant,
    /// Until when a server's silence is nothing to speak of; `None` once it has spoken or that was said.
    greeting_due: Option<Instant>,
    /// The session's; kept while the connection is lost. Without one, a lost connection is the end.
    token: Option<Token>,
    prompter: Prompter,
    /// What the dialogue needs next and the person has been asked for.
    wanted: Option<Next>,
    /// Something was asked on this connection, which took the time that the server gives for a login.
    has_asked: bool,
    backoff: Backoff,
    /// Since when the session's connection is lost.
    lost_since: Option<Instant>,
    /// What is to be sent instead of the input, until it is.
    message: Option<String>,
    /// The input is not read: what there is to send was given.
    is_one_shot: bool,
    queue: SendQueue,
    receipts: Receipts,
    tally: Tally,
    terminal: Option<Terminal>,
    editor: Editor,
    /// Messages are typed in the editor, not read as lines.
    is_edited: bool,
    lines: Lines,
    portion: Zeroizing<Vec<u8>>,
    /// The input has ended, or said `exit`.
    is_ending: bool,
    input_has_ended: bool,
    exit_is_pushed: bool,
    signals: Signals,
    display: Display,
}

/// What was waited for, and is there.
#[derive(Clone, Copy, Default)]
struct Ready {
    signals: bool,
    input: bool,
    connection: bool,
}

impl Session {
    fn new(settings: Settings, signals: Signals) -> Result<Session, Failure> {
        let Settings { host, port, protection, name, password, message, max_frame_bytes, detail } = settings;
        let mut display = Display::new(detail);
        let mut terminal = if display.is_seen() { Terminal::at_stdin() } else { None };
        if terminal.is_none()
            && (name.is_none() || password.is_none())
            && let (Some(reading), Some(writing)) = (session_terminal(), session_terminal())
        {
            terminal = Some(Terminal::opened(reading));
            display.ask_at(writing);
        }
        let is_edited = terminal.as_ref().is_some_and(Terminal::is_input);
        Ok(Session {
            host,
            port,
            protection,
            text_bytes_most: sending::text_bytes_most(max_frame_bytes),
            link: Link::Away(None),
            quiet_since: now(),
            greeting_due: None,
            token: None,
            prompter: Prompter::new(name, password, terminal.is_some())?,
            wanted: None,
            has_asked: false,
            backoff: Backoff::new(),
            lost_since: None,
            is_one_shot: message.is_some(),
            message,
            queue: SendQueue::default(),
            receipts: Receipts::default(),
            tally: Tally::default(),
            terminal,
            editor: Editor::new(TYPED_LINE_BYTES),
            is_edited,
            lines: Lines::default(),
            portion: Zeroizing::new(vec![0; READ_BYTES]),
            is_ending: false,
            input_has_ended: false,
            exit_is_pushed: false,
            signals,
            display,
        })
    }

    fn turn(&mut self) -> Result<(), Stop> {
        self.take_typed()?;
        self.send();
        self.draw();
        self.display.write().map_err(Stop::Output)?;
        let was_owed = self.silence_ends().is_some();
        let ready = self.wait()?;
        if !was_owed {
            self.quiet_since = now();
        }
        if ready.signals {
            self.handle_signals()?;
        }
        if ready.input {
            self.read_input();
        }
        if ready.connection
            && let Err(trouble) = self.read_link()
        {
            self.end_or_retry(trouble)?;
        }
        self.check_time()
    }

    /// Until when the server may be silent, if it owes something.
    fn silence_ends(&self) -> Option<Instant> {
        match &self.link {
            Link::Away(_) => None,
            Link::Connecting(_) => Some(self.quiet_since + OPENING_WAIT),
            Link::Joining(..) if self.prompter.is_asked() => None,
            Link::Joining(_, dialogue) if dialogue.needs_hash() => Some(self.quiet_since + HASH_ANSWER_WAIT),
            Link::Joining(..) => Some(self.quiet_since + ANSWER_WAIT),
            // While nobody reads the output, nothing is received.
            Link::Up(..) if self.display.is_crowded() => None,
            Link::Up(connection, _) => {
                let is_owed =
                    self.exit_is_pushed || connection.waiting_bytes() > 0 || self.receipts.is_owed();
                is_owed.then(|| self.receipts.silence_ends(self.quiet_since))
            }
        }
    }

    /// Waits until something is ready, or due.
    fn wait(&self) -> Result<Ready, Stop> {
        let stdin = stdio::stdin();
        let mut ports = vec![PollFd::new(&self.signals, PollFlags::IN)];
        let (wants_input, mut has_received) = (self.wants_input(), false);
        if wants_input {
            let input = self.terminal.as_ref().filter(|_| self.is_typed()).map_or(stdin, AsFd::as_fd);
            ports.push(PollFd::from_borrowed_fd(input, PollFlags::IN));
        }
        let link_port = ports.len();
        match &self.link {
            Link::Away(_) => {}
            Link::Connecting(attempt) => ports.push(PollFd::new(attempt, PollFlags::IN)),
            Link::Joining(connection, _) | Link::Up(connection, _) => {
                let mut flags = PollFlags::empty();
                flags.set(PollFlags::OUT, connection.wants_write());
                flags.set(PollFlags::IN, !self.display.is_crowded());
                has_received = connection.has_received() && !self.display.is_crowded();
                // Its end would be reported again and again, to no purpose.
                if !flags.is_empty() {
                    ports.push(PollFd::from_borrowed_fd(connection.as_fd(), flags));
                }
            }
        }
        let shown_port = ports.len();
        ports.extend(self.display.ports());
        let has_typed = wants_input && self.is_typed() && self.editor.has_pending();
        let timeout = if has_received || has_typed { Some(Timespec::default()) } else { self.next_timeout() };
        loop {
            match poll(&mut ports, timeout.as_ref()) {
                Ok(_) => break,
                // The signal waits at its port.
                Err(Errno::INTR) => {}
                Err(error) => {
                    let text = format!("cannot wait for the input and the server: {error}");
                    return Err(Stop::Failed(failed(text)));
                }
            }
        }
        let is_ready = |port: &PollFd<'_>| port.revents().intersects(!PollFlags::OUT);
        let connection = has_received || ports[link_port..shown_port].iter().any(is_ready);
        let reads = !self.display.is_crowded() || matches!(self.link, Link::Connecting(_));
        Ok(Ready {
            signals: is_ready(&ports[0]),
            input: ports[1..link_port].iter().any(is_ready),
            connection: connection && reads,
        })
    }

    /// Until what is due next.
    fn next_timeout(&self) -> Option<Timespec> {
        let again = if let Link::Away(again) = self.link { again } else { None };
        let hint = self.greeting_due.filter(|_| matches!(self.link, Link::Joining(..)));
        let due = [again, hint, self.silence_ends()].into_iter().flatten().min()?;
        Timespec::try_from(due.saturating_duration_since(now())).ok()
    }

    /// Does what is due by the clock.
    fn check_time(&mut self) -> Result<(), Stop> {
        let now = now();
        if matches!(self.link, Link::Joining(..)) && self.greeting_due.is_some_and(|due| due <= now) {
            self.greeting_due = None;
            self.display.warn("the server has said nothing yet; if it speaks TLS, use --tls");
        }
        if self.silence_ends().is_some_and(|end| end <= now) {
            let quiet = now.saturating_duration_since(self.quiet_since);
            let reason = format!("the server has said nothing for {} s", quiet.as_secs());
            let silent = ClientError::Io(io::Error::new(io::ErrorKind::TimedOut, reason));
            self.end_or_retry(Trouble::Server(silent))?;
        }
        match self.link {
            // Nobody is left to wait for the server's return.
            Link::Away(_) | Link::Connecting(_) | Link::Joining(..) if self.is_ending => {
                Err(Stop::Failed(self.lost_for_good(&ClientError::Closed)))
            }
            Link::Away(Some(again)) if again <= now => self.open(),
            _ => Ok(()),
        }
    }

    fn handle_signals(&mut self) -> Result<(), Stop> {
        for asked in self.signals.take() {
            match asked {
                Asked::Leave(signal) => return Err(Stop::Signal(signal)),
                Asked::Stop => self.stop_for_a_while(),
                Asked::Refresh => self.show_again(),
            }
        }
        Ok(())
    }

    /// Gives the terminal back to the shell until it continues this program.
    fn stop_for_a_while(&mut self) {
        self.display.erase_row();
        // Whether stdout still takes anything is seen in the next turn.
        let _ = self.display.write();
        let had_keys = self.terminal.as_ref().is_some_and(Terminal::has_keys);
        if let Some(terminal) = &mut self.terminal {
            terminal.give_back();
        }
        act_as_default(SIGTSTP);
        if let Some(terminal) = self.terminal.as_mut().filter(|_| had_keys) {
            terminal.take_keys();
        }
        self.show_again();
        // What the server sent meanwhile is received first.
        self.quiet_since = now();
    }

    /// The terminal may have been in other hands.
    fn show_again(&mut self) {
        if let Some(terminal) = self.terminal.as_mut().filter(|terminal| terminal.has_keys()) {
            terminal.take_keys();
            self.display.erase_row();
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the client waits between its tries to connect, and not for ever"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}
