//! What others wrote, made fit for a terminal.
//!
//! Every untrusted text that a person gets to see passes through [`escaped`]. This module must not know where it is
//! shown.

use std::fmt;
use std::io;

/// The text with every character that could move a cursor, forge a line or turn the reading order shown as
/// `\u{..}`: C0, DEL, C1 (so escape sequences, tabs and line ends), line separators, and bidirectional controls.
pub fn escaped(text: &str) -> impl fmt::Display {
    Escaped { text, harmless: None }
}

/// The same, but a tab is a tab: in a line that ends behind the text it can forge nothing.
pub fn escaped_but_tabs(text: &str) -> impl fmt::Display {
    Escaped { text, harmless: Some('\t') }
}

/// What the system said of an error, without the number that it has there: `Connection refused`.
pub fn without_number(error: &io::Error) -> String {
    without_numbers(&error.to_string())
}

/// A text for a person without the numbers of the system's errors, of which the words say as much.
pub fn without_numbers(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(')') {
            Some((number, rest)) if number.parse::<i32>().is_ok() => kept.push_str(rest),
            _ => kept.extend([" (os error ", part]),
        }
    }
    kept
}

struct Escaped<'a> {
    text: &'a str,
    harmless: Option<char>,
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut plain = self.text;
        while let Some(at) = plain.find(|c| is_harmful(c) && Some(c) != self.harmless) {
            let (before, rest) = plain.split_at(at);
            f.write_str(before)?;
            let mut rest = rest.chars();
            if let Some(harmful) = rest.next() {
                write!(f, "{}", harmful.escape_unicode())?;
            }
            plain = rest.as_str();
        }
        f.write_str(plain)
    }
}

/// Whether a character could move a cursor, forge a line or turn the reading order.
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_numbers_of_errors_are_left_out() {
        for (said, kept) in [
            ("no (os error 2), no (os error 13); mend it", "no, no; mend it"),
            ("an (os error of mine) and (os error 2", "an (os error of mine) and (os error 2"),
            ("", ""),
        ] {
            assert_eq!(without_numbers(said), kept);
        }
    }

    #[test]
    fn nothing_reaches_the_terminal_but_letters() {
        let shown = |text| escaped(text).to_string();
        assert_eq!(shown("\x1b[2J\x1b]0;x\x07\nINFO forged"), r"\u{1b}[2J\u{1b}]0;x\u{7}\u{a}INFO forged");
        assert_eq!(shown("a\u{9b}31mb\u{7f}\tc\r"), r"a\u{9b}31mb\u{7f}\u{9}c\u{d}");
        assert_eq!(shown("\u{202e}evil\u{2066}\u{200f}\u{2028}"), r"\u{202e}evil\u{2066}\u{200f}\u{2028}");
        assert_eq!(shown("naïve 李雷 👩‍🚀 \\u{1b}"), "naïve 李雷 👩‍🚀 \\u{1b}");
    }

    #[test]
    fn a_tab_may_be_shown_as_one() {
        assert_eq!(escaped_but_tabs("a\tb\x1b").to_string(), "a\tb\\u{1b}");
    }

    proptest! {
        #[test]
        fn no_control_character_survives(text: String) {
            prop_assert!(!escaped(&text).to_string().chars().any(is_harmful));
        }
    }
}
