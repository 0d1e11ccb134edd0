//! What is typed or piped in, cut into lines.
//!
//! This module must not know where the bytes come from or where the lines go.

use porter::limits::TYPED_LINE_BYTES;

/// Cuts bytes that come in any portions into lines, holding at most one incomplete line of bounded length.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    begun: Vec<u8>,
    /// The rest of the line at hand is thrown away, since it is too long.
    skipping: bool,
}

/// One line, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(String),
    /// It was not UTF-8; what could not be read is replaced.
    Lossy(String),
    /// It was longer than any server takes, and is gone.
    TooLong,
}

impl Lines {
    /// Takes a portion and gives each line that ends in it to `take`.
    pub(crate) fn feed(&mut self, portion: &[u8], mut take: impl FnMut(Line)) {
        let mut pieces = portion.split(|byte| *byte == b'\n');
        // What follows the last line end begins the next line.
        let begun = pieces.next_back().unwrap_or_default();
        for piece in pieces {
            self.extend(piece);
            take(self.complete());
        }
        self.extend(begun);
    }

    /// The last line, if the input ended without a line end.
    pub(crate) fn finish(&mut self) -> Option<Line> {
        (self.skipping || !self.begun.is_empty()).then(|| self.complete())
    }

    fn extend(&mut self, piece: &[u8]) {
        if self.skipping || self.begun.len() + piece.len() > TYPED_LINE_BYTES {
            self.skipping = true;
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(piece);
        }
    }

    fn complete(&mut self) -> Line {
        let mut bytes = std::mem::take(&mut self.begun);
        if std::mem::take(&mut self.skipping) {
            return Line::TooLong;
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        match String::from_utf8(bytes) {
            Ok(text) => Line::Text(text),
            Err(error) => Line::Lossy(String::from_utf8_lossy(error.as_bytes()).into_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn cut(portions: &[&[u8]]) -> Vec<Line> {
        let (mut lines, mut cut) = (Lines::default(), Vec::new());
        for portion in portions {
            lines.feed(portion, |line| cut.push(line));
        }
        cut.extend(lines.finish());
        cut
    }

    fn text(text: &str) -> Line {
        Line::Text(text.into())
    }

    #[test]
    fn lines_end_at_line_ends_and_at_the_end() {
        assert_eq!(cut(&[b"a\r\n\nb"]), [text("a"), text(""), text("b")]);
        assert_eq!(cut(&[b"a\n"]), [text("a")]);
        assert_eq!(cut(&[]), []);
        assert_eq!(cut(&[b"a\xffb\n"]), [Line::Lossy("a\u{fffd}b".into())]);
    }

    #[test]
    fn a_line_beyond_the_bound_is_skipped_and_the_next_one_read() {
        let long = vec![b'x'; TYPED_LINE_BYTES];
        assert_eq!(cut(&[&long, b"\nb"]).len(), 2);
        assert_eq!(cut(&[&long, b"y", b"z\nb\n"]), [Line::TooLong, text("b")]);
        assert_eq!(cut(&[&long, b"y"]), [Line::TooLong]);
    }

    proptest! {
        #[test]
        fn any_portions_give_the_same_lines(
            lines in prop::collection::vec("[a-zé]{0,9}", 0..9),
            cuts in prop::collection::vec(0..7usize, 0..30),
        ) {
            let whole: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
            let (mut rest, mut portions) = (whole.as_bytes(), Vec::new());
            for at in cuts {
                let (portion, behind) = rest.split_at(at.min(rest.len()));
                portions.push(portion);
                rest = behind;
            }
            portions.push(rest);
            let expected: Vec<Line> = lines.iter().map(|line| text(line)).collect();
            prop_assert_eq!(cut(&portions), expected);
        }
    }
}
