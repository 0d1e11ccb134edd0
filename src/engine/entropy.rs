//! Where random bytes come from: the engine has none of its own.

use std::error::Error;
use std::fmt;

/// A source of random bytes fit for secrets.
pub trait Entropy {
    /// Fills the bytes.
    ///
    /// # Errors
    /// If there are none; the client that needed them is answered Internal.
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError>;
}

/// CloseReason there are no random bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntropyError(pub String);

impl fmt::Display for EntropyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the random source gives nothing: {}", self.0)
    }
}

impl Error for EntropyError {}
