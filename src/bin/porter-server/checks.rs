//! What must be right before the server makes or listens on anything: a start and --check-config look at the same.

use crate::environment::{Passed, passed};
use crate::flags::{Flags, ListenAt, port};
#[cfg(feature = "tls")]
use crate::settings::certificate_files;
use crate::settings::{config, encryption, shares_port, store_connector};
use porter::cli::{self, Failure, Given, Source};
use porter::engine::Config;
use porter::limits::LISTENERS;
use porter::server::{Encryption, Options, StoreConnector};
use std::collections::HashSet;
use std::fmt::Display;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::PermissionsExt;
use toml_writer::ToTomlValue;

/// What the flags come to: names are looked up, passed sockets and certificates looked at.
pub(crate) struct Checked {
    pub(crate) config: Config,
    pub(crate) passed: Passed,
    /// Where clients come to, if it is listed and no socket was passed for them.
    listen: Vec<Vec<SocketAddr>>,
    /// Where figures are told, unless a socket was passed for that.
    pub(crate) metrics: Vec<SocketAddr>,
    /// How the shared store is connected to, if there is one.
    pub(crate) store: Option<StoreConnector>,
}

impl Checked {
    /// # Errors
    /// [`Failure`] of wrong usage, with the flag's place if that is in a file.
    pub(crate) fn new(given: &Given<Flags>) -> Result<Checked, Failure> {
        let flags = &given.flags;
        let config = config(given)?;
        let passed = passed()?;
        let listen = if passed.clients.is_empty() { flags.listen.as_slice() } else { &[] };
        let listen = addresses_of(given, "listen", listen)?;
        #[cfg(feature = "admin")]
        let metrics = if passed.metrics.is_none() { flags.metrics.as_slice() } else { &[] };
        #[cfg(not(feature = "admin"))]
        let metrics = &[];
        let metrics = addresses_of(given, "metrics", metrics)?.concat();
        check_twice(given, &listen, &metrics)?;
        check_certificate(given)?;
        let store = store_connector(given)?;
        Ok(Checked { config, passed, listen, metrics, store })
    }

    /// Whether nothing else than `host` and `port` says where clients come to.
    pub(crate) fn is_place_asked_for(&self) -> bool {
        self.listen.is_empty() && self.passed.clients.is_empty()
    }

    /// How the server is to run, listening at `place` if it [is asked for](Checked::is_place_asked_for).
    ///
    /// # Errors
    /// [`Failure`], if connections are to be encrypted and cannot be.
    pub(crate) fn options(&self, flags: &Flags, (host, port): (IpAddr, u16)) -> Result<Options, Failure> {
        let mut options = Options {
            host,
            port,
            strict_port: flags.strict_port,
            listen: self.listen.clone(),
            sockets: self.passed.clients.clone(),
            share_port: shares_port(flags),
            proxies: flags.proxy_from.clone(),
            data: flags.data.clone(),
            encryption: Encryption::Plaintext,
            config: self.config.clone(),
        };
        options.encryption = encryption(flags, &options.hosts())?;
        Ok(options)
    }
}

/// What --check-config shows. The data directory and the log are a running server's perhaps, and only looked at from outside.
///
/// # Errors
/// [`Failure`] of wrong usage: what a start would refuse without trying to listen or to make something.
pub(crate) fn shown(given: &Given<Flags>) -> Result<String, Failure> {
    let flags = &given.flags;
    let checked = Checked::new(given)?;
    if checked.is_place_asked_for() {
        let host = host(&flags.host).map_err(|reason| given.fault("host", &reason))?;
        checked.options(flags, (host, flags.port))?;
    } else {
        checked.options(flags, (Ipv4Addr::LOCALHOST.into(), 0))?;
    }
    check_paths(given)?;
    let mut computed = vec![
        ("output-limit", checked.config.output_limit_bytes.to_string()),
        ("output-total", checked.config.output_total_bytes.to_string()),
    ];
    // What is shown may be sent to somebody.
    let secret = flags.store.as_ref().filter(|address| address.has_password());
    computed.extend(secret.map(|address| ("store", address.masked().to_toml_value())));
    let unused: &[&str] = if flags.listen.is_empty() { &[] } else { &["host", "port", "strict-port"] };
    Ok(given.to_toml(&computed, unused))
}

/// A warning about a configuration file that has the store's password, where others may read it.
pub(crate) fn exposed_password(given: &Given<Flags>) -> Option<String> {
    let Some(Source::File { path, .. }) = given.source("store") else { return None };
    given.flags.store.as_ref().filter(|address| address.has_password())?;
    let mode = std::fs::metadata(path).ok()?.permissions().mode();
    let path = path.display();
    // Its group may well be one that is made for it.
    (mode & 0o007 != 0).then(|| {
        format!("{path} has the store's password and is open to every user of this machine; chmod o= {path}")
    })
}

/// The operator's certificate and its key, if they are given, can be read and go together.
#[cfg(feature = "tls")]
fn check_certificate(given: &Given<Flags>) -> Result<(), Failure> {
    let files = certificate_files(&given.flags);
    let checked = files.map_or(Ok(()), |files| files.check());
    checked.map_err(|error| given.fault("tls-cert", &error.to_string()))
}

#[cfg(not(feature = "tls"))]
fn check_certificate(_: &Given<Flags>) -> Result<(), Failure> {
    Ok(())
}

/// What is there already under the names of what a start would make is of the right kind.
fn check_paths(given: &Given<Flags>) -> Result<(), Failure> {
    let Flags { data, log_file, .. } = &given.flags;
    let is_stderr = log_file.as_os_str() == "-";
    for (key, path, is_directory) in [("data", data, true), ("log-file", log_file, false)] {
        let fault = |reason: &dyn Display| Err(given.fault(key, &format!("{}: {reason}", path.display())));
        match std::fs::metadata(path) {
            _ if is_stderr && key == "log-file" => {}
            Ok(found) if found.is_dir() && !is_directory => return fault(&"it is a directory"),
            Ok(found) if !found.is_dir() && is_directory => return fault(&"it is no directory"),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return fault(&error),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// The addresses of each place that is listed to listen at.
fn addresses_of(
    given: &Given<Flags>,
    key: &str,
    places: &[ListenAt],
) -> Result<Vec<Vec<SocketAddr>>, Failure> {
    let addresses = places.iter().map(|place| place.to_socket_addrs().map(Iterator::collect));
    let addresses: io::Result<Vec<Vec<SocketAddr>>> = addresses.collect();
    let addresses = addresses.map_err(|error| given.fault(key, &error.to_string()))?;
    if addresses.iter().flatten().count() > LISTENERS {
        return Err(given.fault(key, &format!("at most {LISTENERS} addresses can be listened on")));
    }
    Ok(addresses)
}

/// Two sockets cannot have one address; any that the system chooses is another.
fn check_twice(
    given: &Given<Flags>,
    listen: &[Vec<SocketAddr>],
    metrics: &[SocketAddr],
) -> Result<(), Failure> {
    let mut seen = HashSet::new();
    let all = listen.iter().flatten().map(|address| ("listen", address));
    for (key, address) in all.chain(metrics.iter().map(|address| ("metrics", address))) {
        if address.port() != 0 && !seen.insert(address) {
            return Err(given.fault(key, &format!("{address} is listened at already")));
        }
    }
    Ok(())
}

/// Where to listen: as it was given, or as the person at the terminal wants it, or by default.
///
/// # Errors
/// [`Failure`], about the flag, or because the person cannot be asked.
pub(crate) fn place(given: &Given<Flags>) -> Result<(IpAddr, u16), Failure> {
    let is_given = |key| given.source(key).is_some_and(|source| *source != Source::Default);
    let Flags { host: host_text, port: port_number, .. } = &given.flags;
    let given_host = if is_given("host") {
        Some(host(host_text).map_err(|reason| given.fault("host", &reason))?)
    } else {
        None
    };
    let given_port = is_given("port").then_some(*port_number);
    let host = cli::given_or_asked(given_host, "Address to listen on", host_text, host)?;
    let port = cli::given_or_asked(given_port, "Port", &port_number.to_string(), port)?;
    Ok((host, port))
}

/// An address, or the name of one: of several the first IPv4 address, which is what clients try by default.
fn host(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    if let Ok(address) = bare.parse() {
        return Ok(address);
    }
    let found: Vec<IpAddr> = match (bare, 0).to_socket_addrs() {
        Ok(found) => found.map(|address| address.ip()).collect(),
        Err(error) => return Err(format!("{text:?} is no address and no name of one: {error}")),
    };
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first());
    first.copied().ok_or_else(|| format!("{text:?} has no address"))
}
