//! What a program was given: flags of its command line and, below them, of its configuration file.

use super::configuration::{self, Entry, FILE, ValueKind, flags, is_list, one_line, reason, value_kind};
use super::{Failure, HELP_COLUMNS, shown};
use crate::whole_file::read_whole;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command, Parser};
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use toml_writer::ToTomlValue;

/// A program's flags, and where each of their values comes from.
#[derive(Debug)]
pub struct Given<Flags> {
    /// The values, whatever they come from.
    pub flags: Flags,
    /// Every flag that may stand in a file, in the order of `--help`.
    pub settings: Vec<Setting>,
}

/// One flag's value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The flag's name, without the dashes.
    pub key: String,
    /// The value as TOML; `None` if it has none.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: Source,
    /// Under which heading `--help` shows the flag.
    heading: String,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The program itself.
    Default,
    /// An environment variable.
    Environment,
    /// The command line.
    CommandLine,
    /// The configuration file.
    File {
        /// As the command line names it.
        path: PathBuf,
        /// The key's; the first is 1.
        line: usize,
    },
}

impl Source {
    fn described(&self) -> String {
        match self {
            Source::Default => "default".to_owned(),
            Source::Environment => "environment".to_owned(),
            Source::CommandLine => "command line".to_owned(),
            Source::File { path, line } => one_line(&format!("{}:{line}", path.display())),
        }
    }
}

impl<Flags: Parser> Given<Flags> {
    /// Reads a command line, with its program's name in front, and the configuration file that it names, if any. `None` when
    /// it asked for help or the version, which were then shown.
    ///
    /// # Errors
    /// [`Failure`], which names the line of the file if it is the file's.
    pub fn read(arguments: &[OsString]) -> Result<Option<Given<Flags>>, Failure> {
        let mut command = Flags::command().max_term_width(HELP_COLUMNS);
        command.build();
        let Some(line) = shown(command.clone().ignore_errors(true).try_get_matches_from(arguments))? else {
            return Ok(None);
        };
        let path = line.try_get_one::<PathBuf>(FILE).ok().flatten().cloned();
        let mut entries = match &path {
            Some(path) => read_file(path, &command)?,
            None => Vec::new(),
        };
        let overridden = overridden(&command, &line);
        entries.retain(|entry| !overridden.contains(&entry.key));
        let (program, rest) = arguments.split_at(arguments.len().min(1));
        let parse = |entries: &[&Entry]| {
            let of_file = entries.iter().flat_map(|entry| entry.arguments.iter().map(OsString::from));
            let all = program.iter().cloned().chain(of_file).chain(rest.iter().cloned());
            command.clone().try_get_matches_from(all)
        };
        let all: Vec<&Entry> = entries.iter().collect();
        let matches = match (parse(&all), &path) {
            (Err(error), Some(path)) if error.use_stderr() => {
                return Err(match culprit(&all, &error, parse) {
                    Some(entry) => fault(path, entry.line, &format!("{}: {}", entry.key, reason(&error))),
                    None => shown::<()>(Err(error)).err().unwrap_or_else(Failure::silent),
                });
            }
            (outcome, _) => match shown(outcome)? {
                Some(matches) => matches,
                None => return Ok(None),
            },
        };
        let settings = flags(&command).map(|flag| {
            let key = flag.get_long().unwrap_or_default().to_owned();
            let entry = entries.iter().find(|entry| entry.key == key);
            let source = match (entry, &path, matches.value_source(flag.get_id().as_str())) {
                (Some(entry), Some(path), _) => Source::File { path: path.clone(), line: entry.line },
                (_, _, Some(ValueSource::CommandLine)) => Source::CommandLine,
                (_, _, Some(ValueSource::EnvVariable)) => Source::Environment,
                _ => Source::Default,
            };
            let heading = flag.get_help_heading().unwrap_or("Options").to_owned();
            Setting { value: value(&matches, flag), key, source, heading }
        });
        let settings = settings.collect();
        let flags = Flags::from_arg_matches(&matches).map_err(|error| Failure::usage(reason(&error)))?;
        Ok(Some(Given { flags, settings }))
    }
}

impl<Flags> Given<Flags> {
    /// Where a value comes from.
    pub fn source(&self, key: &str) -> Option<&Source> {
        self.settings.iter().find(|setting| setting.key == key).map(|setting| &setting.source)
    }

    /// A usage error about one flag's value, with its place if that is in a file.
    pub fn fault(&self, key: &str, reason: &str) -> Failure {
        match self.source(key) {
            Some(Source::File { path, line }) => fault(path, *line, &format!("{key}: {reason}")),
            _ => Failure::usage(one_line(&format!("--{key}: {reason}"))),
        }
    }

    /// All settings as a file that can be fed back, each with where it comes from. `computed` has what the program makes of
    /// flags that were left to it; `unused` are keys that others stand in the way of.
    pub fn to_toml(&self, computed: &[(&str, String)], unused: &[&str]) -> String {
        let (mut text, mut heading) = (String::new(), "");
        for setting in &self.settings {
            // Writing to a string cannot fail.
            if setting.heading != heading {
                let _ = writeln!(text, "{}# {}", if heading.is_empty() { "" } else { "\n" }, setting.heading);
                heading = &setting.heading;
            }
            let Setting { key, source, .. } = setting;
            let made = computed.iter().find(|(made, _)| made == key).map(|(_, value)| value);
            let value = made.or(setting.value.as_ref()).filter(|_| !unused.contains(&key.as_str()));
            let _ = match value {
                Some(value) => writeln!(text, "{key} = {value}  # {}", source.described()),
                None => writeln!(text, "# {key} is not set"),
            };
        }
        text
    }
}

/// The keys that have nothing to say beside a command line: what it gives, and what cannot stand beside that.
fn overridden(command: &Command, line: &ArgMatches) -> Vec<String> {
    let is_given =
        |flag: &clap::Arg| line.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine);
    let conflict = |a: &clap::Arg, b: &clap::Arg| {
        command.get_arg_conflicts_with(a).iter().any(|other| other.get_id() == b.get_id())
    };
    let given: Vec<&clap::Arg> = flags(command).filter(|flag| is_given(flag)).collect();
    flags(command)
        .filter(|flag| {
            given.iter().any(|given| {
                given.get_id() == flag.get_id() || conflict(given, flag) || conflict(flag, given)
            })
        })
        .filter_map(|flag| flag.get_long().map(str::to_owned))
        .collect()
}

/// The entry without which there would be no such error: the last, if each of several is.
fn culprit<'e>(
    entries: &[&'e Entry],
    error: &clap::Error,
    parse: impl Fn(&[&Entry]) -> Result<ArgMatches, clap::Error>,
) -> Option<&'e Entry> {
    let is_cured = |outcome: Result<ArgMatches, clap::Error>| {
        outcome.err().is_none_or(|left| reason(&left) != reason(error))
    };
    if !matches!(error.kind(), ErrorKind::ArgumentConflict | ErrorKind::MissingRequiredArgument) {
        return None;
    }
    let culprit = (0..entries.len()).rev().find(|left_out| {
        let others: Vec<&Entry> =
            entries.iter().enumerate().filter(|(at, _)| at != left_out).map(|(_, entry)| *entry).collect();
        is_cured(parse(&others))
    })?;
    entries.get(culprit).copied()
}

fn read_file(path: &Path, command: &Command) -> Result<Vec<Entry>, Failure> {
    let bytes = read_whole(path).map_err(|error| {
        Failure::usage(one_line(&format!("cannot read the configuration {}: {error}", path.display())))
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| {
        let good = &bytes[..error.valid_up_to()];
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        fault(path, line, "this is not UTF-8, as TOML is")
    })?;
    configuration::read(text, command).map_err(|found| fault(path, found.line, &found.reason))
}

fn fault(path: &Path, line: usize, reason: &str) -> Failure {
    Failure::usage(one_line(&format!("{}:{line}: {reason}", path.display())))
}

/// A flag's value as TOML.
fn value(matches: &ArgMatches, flag: &clap::Arg) -> Option<String> {
    let id = flag.get_id().as_str();
    let kind = value_kind(flag);
    if kind == ValueKind::Boolean {
        return Some(matches.get_flag(id).to_string());
    }
    let texts: Vec<String> = matches
        .get_raw(id)?
        .map(|text| text.to_string_lossy())
        .map(|text| if kind == ValueKind::Number { text.into_owned() } else { text.to_toml_value() })
        .collect();
    if is_list(flag) { Some(format!("[{}]", texts.join(", "))) } else { texts.into_iter().next() }
}
