//! What the three programs share at their command lines: flags, asked-for values, one-line errors, exit codes.

pub mod configuration;
mod given;

pub use given::{Given, Setting, Source};

use crate::limits::LAST_WORDS_WAIT;
use crate::text::without_numbers;
use clap::Parser;
use clap::builder::TypedValueParser;
use clap::error::ErrorKind;
use configuration::reason;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, write};
use rustix::stdio;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io::{self, BufRead, IsTerminal};
use std::marker::PhantomData;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

/// Columns of `--help` at most, however wide the terminal: longer lines are hard to read.
const HELP_COLUMNS: usize = 100;

/// Why a program ends without having done its work. Shown on stderr, on one line.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    reason: String,
}

impl Failure {
    /// It was asked for rightly, and failed: exit code 1.
    pub fn failed(reason: impl fmt::Display) -> Failure {
        Failure { code: 1, reason: without_numbers(&reason.to_string()) }
    }

    /// It failed in a way that other programs say nothing of either: exit code 1, and nothing is shown.
    pub fn silent() -> Failure {
        Failure::failed("")
    }

    /// It was asked for wrongly: exit code 2.
    pub fn usage(reason: impl fmt::Display) -> Failure {
        Failure { code: 2, reason: without_numbers(&reason.to_string()) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The body of a program's `main`: parses its flags, runs it, and turns the outcome into its exit code.
pub fn run<Flags: Parser>(program: &str, body: impl FnOnce(Flags) -> Result<(), Failure>) -> ExitCode {
    finish(program, parse(std::env::args_os()).and_then(|flags| flags.map_or(Ok(()), body)))
}

/// The same for a program whose flags may stand in a configuration file too. It also has its arguments, to read them anew.
pub fn run_configured<Flags: Parser>(
    program: &str,
    body: impl FnOnce(Given<Flags>, Vec<OsString>) -> Result<(), Failure>,
) -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let given = Given::read(&arguments);
    finish(program, given.and_then(|given| given.map_or(Ok(()), |given| body(given, arguments))))
}

fn finish(program: &str, outcome: Result<(), Failure>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.reason.is_empty() {
                // With stderr gone, or with nobody who reads it, there is nobody left to tell.
                let _ = write_all(
                    stdio::stderr(),
                    &format!("{program}: {failure}\n"),
                    Timespec::try_from(LAST_WORDS_WAIT).ok(),
                );
            }
            ExitCode::from(failure.code)
        }
    }
}

/// The flags, or `None` when they asked for help or the version, which were then shown.
fn parse<Flags: Parser>(arguments: impl Iterator<Item = OsString>) -> Result<Option<Flags>, Failure> {
    let command = Flags::command().max_term_width(HELP_COLUMNS);
    shown(command.try_get_matches_from(arguments).and_then(|matches| Flags::from_arg_matches(&matches)))
}

/// What was parsed, or `None` when it was help or the version that was asked for, which are then shown.
fn shown<T>(parsed: Result<T, clap::Error>) -> Result<Option<T>, Failure> {
    match parsed {
        Ok(parsed) => Ok(Some(parsed)),
        Err(error) if error.use_stderr() => {
            Err(Failure::usage(format_args!("{}; --help lists the flags", reason(&error))))
        }
        Err(help) => print(&help.to_string()).map(|()| None),
    }
}

/// Reads a flag's value that may hold a secret: an error about it does not quote it.
pub struct Unquoted<T>(PhantomData<fn() -> T>);

impl<T> Unquoted<T> {
    /// A parser of such a flag.
    pub fn new() -> Unquoted<T> {
        Unquoted(PhantomData)
    }
}

impl<T> Default for Unquoted<T> {
    fn default() -> Unquoted<T> {
        Unquoted::new()
    }
}

impl<T> Clone for Unquoted<T> {
    fn clone(&self) -> Unquoted<T> {
        Unquoted::new()
    }
}

impl<T: FromStr<Err: fmt::Display> + Clone + Send + Sync + 'static> TypedValueParser for Unquoted<T> {
    type Value = T;

    fn parse_ref(
        &self,
        command: &clap::Command,
        flag: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<T, clap::Error> {
        let parsed = match value.to_str() {
            Some(text) => text.parse().map_err(|error: T::Err| error.to_string()),
            None => Err("it is not UTF-8".to_owned()),
        };
        parsed.map_err(|reason| {
            let flag = flag.map(ToString::to_string).unwrap_or_default();
            clap::Error::raw(ErrorKind::ValueValidation, format!("bad value for '{flag}': {reason}\n"))
                .with_cmd(command)
        })
    }
}

/// Writes a text to stdout, waiting for whoever reads it.
///
/// # Errors
/// [`Failure`], unless it is that the reader has seen enough.
pub fn print(text: &str) -> Result<(), Failure> {
    match write_all(stdio::stdout(), text, None) {
        Ok(()) | Err(Errno::PIPE) => Ok(()),
        Err(error) => Err(Failure::failed(format_args!("cannot write to stdout: {error}"))),
    }
}

/// A value that was given by a flag, or is asked for on a terminal, or is the default.
///
/// On a terminal the prompt goes to stderr, empty input takes the default, and a bad value is refused with its
/// reason and asked for again.
///
/// # Errors
/// [`Failure`] if the terminal cannot be read or its input ends.
pub fn given_or_asked<T>(
    given: Option<T>,
    question: &str,
    default: &str,
    check: impl Fn(&str) -> Result<T, String>,
) -> Result<T, Failure> {
    if let Some(value) = given {
        return Ok(value);
    }
    if !io::stdin().is_terminal() {
        return check(default).map_err(Failure::usage);
    }
    loop {
        let answer = ask(&format!("{question} [{default}]: "))?;
        let answer = if answer.is_empty() { default } else { &answer };
        match check(answer) {
            Ok(value) => return Ok(value),
            Err(reason) => say(&format!("{reason}\n"))?,
        }
    }
}

/// Asks on stderr and reads one line from the terminal, without the white space around it.
///
/// # Errors
/// [`Failure`] if the terminal cannot be read or its input ends.
pub fn ask(prompt: &str) -> Result<String, Failure> {
    say(prompt)?;
    let mut line = String::new();
    loop {
        match io::stdin().lock().read_line(&mut line) {
            Ok(0) if line.is_empty() => {
                return Err(Failure::failed("the input ended before the question was answered"));
            }
            Ok(_) => return Ok(line.trim().to_owned()),
            // Somebody else made the terminal one that is not waited for.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                let _ = poll(&mut [PollFd::from_borrowed_fd(stdio::stdin(), PollFlags::IN)], None);
            }
            Err(error) => return Err(Failure::failed(format_args!("cannot read the answer: {error}"))),
        }
    }
}

/// How a person names a server: `HOST`, `HOST:PORT`, `[::1]`, `[::1]:PORT`, `::1`, each with a zone (`%eth0`) if need be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPort {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port, if one is given.
    pub port: Option<u16>,
}

impl HostPort {
    /// The port, from here or from its own flag; the default if it is given in neither.
    ///
    /// # Errors
    /// [`Failure`] if it is given twice.
    pub fn port_or(&self, flag: Option<u16>, default: u16) -> Result<u16, Failure> {
        match (self.port, flag) {
            (Some(_), Some(_)) => {
                Err(Failure::usage("the port is given twice, behind the host and by --port"))
            }
            (port, flag) => Ok(port.or(flag).unwrap_or(default)),
        }
    }
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<HostPort, String> {
        let (host, port) = host_and_port(text)?;
        Ok(HostPort { host: host.to_owned(), port: port.map(server_port).transpose()? })
    }
}

/// A host, and the port behind it if there is one, in any way that people write them.
///
/// # Errors
/// What is wrong with the text; whether the port is one is not judged here.
pub fn host_and_port(text: &str) -> Result<(&str, Option<&str>), String> {
    let (host, port) = match text.strip_prefix('[').map(|text| text.split_once(']')) {
        Some(Some((host, ""))) => (host, None),
        Some(Some((host, rest))) => (host, rest.strip_prefix(':')),
        Some(None) => ("", None),
        // More colons than one are an IPv6 address's.
        None => match text.split_once(':') {
            Some((host, port)) if !port.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let is_possible = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if host.is_empty() || !host.chars().all(is_possible) || (text.ends_with(':') && port.is_some()) {
        return Err(format!(
            "{text:?} is not the name or address of a host, such as porter.example.org:9090"
        ));
    }
    let has_rest = text.starts_with('[') && !text.ends_with(']');
    if has_rest && port.is_none() {
        return Err(format!("{text:?} is not an address in brackets, perhaps with :PORT behind them"));
    }
    Ok((host, port))
}

/// Reads the port of a server that is to be connected to.
///
/// # Errors
/// What is wrong with it.
pub fn server_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("{text:?} is not a port: a number from 1 to 65535")),
    }
}

/// Where a person's programs keep what they were told: `$XDG_CONFIG_HOME`, or `~/.config`. `None` if nothing says where.
pub fn configuration_directory() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))
}

fn say(text: &str) -> Result<(), Failure> {
    write_all(stdio::stderr(), text, None)
        .map_err(|error| Failure::failed(format_args!("cannot ask on the terminal: {error}")))
}

/// Writes a text to one of the process's own streams, whether or not it is one that is waited for. Each portion waits
/// for at most `timeout`.
fn write_all(stream: BorrowedFd<'_>, text: &str, timeout: Option<Timespec>) -> Result<(), Errno> {
    // A pipe that is ready takes so much without waiting.
    for mut portion in text.as_bytes().chunks(512) {
        while !portion.is_empty() {
            let mut ports = [PollFd::from_borrowed_fd(stream, PollFlags::OUT)];
            match poll(&mut ports, timeout.as_ref()) {
                Ok(0) => return Err(Errno::TIMEDOUT),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
            match write(stream, portion) {
                Ok(count) => portion = &portion[count..],
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Parser, Debug)]
    struct Flags {
        #[arg(long, default_value_t = 9090)]
        port: u16,
    }

    #[test]
    fn a_server_is_named_in_any_way_that_people_write_it() {
        for (text, host, port) in [
            ("localhost", "localhost", None),
            ("porter.example.org:9090", "porter.example.org", Some(9090)),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:65535", "::1", Some(65535)),
            ("fe80::1%eth0", "fe80::1%eth0", None),
            ("[fe80::1%eth0]:9090", "fe80::1%eth0", Some(9090)),
        ] {
            assert_eq!(text.parse(), Ok(HostPort { host: host.to_owned(), port }), "{text}");
        }
        for bad in [
            "",
            ":9090",
            "a:",
            "a:0",
            "a:65536",
            "a:x",
            "[::1",
            "[::1]9090",
            "[::1]:",
            "[]",
            "a b",
            "http://a",
        ] {
            assert!(bad.parse::<HostPort>().is_err(), "{bad}");
        }
    }

    #[test]
    fn wrong_usage_is_one_line_and_exit_code_2() {
        for arguments in [&["p", "--port", "x"][..], &["p", "--prot", "1"], &["p", "stray"]] {
            let failure = parse::<Flags>(arguments.iter().map(Into::into)).unwrap_err();
            assert_eq!(failure.code, 2);
            assert!(!failure.reason.contains('\n') && failure.reason.contains(arguments[1]), "{failure}");
        }
    }
}
