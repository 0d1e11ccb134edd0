//! The keys that a terminal's bytes stand for.
//!
//! This module must not know what a key does.

/// Bytes of the longest sequence that a key may send.
const SEQUENCE_BYTES: usize = 16;

/// A key, by what it means to a line of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Char(char),
    Enter,
    Backspace,
    Delete,
    /// Delete, or the end of the input on an empty line.
    DeleteOrEnd,
    Left,
    Right,
    WordLeft,
    WordRight,
    Home,
    End,
    Older,
    Newer,
    KillLeft,
    KillRight,
    KillWordLeft,
    KillWordRight,
    Yank,
    Tab,
    Redraw,
    Suspend,
}

/// Makes keys of bytes that come in any portions.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    begun: Begun,
}

#[derive(Debug, Default)]
enum Begun {
    #[default]
    Nothing,
    /// A character of several bytes.
    Char([u8; 4], usize),
    Escape,
    /// After ESC O: one letter is to come.
    Function,
    /// After ESC [: parameters, then a letter or tilde.
    Sequence([u8; SEQUENCE_BYTES], usize),
}

impl Decoder {
    /// Takes the next byte, and gives the key that it completes.
    pub(super) fn take(&mut self, byte: u8) -> Option<Key> {
        match std::mem::take(&mut self.begun) {
            Begun::Nothing => self.first(byte),
            Begun::Escape => self.after_escape(byte),
            Begun::Function => arrow(byte, false),
            Begun::Char(bytes, count) => self.continued(bytes, count, byte),
            Begun::Sequence(bytes, count) => self.sequence(bytes, count, byte),
        }
    }

    fn first(&mut self, byte: u8) -> Option<Key> {
        match byte {
            0x1b => {
                self.begun = Begun::Escape;
                None
            }
            0x00..=0x1f | 0x7f => control(byte),
            0x20..=0x7e => Some(Key::Char(char::from(byte))),
            _ => self.continued([0; 4], 0, byte),
        }
    }

    fn continued(&mut self, mut bytes: [u8; 4], count: usize, byte: u8) -> Option<Key> {
        bytes[count] = byte;
        match std::str::from_utf8(&bytes[..=count]) {
            Ok(text) => text.chars().next().map(Key::Char),
            Err(error) if error.error_len().is_none() => {
                self.begun = Begun::Char(bytes, count + 1);
                None
            }
            // What broke it off is seldom a character too: a terminal sends whole ones.
            Err(_) => Some(Key::Char(char::REPLACEMENT_CHARACTER)),
        }
    }

    fn after_escape(&mut self, byte: u8) -> Option<Key> {
        match byte {
            b'[' => self.begun = Begun::Sequence([0; SEQUENCE_BYTES], 0),
            b'O' => self.begun = Begun::Function,
            0x1b => self.begun = Begun::Escape,
            b'b' | b'B' => return Some(Key::WordLeft),
            b'f' | b'F' => return Some(Key::WordRight),
            b'd' | b'D' => return Some(Key::KillWordRight),
            0x08 | 0x7f => return Some(Key::KillWordLeft),
            b'\r' | b'\n' => return Some(Key::Enter),
            _ => {}
        }
        None
    }

    fn sequence(&mut self, mut bytes: [u8; SEQUENCE_BYTES], count: usize, byte: u8) -> Option<Key> {
        match byte {
            0x20..=0x3f => {
                // One that is longer than any key's is swallowed up to its end.
                bytes[count.min(SEQUENCE_BYTES - 1)] = byte;
                self.begun = Begun::Sequence(bytes, (count + 1).min(SEQUENCE_BYTES - 1));
                None
            }
            b'~' => tilde(&bytes[..count]),
            0x40..=0x7e => arrow(byte, bytes[..count].ends_with(b";5") || bytes[..count].ends_with(b";3")),
            // No sequence after all.
            _ => self.first(byte),
        }
    }
}

fn control(byte: u8) -> Option<Key> {
    Some(match byte {
        b'\r' | b'\n' => Key::Enter,
        b'\t' => Key::Tab,
        0x01 => Key::Home,
        0x02 => Key::Left,
        0x04 => Key::DeleteOrEnd,
        0x05 => Key::End,
        0x06 => Key::Right,
        0x08 | 0x7f => Key::Backspace,
        0x0b => Key::KillRight,
        0x0c => Key::Redraw,
        0x0e => Key::Newer,
        0x10 => Key::Older,
        0x15 => Key::KillLeft,
        0x17 => Key::KillWordLeft,
        0x19 => Key::Yank,
        0x1a => Key::Suspend,
        _ => return None,
    })
}

fn arrow(letter: u8, by_words: bool) -> Option<Key> {
    Some(match letter {
        b'A' => Key::Older,
        b'B' => Key::Newer,
        b'C' if by_words => Key::WordRight,
        b'C' => Key::Right,
        b'D' if by_words => Key::WordLeft,
        b'D' => Key::Left,
        b'F' => Key::End,
        b'H' => Key::Home,
        _ => return None,
    })
}

fn tilde(parameters: &[u8]) -> Option<Key> {
    match parameters.split(|byte| *byte == b';').next() {
        Some(b"1" | b"7") => Some(Key::Home),
        Some(b"4" | b"8") => Some(Key::End),
        Some(b"3") => Some(Key::Delete),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(bytes: &[u8]) -> Vec<Key> {
        let mut decoder = Decoder::default();
        bytes.iter().filter_map(|byte| decoder.take(*byte)).collect()
    }

    #[test]
    fn sequences_are_one_key_and_unknown_ones_none() {
        use Key::*;
        assert_eq!(keys(b"a\x1b[A\x1bOB\x1b[1;5C\x1b[1;3D"), [Char('a'), Older, Newer, WordRight, WordLeft]);
        assert_eq!(keys(b"\x1b[3~\x1b[200~x\x1b[201~\x1b[99m\x1b[I"), [Delete, Char('x')]);
        assert_eq!(keys("\x1bb\x1bf\x1bé\r".as_bytes()).last(), Some(&Enter));
        assert_eq!(keys("é李👩".as_bytes()), [Char('é'), Char('李'), Char('👩')]);
        assert_eq!(keys(b"\xff\t\x7f"), [Char('\u{fffd}'), Tab, Backspace]);
        assert_eq!(keys(&[b"\x1b[".as_slice(), &[b'1'; 99], b"~z"].concat()), [Char('z')]);
    }

    proptest! {
        #[test]
        fn no_bytes_lock_the_keyboard(bytes: Vec<u8>) {
            let mut decoder = Decoder::default();
            bytes.iter().for_each(|byte| _ = decoder.take(*byte));
            // Whatever was begun, Enter after a letter or two is Enter.
            let last: Vec<_> = b"~~\r".iter().filter_map(|byte| decoder.take(*byte)).collect();
            prop_assert_eq!(last.last(), Some(&Key::Enter));
        }
    }
}
