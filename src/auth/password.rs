//! Passwords, and the form in which they are stored.

use crate::limits::{HASH_BYTES, HASH_ROUNDS_MOST, PASSWORD_BYTES, SALT_BYTES};
use base64ct::{Base64Unpadded, Encoding};
use std::fmt;
use zeroize::Zeroizing;

/// A password as it was sent. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

/// Why a text cannot be a new password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeakPassword(String);

impl Password {
    /// Takes a password as it is; whether it may be a new one, [`check_new`](Password::check_new) tells.
    pub fn new(bytes: &[u8]) -> Password {
        Password(Zeroizing::new(bytes.to_vec()))
    }

    /// Checks a new password against the rules.
    ///
    /// # Errors
    /// [`WeakPassword`] with the rule that it breaks.
    pub fn check_new(text: &str, min_characters: u32) -> Result<(), WeakPassword> {
        if text.len() > PASSWORD_BYTES {
            return Err(WeakPassword(format!("a password has at most {PASSWORD_BYTES} bytes")));
        }
        // An empty password is refused whatever the operator's minimum is.
        let min_characters = min_characters.max(1) as usize;
        if text.chars().count() < min_characters {
            return Err(WeakPassword(format!("a password has at least {min_characters} characters")));
        }
        Ok(())
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl fmt::Display for WeakPassword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WeakPassword {}

/// A stored password: PBKDF2-HMAC-MD5 (RFC 8018) of it, with the rounds and the salt.
///
/// Its text form is a PHC string, `$pbkdf2-md5$i=ROUNDS$SALT$HASH` with salt and hash in unpadded standard base64.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash {
    /// PBKDF2 iterations, 1 to 100 000 000.
    pub rounds: u32,
    /// From the operating system's random source.
    pub salt: [u8; SALT_BYTES],
    /// One output block.
    pub hash: [u8; HASH_BYTES],
}

/// Why a text is no stored password; never the text itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadPasswordHash(&'static str);

impl PasswordHash {
    /// Reads the PHC string; insists on the one spelling that [`to_phc`](PasswordHash::to_phc) writes.
    ///
    /// # Errors
    /// [`BadPasswordHash`] with the part that is wrong.
    pub fn from_phc(text: &str) -> Result<PasswordHash, BadPasswordHash> {
        let rest = text
            .strip_prefix("$pbkdf2-md5$i=")
            .ok_or(BadPasswordHash("the password does not begin with $pbkdf2-md5$i="))?;
        let mut parts = rest.split('$');
        let (Some(rounds), Some(salt), Some(hash), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(BadPasswordHash("the password has not the form $pbkdf2-md5$i=ROUNDS$SALT$HASH"));
        };
        Ok(PasswordHash {
            rounds: parse_rounds(rounds).ok_or(BadPasswordHash("the rounds are not 1 to 100000000"))?,
            salt: parse_base64(salt).ok_or(BadPasswordHash("the salt is not 16 bytes of unpadded base64"))?,
            hash: parse_base64(hash).ok_or(BadPasswordHash("the hash is not 16 bytes of unpadded base64"))?,
        })
    }

    /// Writes the PHC string.
    pub fn to_phc(&self) -> String {
        format!(
            "$pbkdf2-md5$i={}${}${}",
            self.rounds,
            Base64Unpadded::encode_string(&self.salt),
            Base64Unpadded::encode_string(&self.hash)
        )
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PasswordHash({} rounds, ..)", self.rounds)
    }
}

impl fmt::Display for BadPasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BadPasswordHash {}

fn parse_rounds(text: &str) -> Option<u32> {
    // One number, one spelling: no sign, no leading zero.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.starts_with('0') {
        return None;
    }
    text.parse().ok().filter(|rounds| (1..=HASH_ROUNDS_MOST).contains(rounds))
}

fn parse_base64<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let decoded = Base64Unpadded::decode(text, &mut bytes).ok()?.len();
    (decoded == N).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_one_spelling_is_read() {
        let good = "$pbkdf2-md5$i=1000$AAECAwQFBgcICQoLDA0ODw$EBESExQVFhcYGRobHB0eHw";
        let hash = PasswordHash::from_phc(good).unwrap();
        assert_eq!((hash.rounds, hash.salt[15], hash.hash[0]), (1000, 15, 16));
        assert_eq!(hash.to_phc(), good);
        for (from, to) in [
            ("pbkdf2-md5", "pbkdf2-sha1"),
            ("i=1000", "i=0"),
            ("i=1000", "i=01000"),
            ("i=1000", "i=+1000"),
            ("i=1000", "i=100000001"),
            ("i=1000", "i="),
            ("ODw", "ODw=="),
            ("ODw", "OD"),
            ("ODw$", "ODw"),
            ("eHw", "eHw$"),
            ("eHw", "eHx"),
            ("$pb", "pb"),
        ] {
            assert!(PasswordHash::from_phc(&good.replacen(from, to, 1)).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn rules_for_new_passwords() {
        assert!(Password::check_new("12345678", 8).is_ok());
        assert!(Password::check_new("ünïcödé!", 8).is_ok());
        assert!(Password::check_new("1234567", 8).is_err());
        assert!(Password::check_new("", 0).is_err());
        assert!(Password::check_new(&"x".repeat(1024), 8).is_ok());
        assert!(Password::check_new(&"x".repeat(1025), 8).is_err());
    }

    proptest! {
        #[test]
        fn phc_strings_round_trip(rounds in 1..=HASH_ROUNDS_MOST, salt: [u8; 16], hash: [u8; 16]) {
            let stored = PasswordHash { rounds, salt, hash };
            prop_assert_eq!(PasswordHash::from_phc(&stored.to_phc()), Ok(stored));
        }

        #[test]
        fn no_text_makes_the_reader_panic(text in "\\PC*") {
            let _ = PasswordHash::from_phc(&text);
        }
    }
}
