//! What was typed before, to be had again with the arrow keys. It is kept in memory only: messages are private.
//!
//! This module must not know how a line is edited.

use crate::limits::{HISTORY_BYTES, HISTORY_LINES};
use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(super) struct History {
    lines: VecDeque<String>,
    bytes: usize,
    /// How far back the person is: 0 is the line that they are writing.
    back: usize,
    /// What they were writing before they went back.
    draft: String,
}

impl History {
    /// Notes a line that was entered; the same again, or an empty one, is not noted.
    pub(super) fn push(&mut self, line: &str) {
        self.back = 0;
        self.draft.clear();
        if line.is_empty() || line.len() > HISTORY_BYTES || self.lines.back().is_some_and(|last| last == line)
        {
            return;
        }
        self.bytes += line.len();
        self.lines.push_back(line.to_owned());
        while self.lines.len() > HISTORY_LINES || self.bytes > HISTORY_BYTES {
            self.bytes -= self.lines.pop_front().map_or(0, |line| line.len());
        }
    }

    /// The line before the one that is shown, which is noted as the draft if it is being written.
    pub(super) fn older(&mut self, shown: &str) -> Option<&str> {
        let index = self.lines.len().checked_sub(self.back + 1)?;
        if self.back == 0 {
            shown.clone_into(&mut self.draft);
        }
        self.back += 1;
        self.lines.get(index).map(String::as_str)
    }

    /// The line after the one that is shown; the last is the draft.
    pub(super) fn newer(&mut self) -> Option<&str> {
        self.back = self.back.checked_sub(1)?;
        match self.back {
            0 => Some(&self.draft),
            back => self.lines.get(self.lines.len() - back).map(String::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_back_in_order_and_the_draft_last() {
        let mut history = History::default();
        ["one", "two", "two", ""].iter().for_each(|line| history.push(line));
        assert_eq!(history.newer(), None);
        assert_eq!(history.older("draft"), Some("two"));
        assert_eq!(history.older("two"), Some("one"));
        assert_eq!(history.older("one"), None);
        assert_eq!(history.newer(), Some("two"));
        assert_eq!(history.newer(), Some("draft"));
        assert_eq!(history.newer(), None);
    }

    #[test]
    fn it_is_bounded() {
        let mut history = History::default();
        (0..HISTORY_LINES + 5).for_each(|number| history.push(&number.to_string()));
        assert_eq!((history.lines.len(), history.lines[0].as_str()), (HISTORY_LINES, "5"));
        (0..3).for_each(|letter| history.push(&format!("{letter}").repeat(HISTORY_BYTES / 2)));
        assert_eq!(history.lines.len(), 2);
        history.push(&"x".repeat(HISTORY_BYTES + 1));
        assert_eq!(history.lines.len(), 2);
    }
}
