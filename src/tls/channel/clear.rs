//! What is said before there are keys.

use thiserror::Error;

/// `close_notify` as an alert in the clear, for those with whom there are no keys yet: a client that waits for a frame sees by
/// it what is spoken here.
pub(crate) const GOODBYE: [u8; 7] = [0x15, 0x03, 0x03, 0x00, 0x02, 0x01, 0x00];

/// What came from the other side is not TLS.
#[derive(Clone, Copy, Debug, Error)]
#[error("what came is not TLS")]
pub struct NotTls;

/// Whether this ends with `close_notify`, not encrypted.
pub(super) fn is_goodbye(came: &[u8]) -> bool {
    matches!(came, [.., 0x15, 0x03, _, 0, 2, 1 | 2, 0])
}
