//! Incremental framing: frames out of bytes that come in any portions.
//!
//! The bytes of a read are *lent*: whole frames are handed out where they lie, and only what is left of an
//! incomplete one is kept for the connection. A connection that owes nothing keeps nothing.

use super::frame::{BadLength, body_length};
use crate::limits::HEADER_BYTES;
use zeroize::Zeroize;

/// Bytes of one read, lent to an [`Inbox`]; consumed from the front. What nobody has taken is wiped when the loan ends: it
/// may have been a password behind a frame after which no other is handled.
#[derive(Debug)]
pub struct Lent<'a> {
    bytes: &'a mut [u8],
    taken: usize,
}

impl<'a> Lent<'a> {
    /// Lends what a read has filled.
    pub fn new(bytes: &'a mut [u8]) -> Lent<'a> {
        Lent { bytes, taken: 0 }
    }

    fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..]
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        // Of nothing too it would be a call.
        let rest = &mut self.bytes[self.taken..];
        if !rest.is_empty() {
            rest.zeroize();
        }
    }
}

/// What one connection has sent and is not yet handled: an incomplete frame, or whole ones that waited.
///
/// Empty it is one word: what is kept lies in a buffer of its own, which is given back as soon as all of it is
/// handled. Bytes that it gives back or moves are wiped, since they may have been a password.
#[derive(Debug, Default)]
pub struct Inbox {
    kept: Option<Box<Kept>>,
}

/// Bytes of which the first `handled` are done with; `handled <= bytes.len()`.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    handled: usize,
}

impl Inbox {
    /// The body of the next whole frame, first of what was kept, then of what is lent; `None` if there is
    /// no whole one.
    ///
    /// # Errors
    /// [`BadLength`] as soon as the header is there, before any of its body is kept.
    #[inline]
    pub fn next_frame<'b>(
        &'b mut self,
        lent: &'b mut Lent<'_>,
        limit_bytes: u32,
    ) -> Result<Option<&'b mut [u8]>, BadLength> {
        if self.is_bare() {
            return next_lent_frame(lent, limit_bytes);
        }
        self.next_kept_frame(lent, limit_bytes)
    }

    /// Beside the way of a frame that has come in one piece.
    #[inline(never)]
    fn next_kept_frame<'b>(
        &'b mut self,
        lent: &'b mut Lent<'_>,
        limit_bytes: u32,
    ) -> Result<Option<&'b mut [u8]>, BadLength> {
        if self.is_empty() {
            self.clear();
        }
        match &mut self.kept {
            None => next_lent_frame(lent, limit_bytes),
            Some(kept) => kept.next_frame(lent, limit_bytes),
        }
    }

    /// Puts the frame back that was taken last, with a body of so many bytes: it is the next again.
    pub fn put_back(&mut self, lent: &mut Lent<'_>, body_bytes: usize) {
        match &mut self.kept {
            None => lent.taken -= HEADER_BYTES + body_bytes,
            Some(kept) => kept.handled -= HEADER_BYTES + body_bytes,
        }
    }

    /// Whether [`next_frame`](Inbox::next_frame) has anything to look at.
    #[inline]
    pub fn has_input(&self, lent: &Lent<'_>) -> bool {
        !self.is_bare() || lent.taken < lent.bytes.len()
    }

    /// Keeps what is left of the lent bytes for the next time.
    #[inline]
    pub fn keep(&mut self, lent: &mut Lent<'_>) {
        if self.has_input(lent) {
            self.keep_rest(lent);
        }
    }

    fn keep_rest(&mut self, lent: &mut Lent<'_>) {
        if self.is_empty() {
            self.clear();
        }
        let rest = lent.rest().len();
        if rest > 0 {
            self.kept.get_or_insert_default().take(lent, rest);
        }
    }

    /// Whether a whole frame, or a header that will be refused, is waiting among the kept bytes.
    pub fn has_frame(&self, limit_bytes: u32) -> bool {
        self.kept.as_ref().is_some_and(|kept| kept.has_frame(limit_bytes))
    }

    /// Whether it keeps nothing, handled or not.
    pub fn is_bare(&self) -> bool {
        self.kept.is_none()
    }

    /// Forgets everything, wiped.
    pub fn clear(&mut self) {
        self.kept = None;
    }

    /// Bytes that wait.
    pub fn len(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.waiting().len())
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of memory held.
    pub fn capacity(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| kept.bytes.capacity())
    }
}

impl Kept {
    fn waiting(&self) -> &[u8] {
        &self.bytes[self.handled..]
    }

    fn next_frame<'b>(
        &'b mut self,
        lent: &mut Lent<'_>,
        limit_bytes: u32,
    ) -> Result<Option<&'b mut [u8]>, BadLength> {
        if !self.top_up(lent, HEADER_BYTES) {
            return Ok(None);
        }
        let length = length_at(self.waiting(), limit_bytes)?.unwrap_or_default();
        if !self.top_up(lent, HEADER_BYTES + length) {
            return Ok(None);
        }
        let body = self.handled + HEADER_BYTES;
        self.handled = body + length;
        Ok(Some(&mut self.bytes[body..body + length]))
    }

    fn has_frame(&self, limit_bytes: u32) -> bool {
        match length_at(self.waiting(), limit_bytes) {
            Ok(Some(length)) => self.waiting().len() >= HEADER_BYTES + length,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// Moves lent bytes over until `wanted` wait here; false if there are too few.
    fn top_up(&mut self, lent: &mut Lent<'_>, wanted: usize) -> bool {
        let missing = wanted.saturating_sub(self.waiting().len());
        let moved = missing.min(lent.rest().len());
        if moved > 0 {
            self.take(lent, moved);
        }
        moved == missing
    }

    fn take(&mut self, lent: &mut Lent<'_>, count: usize) {
        self.reserve(count);
        let moved = &mut lent.bytes[lent.taken..lent.taken + count];
        self.bytes.extend_from_slice(moved);
        moved.zeroize();
        lent.taken += count;
        debug_assert!(self.handled <= self.bytes.len());
    }

    /// Makes room by moving to the front, or to a larger buffer, leaving no copy behind.
    fn reserve(&mut self, more: usize) {
        if self.bytes.capacity() - self.bytes.len() >= more {
            return;
        }
        let waiting = self.waiting();
        let mut larger = Vec::with_capacity((waiting.len() + more).max(waiting.len() * 2));
        larger.extend_from_slice(waiting);
        self.bytes.zeroize();
        self.bytes = larger;
        self.handled = 0;
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

fn next_lent_frame<'b>(lent: &'b mut Lent<'_>, limit_bytes: u32) -> Result<Option<&'b mut [u8]>, BadLength> {
    let Some(length) = length_at(lent.rest(), limit_bytes)? else { return Ok(None) };
    let body = lent.taken + HEADER_BYTES;
    if lent.bytes.len() < body + length {
        return Ok(None);
    }
    lent.taken = body + length;
    Ok(Some(&mut lent.bytes[body..body + length]))
}

/// The checked length in the header at the front, if the header is whole.
fn length_at(bytes: &[u8], limit_bytes: u32) -> Result<Option<usize>, BadLength> {
    bytes.first_chunk().map(|header| body_length(*header, limit_bytes)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMIT: u32 = 300;

    fn framed(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut stream = Vec::new();
        for body in bodies {
            super::super::frame::append(&mut stream, [], [body]);
        }
        stream
    }

    /// Feeds `stream` cut at `cuts`, taking at most `share` frames a portion, and returns the bodies.
    fn bodies_in_portions(stream: &[u8], cuts: &[usize], share: usize) -> Vec<Vec<u8>> {
        let mut inbox = Inbox::default();
        let mut bodies = Vec::new();
        let mut rest = stream.to_vec();
        for cut in cuts.iter().map(|cut| cut % 64).chain(std::iter::repeat(usize::MAX)) {
            let mut portion: Vec<u8> = rest.drain(..cut.min(rest.len())).collect();
            let mut lent = Lent::new(&mut portion);
            for _ in 0..share {
                let Some(body) = inbox.next_frame(&mut lent, LIMIT).unwrap() else { break };
                bodies.push(body.to_vec());
            }
            inbox.keep(&mut lent);
            if rest.is_empty() && !inbox.has_frame(LIMIT) {
                break;
            }
        }
        assert!(inbox.is_empty());
        bodies
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_frames(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..=LIMIT as usize), 0..12),
            cuts in prop::collection::vec(any::<usize>(), 0..200),
            share in 1..5usize,
        ) {
            prop_assert_eq!(bodies_in_portions(&framed(&bodies), &cuts, share), bodies);
        }
    }

    #[test]
    fn a_length_is_refused_before_its_body_is_kept() {
        for (header, wrong) in [
            (0u32, BadLength::Zero),
            (LIMIT + 1, BadLength::TooLarge { announced_bytes: LIMIT + 1, limit_bytes: LIMIT }),
            (u32::MAX, BadLength::TooLarge { announced_bytes: u32::MAX, limit_bytes: LIMIT }),
        ] {
            let mut inbox = Inbox::default();
            for byte in &mut header.to_be_bytes()[..3] {
                let mut lent = Lent::new(std::slice::from_mut(byte));
                assert_eq!(inbox.next_frame(&mut lent, LIMIT), Ok(None));
                inbox.keep(&mut lent);
            }
            let mut last = [header.to_be_bytes()[3]];
            assert_eq!(inbox.next_frame(&mut Lent::new(&mut last), LIMIT), Err(wrong));
            assert!(inbox.capacity() <= 8, "an announced length must not reserve memory");
        }
    }

    #[test]
    fn what_is_kept_is_wiped_where_it_was_lent() {
        let mut bytes = framed(&[vec![1; 20], vec![2; 20]]);
        bytes.truncate(40);
        let mut inbox = Inbox::default();
        let mut lent = Lent::new(&mut bytes);
        assert!(inbox.next_frame(&mut lent, LIMIT).unwrap().is_some());
        inbox.keep(&mut lent);
        drop(lent);
        assert_eq!(inbox.len(), 16);
        assert!(bytes[4..24] == [1; 20] && bytes[24..] == [0; 16], "{bytes:?}");
    }

    #[test]
    fn what_nobody_takes_is_wiped_where_it_was_lent() {
        let mut bytes = framed(&[vec![1; 20], vec![2; 20]]);
        let mut inbox = Inbox::default();
        assert!(inbox.next_frame(&mut Lent::new(&mut bytes), LIMIT).unwrap().is_some());
        assert!(bytes[4..24] == [1; 20] && bytes[24..] == [0; 24], "{bytes:?}");
    }

    #[test]
    fn a_drained_inbox_gives_its_buffer_back() {
        let mut stream = framed(&[vec![1; 200]]);
        let (front, back) = stream.split_at_mut(100);
        let mut inbox = Inbox::default();
        inbox.keep(&mut Lent::new(front));
        let mut lent = Lent::new(back);
        assert!(inbox.next_frame(&mut lent, LIMIT).unwrap().is_some());
        inbox.keep(&mut lent);
        assert_eq!(inbox.capacity(), 0);
    }
}
