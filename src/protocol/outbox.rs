//! What waits to be written to one connection: whole frames, and a cursor.

use super::frame::body_length;
use super::{Reply, Request};
use crate::limits::HEADER_BYTES;

/// Frames that wait for the peer to take them.
///
/// The buffer begins at a frame's first byte and `sent <= frames.len()`; when all is sent it is empty and
/// its memory can be taken away for another connection.
#[derive(Debug, Default)]
pub struct Outbox {
    frames: Vec<u8>,
    sent: usize,
}

impl Outbox {
    /// Appends a frame.
    pub fn push(&mut self, reply: &Reply<'_>) {
        reply.encode(&mut self.frames);
    }

    /// Appends a frame of the client's.
    pub fn push_request(&mut self, request: &Request<'_>) {
        request.encode(&mut self.frames);
    }

    /// What is to be written next.
    pub fn unsent(&self) -> &[u8] {
        &self.frames[self.sent..]
    }

    /// Notes that the first `count` of the unsent bytes were written.
    ///
    /// # Panics
    /// If there were not so many: a fault of the caller's, never of the peer's.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "wrote more than was waiting");
        self.sent += count;
        if self.is_empty() {
            self.frames.clear();
            self.sent = 0;
        } else if self.sent > self.len() {
            self.forget_sent_frames();
        }
    }

    /// Drops the frames of which nothing was written yet, so that the stream ends at a frame's end.
    pub fn drop_unsent_frames(&mut self) {
        let keep = self.first_frame_end_from(self.sent);
        self.frames.truncate(keep);
        self.advance(0);
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.frames.len() - self.sent
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.sent == self.frames.len()
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.frames.capacity()
    }

    /// Gives an outbox that holds no memory some to use.
    pub fn lend(&mut self, buffer: Vec<u8>) {
        debug_assert!(self.capacity() == 0 && buffer.is_empty());
        self.frames = buffer;
    }

    /// Takes the memory of an outbox in which nothing waits.
    pub fn reclaim(&mut self) -> Vec<u8> {
        debug_assert!(self.is_empty());
        std::mem::take(&mut self.frames)
    }

    /// Moves what waits to the front, keeping the start of the frame that is half sent. Called when the
    /// larger part is sent, so that each byte is moved at most once for each time it is written.
    fn forget_sent_frames(&mut self) {
        let mut start = 0;
        while let Some(end) = self.frame_end(start).filter(|end| *end <= self.sent) {
            start = end;
        }
        self.frames.drain(..start);
        self.sent -= start;
    }

    /// The end of the first frame that ends at or after `position`.
    fn first_frame_end_from(&self, position: usize) -> usize {
        let mut end = 0;
        while end < position {
            match self.frame_end(end) {
                Some(next) => end = next,
                None => return self.frames.len(),
            }
        }
        end
    }

    fn frame_end(&self, start: usize) -> Option<usize> {
        let header = self.frames[start..].first_chunk::<HEADER_BYTES>()?;
        body_length(*header, u32::MAX).ok().map(|length| start + HEADER_BYTES + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A peer that takes any portions gets the same bytes, once, in order.
        #[test]
        fn any_partial_writes_give_the_same_stream(
            texts in prop::collection::vec("[a-z]{0,40}", 1..30),
            portions in prop::collection::vec(0..50usize, 1..200),
        ) {
            let (mut outbox, mut expected, mut written) = (Outbox::default(), Vec::new(), Vec::new());
            let mut texts = texts.iter();
            for portion in portions {
                if let Some(text) = texts.next() {
                    let reply = Reply::Message { sender: "", text };
                    outbox.push(&reply);
                    reply.encode(&mut expected);
                }
                let count = portion.min(outbox.len());
                written.extend_from_slice(&outbox.unsent()[..count]);
                outbox.advance(count);
            }
            written.extend_from_slice(outbox.unsent());
            prop_assert_eq!(written, expected);
        }

        /// After dropping, what was and will be written are whole frames: a prefix of those pushed.
        #[test]
        fn dropping_ends_at_a_frame(texts in prop::collection::vec("[a-z]{0,40}", 1..20), portion in 0..400usize) {
            let (mut outbox, mut ends, mut expected) = (Outbox::default(), vec![0], Vec::new());
            for text in &texts {
                let reply = Reply::Bye(text);
                outbox.push(&reply);
                reply.encode(&mut expected);
                ends.push(expected.len());
            }
            let sent = portion.min(outbox.len());
            outbox.advance(sent);
            outbox.drop_unsent_frames();
            let end = sent + outbox.len();
            prop_assert_eq!(outbox.unsent(), &expected[sent..end]);
            prop_assert_eq!(ends.iter().find(|end| **end >= sent), Some(&end));
        }
    }
}
