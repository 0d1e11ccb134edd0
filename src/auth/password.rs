//! Passwords, and the form in which they are stored.

use crate::limits::{HASH_BYTES, HASH_ROUNDS_MOST, PASSWORD_BYTES, SALT_BYTES};
use base64ct::{Base64Unpadded, Encoding};
use precis_profiles::OpaqueString;
use precis_profiles::precis_core::Error;
use precis_profiles::precis_core::profile::Profile;
use std::fmt;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

/// A password in the one form that it has however it was typed: what RFC 8265's OpaqueString profile makes of it. Wiped when
/// dropped, never shown.
#[derive(Clone)]
pub struct Password {
    prepared: Zeroizing<Vec<u8>>,
    /// As it was typed, if that is something else.
    typed: Option<Zeroizing<Vec<u8>>>,
}

/// Why a text cannot be a new password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct WeakPassword(String);

impl Password {
    /// Takes a password that is to be compared with a stored one. What the profile refuses is taken as it is: nobody can
    /// have chosen it since there is a profile, and to be found wrong it costs what others cost.
    pub fn new(typed: &[u8]) -> Password {
        let as_typed = Zeroizing::new(typed.to_vec());
        match std::str::from_utf8(typed).ok().and_then(|text| prepare(text).ok()).flatten() {
            Some(prepared) => Password { prepared, typed: Some(as_typed) },
            None => Password { prepared: as_typed, typed: None },
        }
    }

    /// Takes a new password, if it keeps to the rules.
    ///
    /// # Errors
    /// [`WeakPassword`] with the rule that it breaks.
    pub fn chosen(text: &str, min_characters: u32) -> Result<Password, WeakPassword> {
        // An empty password is refused whatever the operator's minimum is.
        let min_characters = min_characters.max(1) as usize;
        // As it was typed, too: nobody could log in with it like that.
        let is_too_long = |bytes: usize| bytes > PASSWORD_BYTES;
        let too_long = || WeakPassword(format!("a password has at most {PASSWORD_BYTES} bytes"));
        if is_too_long(text.len()) {
            return Err(too_long());
        }
        let prepared = prepare(text)?.unwrap_or_else(|| Zeroizing::new(text.as_bytes().to_vec()));
        if is_too_long(prepared.len()) {
            return Err(too_long());
        }
        // Of each character one byte is not a continuation.
        if prepared.iter().filter(|byte| **byte & 0xc0 != 0x80).count() < min_characters {
            return Err(WeakPassword(format!("a password has at least {min_characters} characters")));
        }
        Ok(Password { prepared, typed: None })
    }

    /// The password as it was typed, if the profile has made something else of it: so it was hashed before there was a
    /// profile.
    pub(crate) fn as_typed(&self) -> Option<Password> {
        self.typed.clone().map(|typed| Password { prepared: typed, typed: None })
    }

    /// The secret itself.
    pub fn expose(&self) -> &[u8] {
        &self.prepared
    }
}

/// What the profile makes of a password; `None` if that is the password as it is.
///
/// It judges before it composes, and so refuses what was typed in conjoining jamo: here it is composed first. And it leaves
/// copies in memory, so that it is only asked whether it allows a text, and the rest is done in buffers that are wiped.
fn prepare(typed: &str) -> Result<Option<Zeroizing<Vec<u8>>>, WeakPassword> {
    if typed.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        return Ok(None);
    }
    // The most that composing may add, so that the buffer need not move.
    let mut text = Zeroizing::new(String::with_capacity(3 * typed.len()));
    text.extend(typed.nfc());
    OpaqueString::new().prepare(text.as_str()).map_err(|error| match error {
        Error::BadCodepoint(info) => WeakPassword(format!("a password cannot have U+{:04X} there", info.cp)),
        _ => WeakPassword("a password cannot have a joiner without the letters that it joins".to_owned()),
    })?;
    let mut prepared = Zeroizing::new(String::with_capacity(text.len()));
    // All white space that is left is a kind of blank.
    prepared.extend(text.chars().map(|character| if character.is_whitespace() { ' ' } else { character }));
    Ok((*prepared != typed).then(|| Zeroizing::new(std::mem::take(&mut *prepared).into_bytes())))
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
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
        let chosen = |text: &str, min| Password::chosen(text, min).map(|password| password.expose().to_vec());
        assert_eq!(chosen("12345678", 8), Ok(b"12345678".to_vec()));
        assert_eq!(chosen("ünïcödé!", 8), Ok("ünïcödé!".into()));
        assert_eq!(chosen("\u{1112}\u{1161}\u{11ab}a\u{308}", 2), Ok("한ä".into()));
        assert_eq!(chosen("no\u{a0}break\u{3000}wide", 8), Ok("no break wide".into()));
        assert_eq!(chosen("ｗｉｄｅ stays", 8), Ok("ｗｉｄｅ stays".into()));
        assert_eq!(chosen(&"x".repeat(1024), 8).map(|bytes| bytes.len()), Ok(1024));
        for (text, min, reason) in [
            ("1234567", 8, "8 characters"),
            ("", 0, "1 characters"),
            ("a\u{308}o\u{308}u\u{308}e\u{301}", 8, "8 characters"),
            (&"x".repeat(1025), 8, "1024 bytes"),
            (&"a\u{308}".repeat(342), 8, "1024 bytes"),
            // Composition makes two characters of it.
            (&"\u{958}".repeat(341), 8, "1024 bytes"),
            ("tab\tulator", 8, "U+0009"),
            ("filler\u{3164}", 8, "U+3164"),
            ("joi\u{200d}ner", 8, "U+200D"),
            ("\u{200d}joiner", 8, "a joiner"),
            ("line\u{2028}break", 8, "U+2028"),
        ] {
            let refused = Password::chosen(text, min).unwrap_err().to_string();
            assert!(refused.contains(reason), "{text:?}: {refused}");
        }
    }

    #[test]
    fn a_password_is_one_however_it_was_typed_and_what_was_typed_is_kept() {
        let password = Password::new("pa\u{30a}ss word\u{2003}".as_bytes());
        assert_eq!(password.expose(), "påss word ".as_bytes());
        assert_eq!(password.as_typed().unwrap().expose(), "pa\u{30a}ss word\u{2003}".as_bytes());
        assert_eq!(format!("{password:?}"), "Password(..)");
        for typed in
            [&b"open sesame"[..], "påss".as_bytes(), b"", b"tab\t", b"\xff\xfe", "e\u{301}\t".as_bytes()]
        {
            let password = Password::new(typed);
            assert_eq!((password.expose(), password.as_typed().is_none()), (typed, true));
        }
    }

    proptest! {
        /// What the profile itself makes of a text that is composed.
        #[test]
        fn the_profile_is_kept(text in "(\\PC|[ -~\u{a0}\u{301}\u{1100}\u{1161}\u{2003}\u{200d}\u{94d}\u{b7}l]){1,12}") {
            let composed: String = text.nfc().collect();
            let prepared = prepare(&text).map(|prepared| prepared.map_or(text.clone(), |bytes| {
                String::from_utf8(bytes.to_vec()).unwrap()
            }));
            let enforced = OpaqueString::new().enforce(composed).ok();
            prop_assert_eq!(prepared.as_ref().ok().map(String::as_str), enforced.as_deref());
            if let Ok(prepared) = prepared {
                prop_assert!(matches!(prepare(&prepared), Ok(None)), "once more makes something else of it");
                let decomposed = Password::new(text.nfd().collect::<String>().as_bytes());
                prop_assert_eq!(decomposed.expose(), prepared.as_bytes());
            }
        }

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
