//! Where a shared store is: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` with TLS, as its own tools
//! write it: in user and password `%` and two hexadecimal digits are a byte (RFC 3986, 2.1). All up to the last `@` is theirs.

use percent_encoding::percent_decode_str;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use zeroize::Zeroizing;

const PLAIN: &str = "redis://";
const ENCRYPTED: &str = "rediss://";
/// For both, as those tools have it.
const PORT: u16 = 6379;

/// Where a shared store is, and as whom to log in there.
#[derive(Clone, PartialEq, Eq)]
pub struct StoreAddress {
    is_encrypted: bool,
    host: String,
    port: u16,
    pub(super) database: u32,
    pub(super) user: Option<String>,
    pub(super) password: Option<Zeroizing<String>>,
}

impl StoreAddress {
    /// The host: an address, or a name.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether TLS is spoken there.
    pub fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Whether somebody who reads it may log in there.
    pub fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// As it was given, but for the password.
    pub fn masked(&self) -> String {
        let shown = self.to_string();
        match (shown.split_once("//"), &self.password) {
            (Some((scheme, place)), Some(_)) => {
                let user = self.user.as_deref().unwrap_or_default();
                format!("{scheme}//{user}:***@{place}")
            }
            _ => shown,
        }
    }
}

/// Without the password.
impl fmt::Display for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { ENCRYPTED } else { PLAIN };
        match self.host.contains(':') {
            true => write!(f, "{scheme}[{}]:{}", self.host, self.port)?,
            false => write!(f, "{scheme}{}:{}", self.host, self.port)?,
        }
        if self.database == 0 { Ok(()) } else { write!(f, "/{}", self.database) }
    }
}

impl fmt::Debug for StoreAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why a text is no [`StoreAddress`]; never the text itself, which may have a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}; a shared store is redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// with TLS")]
pub struct BadStoreAddress(&'static str);

impl FromStr for StoreAddress {
    type Err = BadStoreAddress;

    fn from_str(text: &str) -> Result<StoreAddress, BadStoreAddress> {
        let (is_encrypted, rest) = match (text.strip_prefix(PLAIN), text.strip_prefix(ENCRYPTED)) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(BadStoreAddress("it begins with neither redis:// nor rediss://")),
        };
        let (login, rest) = rest.rsplit_once('@').map_or((None, rest), |(login, rest)| (Some(login), rest));
        let (place, database) = match rest.split_once('/') {
            Some((place, "")) => (place, 0),
            Some((place, number)) => {
                (place, number.parse().map_err(|_| BadStoreAddress("the database is not a number"))?)
            }
            None => (rest, 0),
        };
        let (user, password) = match login.map(|login| login.split_once(':')) {
            None => (None, None),
            Some(Some((user, password))) => {
                let user = decoded(user).map_err(BadStoreAddress)?.to_string();
                ((!user.is_empty()).then_some(user), Some(decoded(password).map_err(BadStoreAddress)?))
            }
            Some(None) => return Err(BadStoreAddress("there is a user without a password")),
        };
        let (host, port) = match place.strip_prefix('[').map(|bracketed| bracketed.split_once(']')) {
            Some(Some((host, ""))) => (host, None),
            Some(Some((host, port))) => (host, port.strip_prefix(':')),
            Some(None) => return Err(BadStoreAddress("a bracket is not closed")),
            None => place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = port
            .map_or(Ok(PORT), str::parse)
            .map_err(|_| BadStoreAddress("the port is not one, 0 to 65535"))?;
        if host.is_empty() {
            return Err(BadStoreAddress("the host is missing"));
        }
        Ok(StoreAddress { is_encrypted, host: host.to_owned(), port, database, user, password })
    }
}

/// What a user or a password is that is written with escapes.
fn decoded(text: &str) -> Result<Zeroizing<String>, &'static str> {
    let is_escape = |behind: &str| behind.len() >= 2 && behind.bytes().take(2).all(|b| b.is_ascii_hexdigit());
    if !text.split('%').skip(1).all(is_escape) {
        return Err(
            "a % in user or password is not followed by two hexadecimal digits: % itself is written %25",
        );
    }
    let bytes = Zeroizing::new(percent_decode_str(text).collect::<Vec<u8>>());
    match std::str::from_utf8(&bytes) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err("user or password is not UTF-8"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_redis_tools_write_them() {
        for (text, shown, login) in [
            ("redis://127.0.0.1", "redis://127.0.0.1:6379", (None, None)),
            ("redis://127.0.0.1:7000/3", "redis://127.0.0.1:7000/3", (None, None)),
            ("redis://[::1]", "redis://[::1]:6379", (None, None)),
            ("redis://[::1]:7000/", "redis://[::1]:7000", (None, None)),
            ("redis://:se:cr@et@store", "redis://store:6379", (None, Some("se:cr@et"))),
            ("redis://ann:secret@store:1/0", "redis://store:1", (Some("ann"), Some("secret"))),
            // What stands between is theirs, whatever it is; escapes are for who writes URLs by rule.
            ("redis://:p/w?#@store", "redis://store:6379", (None, Some("p/w?#"))),
            ("redis://:p%2Fw%40%25%3a@store/2", "redis://store:6379/2", (None, Some("p/w@%:"))),
            ("redis://a%3Ab:%C3%A9%20x@store", "redis://store:6379", (Some("a:b"), Some("\u{e9} x"))),
            ("redis://:@store", "redis://store:6379", (None, Some(""))),
            ("rediss://store", "rediss://store:6379", (None, None)),
            ("rediss://ann:secret@[::1]:1/2", "rediss://[::1]:1/2", (Some("ann"), Some("secret"))),
        ] {
            let address: StoreAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(format!("{address:?}"), shown, "no password where it may be logged");
            assert_eq!(address.is_encrypted(), text.starts_with("rediss"));
            let password = address.password.as_ref().map(|password| password.as_str());
            assert_eq!((address.user.as_deref(), password), login);
            let masked = address.masked();
            assert_eq!(masked.contains(":***@"), address.has_password(), "{masked}");
            assert_eq!(masked.replacen(&format!("{}:***@", login.0.unwrap_or_default()), "", 1), shown);
        }
        for bad in [
            "",
            "127.0.0.1",
            "http://a",
            "redisss://a",
            "rediss://",
            "rediss://x:secret@a/b",
            "redis://",
            "redis://:7000",
            "redis://a:b",
            "redis://a:65536",
            "redis://a/b",
            "redis://ann@a",
            "redis://[::1",
            "redis://x:secret@a/b",
            "redis://x:secret%@a",
            "redis://x:100%secret@a",
            "redis://x%:secret@a",
            "redis://x:secret%4@a",
            "redis://x:secret%+4@a",
            "redis://x:secret%\u{e4}@a",
            "redis://x:secret%FF@a",
        ] {
            let reason = bad.parse::<StoreAddress>().unwrap_err().to_string();
            assert!(!reason.contains("secret") && reason.contains("DATABASE"), "{bad}: {reason}");
        }
    }
}
