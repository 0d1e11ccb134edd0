//! PBKDF2-HMAC-MD5 (RFC 8018, section 5.2) in portions.

use super::{Password, PasswordHash};
use crate::limits::{HASH_BYTES, SALT_BYTES};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use zeroize::Zeroize;

/// One password hash under way: rounds can be done a few at a time.
///
/// One output block of HMAC-MD5 is all that is stored, so the whole state is the keyed HMAC, the last round's
/// output and the sum so far.
pub(crate) struct Derivation {
    keyed: Hmac<Md5>,
    last: [u8; HASH_BYTES],
    sum: [u8; HASH_BYTES],
    rounds_left: u32,
}

impl Derivation {
    /// Prepares `rounds` rounds, at least one; the first is done here.
    pub(crate) fn new(password: &Password, salt: &[u8; SALT_BYTES], rounds: u32) -> Derivation {
        let keyed = keyed(password.expose());
        let mut first = keyed.clone();
        first.update(salt);
        first.update(&1u32.to_be_bytes());
        let last = first.finalize().into_bytes().into();
        Derivation { keyed, last, sum: last, rounds_left: rounds.saturating_sub(1) }
    }

    /// Does up to `most` rounds and says how many it did.
    pub(crate) fn advance(&mut self, most: u32) -> u32 {
        let rounds = most.min(self.rounds_left);
        for _ in 0..rounds {
            let mut mac = self.keyed.clone();
            mac.update(&self.last);
            self.last = mac.finalize().into_bytes().into();
            for (sum, byte) in self.sum.iter_mut().zip(self.last) {
                *sum ^= byte;
            }
        }
        self.rounds_left -= rounds;
        rounds
    }

    pub(crate) fn rounds_left(&self) -> u32 {
        self.rounds_left
    }

    /// The hash, once no rounds are left.
    pub(crate) fn hash(&self) -> [u8; HASH_BYTES] {
        debug_assert_eq!(self.rounds_left, 0);
        self.sum
    }
}

impl Drop for Derivation {
    fn drop(&mut self) {
        self.last.zeroize();
        self.sum.zeroize();
    }
}

/// HMAC-MD5 (RFC 2104) under a key of any length.
pub(super) fn keyed(key: &[u8]) -> Hmac<Md5> {
    // HMAC takes keys of every length; a longer one is hashed first.
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC refuses no key"))
}

/// The hash of `password` in one go: for tools and tests, never for the loop.
pub fn hash_password(password: &Password, salt: [u8; SALT_BYTES], rounds: u32) -> PasswordHash {
    let mut derivation = Derivation::new(password, &salt, rounds);
    derivation.advance(u32::MAX);
    PasswordHash { rounds, salt, hash: derivation.hash() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// The oracle is the `pbkdf2` crate; whatever the portions are, the hash is the same.
        #[test]
        fn any_portions_give_the_reference_hash(
            password in prop::collection::vec(any::<u8>(), 0..200),
            salt: [u8; SALT_BYTES],
            rounds in 1..300u32,
            portion in 1..50u32,
        ) {
            let mut derivation = Derivation::new(&Password::new(&password), &salt, rounds);
            let mut done = 1;
            while derivation.rounds_left() > 0 {
                done += derivation.advance(portion);
            }
            let mut expected = [0; HASH_BYTES];
            pbkdf2::pbkdf2::<Hmac<Md5>>(&password, &salt, rounds, &mut expected).unwrap();
            prop_assert_eq!(done, rounds);
            prop_assert_eq!(derivation.hash(), expected);
            prop_assert_eq!(hash_password(&Password::new(&password), salt, rounds).hash, expected);
        }
    }
}
