//! A line editor that never waits: it is fed the bytes of a terminal, and says what was entered and what to draw.
//!
//! The editors that others keep (rustyline, reedline) read the terminal themselves, and nobody can take it from them
//! while they do. Here the same loop waits for keys, the server and signals, a question may come at any time, and a
//! terminal that takes no output holds up nothing. The line is drawn in one row, which scrolls sideways: whatever is
//! typed, the row can be taken away and drawn again when something is to be shown above it.
//!
//! This module must not know terminals: it knows bytes, texts and columns.

mod history;
mod keys;
mod line;
mod screen;

use self::history::History;
use self::keys::{Decoder, Key};
use self::line::EditLine;
use porter::limits::{PASSWORD_LINE_BYTES, TYPED_LINE_BYTES};
use porter::text::{escaped, escaped_but_tabs};
use std::collections::VecDeque;
use unicode_width::UnicodeWidthStr;
use zeroize::{Zeroize, Zeroizing};

/// Takes away the row that the cursor is in.
pub(crate) const ERASE_ROW: &str = "\r\x1b[K";
const CLEAR_SCREEN: &str = "\x1b[H\x1b[2J";
const MESSAGE_PROMPT: &str = "> ";
/// Bytes of an entered line that are shown when it is done; the rest of a longer one is not.
const SHOWN_BYTES: usize = 64 * 1024;

/// What a person did that is more than editing.
pub(crate) enum Typed {
    /// A line was entered.
    Line(Zeroizing<String>),
    /// A line was entered of which the end did not fit.
    TooLong,
    /// The end of the input.
    End,
    /// The key that stops a program until the shell continues it.
    Suspend,
}

pub(crate) struct Editor {
    decoder: Decoder,
    /// Bytes that came and are not yet keys: after a line was entered the next is another matter.
    pending: VecDeque<u8>,
    line: EditLine,
    is_too_long: bool,
    history: History,
    /// What was cut last.
    cut: Zeroizing<String>,
    prompt: String,
    is_question: bool,
    is_hidden: bool,
    /// The message that was being written when a question came.
    draft: Option<EditLine>,
    must_clear: bool,
    is_changed: bool,
    /// What stands in the row, if the cursor is behind it.
    drawn: Option<String>,
}

impl Editor {
    pub(crate) fn new() -> Editor {
        Editor {
            decoder: Decoder::default(),
            pending: VecDeque::new(),
            line: EditLine::default(),
            is_too_long: false,
            history: History::default(),
            cut: Zeroizing::default(),
            prompt: MESSAGE_PROMPT.to_owned(),
            is_question: false,
            is_hidden: false,
            draft: None,
            must_clear: false,
            is_changed: true,
            drawn: None,
        }
    }

    /// From now on the answer to a question is typed; a message that was begun waits. If it is the same question as
    /// before, an answer that was begun stays.
    pub(crate) fn begin_question(&mut self, prompt: &str, is_hidden: bool) {
        let prompt = escaped(prompt).to_string();
        if self.is_question && self.prompt == prompt {
            return;
        }
        // A password leaves no copies behind if its line need not grow.
        let line = std::mem::replace(&mut self.line, EditLine::with_room(PASSWORD_LINE_BYTES));
        if !self.is_question {
            self.draft = Some(line);
        }
        self.prompt = prompt;
        (self.is_question, self.is_hidden) = (true, is_hidden);
        (self.is_too_long, self.is_changed) = (false, true);
    }

    /// From now on messages are typed, the one that was begun first.
    pub(crate) fn begin_message(&mut self) {
        if std::mem::take(&mut self.is_question) {
            self.line = self.draft.take().unwrap_or_default();
        }
        MESSAGE_PROMPT.clone_into(&mut self.prompt);
        (self.is_hidden, self.is_changed) = (false, true);
    }

    /// Takes what was typed.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
    }

    /// Whether something was typed that [`next`](Editor::next) has not looked at.
    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The next thing that a person did, once it is complete.
    pub(crate) fn next(&mut self) -> Option<Typed> {
        while let Some(byte) = self.pending.front_mut() {
            let taken = *byte;
            byte.zeroize();
            self.pending.pop_front();
            if let Some(typed) = self.decoder.take(taken).and_then(|key| self.press(key)) {
                return Some(typed);
            }
        }
        None
    }

    /// Whether what [`row`](Editor::row) gives is no longer what it gave.
    pub(crate) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// What to draw into the row of the cursor. If it `is_drawn` as it was drawn last, that is only what is new.
    pub(crate) fn row(&mut self, columns: usize, is_drawn: bool) -> String {
        self.is_changed = false;
        // The last column stays free: a terminal that wraps early would begin another row.
        let room = columns.saturating_sub(self.prompt.width() + 1);
        let (shown, column) = if self.is_hidden { (String::new(), 0) } else { self.line.window(room) };
        let is_behind = shown.width() == column;
        let whole = format!("{}{shown}", self.prompt);
        let clear = if std::mem::take(&mut self.must_clear) { CLEAR_SCREEN } else { "" };
        if is_behind && clear.is_empty() {
            let row = self.added(&whole, is_drawn);
            self.drawn = Some(whole);
            return row;
        }
        self.drawn = is_behind.then(|| whole.clone());
        let column = self.prompt.width() + column;
        let back = match column {
            _ if is_behind => String::new(),
            0 => "\r".to_owned(),
            _ => format!("\r\x1b[{column}C"),
        };
        format!("{clear}{ERASE_ROW}{whole}{back}")
    }

    /// What to draw when the line is done, so that all of it stays.
    pub(crate) fn done_row(&mut self, entered: &str, is_drawn: bool) -> String {
        let entered = if self.is_hidden { "" } else { entered };
        let end = (0..=SHOWN_BYTES.min(entered.len())).rev().find(|end| entered.is_char_boundary(*end));
        let (shown, rest) = entered.split_at(end.unwrap_or_default());
        let more = if rest.is_empty() { "" } else { "..." };
        let whole = format!("{}{}{more}", self.prompt, escaped_but_tabs(shown));
        let row = self.added(&whole, is_drawn);
        self.drawn = None;
        row + "\n"
    }

    /// What makes `whole` of the row as it stands.
    fn added(&self, whole: &str, is_drawn: bool) -> String {
        match self.drawn.as_deref().filter(|_| is_drawn).and_then(|drawn| whole.strip_prefix(drawn)) {
            Some(new) => new.to_owned(),
            None => format!("{ERASE_ROW}{whole}"),
        }
    }

    fn press(&mut self, key: Key) -> Option<Typed> {
        self.is_changed = true;
        match key {
            Key::Enter => return Some(self.enter()),
            Key::DeleteOrEnd if self.line.text().is_empty() => return Some(Typed::End),
            Key::Suspend => return Some(Typed::Suspend),
            Key::Char(c) => self.insert(c.encode_utf8(&mut [0; 4])),
            Key::Backspace => _ = self.line.take_out(EditLine::left),
            Key::Delete | Key::DeleteOrEnd => _ = self.line.take_out(EditLine::right),
            Key::Left => self.line.left(),
            Key::Right => self.line.right(),
            Key::WordLeft => self.line.word_left(),
            Key::WordRight => self.line.word_right(),
            Key::Home => self.line.home(),
            Key::End => self.line.end(),
            Key::KillLeft => self.cut(EditLine::home),
            Key::KillRight => self.cut(EditLine::end),
            Key::KillWordLeft => self.cut(EditLine::word_left),
            Key::KillWordRight => self.cut(EditLine::word_right),
            Key::Yank => {
                let text = std::mem::take(&mut self.cut);
                self.insert(&text);
                self.cut = text;
            }
            Key::Older | Key::Newer if self.is_question => {}
            Key::Older => {
                if let Some(line) = self.history.older(self.line.text()) {
                    self.line = EditLine::of(line);
                }
            }
            Key::Newer => {
                if let Some(line) = self.history.newer() {
                    self.line = EditLine::of(line);
                }
            }
            Key::Redraw => self.must_clear = true,
        }
        None
    }

    fn enter(&mut self) -> Typed {
        let line = std::mem::take(&mut self.line).into_text();
        if std::mem::take(&mut self.is_too_long) {
            return Typed::TooLong;
        }
        if !self.is_question {
            self.history.push(&line);
        }
        Typed::Line(line)
    }

    fn insert(&mut self, text: &str) {
        let most = if self.is_question { PASSWORD_LINE_BYTES } else { TYPED_LINE_BYTES };
        if self.line.text().len() + text.len() > most {
            self.is_too_long = true;
        } else {
            self.line.insert(text);
        }
    }

    /// Takes a piece out, to be put back with Ctrl-Y; of a hidden line nothing is kept.
    fn cut(&mut self, go: impl FnOnce(&mut EditLine)) {
        let piece = self.line.take_out(go);
        if !self.is_hidden {
            self.cut = piece;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entered(editor: &mut Editor) -> Option<String> {
        match editor.next()? {
            Typed::Line(line) => Some(line.to_string()),
            Typed::TooLong => Some("too long".into()),
            Typed::End => Some("end".into()),
            Typed::Suspend => Some("suspend".into()),
        }
    }

    #[test]
    fn keys_edit_and_lines_come_one_at_a_time() {
        let mut editor = Editor::new();
        editor.feed(b"helo\x1b[Dl\r\x1b[A!\rpasted\r\x04");
        for line in ["hello", "hello!", "pasted", "end"] {
            assert_eq!(entered(&mut editor).as_deref(), Some(line));
        }
        assert_eq!(entered(&mut editor), None);
        editor.feed(b"one two\x17\x01\x19\x1a");
        assert_eq!(entered(&mut editor).as_deref(), Some("suspend"));
        assert_eq!(editor.line.text(), "twoone ");
        editor.feed(b"\x05\x15\x04");
        assert_eq!(entered(&mut editor).as_deref(), Some("end"));
    }

    #[test]
    fn a_question_lets_the_begun_message_wait_and_a_password_is_never_drawn() {
        let mut editor = Editor::new();
        editor.feed(b"half a mess");
        assert_eq!(entered(&mut editor), None);
        editor.begin_question("Password for \x1b: ", true);
        editor.feed(b"secret\x17secret\x1b[A\rage\r");
        assert_eq!(editor.row(80, false), "\r\x1b[KPassword for \\u{1b}: ");
        assert_eq!(entered(&mut editor).as_deref(), Some("secret"));
        assert_eq!(editor.row(80, true), "");
        assert_eq!(editor.done_row("secret", true), "\n");
        editor.begin_message();
        assert_eq!(entered(&mut editor).as_deref(), Some("half a message"));
        editor.feed(b"\x19");
        assert_eq!(entered(&mut editor), None);
        assert_eq!(editor.row(80, false), "\r\x1b[K> ");
    }

    #[test]
    fn the_row_fits_the_screen_and_a_line_that_is_too_long_is_said_to_be() {
        let mut editor = Editor::new();
        editor.feed("李".repeat(100).as_bytes());
        editor.feed(b"\x1b[H");
        assert_eq!(entered(&mut editor), None);
        assert_eq!(editor.row(10, true), "\r\x1b[K> 李李李\r\x1b[2C");
        assert_eq!(editor.row(0, true), "\r\x1b[K> ");
        editor.begin_question("Name: ", false);
        editor.feed("x".repeat(PASSWORD_LINE_BYTES + 1).as_bytes());
        editor.feed(b"\rann\r");
        assert_eq!(entered(&mut editor).as_deref(), Some("too long"));
        assert_eq!(entered(&mut editor).as_deref(), Some("ann"));
    }
}
