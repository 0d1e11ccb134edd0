//! A configuration file: TOML, whose keys are a program's flags.
//!
//! What a file says is turned into arguments, which the program's own grammar of flags judges: so a flag, the values that it
//! may have and what it says of others are written once. This module must not know any flag but those that are about the
//! file itself.

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Command};
use std::any::TypeId;
use std::fmt::Display;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The flag that names the file.
pub(super) const FILE: &str = "config";
/// What a command line may have and a file may not: it is about the file.
const NOT_IN_A_FILE: &[&str] = &[FILE, "check-config"];

/// What is wrong with a file, and in which of its lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The first is 1.
    pub line: usize,
    /// On one line.
    pub reason: String,
}

/// One key of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The flag's name, without the dashes.
    pub key: String,
    /// Where the key stands; the first line is 1.
    pub line: usize,
    /// What it comes to on a command line.
    pub arguments: Vec<String>,
}

/// What a flag takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    Boolean,
    Number,
    Text,
}

/// Reads a file's text, by the grammar of a program's flags: its entries in their order.
///
/// # Errors
/// The first line that is not TOML, no flag's, or whose value that flag cannot have. How flags go with one another is not
/// judged here.
pub fn read(text: &str, command: &Command) -> Result<Vec<Entry>, Fault> {
    let line_of = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let table = DeTable::parse(text).map_err(|error| Fault {
        line: line_of(error.span().map_or(0, |span| span.start)),
        reason: one_line(error.message()),
    })?;
    let mut keys: Vec<_> = table.get_ref().iter().collect();
    keys.sort_by_key(|(key, _)| key.span().start);
    let mut entries = Vec::with_capacity(keys.len());
    for (key, value) in keys {
        let (line, name) = (line_of(key.span().start), key.get_ref());
        let fault = |line, reason: String| Fault { line, reason: one_line(&format!("{name}: {reason}")) };
        let flag = flags(command).find(|flag| flag.get_long() == Some(name)).ok_or_else(|| {
            fault(line, "no such setting; its keys are the flags that --help lists".to_owned())
        })?;
        let mut arguments = Vec::new();
        for value in values(value, flag).map_err(|reason| fault(line, reason))? {
            let line = line_of(value.span().start);
            let argument = argument(value.get_ref(), flag).map_err(|reason| fault(line, reason))?;
            if let Some(argument) = argument {
                check(&argument, command).map_err(|reason| fault(line, reason))?;
                arguments.push(argument);
            }
        }
        entries.push(Entry { key: name.to_string(), line, arguments });
    }
    Ok(entries)
}

/// The flags that may stand in a file.
pub(super) fn flags(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|flag| {
        let is_setting = !matches!(
            flag.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        );
        is_setting && flag.get_long().is_some_and(|name| !NOT_IN_A_FILE.contains(&name))
    })
}

/// Whether a flag may be given several times, so that a file has an array for it.
pub(super) fn is_list(flag: &Arg) -> bool {
    matches!(flag.get_action(), ArgAction::Append)
}

/// What a flag's values are, by what reads them.
pub(super) fn value_kind(flag: &Arg) -> ValueKind {
    if !flag.get_action().takes_values() {
        return ValueKind::Boolean;
    }
    let read_as = flag.get_value_parser().type_id();
    let numbers = [TypeId::of::<u16>(), TypeId::of::<u32>(), TypeId::of::<usize>(), TypeId::of::<Duration>()];
    if numbers.iter().any(|number| read_as == *number) { ValueKind::Number } else { ValueKind::Text }
}

/// A text without the line breaks and other characters that a terminal would act upon.
pub(super) fn one_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ").chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The values of a key: several where its flag can be given several times.
fn values<'v, 'i>(
    value: &'v Spanned<DeValue<'i>>,
    flag: &Arg,
) -> Result<Vec<&'v Spanned<DeValue<'i>>>, String> {
    match value.get_ref() {
        DeValue::Array(values) if is_list(flag) => Ok(values.iter().collect()),
        DeValue::Array(_) => Err("it has one value and takes no array".to_owned()),
        _ => Ok(vec![value]),
    }
}

/// What a value comes to on the command line: nothing for a flag that is not given.
fn argument(value: &DeValue<'_>, flag: &Arg) -> Result<Option<String>, String> {
    let name = flag.get_long().unwrap_or_default();
    let with = |value: &dyn Display| Ok(Some(format!("--{name}={value}")));
    match (value_kind(flag), value) {
        (ValueKind::Boolean, DeValue::Boolean(is_given)) => Ok(is_given.then(|| format!("--{name}"))),
        (ValueKind::Text, DeValue::String(text)) => with(text),
        (ValueKind::Number, DeValue::Integer(number)) => {
            match i128::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => with(&number),
                Err(_) => Err(format!("{number} is too large a number")),
            }
        }
        (wanted, other) => {
            let wanted = match wanted {
                ValueKind::Boolean => "true or false",
                ValueKind::Number => "a number, without quotes",
                ValueKind::Text => "a text in quotes",
            };
            Err(format!("it takes {wanted}, not {}", described(other)))
        }
    }
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "an array",
        DeValue::Table(_) => "a table",
    }
}

/// Whether a flag takes this value, whatever other flags say.
fn check(argument: &str, command: &Command) -> Result<(), String> {
    match command.clone().try_get_matches_from([command.get_name(), argument]) {
        Err(error)
            if !matches!(error.kind(), ErrorKind::ArgumentConflict | ErrorKind::MissingRequiredArgument) =>
        {
            Err(reason(&error))
        }
        _ => Ok(()),
    }
}

/// An error of the grammar on one line, with the values that are possible. What follows an empty line is advice.
pub(super) fn reason(error: &clap::Error) -> String {
    let message = error.to_string();
    let lines: Vec<&str> = message.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    one_line(lines.join(" ").trim_start_matches("error: "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    #[command(name = "p")]
    struct Flags {
        #[arg(long, default_value_t = 9090)]
        port: u16,
        #[arg(long, value_delimiter = ',')]
        from: Vec<String>,
        #[arg(long)]
        strict: bool,
        #[arg(long, conflicts_with = "strict")]
        lax: bool,
        #[arg(long)]
        config: Option<String>,
    }

    fn command() -> Command {
        use clap::CommandFactory;
        let mut command = Flags::command();
        command.build();
        command
    }

    #[test]
    fn entries_keep_their_order_and_come_to_arguments() {
        let text = "strict = true\n\nfrom = [\"a\",\n  \"b,c\"]\nport = 0b11\nlax = false\n";
        let entries = read(text, &command()).unwrap();
        let shown: Vec<_> =
            entries.iter().map(|entry| (&*entry.key, entry.line, entry.arguments.join(" "))).collect();
        let expected = [
            ("strict", 1, "--strict"),
            ("from", 3, "--from=a --from=b,c"),
            ("port", 5, "--port=3"),
            ("lax", 6, ""),
        ];
        assert_eq!(shown, expected.map(|(key, line, arguments)| (key, line, arguments.to_owned())));
    }

    /// An element of an array has a line of its own; conflicts are not this reader's.
    #[test]
    fn a_fault_has_the_line_of_what_is_wrong() {
        for (text, line) in [
            ("from = [\n\"a\",\n1]", 3),
            ("port = 1\nport = 2", 2),
            ("port = 70000", 1),
            ("\n\nversion = true", 3),
            ("config = 'x'", 1),
        ] {
            let fault = read(text, &command()).unwrap_err();
            assert_eq!((fault.line, fault.reason.lines().count()), (line, 1), "{text} {fault:?}");
        }
        assert!(read("strict = true\nlax = true", &command()).is_ok());
    }
}
