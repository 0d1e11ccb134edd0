//! A question on the terminal whose answer is not shown.

use crate::password_file::password_from_text;
use porter::cli::Failure;
use porter::limits::PASSWORD_BYTES;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zeroize::Zeroizing;

/// Whoever is asked must find the terminal as it was, whatever ends the question.
struct Silenced {
    before: Termios,
}

impl Silenced {
    fn new() -> Result<Silenced, Failure> {
        let failed = |error: Errno| Failure::failed(format_args!("cannot ask on the terminal: {error}"));
        let before = tcgetattr(stdin()).map_err(failed)?;
        let mut silent = before.clone();
        silent.local_modes -= LocalModes::ECHO;
        silent.local_modes |= LocalModes::ECHONL | LocalModes::ICANON;
        tcsetattr(stdin(), OptionalActions::Flush, &silent).map_err(failed)?;
        Ok(Silenced { before })
    }
}

impl Drop for Silenced {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}

/// Asks for a password, which is not shown.
///
/// # Errors
/// [`Failure`] if nobody can be asked, or no password is given.
pub(crate) fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::usage("without a terminal nobody can be asked: give --password-file"));
    }
    let is_ended = Arc::new(AtomicBool::new(false));
    let failed = |error: io::Error| Failure::failed(format_args!("cannot ask on the terminal: {error}"));
    let mut noted = Vec::new();
    for signal in [SIGINT, SIGTERM, SIGHUP, SIGQUIT] {
        noted.push(signal_hook::flag::register(signal, Arc::clone(&is_ended)).map_err(failed)?);
    }
    // A stopped program would come back to a terminal that shows what is typed.
    noted.push(signal_hook::flag::register(SIGTSTP, Arc::default()).map_err(failed)?);
    let silenced = Silenced::new()?;
    say(prompt);
    let line = read_line(&is_ended);
    drop(silenced);
    noted.into_iter().for_each(|signal| _ = signal_hook::low_level::unregister(signal));
    let Some(line) = line.map_err(|error| failed(error.into()))? else {
        say("\n");
        return Err(Failure::failed("no password was given, and nothing was done"));
    };
    let text = std::str::from_utf8(&line).map_err(|_| Failure::failed("the password is not UTF-8"))?;
    password_from_text(text).ok_or_else(|| Failure::failed("the password is empty, and nothing was done"))
}

/// One line of the terminal; none if it ends without one, or a signal ends the question.
fn read_line(is_ended: &AtomicBool) -> Result<Option<Zeroizing<Vec<u8>>>, Errno> {
    let mut line = Zeroizing::new(vec![0; PASSWORD_BYTES + 2]);
    loop {
        if is_ended.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match poll(&mut [PollFd::from_borrowed_fd(stdin(), PollFlags::IN)], None) {
            Ok(_) => {}
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error),
        }
        match rustix::io::read(stdin(), line.as_mut_slice()) {
            Ok(0) => return Ok(None),
            Ok(count) => {
                line.truncate(count);
                return Ok(Some(line));
            }
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Tells whoever is asked.
pub(crate) fn say(text: &str) {
    // With stderr gone there is nobody to be told.
    let _ = io::stderr().write_all(text.as_bytes());
}
