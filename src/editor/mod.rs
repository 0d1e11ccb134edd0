//! A line editor that never waits, for a person at a client's or a server's terminal: it is fed the bytes of the terminal,
//! and says what was entered and what to draw.
//!
//! The editors that others keep (rustyline, reedline) read the terminal themselves, and nobody can take it from them
//! while they do. Here the same loop waits for keys, the server or its clients, and signals, a question may come at any
//! time, and a terminal that takes no output holds up nothing. The line is drawn in one row, which scrolls sideways:
//! whatever is typed, the row can be taken away and drawn again when something is to be shown above it.
//!
//! Three types share the work, and a program's loop holds one of each:
//!
//! - A [`Terminal`] owns the modes of the terminal. Bytes that it hands over go to the editor.
//! - An [`Editor`] owns the line that is typed. It knows bytes, texts and columns, and no terminal.
//! - A [`Row`] says what to write so that the editor's line stands on the screen. What is to be shown above it is written
//!   behind [`Row::erase`], and [`Row::draw`] comes last, when all that there is has been shown.
//!
//! ```
//! use porter::editor::{Editor, Row, Typed};
//!
//! let (mut editor, mut row) = (Editor::new(1_000), Row::default());
//! let mut screen = String::new();
//! screen += &row.draw(&mut editor, 80).unwrap_or_default();
//! // A person types, and something arrives in between.
//! editor.feed(b"/wh");
//! assert!(editor.next_typed().is_none());
//! screen += &row.draw(&mut editor, 80).unwrap_or_default();
//! screen += row.erase();
//! screen += "ann: hello\n";
//! screen += &row.draw(&mut editor, 80).unwrap_or_default();
//! editor.feed(b"o\r");
//! let Some(Typed::Line(line)) = editor.next_typed() else { panic!("no line") };
//! screen += &row.leave(&mut editor, &line);
//! screen += "\n";
//! assert_eq!(*line, "/who");
//! assert_eq!(screen, "\r\x1b[K> /wh\r\x1b[Kann: hello\n\r\x1b[K> /who\n");
//! ```
//!
//! This module must not know who reads the line, nor sockets.

mod history;
mod job_control;
mod keys;
mod line;
mod row;
mod screen;
mod terminal;

pub use self::job_control::{act_as_default, is_ignored, stop_if_somebody_can_continue};
pub use self::row::Row;
pub use self::terminal::{Terminal, is_dumb};

use self::history::History;
use self::keys::{Decoder, Key};
use self::line::EditLine;
use crate::limits::PASSWORD_LINE_BYTES;
use crate::text::{escaped, escaped_but_tabs};
use std::collections::VecDeque;
use unicode_width::UnicodeWidthStr;
use zeroize::{Zeroize, Zeroizing};

/// Takes away the row that the cursor is in.
const ERASE_ROW: &str = "\r\x1b[K";
const CLEAR_SCREEN: &str = "\x1b[H\x1b[2J";
const PROMPT: &str = "> ";
/// Bytes of an entered line that are shown when it is done; the rest of a longer one is not.
const SHOWN_BYTES: usize = 64 * 1024;

/// What a person did that is more than editing.
pub enum Typed {
    /// A line was entered.
    Line(Zeroizing<String>),
    /// A line was entered of which the end did not fit.
    TooLong,
    /// The end of the input.
    End,
    /// The key that stops a program until the shell continues it.
    Suspend,
    /// The key that [completes](Editor::complete) a line, or else [is](Editor::insert) a tab.
    Tab,
}

/// A line that is being typed, and those typed before.
pub struct Editor {
    decoder: Decoder,
    /// Bytes that came and are not yet keys: after a line was entered the next is another matter.
    pending: VecDeque<u8>,
    line: EditLine,
    line_bytes_most: usize,
    is_too_long: bool,
    history: History,
    /// What was cut last.
    cut: Zeroizing<String>,
    prompt: String,
    is_question: bool,
    is_hidden: bool,
    /// The line that was being typed when a question came.
    draft: Option<EditLine>,
    must_clear: bool,
    is_changed: bool,
    /// What stands in the row, if the cursor is behind it.
    drawn: Option<String>,
}

impl Editor {
    /// One for lines of so many bytes at most.
    pub fn new(line_bytes_most: usize) -> Editor {
        Editor {
            decoder: Decoder::default(),
            pending: VecDeque::new(),
            line: EditLine::default(),
            line_bytes_most,
            is_too_long: false,
            history: History::default(),
            cut: Zeroizing::default(),
            prompt: PROMPT.to_owned(),
            is_question: false,
            is_hidden: false,
            draft: None,
            must_clear: false,
            is_changed: true,
            drawn: None,
        }
    }

    /// From now on the answer to a question is typed; a line that was begun waits. If it is the same question as
    /// before, an answer that was begun stays.
    pub fn begin_question(&mut self, prompt: &str, is_hidden: bool) {
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

    /// From now on lines are typed again, the one that was begun first.
    pub fn end_question(&mut self) {
        if std::mem::take(&mut self.is_question) {
            self.line = self.draft.take().unwrap_or_default();
        }
        PROMPT.clone_into(&mut self.prompt);
        (self.is_hidden, self.is_changed) = (false, true);
    }

    /// Takes what was typed.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.pending.extend(bytes);
    }

    /// Whether something was typed that [`next_typed`](Editor::next_typed) has not looked at.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The next thing that a person did, once it is complete.
    pub fn next_typed(&mut self) -> Option<Typed> {
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

    /// What was typed up to the cursor.
    pub fn begun(&self) -> &str {
        self.line.before()
    }

    /// Puts a text where the cursor is.
    pub fn insert(&mut self, text: &str) {
        self.is_changed = true;
        let most = if self.is_question { PASSWORD_LINE_BYTES } else { self.line_bytes_most };
        if self.line.text().len() + text.len() > most {
            self.is_too_long = true;
        } else {
            self.line.insert(text);
        }
    }

    /// Goes on with what was [begun](Editor::begun), as far as all these texts, which begin with it, go on alike. Says
    /// whether they do.
    pub fn complete<'a>(&mut self, texts: impl IntoIterator<Item = &'a str>) -> bool {
        let begun = self.begun();
        let rests = texts.into_iter().filter_map(|text| text.strip_prefix(begun));
        let rest = rests.reduce(alike).unwrap_or_default().to_owned();
        self.insert(&rest);
        !rest.is_empty()
    }

    /// What to draw into the row of the cursor. If it `is_drawn` as it was drawn last, that is only what is new.
    fn row(&mut self, columns: usize, is_drawn: bool) -> String {
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

    /// What to draw when the line is done, so that all of it stays. What comes next begins another line.
    fn done_row(&mut self, entered: &str, is_drawn: bool) -> String {
        let entered = if self.is_hidden { "" } else { entered };
        let end = (0..=SHOWN_BYTES.min(entered.len())).rev().find(|end| entered.is_char_boundary(*end));
        let (shown, rest) = entered.split_at(end.unwrap_or_default());
        let more = if rest.is_empty() { "" } else { "..." };
        let whole = format!("{}{}{more}", self.prompt, escaped_but_tabs(shown));
        let row = self.added(&whole, is_drawn);
        self.drawn = None;
        row
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
            Key::Tab => return Some(Typed::Tab),
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

    /// Takes a piece out, to be put back with Ctrl-Y; of a hidden line nothing is kept.
    fn cut(&mut self, go: impl FnOnce(&mut EditLine)) {
        let piece = self.line.take_out(go);
        if !self.is_hidden {
            self.cut = piece;
        }
    }
}

/// As much of both as is alike, in whole characters.
fn alike<'a>(one: &'a str, other: &str) -> &'a str {
    let alike = one.chars().zip(other.chars()).take_while(|(a, b)| a == b);
    &one[..alike.map(|(c, _)| c.len_utf8()).sum()]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LINE_BYTES: usize = 1_000;

    fn entered(editor: &mut Editor) -> Option<String> {
        match editor.next_typed()? {
            Typed::Line(line) => Some(line.to_string()),
            Typed::TooLong => Some("too long".into()),
            Typed::End => Some("end".into()),
            Typed::Suspend => Some("suspend".into()),
            Typed::Tab => Some("tab".into()),
        }
    }

    #[test]
    fn keys_edit_and_lines_come_one_at_a_time() {
        let mut editor = Editor::new(LINE_BYTES);
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
        let mut editor = Editor::new(LINE_BYTES);
        editor.feed(b"half a mess");
        assert_eq!(entered(&mut editor), None);
        editor.begin_question("Password for \x1b: ", true);
        editor.feed(b"secret\x17secret\x1b[A\rage\r");
        assert_eq!(editor.row(80, false), "\r\x1b[KPassword for \\u{1b}: ");
        assert_eq!(entered(&mut editor).as_deref(), Some("secret"));
        assert_eq!(editor.row(80, true), "");
        assert_eq!(editor.done_row("secret", true), "");
        editor.end_question();
        assert_eq!(entered(&mut editor).as_deref(), Some("half a message"));
        editor.feed(b"\x19");
        assert_eq!(entered(&mut editor), None);
        assert_eq!(editor.row(80, false), "\r\x1b[K> ");
    }

    #[test]
    fn a_line_is_completed_as_far_as_its_completions_are_alike() {
        let mut editor = Editor::new(LINE_BYTES);
        editor.feed("/kick \u{e9} behind\x01\x1bf\x1bf".as_bytes());
        assert_eq!(entered(&mut editor), None);
        assert_eq!(editor.begun(), "/kick \u{e9}");
        assert!(!editor.complete([]));
        assert!(!editor.complete(["/kick \u{e9}"]));
        assert!(editor.complete(["/kick \u{e9}va\u{e9}", "/kick \u{e9}va\u{e8}", "/kick \u{e9}van"]));
        assert_eq!(editor.line.text(), "/kick \u{e9}va behind");
        assert!(!editor.complete(["/kick \u{e9}va\u{e9}", "/kick \u{e9}va\u{e8}"]));
        editor.feed(b"\t");
        assert_eq!(entered(&mut editor).as_deref(), Some("tab"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_draw_more_than_a_row(bytes: Vec<u8>, columns in 0..100_usize) {
            let mut editor = Editor::new(LINE_BYTES);
            editor.feed(&bytes);
            while editor.has_pending() {
                let _ = editor.next_typed();
                let row = editor.row(columns, false);
                let shown = row.rsplit(ERASE_ROW).next().unwrap().split('\r').next().unwrap();
                prop_assert!(shown.width() < columns.max(PROMPT.width() + 1), "{row:?}");
                prop_assert!(!shown.contains(char::is_control), "{row:?}");
            }
        }
    }

    #[test]
    fn the_row_fits_the_screen_and_a_line_that_is_too_long_is_said_to_be() {
        let mut editor = Editor::new(LINE_BYTES);
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
