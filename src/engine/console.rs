//! The person at the server's console.

use super::Engine;
use super::delivery::Delivery;
use crate::auth::{Name, addressed, is_meant_for_one};
use crate::handler::Context;
use crate::limits::TOKEN_BYTES;
use crate::store::Store;

/// What can be typed.
#[derive(Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `/help`
    Help,
    /// `/who`
    Who,
    /// `/kick NAME`
    Kick(Name),
    /// `/stats`
    Stats,
    /// `/quit`
    Quit,
    /// `@name text`
    Direct(Name, &'a str),
    /// Anything else that is not empty.
    Text(&'a str),
}

const HELP: [&str; 7] = [
    "/help        this list",
    "/who         who is here",
    "/kick NAME   ends every session of NAME",
    "/stats       figures since the start",
    "/quit        stops the server",
    "@NAME text   to one client",
    "text         operator mode: to whoever wrote last; chat mode: to all",
];

impl Command<'_> {
    /// Understands a line; `None` for an empty one.
    ///
    /// # Errors
    /// What is wrong with a line that begins as a command and is none.
    pub fn parse(line: &str, is_here: impl FnOnce(&Name) -> bool) -> Result<Option<Command<'_>>, String> {
        let line = line.trim_end_matches(['\r', '\n']);
        if let Some(command) = line.strip_prefix('/') {
            let mut words = command.split_whitespace();
            return match (words.next().unwrap_or_default(), words.next(), words.next()) {
                ("help", None, _) => Ok(Some(Command::Help)),
                ("who", None, _) => Ok(Some(Command::Who)),
                ("stats", None, _) => Ok(Some(Command::Stats)),
                ("quit", None, _) => Ok(Some(Command::Quit)),
                ("kick", Some(name), None) => {
                    let name = Name::meant(name, is_here).map_err(|rule| format!("not kicked: {rule}"))?;
                    Ok(Some(Command::Kick(name)))
                }
                ("kick", ..) => Err("not kicked: /kick takes one NAME".to_owned()),
                _ => Err("no such command; /help lists them".to_owned()),
            };
        }
        if let Some((name, text)) = addressed(line, is_here) {
            return Ok(Some(Command::Direct(name, text)));
        }
        if is_meant_for_one(line) {
            return Err("not sent: a direct message is @NAME, one space, and the text".to_owned());
        }
        if line.trim_start().starts_with('/') {
            return Err("not sent: it looks like a command, but a command begins with its /".to_owned());
        }
        Ok((!line.is_empty()).then_some(Command::Text(line)))
    }
}

impl<S: Store> Engine<S> {
    pub(super) fn run_command(&mut self, line: &str) {
        match Command::parse(line, |name| self.registry.sessions.has_any(name)) {
            Ok(None) => {}
            Ok(Some(Command::Help)) => HELP.iter().for_each(|line| self.notice(line)),
            Ok(Some(Command::Who)) => self.registry.list_who_is_here(),
            Ok(Some(Command::Kick(name))) => self.registry.kick(name),
            Ok(Some(Command::Stats)) => self.list_figures(),
            Ok(Some(Command::Quit)) => self.quit_asked = true,
            Ok(Some(Command::Direct(_, text) | Command::Text(text)))
                if text.len() > self.text_bytes_most() =>
            {
                let most = self.text_bytes_most();
                self.notice(&format!("not sent: {} bytes where --max-frame leaves {most}", text.len()));
            }
            Ok(Some(Command::Direct(name, text))) => {
                if (Delivery { registry: &mut self.registry, author: None }).send_to_name(&name, None, text)
                    == 0
                {
                    self.notice(&format!("not sent: {name} is not online"));
                }
            }
            Ok(Some(Command::Text(text))) => {
                self.handler.console_text(text, &mut Delivery { registry: &mut self.registry, author: None });
            }
            Err(reason) => self.notice(&reason),
        }
    }

    /// What a client may write at most. No client need take more from the console.
    fn text_bytes_most(&self) -> usize {
        self.registry.config.max_frame_bytes as usize - TOKEN_BYTES - 1
    }

    fn notice(&mut self, text: &str) {
        Delivery { registry: &mut self.registry, author: None }.notice(text);
    }

    fn list_figures(&mut self) {
        let t = self.registry.totals;
        let lines = [
            format!("up {} s", self.registry.now.since_start().as_secs()),
            format!(
                "connections: {} now, {} since the start",
                self.registry.connections.len(),
                t.connections
            ),
            format!(
                "sessions: {}, of them lost: {}",
                self.registry.sessions.len(),
                self.registry.sessions.lost_count()
            ),
            format!("users: {}, logins: {}", self.store.user_count(), t.logins),
            format!("messages: {} in, {} out", t.messages_in, t.messages_out),
            format!("bytes: {} in, {} out", t.bytes_in, t.bytes_out),
            format!("passwords waiting to be hashed: {}", self.admission.hashing.len()),
            format!("addresses in debt: {}", self.admission.throttle.len()),
            format!(
                "output: {} bytes of memory held, and of texts for many",
                self.registry.held_output_bytes()
            ),
            self.registry.turns.told(),
        ];
        lines.iter().for_each(|line| self.notice(line));
        for line in self.store.figures() {
            self.notice(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_commands_direct_messages_or_text() {
        let name = |text| Name::new(text).unwrap();
        assert_eq!(Command::parse("/who\r\n", |_| false), Ok(Some(Command::Who)));
        assert_eq!(Command::parse("/kick bob", |_| false), Ok(Some(Command::Kick(name("bob")))));
        assert_eq!(
            Command::parse("@bob hi there", |_| false),
            Ok(Some(Command::Direct(name("bob"), "hi there")))
        );
        assert_eq!(Command::parse(" hi", |_| false), Ok(Some(Command::Text(" hi"))));
        assert_eq!(Command::parse("\n", |_| false), Ok(None));
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
            assert!(Command::parse(line, |_| false).is_err(), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parser_panic(line in "[/@ a-z\\PC]*") {
            let _ = Command::parse(&line, |_| false);
        }
    }
}
