//! What names look like: two with the same skeleton can be taken for each other (Unicode TS 39).

use unicode_security::confusable_detection::skeleton as skeleton_of;

/// The skeleton of a name's case-folded form.
pub(crate) fn skeleton(name: &str) -> String {
    skeleton_of(&folded(name)).collect()
}

/// Whether a name can be taken for `server`.
pub(super) fn looks_like_server(name: &str) -> bool {
    // Some capitals look like Latin ones while their small letters look like nothing (Cherokee), so it is also folded
    // after that.
    skeleton(name) == "server" || folded(&skeleton_of(name).collect::<String>()) == "server"
}

/// Full case folding, but that it ends in small letters in every script.
pub(super) fn folded(text: &str) -> String {
    let small = char::to_lowercase;
    text.chars().flat_map(small).flat_map(char::to_uppercase).flat_map(small).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn case_and_what_looks_alike_are_one() {
        for (one, other) in [
            ("ann", "Ann"),
            ("ann", "\u{430}nn"),
            ("Strasse", "STRAßE"),
            ("scope", "ѕсоре"),
            ("form", "forrn"),
            ("user1", "userl"),
            ("\u{1100}\u{1161}", "\u{ac00}"),
            ("น้ำ", "น\u{e49}\u{e4d}\u{e32}"),
        ] {
            assert_eq!(skeleton(one), skeleton(other), "{one} {other}");
        }
        for (one, other) in [("ann", "anna"), ("bob", "b0b"), ("ann", "änn"), ("resume", "résumé")] {
            assert_ne!(skeleton(one), skeleton(other), "{one} {other}");
        }
    }
}
