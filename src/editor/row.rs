//! The row of the screen in which somebody types.
//!
//! This module must not know how what it gives is written.

use super::{ERASE_ROW, Editor};

/// Whether the row is on the screen: the last one, and only while nothing is being shown above it.
#[derive(Debug, Default)]
pub struct Row {
    is_drawn: bool,
}

impl Row {
    /// What takes it away, if it is there: what is shown next comes above it.
    pub fn erase(&mut self) -> &'static str {
        if std::mem::take(&mut self.is_drawn) { ERASE_ROW } else { "" }
    }

    /// What makes it stand there as it should, if it does not.
    pub fn draw(&mut self, editor: &mut Editor, columns: usize) -> Option<String> {
        let was_drawn = std::mem::replace(&mut self.is_drawn, true);
        (!was_drawn || editor.is_changed).then(|| editor.row(columns, was_drawn))
    }

    /// What makes it stay where it is with all that was entered. A line end is to follow: what is shown next comes below it.
    pub fn leave(&mut self, editor: &mut Editor, entered: &str) -> String {
        let was_drawn = std::mem::take(&mut self.is_drawn);
        editor.done_row(entered, was_drawn)
    }
}
