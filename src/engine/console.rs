//! The person at the server's console.

use super::Engine;
use super::delivery::Delivery;
use crate::auth::{Name, addressed, is_meant_for_one};
use crate::command::{Command, Line, LineError, Spec, TABLE, completions};
use crate::handler::Context;
use crate::limits::{CONSOLE_BUFFER_BYTES, CONSOLE_COMPLETIONS, CONSOLE_COMPLETIONS_LOOKS, CONSOLE_USERS};
use crate::store::Store;
use std::collections::{BTreeSet, VecDeque};
use std::ops::ControlFlow;

/// What can be typed.
#[derive(Debug, PartialEq, Eq)]
pub enum ConsoleLine<'a> {
    /// What begins with `/`.
    Command(Command),
    /// `@name text`
    Direct(Name, &'a str),
    /// Anything else that is not empty.
    Text(&'a str),
}

impl ConsoleLine<'_> {
    /// Understands a line; `None` for an empty one.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn parse(line: &str, is_known: impl Fn(&Name) -> bool) -> Result<Option<ConsoleLine<'_>>, LineError> {
        let line = line.trim_end_matches(['\r', '\n']);
        if let Some(command) = line.strip_prefix('/') {
            return Line::typed(command, is_known).map(|command| Some(ConsoleLine::Command(command)));
        }
        if let Some((name, text)) = addressed(line, is_known) {
            return Ok(Some(ConsoleLine::Direct(name, text)));
        }
        if is_meant_for_one(line) {
            return Err(LineError::NoDirect);
        }
        if line.trim_start().starts_with('/') {
            return Err(LineError::LooksLikeCommand);
        }
        Ok((!line.is_empty()).then_some(ConsoleLine::Text(line)))
    }
}

impl<S: Store> Engine<S> {
    /// What a line of the console that is begun may go on as: commands, and names of those who are online, or of all users
    /// where a command is about accounts.
    pub fn console_completions(&self, begun: &str) -> Vec<String> {
        let online = |begun: &str| {
            let names = self.registry.sessions.online().names_that_begin(begun);
            offered(begun, names.map(Name::to_string).take(CONSOLE_COMPLETIONS + 1).collect())
        };
        let names = |spec: &Spec, begun: &str| match spec.is_for_files {
            true => self.stored_names_that_begin(begun),
            false => online(begun),
        };
        match (begun.strip_prefix('/'), begun.strip_prefix('@')) {
            (Some(command), _) => completions(command, names).iter().map(|line| format!("/{line}")).collect(),
            (_, Some(name)) => online(name).iter().map(|name| format!("@{name} ")).collect(),
            _ => Vec::new(),
        }
    }

    /// Those who are online are among them, also where a store does not tell whom it has.
    fn stored_names_that_begin(&self, begun: &str) -> Vec<String> {
        let online = self.registry.sessions.online().names_that_begin(begun);
        let mut names: BTreeSet<String> = online.map(Name::to_string).take(CONSOLE_COMPLETIONS + 1).collect();
        let end = self.store.accounts_end();
        let first = end.saturating_sub(CONSOLE_COMPLETIONS_LOOKS);
        self.store.names_that_begin(begun, first..end, &mut |name| {
            if names.len() > CONSOLE_COMPLETIONS {
                return ControlFlow::Break(());
            }
            names.insert(name.to_owned());
            ControlFlow::Continue(())
        });
        if first > 0 {
            // Of those who were not looked at nobody knows.
            names.insert(unknown(begun));
        }
        offered(begun, names)
    }

    pub(super) fn run_line(&mut self, line: &str) {
        match ConsoleLine::parse(line, |name| self.is_known(name)) {
            Ok(None) => {}
            Ok(Some(ConsoleLine::Command(Command::Help))) => self.show_help(),
            Ok(Some(ConsoleLine::Command(command))) => {
                let id = self.begin_command(command, CONSOLE_USERS);
                self.registry.answers.show(id);
            }
            Ok(Some(ConsoleLine::Direct(_, text) | ConsoleLine::Text(text)))
                if text.len() > self.text_bytes_most() =>
            {
                let most = self.text_bytes_most();
                self.notice(&format!("not sent: {} bytes where --max-frame leaves {most}", text.len()));
            }
            Ok(Some(ConsoleLine::Direct(name, text))) => {
                if (Delivery { registry: &mut self.registry, author: None, is_known_elsewhere: false })
                    .send_to_name(&name, None, text)
                    == 0
                {
                    self.notice(&format!("not sent: {name} is not online"));
                }
            }
            Ok(Some(ConsoleLine::Text(text))) => {
                self.handler.console_text(
                    text,
                    &mut Delivery { registry: &mut self.registry, author: None, is_known_elsewhere: false },
                );
            }
            Err(error) => self.notice(&error.to_string()),
        }
    }

    fn show_help(&mut self) {
        const OTHER_LINES: [(&str, &str); 3] = [
            ("/quit", "as /stop"),
            ("@NAME text", "to one client"),
            ("text", "operator mode: to whoever wrote last; chat mode: to all"),
        ];
        let commands = TABLE.iter().filter(|spec| spec.is_for_console);
        let lines = commands.map(|spec| (format!("/{}", spec.usage()), spec.help));
        let lines = lines.chain(OTHER_LINES.map(|(line, help)| (line.to_owned(), help)));
        for (line, help) in lines.collect::<Vec<_>>() {
            self.notice(&format!("{line:22}{help}"));
        }
    }

    fn notice(&mut self, text: &str) {
        Delivery { registry: &mut self.registry, author: None, is_known_elsewhere: false }.notice(text);
    }
}

/// As many names as are offered. If there are more, nothing is known of those but that they begin so.
fn offered(begun: &str, names: BTreeSet<String>) -> Vec<String> {
    let is_too_many = names.len() > CONSOLE_COMPLETIONS;
    names.into_iter().take(CONSOLE_COMPLETIONS).chain(is_too_many.then(|| unknown(begun))).collect()
}

fn unknown(begun: &str) -> String {
    format!("{begun} ...")
}

/// Lines for the person at the console, bounded.
#[derive(Debug, Default)]
pub(super) struct ConsoleQueue {
    lines: VecDeque<String>,
    bytes: usize,
    dropped: u64,
}

impl ConsoleQueue {
    pub(super) fn push(&mut self, line: String) {
        if self.bytes + line.len() > CONSOLE_BUFFER_BYTES {
            self.dropped += 1;
            return;
        }
        self.bytes += line.len();
        self.lines.push_back(line);
    }

    pub(super) fn pop(&mut self) -> Option<String> {
        if let Some(line) = self.lines.pop_front() {
            self.bytes -= line.len();
            return Some(line);
        }
        let dropped = std::mem::take(&mut self.dropped);
        (dropped > 0).then(|| format!("({dropped} lines were too many to show)"))
    }

    /// Whether there is nothing to be said, nor that something was left out.
    pub(super) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }

    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// Takes the lines behind the first so many.
    pub(super) fn take_behind(&mut self, count: usize) -> Vec<String> {
        let lines: Vec<String> = self.lines.drain(count.min(self.lines.len())..).collect();
        self.bytes -= lines.iter().map(String::len).sum::<usize>();
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_commands_direct_messages_or_text() {
        let name = |text| Name::new(text).unwrap();
        assert_eq!(ConsoleLine::parse("/who\r\n", |_| false), Ok(Some(ConsoleLine::Command(Command::Who))));
        assert_eq!(
            ConsoleLine::parse("/kick bob", |_| false),
            Ok(Some(ConsoleLine::Command(Command::Kick(name("bob")))))
        );
        assert_eq!(
            ConsoleLine::parse("@bob hi there", |_| false),
            Ok(Some(ConsoleLine::Direct(name("bob"), "hi there")))
        );
        assert_eq!(ConsoleLine::parse(" hi", |_| false), Ok(Some(ConsoleLine::Text(" hi"))));
        assert_eq!(ConsoleLine::parse("\n", |_| false), Ok(None));
        let slips = [
            " @bob x",
            "@bob, x",
            "@bob\tx",
            "@bob\u{a0}x",
            "@@bob x",
            "@ bob x",
            "@server x",
            " /quit",
            "\t/kick bob",
        ];
        let wrong = ["/", "/who me", "/kick", "/kick a b", "/kick =x", "/nonsense", "@bob", "@=x y"];
        for line in wrong.into_iter().chain(slips) {
            assert!(ConsoleLine::parse(line, |_| false).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line in "[/@ a-z\\PC]*") {
            let _ = ConsoleLine::parse(&line, |_| false);
        }
    }
}
