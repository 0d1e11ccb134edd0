//! What the three programs share at their command lines: flags, asked-for values, one-line errors, exit codes.

use clap::Parser;
use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Why a program ends without having done its work. Shown on stderr, on one line.
#[derive(Debug)]
pub struct Failure {
    code: u8,
    reason: String,
}

impl Failure {
    /// It was asked for rightly, and failed: exit code 1.
    pub fn failed(reason: impl fmt::Display) -> Failure {
        Failure { code: 1, reason: reason.to_string() }
    }

    /// It was asked for wrongly: exit code 2.
    pub fn usage(reason: impl fmt::Display) -> Failure {
        Failure { code: 2, reason: reason.to_string() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

/// The body of a program's `main`: parses its flags, runs it, and turns the outcome into its exit code.
pub fn run<Flags: Parser>(program: &str, body: impl FnOnce(Flags) -> Result<(), Failure>) -> ExitCode {
    match parse(std::env::args_os()).and_then(|flags| flags.map_or(Ok(()), body)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // With stderr gone there is nobody left to tell.
            let _ = writeln!(io::stderr(), "{program}: {failure}");
            ExitCode::from(failure.code)
        }
    }
}

/// The flags, or `None` when they asked for help or the version, which were then shown.
fn parse<Flags: Parser>(
    arguments: impl Iterator<Item = std::ffi::OsString>,
) -> Result<Option<Flags>, Failure> {
    match Flags::try_parse_from(arguments) {
        Ok(flags) => Ok(Some(flags)),
        Err(error) if error.use_stderr() => {
            let message = error.to_string();
            // The error itself, with the values that are possible; what follows an empty line is advice.
            let lines: Vec<&str> =
                message.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
            let reason = lines.join(" ");
            let reason = reason.trim_start_matches("error: ");
            Err(Failure::usage(format_args!("{reason}; --help lists the flags")))
        }
        Err(help) => help.print().map(|()| None).map_err(Failure::failed),
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
    match io::stdin().lock().read_line(&mut line) {
        Ok(0) => Err(Failure::failed("the input ended before the question was answered")),
        Ok(_) => Ok(line.trim().to_owned()),
        Err(error) => Err(Failure::failed(format_args!("cannot read the answer: {error}"))),
    }
}

/// Where a person's programs keep what they were told: `$XDG_CONFIG_HOME`, or `~/.config`. `None` if nothing says where.
pub fn configuration_directory() -> Option<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CONFIG_HOME").or_else(|| absolute("HOME").map(|home| home.join(".config")))
}

fn say(text: &str) -> Result<(), Failure> {
    let mut stderr = io::stderr();
    stderr
        .write_all(text.as_bytes())
        .and_then(|()| stderr.flush())
        .map_err(|error| Failure::failed(format_args!("cannot ask on the terminal: {error}")))
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
    fn wrong_usage_is_one_line_and_exit_code_2() {
        for arguments in [&["p", "--port", "x"][..], &["p", "--prot", "1"], &["p", "stray"]] {
            let failure = parse::<Flags>(arguments.iter().map(Into::into)).unwrap_err();
            assert_eq!(failure.code, 2);
            assert!(!failure.reason.contains('\n') && failure.reason.contains(arguments[1]), "{failure}");
        }
    }
}
