//! The files in which servers keep their users, each as the server itself would write it.

use crate::dialects::{NAME, PASSWORD};
use base64ct::{Base64, Base64Unpadded, Encoding};
use md5::{Digest, Md5};
use pbkdf2::pbkdf2_hmac;
use sha2::Sha512;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// porter's default.
pub(crate) const PORTER_ROUNDS: u32 = 3_100_000;

/// Lines of porter's file have a salt of this many bytes.
const PORTER_SALT_BYTES: usize = 16;

/// porter's `users.csv` with these users, who all have the one password.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write_porter_users(
    path: &Path,
    names: impl Iterator<Item = String>,
    hash: &str,
) -> io::Result<()> {
    let lines: String = names.map(|name| porter_line(&name, hash)).collect();
    std::fs::write(path, format!("name,password,registered\n{lines}"))
}

/// porter's stored form of the password, at its default cost of some half a second.
pub(crate) fn porter_hash() -> String {
    let salt = [7; PORTER_SALT_BYTES];
    let mut hash = [0; 16];
    pbkdf2_hmac::<Md5>(PASSWORD.as_bytes(), &salt, PORTER_ROUNDS, &mut hash);
    phc(&salt, &hash)
}

/// porter's `users.csv` with many users. Their hashes are of the right form and of no password: nobody logs in.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write_many_porter_users(path: &Path, count: u32) -> io::Result<()> {
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path)?);
    file.write_all(b"name,password,registered\n")?;
    for number in 0..count {
        // Each its own salt and hash, spread over all bits, as real ones are.
        let bits = u128::from(number).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        let stored = phc(&bits.to_le_bytes(), &bits.rotate_left(64).to_le_bytes());
        file.write_all(porter_line(&format!("user-{number}"), &stored).as_bytes())?;
    }
    file.flush()
}

/// A line of mosquitto's password file: PBKDF2 with HMAC-SHA-512, which `mosquitto_passwd` makes with 101 rounds.
pub(crate) fn mosquitto_line(rounds: u32) -> String {
    let salt = [7; 12];
    let mut hash = [0; 64];
    pbkdf2_hmac::<Sha512>(PASSWORD.as_bytes(), &salt, rounds, &mut hash);
    format!("{NAME}:$7${rounds}${}${}\n", Base64::encode_string(&salt), Base64::encode_string(&hash))
}

/// What `blocking.py` keeps: MD5, in hexadecimal digits.
pub(crate) fn md5_hex() -> String {
    Md5::digest(PASSWORD.as_bytes()).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn phc(salt: &[u8; PORTER_SALT_BYTES], hash: &[u8; 16]) -> String {
    let [salt, hash] = [salt, hash].map(|bytes| Base64Unpadded::encode_string(bytes));
    format!("$pbkdf2-md5$i={PORTER_ROUNDS}${salt}${hash}")
}

fn porter_line(name: &str, hash: &str) -> String {
    format!("{name},{hash},2026-01-02T03:04:05Z\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_forms_are_those_of_other_tools() {
        // printf %s open-sesame | md5sum
        assert_eq!(md5_hex(), "436954d7aad3e9d4e6c0d9d525318b17");
        // python3 -c 'import hashlib, base64; print(base64.b64encode(hashlib.pbkdf2_hmac(
        //     "sha512", b"open-sesame", b"\x07" * 12, 101)).decode())'
        let hash = "eCqjWm+CKKuAcb1f3cK9dEPu66zfWkgaJ2C/qNhYJ/C+GK2GuKSu8ri4boJU\
                    L7oAyKRTiVriv8XOPPRw4DHcgw==";
        assert_eq!(mosquitto_line(101), format!("ann:$7$101$BwcHBwcHBwcHBwcH${hash}\n"));
    }
}
