//! Names: who somebody says they are.

use crate::limits::{NAME_BYTES, NAME_CHARACTERS};
use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// A name within the rules: 1 to 32 characters and at most 64 bytes, letters and digits of any script, and
/// `_`, `-`, `.` after the first; not `server` in any case. Compared byte for byte.
///
/// So no name can begin a spreadsheet's formula, forge a log line or move a terminal's cursor.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadName(&'static str);

impl Name {
    /// Takes a text that keeps to the rules.
    ///
    /// # Errors
    /// [`BadName`] with the rule that it breaks.
    pub fn new(text: &str) -> Result<Name, BadName> {
        Name::check(text)?;
        Ok(Name(text.into()))
    }

    /// Checks a text against the rules without making a name of it: a store that loads a million keeps them its own way.
    pub(crate) fn check(text: &str) -> Result<(), BadName> {
        let Some(first) = text.chars().next() else { return Err(BadName("a name cannot be empty")) };
        if text.len() > NAME_BYTES || text.chars().count() > NAME_CHARACTERS {
            return Err(BadName("a name has at most 32 characters and 64 bytes"));
        }
        if !first.is_alphanumeric() {
            return Err(BadName("a name begins with a letter or a digit"));
        }
        if !text.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')) {
            return Err(BadName("a name has letters, digits, '_', '-' and '.' only"));
        }
        // Upper case folds what lower case does not: a long s would pass for the server's. A letter at a time, since with
        // nearly every name the first tells.
        if text.chars().flat_map(char::to_uppercase).eq("SERVER".chars()) {
            return Err(BadName("\"server\" is nobody's name"));
        }
        Ok(())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadName {}

/// Splits `@name text` into its recipient and its text; anything else is `None`.
///
/// The name must be within the rules, so `@server` addresses nobody; the text may be empty.
pub fn addressed(text: &str) -> Option<(Name, &str)> {
    let (name, words) = text.strip_prefix('@')?.split_once(' ')?;
    Name::new(name).ok().map(|name| (name, words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_of_any_script_are_names() {
        for text in ["a", "ann", "Ann.B-c_2", "Ægir", "李雷", "7", &"x".repeat(32), &"é".repeat(32)] {
            assert_eq!(Name::new(text).map(|name| name.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn what_breaks_a_rule_is_refused() {
        let long = "x".repeat(33);
        let wide = "李".repeat(22);
        for text in [
            "",
            " ",
            "-a",
            ".a",
            "_a",
            "=cmd",
            "@a",
            "a b",
            "a\n",
            "a\r",
            "\u{1b}[2J",
            "a,b",
            "a\"b",
            "server",
            "SERVER",
            "Server",
            "ſerver",
            &long,
            &wide,
        ] {
            assert!(Name::new(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_direct_message_is_a_name_one_space_and_a_text() {
        let split = |text| addressed(text).map(|(name, words)| (name.to_string(), words));
        assert_eq!(split("@bob hi there"), Some(("bob".into(), "hi there")));
        assert_eq!(split("@bob "), Some(("bob".into(), "")));
        for text in ["@bob", "bob hi", "@server hi", "@ hi", "@-b hi", "", "@"] {
            assert_eq!(split(text), None, "{text:?}");
        }
    }
}
