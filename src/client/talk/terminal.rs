//! The person in front of the client: what they are asked, and what they are shown.
//!
//! Replies go to stdout; prompts and notices to stderr. What others wrote is escaped here and nowhere else. This module
//! must not know the protocol.

use crate::auth::Name;
use crate::cli::{self, Failure};
use crate::text::escaped;
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::SIGINT;
use signal_hook::{flag, low_level};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zeroize::Zeroizing;

/// Shows a line of the conversation on stdout.
///
/// # Errors
/// What writing gives; a closed pipe among them.
pub(super) fn show(sender: &str, text: &str) -> io::Result<()> {
    let sender = if sender.is_empty() { "server" } else { sender };
    // One write for a whole line, so that nothing comes between its parts.
    let line = format!("{}: {}\n", escaped(sender), escaped(text));
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()
}

/// Shows a line beside the conversation, on stderr.
pub(super) fn notice(text: impl Display) {
    let line = format!("{}\n", escaped(&text.to_string()));
    // With stderr gone there is nobody left to tell.
    let _ = io::stderr().write_all(line.as_bytes());
}

/// The end of the program, for a reason that may hold the server's words.
pub(super) fn failed(reason: impl Display) -> Failure {
    Failure::failed(escaped(&reason.to_string()))
}

/// Who answers the server's questions: the command line first, then a person at a terminal, if there is one.
pub(super) struct Person {
    name: Option<String>,
    password: Option<Zeroizing<String>>,
    password_is_used: bool,
    terminal: Option<Terminal>,
}

impl Person {
    /// Takes what the command line gave.
    ///
    /// # Errors
    /// [`Failure`] if something is missing and nobody is there to ask.
    pub(super) fn new(name: Option<String>, password: Option<Zeroizing<String>>) -> Result<Person, Failure> {
        let terminal = io::stdin().is_terminal().then(Terminal::new).transpose()?;
        if terminal.is_none() && (name.is_none() || password.is_none()) {
            return Err(Failure::usage(
                "without a terminal nobody can be asked: give --name, and --password-file or PORTER_PASSWORD",
            ));
        }
        Ok(Person { name, password, password_is_used: false, terminal })
    }

    /// Whether there is somebody to ask.
    pub(super) fn can_be_asked(&self) -> bool {
        self.terminal.is_some()
    }

    /// Whether a server that is met for the first time is the one that is wanted.
    ///
    /// # Errors
    /// [`Failure`] if the terminal fails.
    pub(super) fn trusts(&self, server: &str, fingerprint: &str) -> Result<bool, Failure> {
        notice(format_args!(
            "{server} is not known yet; the fingerprint of its certificate is {fingerprint}"
        ));
        loop {
            match cli::ask("Is that what its operator says? (yes/no) ")?.as_str() {
                "yes" => return Ok(true),
                "no" => return Ok(false),
                _ => notice("type yes or no"),
            }
        }
    }

    /// The name that was settled.
    pub(super) fn settled_name(&self) -> &str {
        self.name.as_deref().unwrap_or_default()
    }

    /// A new dialogue begins, in which a password that was given by the command line may serve again.
    pub(super) fn is_met_again(&mut self) {
        self.password_is_used = false;
    }

    /// Who is there; `likely` is offered as the default.
    ///
    /// # Errors
    /// [`Failure`] if the answer was refused, or the terminal fails.
    pub(super) fn name(&mut self, likely: Option<&Name>, refusal: Option<&str>) -> Result<&str, Failure> {
        self.hear_refusal(refusal, "the name")?;
        if self.name.is_none() || refusal.is_some() {
            self.name = Some(ask_name(likely)?);
        }
        Ok(self.settled_name())
    }

    /// The password of a known name.
    ///
    /// # Errors
    /// [`Failure`] if the last one was refused and nobody can be asked, or the terminal fails.
    pub(super) fn password(&mut self, refusal: Option<&str>) -> Result<Zeroizing<String>, Failure> {
        self.hear_refusal(refusal, "the password")?;
        if let Some(given) = self.given_password() {
            return Ok(given);
        }
        self.hidden(&format!("Password for {}: ", self.settled_name()))
    }

    /// A password for a new name, asked for twice.
    ///
    /// # Errors
    /// [`Failure`] if the last one was refused and nobody can be asked, or the terminal fails.
    pub(super) fn new_password(&mut self, refusal: Option<&str>) -> Result<Zeroizing<String>, Failure> {
        self.hear_refusal(refusal, "the new password")?;
        if let Some(given) = self.given_password() {
            return Ok(given);
        }
        loop {
            let password = self.hidden(&format!("Choose a password for {}: ", self.settled_name()))?;
            if *self.hidden("The same password again: ")? == *password {
                return Ok(password);
            }
            notice("the two passwords differ");
        }
    }

    /// Says why an answer was refused; without a terminal that is the end.
    fn hear_refusal(&self, refusal: Option<&str>, what: &str) -> Result<(), Failure> {
        let Some(reason) = refusal else { return Ok(()) };
        let text = format!("the server refused {what}: {reason}");
        if self.terminal.is_none() {
            return Err(failed(text));
        }
        notice(text);
        Ok(())
    }

    /// The password of the command line, once in a dialogue: the same one again would be refused again.
    fn given_password(&mut self) -> Option<Zeroizing<String>> {
        if std::mem::replace(&mut self.password_is_used, true) {
            return None;
        }
        self.password.clone()
    }

    fn hidden(&self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        match &self.terminal {
            Some(terminal) => terminal.hidden(&escaped(prompt).to_string()),
            None => {
                Err(failed("the password that was given has been used, and nobody can be asked for another"))
            }
        }
    }
}

fn ask_name(likely: Option<&Name>) -> Result<String, Failure> {
    let prompt = likely.map_or("Name: ".to_owned(), |name| format!("Name [{name}]: "));
    loop {
        let answer = cli::ask(&prompt)?;
        match likely {
            Some(name) if answer.is_empty() => return Ok(name.to_string()),
            None if answer.is_empty() => notice("a name cannot be empty"),
            _ => return Ok(answer),
        }
    }
}

/// A terminal on stdin.
struct Terminal {
    /// False while a password is read: then an interrupt must not end the program before the echo is back.
    is_interruptible: Arc<AtomicBool>,
}

impl Terminal {
    fn new() -> Result<Terminal, Failure> {
        let is_interruptible = Arc::new(AtomicBool::new(true));
        flag::register_conditional_default(SIGINT, Arc::clone(&is_interruptible))
            .map_err(|error| Failure::failed(format_args!("cannot watch for interrupts: {error}")))?;
        Ok(Terminal { is_interruptible })
    }

    /// Asks for something that is not shown while it is typed.
    fn hidden(&self, prompt: &str) -> Result<Zeroizing<String>, Failure> {
        let answer = self.read_hidden(prompt);
        if answer.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
            // The terminal is as it was; now the program may end as any interrupted one does.
            let _ = low_level::emulate_default_handler(SIGINT);
        }
        answer.map(Zeroizing::new).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Failure::failed("the input ended before the password was typed"),
            _ => Failure::failed(format_args!("cannot read the password: {error}")),
        })
    }

    fn read_hidden(&self, prompt: &str) -> io::Result<String> {
        // The terminal is as rpassword wants it before the prompt is there: what is typed at once is not shown either,
        // and an interrupt is not lost on the way.
        let _keys_are_hidden = HiddenKeys::begin(&self.is_interruptible)?;
        let config = rpassword::ConfigBuilder::new().output_writer(io::stderr()).build();
        rpassword::prompt_password_with_config(prompt, config)
    }
}

/// While it lives the terminal hands over each key unseen, and an interrupt does not end the program.
struct HiddenKeys<'a> {
    before: Termios,
    is_interruptible: &'a AtomicBool,
}

impl HiddenKeys<'_> {
    fn begin(is_interruptible: &AtomicBool) -> io::Result<HiddenKeys<'_>> {
        let before = tcgetattr(io::stdin())?;
        is_interruptible.store(false, Ordering::SeqCst);
        let guard = HiddenKeys { before: before.clone(), is_interruptible };
        let mut quiet = before;
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        quiet.special_codes[SpecialCodeIndex::VMIN] = 1;
        quiet.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Now, &quiet)?;
        Ok(guard)
    }
}

impl Drop for HiddenKeys<'_> {
    fn drop(&mut self) {
        // A terminal that has gone needs no echo.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        self.is_interruptible.store(true, Ordering::SeqCst);
    }
}
