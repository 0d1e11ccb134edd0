//! Texts on their way: typed, not yet sent; and those handed to a connection, until it has taken them whole.
//!
//! When a connection breaks, a text of which it had not taken the last byte cannot have been understood by the server:
//! it waits again, in its place. This module must not know connections: it is handed how many bytes they took.

use std::collections::VecDeque;

#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    typed: VecDeque<String>,
    /// Each with the count of written bytes at which it is sent.
    handed: VecDeque<(u64, String)>,
    typed_bytes: usize,
}

impl SendQueue {
    pub(crate) fn push(&mut self, text: String) {
        self.typed_bytes += text.len();
        self.typed.push_back(text);
    }

    /// Hands the oldest typed text over; `send` gives the count of written bytes at which it will be sent.
    pub(crate) fn hand_over(&mut self, send: impl FnOnce(&str) -> u64) -> bool {
        let Some(text) = self.typed.pop_front() else { return false };
        self.typed_bytes -= text.len();
        self.handed.push_back((send(&text), text));
        true
    }

    /// The oldest text that is sent now that `written` bytes are, if there is one.
    pub(crate) fn sent(&mut self, written: u64) -> Option<String> {
        self.handed.front().filter(|(end, _)| *end <= written)?;
        self.handed.pop_front().map(|(_, text)| text)
    }

    /// The connection is gone: what it had not taken whole waits again.
    pub(crate) fn take_back(&mut self) {
        while let Some((_, text)) = self.handed.pop_back() {
            self.typed_bytes += text.len();
            self.typed.push_front(text);
        }
    }

    /// Texts that are not sent.
    pub(crate) fn len(&self) -> usize {
        self.typed.len() + self.handed.len()
    }

    /// Bytes that typed texts hold, each with a little for itself so that empty ones are bounded too.
    pub(crate) fn typed_bytes(&self) -> usize {
        self.typed_bytes + self.typed.len() * size_of::<String>()
    }

    /// Whether every text was handed over.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.typed.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_taken_whole_waits_again_in_its_place() {
        let mut waiting = SendQueue::default();
        for text in ["one", "two", "three", "four"] {
            waiting.push(text.into());
        }
        for end in [10, 20, 30] {
            assert!(waiting.hand_over(|_| end));
        }
        assert_eq!(waiting.sent(19).as_deref(), Some("one"));
        assert_eq!(waiting.sent(19), None);
        waiting.take_back();
        assert_eq!(waiting.len(), 3);
        let mut again = Vec::new();
        while waiting.hand_over(|text| {
            again.push(text.to_owned());
            0
        }) {}
        assert_eq!(again, ["two", "three", "four"]);
        assert_eq!(waiting.typed_bytes(), 0);
    }
}
