//! The flags, and what their values may be. porter-admin has them too, for manual pages and completions.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Parser, ValueEnum, value_parser};
use ipnet::IpNet;
use log::LevelFilter;
use porter::cli::{Unquoted, host_and_port};
use porter::limits;
use porter::store::{Durability, StoreAddress};
#[cfg(feature = "tls")]
use porter::tls::Fingerprint;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::time::Duration;
use std::vec;

const PORT_DEFAULT: u16 = 9090;
#[cfg(feature = "admin")]
const METRICS_PORT_DEFAULT: u16 = 9091;

/// How `--help` groups the flags.
const LISTENING: &str = "Where it listens";
const ENCRYPTION: &str = "Encryption";
const LOG: &str = "Log";
const ACCOUNTS: &str = "Names and passwords";
const LIMITS: &str = "Limits and times";

/// Recognises who connects, checks their password, hands out a session token, and carries messages.
#[derive(Parser)]
#[command(name = "porter-server", version)]
pub(crate) struct Flags {
    /// What a message does: comes back, goes to the person at the console, or to everyone
    #[arg(long, value_enum, value_name = "MODE", default_value = "echo")]
    pub(crate) mode: Mode,
    /// Folder of users.csv and addresses.csv; made on first start
    #[arg(long, value_name = "DIR", default_value = "data")]
    pub(crate) data: PathBuf,
    /// Users in a Valkey or Redis that several servers share, instead of in files: `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, or rediss:// with TLS
    #[arg(
        long, value_name = "URL", env = "PORTER_STORE", hide_env_values = true,
        value_parser = Unquoted::<StoreAddress>::new()
    )]
    pub(crate) store: Option<StoreAddress>,
    /// What the shared store must keep of what it has acknowledged: always = all (appendonly yes, appendfsync always), or none
    #[arg(long, value_name = "WHAT", default_value = "always", value_parser = PossibleValuesParser::new(Durability::NAMES).try_map(|text| text.parse::<Durability>()))]
    pub(crate) store_durability: Durability,
    /// Whom to trust at a rediss://: whoever has a certificate for its host from an authority in this file (PEM)
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", conflicts_with = "store_fingerprint")]
    pub(crate) store_ca: Option<PathBuf>,
    /// Whom to trust at a rediss://: whoever has the certificate with this fingerprint
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "SHA256:...")]
    pub(crate) store_fingerprint: Option<Fingerprint>,
    /// Certificate in PEM that a rediss:// is shown if it asks for one, with --store-key
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "store_key")]
    pub(crate) store_cert: Option<PathBuf>,
    /// Its private key in PEM
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "store_cert")]
    pub(crate) store_key: Option<PathBuf>,
    /// File of settings in TOML: its keys are the names of these flags, and a flag given here wins. Read anew on SIGHUP
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Show what would be used, as such a file, and exit: 0, or 2 with what is wrong
    #[arg(long)]
    pub(crate) check_config: bool,
    /// Address to listen on, IPv4 or IPv6, or its name; asked for on a terminal
    #[arg(long, help_heading = LISTENING, value_name = "ADDR", default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Port; if busy the next free one, up to 100 further; 0 = any; asked for on a terminal
    #[arg(long, help_heading = LISTENING, value_name = "N", default_value = "9090", value_parser = port)]
    pub(crate) port: u16,
    /// Fail if the port is busy
    #[arg(long, help_heading = LISTENING)]
    pub(crate) strict_port: bool,
    /// Address and port to listen on, such as localhost:9090 (all of its addresses), `[::1]:9090` or 9090 (all of this
    /// machine's); given several times, on each
    #[arg(
        long, help_heading = LISTENING, value_name = "ADDR:PORT", value_parser = listen_at,
        conflicts_with_all = ["host", "port", "strict_port"]
    )]
    pub(crate) listen: Vec<ListenAt>,
    /// Let other servers of the same user listen there too; the system shares out who connects
    #[cfg(target_os = "linux")]
    #[arg(long, help_heading = LISTENING)]
    pub(crate) share_port: bool,
    /// Networks of proxies: connections from there begin with a PROXY header (version 1 or 2), and its address is the
    /// client's for everything
    #[arg(long, help_heading = LISTENING, value_name = "CIDR,..", value_delimiter = ',', value_parser = network)]
    pub(crate) proxy_from: Vec<IpNet>,
    /// Tell figures (/metrics) and health (/health) over HTTP there, to whoever asks; a place as --listen takes it
    #[cfg(feature = "admin")]
    #[arg(long, help_heading = LISTENING, value_name = "ADDR:PORT", value_parser = metrics_at)]
    pub(crate) metrics: Option<ListenAt>,
    /// Encrypt on a loopback address too; any other is encrypted always
    #[cfg(feature = "tls")]
    #[arg(long, help_heading = ENCRYPTION, conflicts_with = "plaintext")]
    pub(crate) tls: bool,
    /// Do not encrypt, whatever the address
    #[arg(long, help_heading = ENCRYPTION)]
    pub(crate) plaintext: bool,
    /// Certificate in PEM, with --tls-key; without one a self-signed one is made and kept in the data folder
    #[cfg(feature = "tls")]
    #[arg(long, help_heading = ENCRYPTION, value_name = "FILE", requires = "tls_key", conflicts_with = "plaintext")]
    pub(crate) tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM
    #[cfg(feature = "tls")]
    #[arg(long, help_heading = ENCRYPTION, value_name = "FILE", requires = "tls_cert", conflicts_with = "plaintext")]
    pub(crate) tls_key: Option<PathBuf>,
    /// Log file, whose folder is made; - is stderr
    #[arg(long, help_heading = LOG, value_name = "FILE", default_value = "logs/server.log")]
    pub(crate) log_file: PathBuf,
    /// text, or json: an object a line
    #[arg(long, help_heading = LOG, value_enum, value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: Format,
    /// off, error, warn, info, debug or trace
    #[arg(long, help_heading = LOG, value_name = "LEVEL", default_value = "info", value_parser = level)]
    pub(crate) log_level: LevelFilter,
    /// closed: an unknown name is treated like a wrong password
    #[arg(long, help_heading = ACCOUNTS, value_enum, value_name = "STATE", default_value = "open")]
    pub(crate) registration: Registration,
    /// PBKDF2 rounds of new hashes
    #[arg(long, help_heading = ACCOUNTS, value_name = "N", default_value_t = limits::HASH_ROUNDS_DEFAULT, value_parser = value_parser!(u32).range(1..=i64::from(limits::HASH_ROUNDS_MOST)))]
    pub(crate) hash_rounds: u32,
    /// Longest wait for a hash; beyond it Busy
    #[arg(long, help_heading = ACCOUNTS, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) hash_wait: Duration,
    /// How long a verified password is recognised without its hash; 0 = never
    #[arg(long, help_heading = ACCOUNTS, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    pub(crate) login_cache: Duration,
    /// Debt of an address for each wrong password; 0 = none
    #[arg(long, help_heading = ACCOUNTS, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    pub(crate) penalty: Duration,
    /// Networks that no penalty is put on; wrong passwords in one connection are counted all the same
    #[arg(long, help_heading = ACCOUNTS, value_name = "CIDR,..", value_delimiter = ',', value_parser = network)]
    pub(crate) exempt: Vec<IpNet>,
    /// Fewest characters of a new password
    #[arg(long, help_heading = ACCOUNTS, value_name = "N", default_value_t = limits::MIN_PASSWORD_CHARACTERS_DEFAULT, value_parser = value_parser!(u32).range(1..=limits::PASSWORD_BYTES as i64))]
    pub(crate) min_password: u32,
    /// Wrong passwords, and registrations, in one connection
    #[arg(long, help_heading = ACCOUNTS, value_name = "N", default_value_t = limits::MAX_ATTEMPTS_DEFAULT, value_parser = value_parser!(u32).range(1..))]
    pub(crate) max_attempts: u32,
    /// Texts a second of each session in chat mode, beyond bursts of 100; faster ones are read more slowly; 0 = any number
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = limits::CHAT_RATE_DEFAULT, value_parser = value_parser!(u32).range(..=1_000_000))]
    pub(crate) chat_rate: u32,
    /// Connections at once; one more is answered Busy
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = limits::MAX_CONNECTIONS_DEFAULT as u32, value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub(crate) max_connections: u32,
    /// Of them, those that are not logged in; beyond it the address with the most loses its oldest
    #[arg(long, help_heading = LIMITS, value_name = "N", default_value_t = limits::MAX_STRANGERS_DEFAULT as u32, value_parser = value_parser!(u32).range(1..=10_000_000))]
    pub(crate) max_strangers: u32,
    /// Longest frame
    #[arg(long, help_heading = LIMITS, value_name = "BYTES", default_value_t = limits::MAX_FRAME_BYTES_DEFAULT, value_parser = value_parser!(u32).range(i64::from(limits::MAX_FRAME_BYTES_LEAST)..=i64::from(limits::MAX_FRAME_BYTES_MOST)))]
    pub(crate) max_frame: u32,
    /// Most output that may wait for one connection, at least 2 x (max-frame + 70) [default: 1048576, or that]
    #[arg(long, help_heading = LIMITS, value_name = "BYTES")]
    pub(crate) output_limit: Option<usize>,
    /// Most output that may wait for all connections together; beyond it those with the most are cut off; at least output-limit [default: 268435456, or that]
    #[arg(long, help_heading = LIMITS, value_name = "BYTES")]
    pub(crate) output_total: Option<usize>,
    /// From accept until logged in
    #[arg(long, help_heading = LIMITS, value_name = "SECONDS", default_value = "30", value_parser = seconds_above_zero)]
    pub(crate) login_timeout: Duration,
    /// Longest time without a message; 0 = for ever
    #[arg(long, help_heading = LIMITS, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub(crate) idle_timeout: Duration,
    /// How long a session waits for a lost client; 0 = it ends with its connection
    #[arg(long, help_heading = LIMITS, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) resume_window: Duration,
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Mode {
    Echo,
    Operator,
    Chat,
}

/// What a line of the log looks like.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Registration {
    Open,
    Closed,
}

/// Where to listen, as it was given: a name is looked up when it is needed.
#[derive(Clone, Debug)]
pub(crate) struct ListenAt {
    /// All addresses of this machine, if it is none.
    host: Option<String>,
    port: u16,
}

/// All addresses that the name has.
impl ToSocketAddrs for ListenAt {
    type Iter = vec::IntoIter<SocketAddr>;

    fn to_socket_addrs(&self) -> io::Result<Self::Iter> {
        let Some(host) = &self.host else {
            let all: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
            return Ok(all.map(|host| SocketAddr::new(host, self.port)).to_vec().into_iter());
        };
        let found = (host.as_str(), self.port)
            .to_socket_addrs()
            .map_err(|error| io::Error::other(format!("{host:?} is no address and no name of one: {error}")));
        let mut addresses: Vec<SocketAddr> = found?.collect();
        addresses.sort();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(io::Error::other(format!("{host:?} has no address")));
        }
        Ok(addresses.into_iter())
    }
}

fn listen_at(text: &str) -> Result<ListenAt, String> {
    place_of(text, PORT_DEFAULT)
}

#[cfg(feature = "admin")]
fn metrics_at(text: &str) -> Result<ListenAt, String> {
    place_of(text, METRICS_PORT_DEFAULT)
}

/// As other servers take it: a port alone is on all addresses, and an address alone has the usual port.
fn place_of(text: &str, usual_port: u16) -> Result<ListenAt, String> {
    // A number that is too large for a port is not to be looked up: as an address, 65536 is 0.1.0.0.
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(ListenAt { host: None, port: port(text)? });
    }
    let (host, given) = match text.strip_prefix('*').map(|rest| (rest, rest.strip_prefix(':'))) {
        Some(("", _)) => (None, None),
        Some((_, Some(given))) => (None, Some(given)),
        _ => host_and_port(text).map(|(host, given)| (Some(host.to_owned()), given))?,
    };
    Ok(ListenAt { host, port: given.map_or(Ok(usual_port), port)? })
}

/// A network, or one address.
fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    let network = network.map_err(|_| {
        format!("{text:?} is no network such as 192.0.2.0/24 or 2001:db8::/32, and no address")
    })?;
    Ok(unmapped(network.trunc()))
}

/// An IPv4 network that is written as mapped into IPv6.
fn unmapped(network: IpNet) -> IpNet {
    match network {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => v6
            .addr()
            .to_ipv4_mapped()
            .and_then(|v4| IpNet::new(v4.into(), v6.prefix_len() - 96).ok())
            .unwrap_or(network),
        other => other,
    }
}

pub(crate) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("{text:?} is not a port, 0 to 65535"))
}

fn level(text: &str) -> Result<LevelFilter, String> {
    text.parse().map_err(|_| "not one of off, error, warn, info, debug, trace".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    // A year is longer than any of these has a use for.
    let seconds = text.parse::<u32>().ok().filter(|seconds| *seconds <= 31_536_000);
    seconds
        .map(|seconds| Duration::from_secs(seconds.into()))
        .ok_or("not a number of seconds, 0 to 31536000".to_owned())
}

fn seconds_above_zero(text: &str) -> Result<Duration, String> {
    seconds(text)
        .ok()
        .filter(|span| !span.is_zero())
        .ok_or("not a number of seconds, 1 to 31536000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
        let found = listen_at(text)?.to_socket_addrs().map_err(|error| error.to_string())?;
        Ok(found.collect())
    }

    #[test]
    fn places_to_listen_are_taken_as_other_servers_take_them() {
        for (text, expected) in [
            ("127.0.0.1:9443", &["127.0.0.1:9443"][..]),
            ("127.0.0.1", &["127.0.0.1:9090"]),
            ("[::1]:0", &["[::1]:0"]),
            ("::1", &["[::1]:9090"]),
            ("9443", &["0.0.0.0:9443", "[::]:9443"]),
            ("*:9443", &["0.0.0.0:9443", "[::]:9443"]),
            ("*", &["0.0.0.0:9090", "[::]:9090"]),
        ] {
            let found = addresses(text).unwrap_or_default();
            let found: Vec<String> = found.iter().map(SocketAddr::to_string).collect();
            assert_eq!(found, expected, "{text}");
        }
        for bad in ["", ":", "*:", "*:x", "[::1", "127.0.0.1:", "127.0.0.1:65536", "65536"] {
            let found = addresses(bad);
            assert!(found.is_err(), "{bad} {found:?}");
        }
    }

    #[test]
    fn a_network_is_one_however_it_is_written() {
        for (text, network) in [
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("192.0.2.7", "192.0.2.7/32"),
            ("::ffff:192.0.2.7/120", "192.0.2.0/24"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("2001:db8::1/32", "2001:db8::/32"),
        ] {
            assert_eq!(super::network(text).map(|network| network.to_string()), Ok(network.to_owned()));
        }
        for bad in ["", "192.0.2.0/33", "192.0.2/24", "anybody", "192.0.2.0/24/24"] {
            assert!(super::network(bad).is_err(), "{bad}");
        }
    }
}
