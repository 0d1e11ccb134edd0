//! Where random bytes come from: the engine has none of its own.

use thiserror::Error;

/// A source of random bytes fit for secrets.
pub trait Entropy {
    /// Fills the bytes.
    ///
    /// # Errors
    /// If there are none; the client that needed them is answered Internal.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// Why there are no random bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the random source gives nothing: {0}")]
pub struct EntropyError(pub String);
