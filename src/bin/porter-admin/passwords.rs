//! Passwords: asked for, checked against the rules, hashed here, so that none is sent.

use crate::Asked;
use crate::ask::{Porter, ask_for_one};
use crate::password_file::{password_from_file, password_from_text};
use porter::auth::{Password, PasswordHash, hash_passwords};
use porter::cli::Failure;
use porter::engine::{Entropy, EntropyError};
use porter::limits::{PASSWORD_BYTES, SALT_BYTES};
use porter::server::OsEntropy;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use serde_json::Value;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use zeroize::Zeroizing;

/// What new passwords have to keep to.
pub(crate) struct Policy {
    pub(crate) hash_rounds: u32,
    min_characters: u32,
}

/// What the server wants of passwords, unless a flag says something else.
///
/// # Errors
/// [`Failure`] if it does not say.
pub(crate) fn policy(porter: &mut dyn Porter, asked: &Asked<'_>) -> Result<Policy, Failure> {
    let object = ask_for_one(porter, "policy".to_owned())?;
    let number =
        |key: &str| object.get(key).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok());
    let (Some(rounds), Some(min_characters)) = (number("hash_rounds"), number("min_password_characters"))
    else {
        return Err(Failure::failed("the server does not say what passwords have to keep to"));
    };
    let hash_rounds = asked.matches.get_one::<u32>("hash-rounds").copied().unwrap_or(rounds);
    Ok(Policy { hash_rounds, min_characters })
}

impl Policy {
    /// # Errors
    /// The rule that a password breaks.
    pub(crate) fn check(&self, text: &str) -> Result<Password, String> {
        Password::chosen(text, self.min_characters).map_err(|rule| rule.to_string())
    }

    /// # Errors
    /// [`Failure`] if the system has no random bytes.
    pub(crate) fn hash(&self, password: &Password) -> Result<PasswordHash, Failure> {
        let hashes = hash_passwords(&[(password.clone(), salt()?)], self.hash_rounds, |_| {});
        hashes.into_iter().next().ok_or_else(|| Failure::failed("the password was not hashed"))
    }
}

/// # Errors
/// [`Failure`] if the system has no random bytes.
pub(crate) fn salt() -> Result<[u8; SALT_BYTES], Failure> {
    let mut salt = [0; SALT_BYTES];
    let filled = OsEntropy::new().fill(&mut salt);
    filled.map_err(|EntropyError(reason)| {
        Failure::failed(format_args!("no random bytes from the system: {reason}"))
    })?;
    Ok(salt)
}

/// A new password from a file, or typed twice.
///
/// # Errors
/// [`Failure`] if there is none, or it breaks a rule.
pub(crate) fn new_password(name: &str, policy: &Policy, file: Option<&Path>) -> Result<Password, Failure> {
    if let Some(given) = from_file(file)? {
        return policy.check(&given).map_err(Failure::failed);
    }
    loop {
        let least = policy.min_characters;
        let first = ask(&format!("New password for {name} (at least {least} characters): "))?;
        let password = match policy.check(&first) {
            Ok(password) => password,
            Err(rule) => {
                say(&format!("{rule}\n"));
                continue;
            }
        };
        if *ask("The same password again: ")? == *first {
            return Ok(password);
        }
        say("these are two different passwords\n");
    }
}

/// Whether a password is a user's.
///
/// # Errors
/// [`Failure`] if it is not, or there is no such user.
pub(crate) fn verify(porter: &mut dyn Porter, name: &str, file: Option<&Path>) -> Result<(), Failure> {
    let object = ask_for_one(porter, format!("users verify {name}"))?;
    let phc = object.get("password").and_then(Value::as_str).unwrap_or_default();
    let hash = PasswordHash::from_phc(phc).map_err(Failure::failed)?;
    let typed = match from_file(file)? {
        Some(given) => given,
        None => ask(&format!("Password for {name}: "))?,
    };
    if hash.is_of(&Password::new(typed.as_bytes())) {
        return Ok(());
    }
    Err(Failure::failed("the password is wrong"))
}

fn from_file(file: Option<&Path>) -> Result<Option<Zeroizing<String>>, Failure> {
    Ok(file.map(password_from_file).transpose()?.flatten())
}

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
fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
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

fn say(text: &str) {
    // With stderr gone there is nobody to be told.
    let _ = io::stderr().write_all(text.as_bytes());
}
