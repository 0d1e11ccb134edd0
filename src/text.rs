//! Other people's text, made harmless.

use std::fmt::{self, Display, Write};

/// Shows text with everything that could move a terminal's cursor, end a line or turn the reading direction around
/// written as `\u{..}`; all else stays as it is.
pub(crate) fn escaped(text: &str) -> impl Display {
    Escaped(text)
}

struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if is_harmful(character) {
                write!(f, "{}", character.escape_unicode())?;
            } else {
                f.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// C0 and C1 controls, line and paragraph separators, and the bidirectional controls of Unicode (UAX #9).
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_move_a_cursor_is_shown_as_its_number() {
        let shown = escaped("a\u{1b}[2J\u{9b}\r\nb\u{202e}c\u{2028}d\u{7f}é李").to_string();
        assert_eq!(shown, "a\\u{1b}[2J\\u{9b}\\u{d}\\u{a}b\\u{202e}c\\u{2028}d\\u{7f}é李");
    }
}
