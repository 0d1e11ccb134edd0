//! The texts of the messages: printable, of an exact length in bytes, and different for each number, so that the
//! echo of another message is found out.

/// What follows the number: characters of one to four bytes, so that a server that counts characters where it
/// should count bytes is found out too.
const FILLING: &str = "the quick brown fox jumps over the lazy dog 0123456789 æøå ñ ß Ω ж 你好 日本 🦊 ";

/// Puts the text with this number into `text`: its number in base 36, lowest digit first, then filling, cut or
/// filled up to exactly `size_bytes`.
pub(super) fn compose(text: &mut String, serial: u64, size_bytes: usize) {
    text.clear();
    text.reserve(size_bytes);
    let mut rest = serial;
    while text.len() < size_bytes {
        text.push(char::from_digit((rest % 36) as u32, 36).unwrap_or('0'));
        rest /= 36;
        if rest == 0 {
            break;
        }
    }
    if text.len() < size_bytes {
        text.push(' ');
    }
    while text.len() + FILLING.len() <= size_bytes {
        text.push_str(FILLING);
    }
    let room = size_bytes - text.len();
    let end = (0..=room).rev().find(|end| FILLING.is_char_boundary(*end)).unwrap_or(0);
    text.push_str(&FILLING[..end]);
    while text.len() < size_bytes {
        text.push('.');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_size_is_exact_and_printable() {
        let mut text = String::new();
        for size_bytes in (0..300).chain([4_096, 65_519]) {
            compose(&mut text, 1_234_567, size_bytes);
            assert_eq!(text.len(), size_bytes);
            assert!(!text.contains(char::is_control));
        }
    }

    #[test]
    fn numbers_tell_texts_apart() {
        for size_bytes in [4, 64] {
            let texts: HashSet<String> = (0..40_000)
                .map(|serial| {
                    let mut text = String::new();
                    compose(&mut text, serial, size_bytes);
                    text
                })
                .collect();
            assert_eq!(texts.len(), 40_000);
        }
    }
}
