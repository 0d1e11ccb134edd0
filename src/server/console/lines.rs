//! What is piped in, or typed at a terminal that edits lines itself: bytes on their way to being lines.

use crate::limits::CONSOLE_LINE_BYTES;

/// Cuts bytes that come in any portions into lines.
#[derive(Debug, Default)]
pub(super) struct LineBuffer {
    bytes: Vec<u8>,
    /// The line has been too long: the rest of it is dropped.
    skipping: bool,
}

impl LineBuffer {
    pub(super) fn take(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            if self.bytes.len() + part.len() > CONSOLE_LINE_BYTES {
                self.skipping = true;
                self.bytes = Vec::new();
                warn_of_long_line();
            }
            if !self.skipping {
                self.bytes.extend_from_slice(part);
            }
            if part.ends_with(b"\n") && !std::mem::take(&mut self.skipping) {
                lines.push(String::from_utf8_lossy(&std::mem::take(&mut self.bytes)).into_owned());
            }
        }
        lines
    }

    /// A last line without an end.
    pub(super) fn rest(self) -> Option<String> {
        (!self.bytes.is_empty()).then(|| String::from_utf8_lossy(&self.bytes).into_owned())
    }
}

pub(super) fn warn_of_long_line() {
    log::warn!("console line dropped: it was longer than {CONSOLE_LINE_BYTES} bytes");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_from_any_portions() {
        let mut buffer = LineBuffer::default();
        assert!(buffer.take(b"on").is_empty());
        assert_eq!(buffer.take(b"e\ntwo\nth"), ["one\n", "two\n"]);
        assert_eq!(buffer.rest().as_deref(), Some("th"));
    }

    #[test]
    fn a_line_that_is_too_long_is_dropped_and_the_next_is_not() {
        let mut buffer = LineBuffer::default();
        for _ in 0..=CONSOLE_LINE_BYTES / 1000 {
            assert!(buffer.take(&[b'x'; 1000]).is_empty());
            assert!(buffer.bytes.len() <= CONSOLE_LINE_BYTES);
        }
        assert_eq!(buffer.take(b"x\nshort\n"), ["short\n"]);
    }
}
