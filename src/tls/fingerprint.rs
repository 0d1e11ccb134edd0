//! What a person compares: a short name for a certificate.

use base64ct::{Base64Unpadded, Encoding};
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::server::ParsedCertificate;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// The SHA-256 of the DER bytes of a certificate or a public key; written `SHA256:` and unpadded base64, as ssh does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// A text that is no [`Fingerprint`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not a fingerprint: SHA256: and 43 characters of base64, or 64 hex digits")]
pub struct BadFingerprint(String);

impl Fingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate_der: &[u8]) -> Fingerprint {
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, certificate_der).as_ref());
        Fingerprint(sum)
    }
}

impl Fingerprint {
    /// The fingerprint of a certificate's public key (its SubjectPublicKeyInfo, RFC 5280, section 4.1).
    ///
    /// # Errors
    /// If that is no certificate.
    pub fn of_key(certificate: &CertificateDer<'_>) -> Result<Fingerprint, rustls::Error> {
        Ok(Fingerprint::of(&ParsedCertificate::try_from(certificate)?.subject_public_key_info()))
    }

    /// Reads 64 hex digits, perhaps with colons between the bytes, as `openssl x509 -fingerprint -sha256` writes them.
    fn from_hex(text: &str) -> Option<Fingerprint> {
        let mut digits = text.chars().filter(|c| *c != ':').map(|c| c.to_digit(16));
        let mut sum = [0; 32];
        for byte in &mut sum {
            *byte = (digits.next()?? << 4 | digits.next()??) as u8;
        }
        digits.next().is_none().then_some(Fingerprint(sum))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", Base64Unpadded::encode_string(&self.0))
    }
}

/// Reads what [`Display`](fmt::Display) writes, with or without padding, and hex digits as openssl writes them.
impl FromStr for Fingerprint {
    type Err = BadFingerprint;

    fn from_str(text: &str) -> Result<Fingerprint, BadFingerprint> {
        let of_openssl = |text: &str| text.len() > OPENSSL.len() && text.is_char_boundary(OPENSSL.len());
        let (prefix, rest) = text.split_at(if of_openssl(text) { OPENSSL.len() } else { 0 });
        let bare = if prefix.eq_ignore_ascii_case(OPENSSL) { rest } else { text };
        let bare = bare.strip_prefix("SHA256:").unwrap_or(bare);
        if let Some(fingerprint) = Fingerprint::from_hex(bare) {
            return Ok(fingerprint);
        }
        let mut sum = [0; 32];
        let encoded = text.strip_prefix("SHA256:").map(|encoded| encoded.trim_end_matches('='));
        match encoded.map(|encoded| Base64Unpadded::decode(encoded, &mut sum).map(<[u8]>::len)) {
            Some(Ok(32)) => Ok(Fingerprint(sum)),
            _ => Err(BadFingerprint(text.to_owned())),
        }
    }
}

/// What `openssl x509 -fingerprint -sha256` puts before the digits; the case depends on its version.
const OPENSSL: &str = "sha256 Fingerprint=";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_written_as_openssl_and_ssh_would() {
        // printf abc | openssl dgst -sha256 -binary | base64
        let text = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";
        assert_eq!(Fingerprint::of(b"abc").to_string(), text);
        assert_eq!(text.parse(), Ok(Fingerprint::of(b"abc")));
        assert_eq!(format!("{text}=").parse(), Ok(Fingerprint::of(b"abc")));
    }

    #[test]
    fn hex_digits_are_taken_as_openssl_writes_them() {
        // printf abc | openssl dgst -sha256
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let pairs: Vec<_> = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap()).collect();
        let colons = pairs.join(":").to_uppercase();
        for written in [
            hex.to_owned(),
            colons.clone(),
            format!("SHA256:{hex}"),
            format!("sha256 Fingerprint={colons}"),
            format!("SHA256 Fingerprint={colons}"),
        ] {
            assert_eq!(written.parse(), Ok(Fingerprint::of(b"abc")), "{written}");
        }
        for bad in [&hex[1..], &format!("{hex}0"), &hex.replace('a', "g"), "sha256 Fingerprint="] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_fingerprint_is_refused() {
        let whole = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";
        for bad in ["", "SHA256:", &whole[7..], &whole[..whole.len() - 1], &format!("{whole}AA"), "MD5:00"] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
