//! Names: who somebody says they are.

use super::skeleton::looks_like_server;
use crate::limits::{NAME_BYTES, NAME_CHARACTERS, NAME_TYPED_BYTES};
use precis_profiles::UsernameCasePreserved;
use precis_profiles::precis_core::Error;
use precis_profiles::precis_core::profile::{Profile, Rules};
use std::borrow::{Borrow, Cow};
use std::fmt;
use std::sync::Arc;
use unicode_normalization::char::is_combining_mark;

/// A name within the rules, in the one form that it has however it was typed.
///
/// The rules are those of RFC 8265's UsernameCasePreserved profile, and porter's own: 1 to 32 characters and at most 64
/// bytes; the first a letter or a digit of any script, then letters, digits, combining marks, joiners where their script
/// has them, `_`, `-` and `.`; and nothing that looks like `server`. The form is the profile's: narrow, and composed (NFC).
///
/// So no name can begin a spreadsheet's formula, forge a log line or move a terminal's cursor.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub struct BadName {
    rule: &'static str,
    /// The character that breaks it, if it is one that not everybody can see.
    character: Option<char>,
}

/// Characters of a text that is no name that are shown of it.
const SHOWN_CHARACTERS: usize = 64;
const EMPTY: BadName = bad("a name cannot be empty");
const TOO_LONG: BadName = bad("a name has at most 32 characters and 64 bytes");
const FIRST: BadName = bad("a name begins with a letter or a digit");
const CHARACTERS: BadName = bad("a name has letters, digits, '_', '-' and '.' only");
const DIRECTIONS: BadName = bad("a name in a script from right to left has no letters from left to right, \
                                 begins with a letter, and ends with a letter or a digit");
const SERVER: BadName = bad("\"server\" is nobody's name, nor is what looks like it");

impl Name {
    /// Takes a text that keeps to the rules, in whatever form it was typed.
    ///
    /// # Errors
    /// [`BadName`] with the rule that it breaks.
    pub fn new(text: &str) -> Result<Name, BadName> {
        if text.is_ascii() {
            // Most names. The profile changes nothing in them.
            check_ascii(text)?;
            return Ok(Name(text.into()));
        }
        let name = prepare(text)?;
        if looks_like_server(&name) {
            return Err(SERVER);
        }
        Ok(Name(name.into()))
    }

    /// Takes a name from a file as it stands there: users who were stored before the rules became what they are keep
    /// their names.
    ///
    /// # Errors
    /// [`BadName`] with the rule that no version of porter ever let a name break.
    pub fn stored(text: &str) -> Result<Name, BadName> {
        Name::check_stored(text)?;
        Ok(Name(text.into()))
    }

    /// [Checks](Name::stored) a text without making a name of it: a store that loads a million keeps them its own way.
    pub(crate) fn check_stored(text: &str) -> Result<(), BadName> {
        Name::check_stored_by(text, may_follow)
    }

    /// The same, by a quicker [`may_follow`].
    pub(super) fn check_stored_by(text: &str, may_follow: impl FnMut(char) -> bool) -> Result<(), BadName> {
        if text.is_ascii() {
            return check_ascii(text);
        }
        let Some(first) = text.chars().next() else { return Err(EMPTY) };
        if text.len() > NAME_BYTES || text.chars().count() > NAME_CHARACTERS {
            return Err(TOO_LONG);
        }
        if !first.is_alphanumeric() {
            return Err(FIRST);
        }
        if !text.chars().all(may_follow) {
            return Err(CHARACTERS);
        }
        // Upper case folds what lower case does not: a long s would pass for the server's. A letter at a time, since with
        // nearly every name the first tells.
        if text.chars().flat_map(char::to_uppercase).eq("SERVER".chars()) {
            return Err(SERVER);
        }
        Ok(())
    }

    /// The name that a text stands for: that of a user who was stored before the rules under just this spelling, as
    /// `is_known` says, or else the one that the rules make of it.
    ///
    /// # Errors
    /// [`BadName`] with the rule that it breaks.
    pub fn meant(text: &str, is_known: impl FnOnce(&Name) -> bool) -> Result<Name, BadName> {
        // Of ASCII every version has made the same.
        if !text.is_ascii()
            && let Ok(name) = Name::stored(text)
            && is_known(&name)
        {
            return Ok(name);
        }
        Name::new(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The rules for names in ASCII, which come to the same as all of them.
fn check_ascii(text: &str) -> Result<(), BadName> {
    let bytes = text.as_bytes();
    let Some(first) = bytes.first() else { return Err(EMPTY) };
    if bytes.len() > NAME_CHARACTERS {
        return Err(TOO_LONG);
    }
    if !first.is_ascii_alphanumeric() {
        return Err(FIRST);
    }
    if !bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')) {
        return Err(CHARACTERS);
    }
    if bytes.eq_ignore_ascii_case(b"server") {
        return Err(SERVER);
    }
    Ok(())
}

/// What the rules make of a text, but for whom it looks like.
fn prepare(typed: &str) -> Result<Cow<'_, str>, BadName> {
    if typed.len() > NAME_TYPED_BYTES {
        return Err(TOO_LONG);
    }
    let profile = UsernameCasePreserved::new();
    // The profile judges before it composes, and so has no name that is typed in conjoining jamo: composed first, it has.
    let name = profile.width_mapping_rule(typed).and_then(|name| profile.normalization_rule(name));
    let name = name.map_err(|_| CHARACTERS)?;
    if name.len() > NAME_BYTES || name.chars().count() > NAME_CHARACTERS {
        return Err(TOO_LONG);
    }
    if name.starts_with(|first: char| !first.is_alphanumeric() || is_combining_mark(first) || is_am(first)) {
        return Err(FIRST);
    }
    if let Some(character) = name.chars().find(|character| !may_follow(*character)) {
        return Err(BadName { character: Some(character), ..CHARACTERS });
    }
    profile.prepare(name.replace(is_am, "\u{e32}")).map_err(|error| match error {
        Error::BadCodepoint(info) => BadName { character: char::from_u32(info.cp), ..CHARACTERS },
        _ => CHARACTERS,
    })?;
    if !keeps_direction(profile, &name) {
        return Err(DIRECTIONS);
    }
    Ok(name)
}

/// Whether a character may stand in a name, the first apart, as far as one can say of it alone.
pub(super) fn may_follow(character: char) -> bool {
    character.is_alphanumeric()
        || matches!(character, '_' | '-' | '.' | '\u{200c}' | '\u{200d}')
        || is_combining_mark(character)
}

/// The vowels "am" of Thai and Lao. The profile leaves them out because they have a compatibility decomposition; it is to
/// judge of "aa" in their place, which is the same but for that.
fn is_am(character: char) -> bool {
    matches!(character, '\u{e33}' | '\u{eb3}')
}

/// The Bidi Rule of RFC 5893, which the profile demands of names with a letter from right to left.
///
/// It lets nonspacing marks stand anywhere after the first letter, but `precis-profiles` only at the end, which would leave
/// no vocalised Hebrew and no Dhivehi at all: so the marks are taken out before it is asked again.
fn keeps_direction(profile: UsernameCasePreserved, name: &str) -> bool {
    let allows = |text: &str| profile.directionality_rule(text).is_ok();
    // A mark is a nonspacing one if it may end a text from right to left.
    let is_nonspacing = |mark: char| is_combining_mark(mark) && allows(&format!("\u{5d0}{mark}"));
    allows(name) || allows(&name.replace(is_nonspacing, ""))
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

const fn bad(rule: &'static str) -> BadName {
    BadName { rule, character: None }
}

impl BadName {
    /// What is to be said of a text that is no name, which may be as long as its writer likes.
    pub fn explain(&self, text: &str) -> String {
        let mut shown: String = text.chars().take(SHOWN_CHARACTERS).collect();
        if shown.len() < text.len() {
            shown.push_str("...");
        }
        format!("{shown:?} is no name: {self}")
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.rule)?;
        match self.character {
            Some(character) => write!(f, ", not U+{:04X} there", u32::from(character)),
            None => Ok(()),
        }
    }
}

/// Splits `@name text` into its recipient and its text; anything else is `None`.
///
/// The name must be within the rules, so `@server` addresses nobody, or that of somebody who [is here](Name::meant) from
/// before them; the text may be empty.
pub fn addressed(text: &str, is_here: impl FnOnce(&Name) -> bool) -> Option<(Name, &str)> {
    let (name, words) = text.strip_prefix('@')?.split_once(' ')?;
    Name::meant(name, is_here).ok().map(|name| (name, words))
}

#[cfg(test)]
mod tests;
