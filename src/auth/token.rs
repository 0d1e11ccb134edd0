//! Session tokens.

use crate::limits::TOKEN_BYTES;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A session's token: 16 bytes from the operating system's random source.
///
/// Compared in constant time; shown only where a person asked to see it; wiped when dropped.
#[derive(Clone)]
pub struct Token([u8; TOKEN_BYTES]);

impl Token {
    /// Takes random bytes, or those that a client presented.
    pub fn new(bytes: [u8; TOKEN_BYTES]) -> Token {
        Token(bytes)
    }

    /// The secret itself, as it travels.
    pub fn expose(&self) -> &[u8; TOKEN_BYTES] {
        &self.0
    }

    /// Whether these are the token's bytes, in a time that does not tell where they differ.
    pub fn matches(&self, presented: &[u8; TOKEN_BYTES]) -> bool {
        // As one word: byte by byte takes longer than all else that a message costs here.
        u128::from_ne_bytes(self.0).ct_eq(&u128::from_ne_bytes(*presented)).into()
    }
}

impl Zeroize for Token {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.zeroize();
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}
