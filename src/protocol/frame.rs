//! One frame: a length, then that many bytes.

use crate::limits::HEADER_BYTES;
use thiserror::Error;

/// What is wrong with a frame's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BadLength {
    /// A body has at least its kind.
    #[error("a frame of length 0")]
    Zero,
    /// The body would be longer than allowed here.
    #[error("a frame of {announced_bytes} bytes where at most {limit_bytes} are allowed")]
    TooLarge {
        /// The length in the header.
        announced_bytes: u32,
        /// The longest allowed.
        limit_bytes: u32,
    },
}

/// Reads the length of a body from its header and checks it against `limit_bytes`.
pub fn body_length(header: [u8; HEADER_BYTES], limit_bytes: u32) -> Result<usize, BadLength> {
    match u32::from_be_bytes(header) {
        0 => Err(BadLength::Zero),
        announced_bytes if announced_bytes > limit_bytes => {
            Err(BadLength::TooLarge { announced_bytes, limit_bytes })
        }
        announced_bytes => Ok(announced_bytes as usize),
    }
}

/// Appends a frame whose body is the concatenation of `head`, what has a fixed length at its beginning, and `parts`.
///
/// Bodies beyond `u32::MAX` bytes cannot be framed; callers hold far tighter limits, so such a length is
/// cut to what the header can say only in theory.
#[inline]
pub(crate) fn append<const HEAD: usize, const PARTS: usize>(
    out: &mut Vec<u8>,
    head: [u8; HEAD],
    parts: [&[u8]; PARTS],
) {
    let length = HEAD + parts.iter().map(|part| part.len()).sum::<usize>();
    debug_assert!(length > 0 && u32::try_from(length).is_ok());
    out.reserve(HEADER_BYTES + length);
    out.extend_from_slice(&(length as u32).to_be_bytes());
    out.extend_from_slice(&head);
    // What the server itself says has no sender, and a copy of nothing is a call too.
    for part in parts.into_iter().filter(|part| !part.is_empty()) {
        out.extend_from_slice(part);
    }
}
