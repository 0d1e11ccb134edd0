//! Where a shared store is: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or `rediss://` with TLS, as its own tools
//! write it.

use std::fmt;
use std::str::FromStr;
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

impl FromStr for StoreAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<StoreAddress, String> {
        // The text is not told: it may have a password.
        let bad = |reason: &str| {
            format!(
                "{reason}; a shared store is redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// with TLS"
            )
        };
        let (is_encrypted, rest) = match (text.strip_prefix(PLAIN), text.strip_prefix(ENCRYPTED)) {
            (Some(rest), _) => (false, rest),
            (None, Some(rest)) => (true, rest),
            (None, None) => return Err(bad("it begins with neither redis:// nor rediss://")),
        };
        let (rest, database) = match rest.split_once('/') {
            Some((rest, "")) => (rest, 0),
            Some((rest, number)) => (rest, number.parse().map_err(|_| bad("the database is not a number"))?),
            None => (rest, 0),
        };
        let (login, place) =
            rest.rsplit_once('@').map_or((None, rest), |(login, place)| (Some(login), place));
        let (user, password) = match login.map(|login| login.split_once(':')) {
            None => (None, None),
            Some(Some((user, password))) => {
                ((!user.is_empty()).then(|| user.to_owned()), Some(Zeroizing::new(password.to_owned())))
            }
            Some(None) => return Err(bad("there is a user without a password")),
        };
        let (host, port) = match place.strip_prefix('[').map(|bracketed| bracketed.split_once(']')) {
            Some(Some((host, ""))) => (host, None),
            Some(Some((host, port))) => (host, port.strip_prefix(':')),
            Some(None) => return Err(bad("a bracket is not closed")),
            None => place.rsplit_once(':').map_or((place, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(PORT), str::parse).map_err(|_| bad("the port is not one, 0 to 65535"))?;
        if host.is_empty() {
            return Err(bad("the host is missing"));
        }
        Ok(StoreAddress { is_encrypted, host: host.to_owned(), port, database, user, password })
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
            ("rediss://store", "rediss://store:6379", (None, None)),
            ("rediss://ann:secret@[::1]:1/2", "rediss://[::1]:1/2", (Some("ann"), Some("secret"))),
        ] {
            let address: StoreAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), shown);
            assert_eq!(format!("{address:?}"), shown, "no password where it may be logged");
            assert_eq!(address.is_encrypted(), text.starts_with("rediss"));
            let password = address.password.as_ref().map(|password| password.as_str());
            assert_eq!((address.user.as_deref(), password), login);
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
        ] {
            let reason = bad.parse::<StoreAddress>().unwrap_err();
            assert!(!reason.contains("secret") && reason.contains("DATABASE"), "{bad}: {reason}");
        }
    }
}
