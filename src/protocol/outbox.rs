//! What waits to be written to one connection: whole frames, and a cursor.

use super::frame::body_length;
use super::{Reply, Request};
use crate::limits::HEADER_BYTES;
use zeroize::Zeroize;

/// Frames that wait for the peer to take them.
///
/// Empty it is one word. The memory for what waits can be [lent](Outbox::lend), and is
/// [taken back](Outbox::reclaim) for another connection when all is sent.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: Option<Box<Waiting>>,
}

/// Whole frames, of whose bytes the first `sent` are written; `sent <= frames.len()`, and both are 0 when all are.
#[derive(Debug, Default)]
struct Waiting {
    frames: Vec<u8>,
    sent: usize,
}

/// An outbox's memory, with nothing in it: to be lent to another.
#[derive(Debug)]
pub struct Spare(Box<Waiting>);

impl Spare {
    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.0.frames.capacity()
    }
}

impl Outbox {
    /// Appends a frame.
    #[inline]
    pub fn push(&mut self, reply: &Reply<'_>) {
        reply.encode(self.frames());
    }

    /// Appends a frame of the client's.
    pub fn push_request(&mut self, request: &Request<'_>) {
        request.encode(self.frames());
    }

    /// What is to be written next.
    pub fn unsent(&self) -> &[u8] {
        self.waiting.as_ref().map_or(&[], |waiting| waiting.unsent())
    }

    /// Notes that the first `count` of the unsent bytes were written.
    ///
    /// # Panics
    /// If there were not so many: a fault of the caller's, never of the peer's.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "wrote more than was waiting");
        if let Some(waiting) = &mut self.waiting {
            waiting.advance(count);
        }
    }

    /// Drops the frames of which nothing was written yet, so that the stream ends at a frame's end.
    pub fn drop_unsent_frames(&mut self) {
        if let Some(waiting) = &mut self.waiting {
            let keep = waiting.first_frame_end_from(waiting.sent);
            waiting.frames.truncate(keep);
            waiting.advance(0);
        }
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.unsent().len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has no memory of its own yet: the first frame makes some, unless it is lent some.
    pub fn is_bare(&self) -> bool {
        self.waiting.is_none()
    }

    /// Gives a [bare](Outbox::is_bare) outbox memory to use.
    pub fn lend(&mut self, spare: Spare) {
        debug_assert!(self.is_bare());
        self.waiting = Some(spare.0);
    }

    /// Takes the memory of an outbox in which nothing waits.
    pub fn reclaim(&mut self) -> Option<Spare> {
        debug_assert!(self.is_empty());
        self.waiting.take().map(Spare)
    }

    fn frames(&mut self) -> &mut Vec<u8> {
        &mut self.waiting.get_or_insert_default().frames
    }
}

/// A client's frames may have held a password.
impl Drop for Waiting {
    fn drop(&mut self) {
        self.frames.zeroize();
    }
}

impl Waiting {
    fn unsent(&self) -> &[u8] {
        &self.frames[self.sent..]
    }

    fn advance(&mut self, count: usize) {
        self.sent += count;
        if self.sent == self.frames.len() {
            self.frames.clear();
            self.sent = 0;
        } else if self.sent > self.unsent().len() {
            self.forget_sent_frames();
        }
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
