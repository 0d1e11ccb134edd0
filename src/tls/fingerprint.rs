//! What a person compares: a short name for a certificate.

use base64ct::{Base64Unpadded, Encoding};
use ring::digest::{SHA256, digest};
use std::fmt;
use std::str::FromStr;

/// The SHA-256 of a certificate's DER bytes; written `SHA256:` and unpadded base64, as ssh does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate_der: &[u8]) -> Fingerprint {
        let mut sum = [0; 32];
        sum.copy_from_slice(digest(&SHA256, certificate_der).as_ref());
        Fingerprint(sum)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SHA256:{}", Base64Unpadded::encode_string(&self.0))
    }
}

/// Reads what [`Display`](fmt::Display) writes; padding is allowed.
impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Fingerprint, String> {
        let mut sum = [0; 32];
        let encoded = text.strip_prefix("SHA256:").map(|encoded| encoded.trim_end_matches('='));
        match encoded.map(|encoded| Base64Unpadded::decode(encoded, &mut sum).map(<[u8]>::len)) {
            Some(Ok(32)) => Ok(Fingerprint(sum)),
            _ => Err(format!("{text:?} is not a fingerprint: SHA256: and 43 characters of base64")),
        }
    }
}

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
    fn what_is_no_fingerprint_is_refused() {
        let whole = "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0";
        for bad in ["", "SHA256:", &whole[7..], &whole[..whole.len() - 1], &format!("{whole}AA"), "MD5:00"] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
    }
}
