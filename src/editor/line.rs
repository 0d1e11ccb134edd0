//! A line of text under a person's hands.
//!
//! It moves by what a person takes for one character (a grapheme cluster). This module must not know keys or screens.

use super::screen::drawn;
use unicode_segmentation::UnicodeSegmentation;
use zeroize::Zeroizing;

#[derive(Default)]
pub(super) struct EditLine {
    text: Zeroizing<String>,
    /// In bytes; always between two characters.
    cursor: usize,
}

impl EditLine {
    /// With room for so many bytes from the start.
    pub(super) fn with_room(bytes: usize) -> EditLine {
        EditLine { text: Zeroizing::new(String::with_capacity(bytes)), cursor: 0 }
    }

    pub(super) fn of(text: &str) -> EditLine {
        EditLine { text: Zeroizing::new(text.to_owned()), cursor: text.len() }
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_text(self) -> Zeroizing<String> {
        self.text
    }

    pub(super) fn insert(&mut self, text: &str) {
        self.text.insert_str(self.cursor, text);
        self.cursor += text.len();
    }

    pub(super) fn left(&mut self) {
        self.cursor -= self.before().graphemes(true).next_back().map_or(0, str::len);
    }

    pub(super) fn right(&mut self) {
        self.cursor += self.behind().graphemes(true).next().map_or(0, str::len);
    }

    pub(super) fn home(&mut self) {
        self.cursor = 0;
    }

    pub(super) fn end(&mut self) {
        self.cursor = self.text.len();
    }

    pub(super) fn word_left(&mut self) {
        let words = self.before().trim_end_matches(|c: char| !c.is_alphanumeric());
        self.cursor = words.trim_end_matches(char::is_alphanumeric).len();
    }

    pub(super) fn word_right(&mut self) {
        let words = self.behind().trim_start_matches(|c: char| !c.is_alphanumeric());
        self.cursor = self.text.len() - words.trim_start_matches(char::is_alphanumeric).len();
    }

    /// Takes out what lies between the cursor and where `go` leads.
    pub(super) fn take_out(&mut self, go: impl FnOnce(&mut EditLine)) -> Zeroizing<String> {
        let from = self.cursor;
        go(self);
        let (start, end) = (from.min(self.cursor), from.max(self.cursor));
        self.cursor = start;
        let taken = Zeroizing::new(self.text[start..end].to_owned());
        self.text.replace_range(start..end, "");
        taken
    }

    /// What is before the cursor.
    pub(super) fn before(&self) -> &str {
        &self.text[..self.cursor]
    }

    fn behind(&self) -> &str {
        &self.text[self.cursor..]
    }

    /// As much of the line as fits into so many columns, the cursor in it, as it is drawn; and the cursor's column.
    pub(super) fn window(&self, columns: usize) -> (String, usize) {
        // While there is something behind the cursor a little of it is shown.
        let most = if self.behind().is_empty() { columns } else { columns - columns / 4 };
        let (mut column, mut shown) = (0, Vec::new());
        for cluster in self.before().graphemes(true).rev() {
            let (text, width) = drawn(cluster);
            if column + width > most {
                break;
            }
            column += width;
            shown.push(text);
        }
        shown.reverse();
        let mut width_shown = column;
        for cluster in self.behind().graphemes(true) {
            let (text, width) = drawn(cluster);
            if width_shown + width > columns {
                break;
            }
            width_shown += width;
            shown.push(text);
        }
        (shown.concat(), column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_moves_by_what_a_person_takes_for_a_character() {
        let mut line = EditLine::of("a👩‍🚀e\u{301}");
        line.left();
        line.left();
        line.insert("-");
        assert_eq!(line.text(), "a-👩‍🚀e\u{301}");
        line.take_out(EditLine::right);
        assert_eq!(line.text(), "a-e\u{301}");
        line.end();
        line.take_out(EditLine::left);
        assert_eq!(line.text(), "a-");
        line.right();
        line.home();
        line.left();
        line.insert("x");
        assert_eq!(line.text(), "xa-");
    }

    #[test]
    fn words_are_jumped_over_and_taken_out() {
        let mut line = EditLine::of("one, two  three");
        line.word_left();
        line.word_left();
        assert_eq!(&*line.take_out(EditLine::word_right), "two");
        assert_eq!(&*line.take_out(EditLine::home), "one, ");
        assert_eq!(line.text(), "  three");
    }

    #[test]
    fn the_window_shows_the_cursor_whatever_the_line() {
        let mut line = EditLine::of(&"0123456789".repeat(100));
        assert_eq!(line.window(10), ("0123456789".to_owned(), 10));
        line.home();
        assert_eq!(line.window(10), ("0123456789".to_owned(), 0));
        (0..500).for_each(|_| line.right());
        let (shown, column) = line.window(10);
        assert_eq!((shown.as_str(), column), ("2345678901", 8));
        assert_eq!(EditLine::of("李李李").window(5), ("李李".to_owned(), 4));
        assert_eq!(EditLine::of("a\tb\u{1b}").window(80), ("a    b\\u{1b}".to_owned(), 12));
        assert_eq!(EditLine::of("李").window(0), (String::new(), 0));
    }
}
