//! PBKDF2-HMAC-MD5 (RFC 8018, section 5.2) in portions, of one hash or of several at once.

use super::lanes::{self, Chain, LANE_WIDTHS, Words};
use super::{Password, PasswordHash};
use crate::limits::{HASH_BYTES, SALT_BYTES};
use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// One password hash under way: rounds can be done a few at a time.
///
/// One output block of HMAC-MD5 is all that is stored, so the whole state is the keyed HMAC, the last round's
/// output and the sum so far.
pub(crate) struct Derivation {
    /// Boxed, so that a list that grows or is sorted leaves no copies behind: with the keyed HMAC passwords can be guessed.
    chain: Box<Chain>,
    rounds_left: u32,
}

impl Derivation {
    /// Prepares `rounds` rounds, at least one; the first is done here.
    pub(crate) fn new(password: &Password, salt: &[u8; SALT_BYTES], rounds: u32) -> Derivation {
        let mut first = keyed(password.expose());
        first.update(salt);
        first.update(&1u32.to_be_bytes());
        let first: Zeroizing<[u8; HASH_BYTES]> = Zeroizing::new(first.finalize().into_bytes().into());
        let mut chain =
            Box::new(Chain { inner: INITIAL, outer: INITIAL, last: words(&first), sum: words(&first) });
        key_states(password.expose(), &mut chain);
        Derivation { chain, rounds_left: rounds.saturating_sub(1) }
    }

    pub(crate) fn rounds_left(&self) -> u32 {
        self.rounds_left
    }

    /// The hash, once no rounds are left.
    pub(crate) fn hash(&self) -> [u8; HASH_BYTES] {
        debug_assert_eq!(self.rounds_left, 0);
        let mut hash = [0; HASH_BYTES];
        for (bytes, word) in hash.chunks_exact_mut(4).zip(self.chain.sum) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        hash
    }
}

/// What the compiler kept of the chain on the stack while it advanced goes with it.
impl Drop for Derivation {
    fn drop(&mut self) {
        wipe_stack();
    }
}

/// Goes over the part of the stack that calls from here have used.
#[inline(never)]
fn wipe_stack() {
    let mut area = [0_u64; 1024];
    area.zeroize();
    std::hint::black_box(&area);
}

/// Hashes several passwords side by side, each with its own salt. `report` is called now and then with the rounds that were
/// done since, of all together.
pub fn hash_passwords(
    passwords: &[(Password, [u8; SALT_BYTES])],
    rounds: u32,
    report: impl Fn(u64),
) -> Vec<PasswordHash> {
    const LANES: usize = LANE_WIDTHS[LANE_WIDTHS.len() - 1];
    const PORTION: u32 = 50_000;
    let mut hashes = Vec::with_capacity(passwords.len());
    for batch in passwords.chunks(LANES) {
        let mut derivations: Vec<Derivation> =
            batch.iter().map(|(password, salt)| Derivation::new(password, salt, rounds)).collect();
        loop {
            let done = advance(&mut derivations, |derivation| derivation, PORTION);
            if done == 0 {
                break;
            }
            report(u64::from(done) * derivations.len() as u64);
        }
        let done = derivations.iter().zip(batch);
        hashes.extend(done.map(|(one, (_, salt))| PasswordHash { rounds, salt: *salt, hash: one.hash() }));
    }
    hashes
}

/// Advances all of some derivations, at most as many as there are lanes, by `most` rounds or until the first of them is
/// done; says by how many.
pub(super) fn advance<D>(all: &mut [D], derivation: impl Fn(&mut D) -> &mut Derivation, most: u32) -> u32 {
    let left = all.iter_mut().map(|one| derivation(one).rounds_left).min();
    let rounds = most.min(left.unwrap_or(0));
    lanes::advance(all, |one| &mut derivation(one).chain, rounds);
    for one in all {
        derivation(one).rounds_left -= rounds;
    }
    rounds
}

/// HMAC-MD5 (RFC 2104) under a key of any length.
pub(super) fn keyed(key: &[u8]) -> Hmac<Md5> {
    // HMAC takes keys of every length; a longer one is hashed first.
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC refuses no key"))
}

/// MD5's state before the first block (RFC 1321, section 3.3).
const INITIAL: Words = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// Takes the initial states on to those after the inner and after the outer key's block, of which HMAC makes all else.
fn key_states(key: &[u8], chain: &mut Chain) {
    let mut block = Zeroizing::new([0; 64]);
    match block.get_mut(..key.len()) {
        Some(start) => start.copy_from_slice(key),
        None => block[..HASH_BYTES].copy_from_slice(&Md5::digest(key)),
    }
    for (state, pad) in [(&mut chain.inner, 0x36), (&mut chain.outer, 0x5c)] {
        let padded = Zeroizing::new(block.map(|byte| byte ^ pad));
        md5::block_api::compress(state, std::slice::from_ref(&padded));
    }
}

fn words(bytes: &[u8; HASH_BYTES]) -> Words {
    let (words, _) = bytes.as_chunks();
    std::array::from_fn(|n| u32::from_le_bytes(words[n]))
}

/// The hash of `password` in one go: for tools and tests, never for the loop.
pub fn hash_password(password: &Password, salt: [u8; SALT_BYTES], rounds: u32) -> PasswordHash {
    let mut derivation = Derivation::new(password, &salt, rounds);
    advance(std::slice::from_mut(&mut derivation), |derivation| derivation, u32::MAX);
    PasswordHash { rounds, salt, hash: derivation.hash() }
}

impl PasswordHash {
    /// Whether this is the hash of a password, however it was typed when it was hashed.
    pub fn is_of(&self, password: &Password) -> bool {
        let is_equal = |password: &Password| -> bool {
            hash_password(password, self.salt, self.rounds).hash.ct_eq(&self.hash).into()
        };
        is_equal(password) || password.as_typed().is_some_and(|typed| is_equal(&typed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Of what the password's profile makes of it: some bytes are a text that is composed otherwise.
    fn reference(password: &[u8], salt: &[u8; SALT_BYTES], rounds: u32) -> [u8; HASH_BYTES] {
        let mut hash = [0; HASH_BYTES];
        let password = Password::new(password);
        pbkdf2::pbkdf2::<Hmac<Md5>>(password.expose(), salt, rounds, &mut hash).unwrap();
        hash
    }

    fn hashes() -> impl Strategy<Value = Vec<(Vec<u8>, [u8; SALT_BYTES], u32)>> {
        let password = prop::collection::vec(any::<u8>(), 0..200);
        prop::collection::vec((password, any::<[u8; SALT_BYTES]>(), 1..100u32), 1..70)
    }

    proptest! {
        /// The oracle is the `pbkdf2` crate. Hashes join and leave at the ends of portions, as many at a time as
        /// comes; whatever the portions and the company are, each is the same.
        #[test]
        fn any_portions_in_any_company_give_the_reference_hashes(
            hashes in hashes(),
            portions in prop::collection::vec((1..50u32, 1..=LANE_WIDTHS[LANE_WIDTHS.len() - 1]), 1..20),
        ) {
            let mut waiting = hashes.iter();
            let mut running = Vec::new();
            for (most, lanes) in portions.iter().cycle() {
                while running.len() < *lanes && let Some(hash) = waiting.next() {
                    running.push((hash, Derivation::new(&Password::new(&hash.0), &hash.1, hash.2)));
                }
                if running.is_empty() {
                    break;
                }
                let at_once = running.len().min(*lanes);
                let fewest = running[..at_once].iter().map(|(_, one)| one.rounds_left()).min().unwrap();
                let rounds = advance(&mut running[..at_once], |(_, one)| one, *most);
                prop_assert_eq!(rounds, fewest.min(*most));
                for ((password, salt, rounds), done) in running.extract_if(.., |(_, one)| one.rounds_left() == 0) {
                    prop_assert_eq!(done.hash(), reference(password, salt, *rounds));
                }
                // Another one is the first to be cut off when there are fewer lanes.
                let turned = running.len().min(1);
                running.rotate_left(turned);
            }
            prop_assert!(waiting.next().is_none() && running.is_empty());
        }

        #[test]
        fn a_hash_in_one_go_is_the_reference_hash(
            password in prop::collection::vec(any::<u8>(), 0..200),
            salt: [u8; SALT_BYTES],
            rounds in 1..300u32,
        ) {
            let hash = hash_password(&Password::new(&password), salt, rounds).hash;
            prop_assert_eq!(hash, reference(&password, &salt, rounds));
        }
    }

    #[test]
    fn what_is_hashed_of_a_password_is_what_its_profile_makes_of_it() {
        let (password, salt) = ("\u{340}".as_bytes(), [7; SALT_BYTES]);
        let hash = hash_password(&Password::new(password), salt, 3).hash;
        assert_eq!(hash, hash_password(&Password::new("\u{300}".as_bytes()), salt, 3).hash);
        assert_eq!(hash, reference(password, &salt, 3));
    }

    /// Each width by itself, and each number of hashes that leaves some of its lanes empty.
    #[test]
    fn every_number_of_lanes_gives_the_reference_hashes() {
        for at_once in 1..=LANE_WIDTHS[LANE_WIDTHS.len() - 1] {
            let password = |n: usize| vec![n as u8; n * 5];
            let mut all: Vec<Derivation> = (0..at_once)
                .map(|n| Derivation::new(&Password::new(&password(n)), &[n as u8; SALT_BYTES], 50))
                .collect();
            assert_eq!(advance(&mut all, |one| one, 20), 20);
            assert_eq!(advance(&mut all, |one| one, 90), 29);
            for (n, one) in all.iter().enumerate() {
                assert_eq!(
                    one.hash(),
                    reference(&password(n), &[n as u8; SALT_BYTES], 50),
                    "{n} of {at_once}"
                );
            }
        }
    }
}
