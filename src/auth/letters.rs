//! Letters of names, each looked up once in the tables of Unicode.

use super::name::{BadName, Name, may_follow};
use super::skeleton::{folded, skeleton};
use crate::limits::NAME_BYTES;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

/// Characters whose pieces are worked out together.
const PAGE: usize = 64;

/// Says of names what [`Name::check_stored`] and [`skeleton`] say, some twenty times as fast: for a store that loads a
/// million of them.
///
/// A skeleton is what the characters become one by one, put together, unless combining marks of two characters meet in an
/// order that is not the canonical one: then they change places.
pub(crate) struct Letters {
    /// By the character's number; none before a name with a character of it was [learnt](Letters::learn).
    pages: Vec<Option<Box<[Piece; PAGE]>>>,
    /// The pieces, end to end.
    text: String,
}

/// What a character becomes.
#[derive(Clone, Copy, Default)]
struct Piece {
    start: u32,
    bytes: u16,
    /// The combining classes at its ends, when it is only folded and decomposed, and at last.
    folded: Ends,
    skeleton: Ends,
    /// Whether a name may have it behind the first.
    may_follow: bool,
}

/// The canonical combining classes of the first and the last character of a text; 0 is none.
#[derive(Clone, Copy, Default)]
struct Ends {
    first: u8,
    last: u8,
}

impl Ends {
    fn of(text: &str) -> Ends {
        let class = |character: Option<char>| character.map_or(0, canonical_combining_class);
        Ends { first: class(text.chars().next()), last: class(text.chars().next_back()) }
    }

    /// Whether what begins like `next` may stand behind this without changing places.
    fn allows(self, next: Ends) -> bool {
        next.first == 0 || self.last <= next.first
    }
}

impl Letters {
    pub(crate) fn new() -> Letters {
        Letters { pages: Vec::new(), text: String::new() }
    }

    /// Checks a name from a file against the rules for such names, and learns its characters if they are not ASCII.
    ///
    /// # Errors
    /// [`BadName`], as [`Name::stored`] has it.
    pub(crate) fn check_stored(&mut self, name: &str) -> Result<(), BadName> {
        Name::check_stored_by(name, |character| self.page(character)[character as usize % PAGE].may_follow)
    }

    /// Works out what the characters of a name become.
    pub(crate) fn learn(&mut self, name: &str) {
        if name.is_ascii() {
            return;
        }
        for character in name.chars() {
            self.page(character);
        }
    }

    fn page(&mut self, character: char) -> &[Piece; PAGE] {
        let number = character as usize / PAGE;
        if self.pages.len() <= number {
            self.pages.resize(number + 1, None);
        }
        let Letters { pages, text } = self;
        let work_out = || Box::new(std::array::from_fn(|place| Piece::of(number * PAGE + place, text)));
        pages[number].get_or_insert_with(work_out)
    }

    /// Looks at the skeleton of a name within the rules.
    pub(crate) fn with<T>(&self, name: &str, look: impl FnOnce(&[u8]) -> T) -> T {
        if !name.is_ascii() {
            return look(self.composed(name).unwrap_or_else(|| skeleton(name)).as_bytes());
        }
        let mut buffer = [0; 2 * NAME_BYTES];
        let mut length = 0;
        for byte in name.bytes() {
            // Of what an ASCII name may have, case folded, no other character is like one that is not itself.
            let prototype = match byte.to_ascii_lowercase() {
                b'0' => b'O',
                b'1' => b'l',
                b'm' => {
                    buffer[length] = b'r';
                    length += 1;
                    b'n'
                }
                other => other,
            };
            buffer[length] = prototype;
            length += 1;
        }
        look(&buffer[..length])
    }

    fn composed(&self, name: &str) -> Option<String> {
        let mut composed = String::with_capacity(2 * NAME_BYTES);
        let (mut folded, mut skeleton) = (Ends::default(), Ends::default());
        for character in name.chars() {
            let piece = &self.pages.get(character as usize / PAGE)?.as_ref()?[character as usize % PAGE];
            if !folded.allows(piece.folded) || !skeleton.allows(piece.skeleton) {
                return None;
            }
            composed.push_str(&self.text[piece.start as usize..][..piece.bytes.into()]);
            folded = piece.folded;
            // What leaves nothing does not part what stands around it.
            skeleton = if piece.bytes == 0 { skeleton } else { piece.skeleton };
        }
        Some(composed)
    }
}

impl Piece {
    /// The piece of a character by its number; what it becomes is appended to `text`.
    fn of(number: usize, text: &mut String) -> Piece {
        let Some(character) = char::from_u32(number as u32) else { return Piece::default() };
        let (may_follow, character) = (may_follow(character), character.to_string());
        let (folded, skeleton) = (folded(&character).nfd().collect::<String>(), skeleton(&character));
        let start = text.len() as u32;
        text.push_str(&skeleton);
        Piece {
            start,
            bytes: skeleton.len() as u16,
            folded: Ends::of(&folded),
            skeleton: Ends::of(&skeleton),
            may_follow,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fast(name: &str) -> String {
        let mut letters = Letters::new();
        letters.learn(name);
        letters.with(name, |skeleton| String::from_utf8(skeleton.to_vec()).unwrap())
    }

    #[test]
    fn every_character_becomes_the_same_fast() {
        let mut letters = Letters::new();
        for character in '\u{80}'..=char::MAX {
            let name = character.to_string();
            letters.learn(&name);
            let fast = letters.composed(&name);
            assert_eq!(fast.as_deref(), Some(&*skeleton(&name)), "U+{:04X}", u32::from(character));
        }
    }

    /// In the right order as they are typed, or once they are what they look like: of classes 230 and 220, then 230 and 0;
    /// and of 230 twice, then 230 and 107.
    #[test]
    fn marks_in_order_at_one_step_alone_are_put_in_order() {
        for name in ["\u{e0}\u{32e}", "\u{e0}\u{30d}"] {
            assert_eq!(fast(name), skeleton(name));
        }
    }

    /// Each `m` becomes two letters.
    #[test]
    fn the_longest_skeleton_has_room() {
        let name = "m".repeat(NAME_BYTES);
        assert_eq!(fast(&name), skeleton(&name));
    }

    proptest! {
        #[test]
        fn ascii_names_become_the_same_fast(name in "[A-Za-z0-9_.-]{1,32}") {
            prop_assert_eq!(fast(&name), skeleton(&name));
        }

        /// Marks of every class, joiners and fillers among letters.
        #[test]
        fn marks_are_put_in_order(
            name in "([a-zé\u{301}\u{323}\u{327}\u{345}\u{34f}\u{e38}\u{e48}\u{94d}\u{93c}\u{200d}\u{3099}ǖøĿ한\u{1161}\u{11a8}]|\\PC){1,16}"
        ) {
            prop_assume!(!name.is_ascii());
            prop_assert_eq!(fast(&name), skeleton(&name));
        }
    }
}
