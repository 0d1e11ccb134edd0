//! From what is typed or piped to what is sent.

use super::ending::Stop;
use super::{Link, Session, now};
use crate::display::failed;
use crate::input::Line;
use porter::auth::{Name, addressed};
use porter::editor::{Typed, stop_if_somebody_can_continue};
use porter::limits::{HEADER_BYTES, TOKEN_BYTES, TYPED_WAITING_BYTES};
use porter::protocol::Request;
use rustix::io::{Errno, read};
use rustix::stdio;
use std::io::{self, IsTerminal};

/// Frames are made of typed texts only up to this many bytes ahead of what the connection takes.
const HANDED_BYTES: usize = 16 * 1024;
/// Bytes that are read from a terminal at once.
const KEYS_BYTES: usize = 4 * 1024;
const HELP: &str = "each line is a message; /who lists who is there, /quit or exit leaves, and a message that begins \
                    with / is written with two";

/// The longest text that goes into a frame whose body may have so many bytes: before it are the kind and the token.
pub(super) const fn text_bytes_most(max_frame_bytes: u32) -> usize {
    max_frame_bytes as usize - 1 - TOKEN_BYTES
}

const _: () = assert!(HANDED_BYTES > HEADER_BYTES);

impl Session {
    /// Hands what was typed to the connection, as far as it takes it.
    pub(super) fn send(&mut self) {
        let (connection, token) = match (&mut self.link, &self.token) {
            (Link::Up(connection, _), Some(token)) => (connection, token.expose()),
            (Link::Joining(connection, _), _) => return connection.write(),
            _ => return,
        };
        loop {
            while connection.waiting_bytes() < HANDED_BYTES
                && self
                    .queue
                    .hand_over(|text| connection.push(&Request::Message { token, text: text.as_bytes() }))
            {
            }
            if self.is_ending && self.queue.is_handed_over() && !self.exit_is_pushed {
                if has_no_person(self.is_one_shot) {
                    // A Bye may answer Exit, or come while texts still wait to be handled: this says which.
                    connection.push(&Request::Who { token });
                    self.receipts.last_who_asked();
                }
                connection.push(&Request::Exit);
                self.exit_is_pushed = true;
                self.quiet_since = now();
            }
            let before = connection.written();
            connection.write();
            if connection.written() > before {
                self.quiet_since = now();
            }
            while let Some(text) = self.queue.sent(connection.written()) {
                self.receipts.sent(&text, now());
                let to = recipient(&text).filter(|_| !self.receipts.is_echo());
                self.display.receipt("sent", text.len(), to.as_ref());
            }
            if connection.waiting_bytes() > 0 || self.queue.is_handed_over() {
                return;
            }
        }
    }

    /// Whether the input is a person's answer or message, in the editor.
    pub(super) fn is_typed(&self) -> bool {
        self.is_edited || self.prompter.is_asked()
    }

    /// While the server does not take what was typed, what is still to be read waits where it is. Before the first
    /// login the input belongs to the questions.
    pub(super) fn wants_input(&self) -> bool {
        if self.prompter.is_asked() {
            return true;
        }
        let handed = match &self.link {
            Link::Up(connection, _) => connection.waiting_bytes(),
            _ => 0,
        };
        self.token.is_some()
            && !self.is_ending
            && !self.display.is_crowded()
            && self.queue.typed_bytes() + handed <= TYPED_WAITING_BYTES
    }

    /// Reads what was typed or piped in.
    pub(super) fn read_input(&mut self) {
        if let Some(terminal) = self.terminal.as_ref().filter(|_| self.is_typed()) {
            match terminal.read(&mut self.portion[..KEYS_BYTES]) {
                Err(Errno::INTR | Errno::AGAIN) => {}
                // A terminal that is gone is as good as the end.
                Ok(0) | Err(_) => self.input_has_ended = true,
                Ok(count) => self.editor.feed(&self.portion[..count]),
            }
            zeroize::Zeroize::zeroize(&mut self.portion[..KEYS_BYTES]);
            return;
        }
        let mut lines = Vec::new();
        match read(stdio::stdin(), &mut self.portion[..]) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            outcome @ (Ok(0) | Err(_)) => {
                self.tally.input_failed = outcome.err();
                lines.extend(self.lines.finish());
                self.input_has_ended = true;
            }
            Ok(count) => self.lines.feed(&self.portion[..count], |line| lines.push(line)),
        }
        for line in lines {
            self.take_line(line);
        }
        self.is_ending |= self.input_has_ended;
    }

    /// Takes what was entered in the editor, as long as something is wanted.
    pub(super) fn take_typed(&mut self) -> Result<(), Stop> {
        while self.is_typed() && self.wants_input() {
            let is_asked = self.prompter.is_asked();
            let line = match self.editor.next_typed() {
                None if !self.input_has_ended => return Ok(()),
                None | Some(Typed::End) if is_asked => {
                    return Err(Stop::Failed(failed("the input ended before the question was answered")));
                }
                None | Some(Typed::End) => {
                    self.is_ending = true;
                    return Ok(());
                }
                Some(Typed::Suspend) => {
                    stop_if_somebody_can_continue();
                    return Ok(());
                }
                Some(Typed::Tab) => {
                    self.editor.insert("\t");
                    continue;
                }
                Some(Typed::Line(line)) => Some(line),
                Some(Typed::TooLong) => None,
            };
            self.display.leave_row(&mut self.editor, line.as_ref().map_or("", |line| line.as_str()));
            match line {
                line if is_asked => {
                    if let Err(trouble) = self.answered(line) {
                        self.end_or_retry(trouble)?;
                    }
                }
                // Enter alone is a slip.
                Some(text) if text.is_empty() => {}
                Some(text) => self.take_line(Line::Text(text.to_string())),
                None => self.take_line(Line::TooLong),
            }
        }
        Ok(())
    }

    /// Draws the row in which somebody types.
    pub(super) fn draw(&mut self) {
        let is_typing = self.prompter.is_asked() || self.token.is_some() && !self.is_ending;
        match &self.terminal {
            Some(terminal) if terminal.has_keys() && is_typing => {
                self.display.draw(&mut self.editor, terminal.columns());
            }
            _ => {}
        }
    }

    /// Takes a line of the input: a command, or a message.
    fn take_line(&mut self, line: Line) {
        let text = match line {
            _ if self.is_ending => return,
            Line::TooLong => return self.refuse_line("a line is longer than any server takes"),
            Line::Lossy(text) => {
                self.display.warn("this line was not UTF-8; what could not be read is replaced");
                text
            }
            Line::Text(text) => text,
        };
        match text.strip_prefix('/') {
            None if text == "exit" => self.is_ending = true,
            None => self.take_text(text),
            Some(rest) if rest.starts_with('/') => self.take_text(rest.to_owned()),
            Some("quit") => self.is_ending = true,
            Some("who") => self.ask_who(),
            Some("help") => self.display.answer(HELP),
            Some(_) => {
                let command = text.split_whitespace().next().unwrap_or_default();
                let reason = format!("there is no command {command}, /help lists them");
                self.refuse_line(&format!("{reason}; a message that begins with / is written with two"));
            }
        }
    }

    fn ask_who(&mut self) {
        match (&mut self.link, &self.token) {
            (Link::Up(connection, _), Some(token)) => {
                connection.push(&Request::Who { token: token.expose() });
                self.receipts.who_asked();
            }
            _ => self.refuse_line("nobody can be asked who is online before the connection is back"),
        }
    }

    pub(super) fn take_text(&mut self, text: String) {
        if text.len() > self.text_bytes_most {
            let (bytes, most) = (text.len(), self.text_bytes_most);
            return self.refuse_line(&format!(
                "a line of {bytes} bytes is not sent: the server takes {most}, unless --max-frame says otherwise"
            ));
        }
        self.queue.push(text);
    }

    fn refuse_line(&mut self, reason: &str) {
        self.tally.unsendable += 1;
        self.display.warn(reason);
    }

    /// Whether a script, and not a person, has to learn what went wrong.
    pub(super) fn is_scripted(&self) -> bool {
        has_no_person(self.is_one_shot)
    }
}

fn has_no_person(is_one_shot: bool) -> bool {
    is_one_shot || !io::stdin().is_terminal()
}

/// Whom a text is for, if it is for one.
fn recipient(text: &str) -> Option<Name> {
    addressed(text, |_| false).map(|(name, _)| name)
}
