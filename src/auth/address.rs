//! Texts that were meant for one.

/// Whether a text begins as a direct message does: with `@`, whatever white space stands before it.
///
/// One that does and is not [`addressed`](super::addressed) was meant for somebody, so nobody else is to read it.
pub fn is_meant_for_one(text: &str) -> bool {
    text.trim_start().starts_with('@')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_character_that_is_no_white_space_tells() {
        for text in [
            "@bob x",
            "@",
            " @bob x",
            "\t\r\n@",
            "\u{a0}\u{2003}\u{3000}\u{85}@bob",
            "@@bob",
            "@\u{200b}bob x",
        ] {
            assert!(is_meant_for_one(text), "{text:?}");
        }
        // Characters without a width are no white space, and a fullwidth or small @ is another character.
        for text in
            ["", " ", "bob @cid", "\u{200b}@bob x", "\u{feff}@bob x", "\u{ff20}bob x", "\u{fe6b}bob x"]
        {
            assert!(!is_meant_for_one(text), "{text:?}");
        }
    }
}
