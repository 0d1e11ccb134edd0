//! The server: flags, asked-for values, and then [`porter::server`].

use clap::{Parser, ValueEnum, value_parser};
use log::LevelFilter;
use porter::cli::{self, Failure};
use porter::engine::Config;
use porter::handler::{Chat, Echo, Handler, Operator};
use porter::limits;
#[cfg(feature = "tls")]
use porter::server::CertificateFiles;
use porter::server::{Encryption, LogFile, Options, Server};
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Recognises who connects, checks their password, hands out a session token, and carries messages.
#[derive(Parser)]
#[command(name = "porter-server", version)]
struct Flags {
    /// Address to listen on, IPv4 or IPv6, or its name [default: 127.0.0.1, asked for on a terminal]
    #[arg(long, value_name = "ADDR", value_parser = host)]
    host: Option<IpAddr>,
    /// Port; if busy the next free one, up to 100 further; 0 = any [default: 9090, asked for on a terminal]
    #[arg(long, value_name = "N", value_parser = port)]
    port: Option<u16>,
    /// Fail if the port is busy
    #[arg(long)]
    strict_port: bool,
    /// Encrypt on a loopback address too; any other is encrypted always
    #[cfg(feature = "tls")]
    #[arg(long, conflicts_with = "plaintext")]
    tls: bool,
    /// Do not encrypt, whatever the address
    #[arg(long)]
    plaintext: bool,
    /// Certificate in PEM, with --tls-key; without one a self-signed one is made and kept in the data folder
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_key", conflicts_with = "plaintext")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key in PEM
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// What a message does: comes back, goes to the person at the console, or to everyone
    #[arg(long, value_enum, value_name = "MODE", default_value = "echo")]
    mode: Mode,
    /// Folder of users.csv and addresses.csv; made on first start
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Log file; its folder is made
    #[arg(long, value_name = "FILE", default_value = "logs/server.log")]
    log_file: PathBuf,
    /// off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level)]
    log_level: LevelFilter,
    /// closed: an unknown name is treated like a wrong password
    #[arg(long, value_enum, value_name = "STATE", default_value = "open")]
    registration: Registration,
    /// PBKDF2 rounds of new hashes
    #[arg(long, value_name = "N", default_value_t = limits::HASH_ROUNDS_DEFAULT, value_parser = value_parser!(u32).range(1..=i64::from(limits::HASH_ROUNDS_MOST)))]
    hash_rounds: u32,
    /// Longest wait for a hash; beyond it Busy
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    hash_wait: Duration,
    /// How long a verified password is recognised without its hash; 0 = never
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = seconds)]
    login_cache: Duration,
    /// Debt of an address for each wrong password; 0 = none
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    penalty: Duration,
    /// Fewest characters of a new password
    #[arg(long, value_name = "N", default_value_t = limits::MIN_PASSWORD_CHARACTERS_DEFAULT, value_parser = value_parser!(u32).range(1..=limits::PASSWORD_BYTES as i64))]
    min_password: u32,
    /// Wrong passwords, and registrations, in one connection
    #[arg(long, value_name = "N", default_value_t = limits::MAX_ATTEMPTS_DEFAULT, value_parser = value_parser!(u32).range(1..))]
    max_attempts: u32,
    /// Texts a second of each session in chat mode, beyond bursts of 100; faster ones are read more slowly; 0 = any number
    #[arg(long, value_name = "N", default_value_t = limits::CHAT_RATE_DEFAULT, value_parser = value_parser!(u32).range(..=1_000_000))]
    chat_rate: u32,
    /// Connections at once; one more is answered Busy
    #[arg(long, value_name = "N", default_value_t = limits::MAX_CONNECTIONS_DEFAULT as u32, value_parser = value_parser!(u32).range(1..=10_000_000))]
    max_connections: u32,
    /// Of them, those that are not logged in; beyond it the address with the most loses its oldest
    #[arg(long, value_name = "N", default_value_t = limits::MAX_STRANGERS_DEFAULT as u32, value_parser = value_parser!(u32).range(1..=10_000_000))]
    max_strangers: u32,
    /// Longest frame
    #[arg(long, value_name = "BYTES", default_value_t = limits::MAX_FRAME_BYTES_DEFAULT, value_parser = value_parser!(u32).range(i64::from(limits::MAX_FRAME_BYTES_LEAST)..=i64::from(limits::MAX_FRAME_BYTES_MOST)))]
    max_frame: u32,
    /// Most output that may wait for one connection, at least 2 x (max-frame + 70) [default: 1048576, or that]
    #[arg(long, value_name = "BYTES")]
    output_limit: Option<usize>,
    /// Most output that may wait for all connections together; beyond it those with the most are cut off; at least output-limit [default: 268435456, or that]
    #[arg(long, value_name = "BYTES")]
    output_total: Option<usize>,
    /// From accept until logged in
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds_above_zero)]
    login_timeout: Duration,
    /// Longest time without a message; 0 = for ever
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    idle_timeout: Duration,
    /// How long a session waits for a lost client; 0 = it ends with its connection
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    resume_window: Duration,
}

#[derive(Clone, Copy, ValueEnum)]
enum Mode {
    Echo,
    Operator,
    Chat,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Registration {
    Open,
    Closed,
}

fn main() -> ExitCode {
    cli::run("porter-server", serve)
}

fn serve(flags: Flags) -> Result<(), Failure> {
    let config = config(&flags)?;
    let host = cli::given_or_asked(flags.host, "Address to listen on", "127.0.0.1", host)?;
    let port = cli::given_or_asked(flags.port, "Port", "9090", port)?;
    let encryption = encryption(&flags, host)?;
    let log = LogFile::install(&flags.log_file, flags.log_level).map_err(Failure::failed)?;
    let mode = flags.mode.to_possible_value().map_or(String::new(), |mode| mode.get_name().to_owned());
    log::info!("start version={} mode={mode} data={:?}", env!("CARGO_PKG_VERSION"), flags.data);
    warn_of_cheap_hashes(config.hash_rounds);
    warn_of_plaintext(&encryption, host);
    let strict_port = flags.strict_port;
    let options = Options { host, port, strict_port, data: flags.data, encryption, config };
    let handler: Box<dyn Handler> = match flags.mode {
        Mode::Echo => Box::new(Echo),
        // Whoever reads a pipe wants what clients write; a person also wants to know who is there to write.
        Mode::Operator if io::stdout().is_terminal() => Box::new(Operator::announcing()),
        Mode::Operator => Box::new(Operator::default()),
        Mode::Chat => Box::new(Chat),
    };
    listen(options, handler, flags.mode, &log).inspect_err(|failure| {
        log::error!("failed reason={:?}", failure.to_string());
        log.flush();
    })
}

fn listen(options: Options, handler: Box<dyn Handler>, mode: Mode, log: &LogFile) -> Result<(), Failure> {
    let wanted_port = options.port;
    let mut server = Server::bind(options, handler).map_err(Failure::failed)?;
    server.attach_log(log.clone());
    server.attach_signals().map_err(Failure::failed)?;
    server.attach_console();
    let address = server.address().map_err(Failure::failed)?;
    log::info!("listening addr={address}");
    if wanted_port != 0 && address.port() != wanted_port {
        let text = format!("{wanted_port} is in use, listening on {}", address.port());
        log::warn!("{text}");
        // With stderr gone the log still has it.
        let _ = writeln!(io::stderr(), "porter-server: {text}");
    }
    let mut stdout = io::stdout();
    // With stdout gone the service is still wanted; the log has the address too.
    let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    #[cfg(feature = "tls")]
    if let Some(fingerprint) = server.fingerprint() {
        log::info!("fingerprint {fingerprint}");
        let _ = writeln!(stdout, "fingerprint {fingerprint}").and_then(|()| stdout.flush());
    }
    if stdout.is_terminal() {
        let _ = writeln!(stdout, "{}", introduction(mode)).and_then(|()| stdout.flush());
    }
    server.run().map_err(Failure::failed)
}

/// What the person at the terminal reads about the mode, and where to find out more.
fn introduction(mode: Mode) -> String {
    let told = match mode {
        Mode::Echo => "echo mode: each message goes back to its client (--mode chat or operator for more)",
        Mode::Operator => "operator mode: messages are shown here, and a line typed here answers the last",
        Mode::Chat => "chat mode: each message goes to all others, and a line typed here to all",
    };
    let help = if io::stdin().is_terminal() { "; /help lists the commands" } else { "" };
    format!("{told}{help}")
}

fn config(flags: &Flags) -> Result<Config, Failure> {
    let least = limits::output_limit_least_bytes(flags.max_frame);
    if let Some(given) = flags.output_limit.filter(|given| *given < least) {
        let max_frame = flags.max_frame;
        return Err(Failure::usage(format_args!(
            "--output-limit {given} is too small for --max-frame {max_frame}; it must be at least {least}"
        )));
    }
    let output_limit_bytes = flags.output_limit.unwrap_or(limits::OUTPUT_LIMIT_BYTES_DEFAULT.max(least));
    if let Some(given) = flags.output_total.filter(|given| *given < output_limit_bytes) {
        return Err(Failure::usage(format_args!(
            "--output-total {given} is too small; one connection alone may have {output_limit_bytes} (--output-limit)"
        )));
    }
    Ok(Config {
        max_frame_bytes: flags.max_frame,
        output_limit_bytes,
        output_total_bytes: flags
            .output_total
            .unwrap_or(limits::OUTPUT_TOTAL_BYTES_DEFAULT.max(output_limit_bytes)),
        registration_open: flags.registration == Registration::Open,
        hash_rounds: flags.hash_rounds,
        hash_wait: flags.hash_wait,
        login_cache: flags.login_cache,
        penalty: flags.penalty,
        min_password_characters: flags.min_password,
        max_attempts: flags.max_attempts,
        chat_rate: flags.chat_rate,
        max_connections: flags.max_connections as usize,
        max_strangers: flags.max_strangers as usize,
        login_timeout: flags.login_timeout,
        idle_timeout: Some(flags.idle_timeout).filter(|timeout| !timeout.is_zero()),
        resume_window: flags.resume_window,
        ..Config::default()
    })
}

/// On a loopback address plain TCP unless something else is asked for; on any other TLS, unless it is turned off.
#[cfg(feature = "tls")]
fn encryption(flags: &Flags, host: IpAddr) -> Result<Encryption, Failure> {
    let files = flags.tls_cert.clone().zip(flags.tls_key.clone());
    Ok(match files {
        Some((certificate, key)) => Encryption::Certificate(CertificateFiles { certificate, key }),
        None if flags.tls => Encryption::OwnCertificate,
        None if flags.plaintext || is_loopback(host) => Encryption::Plaintext,
        None => Encryption::OwnCertificate,
    })
}

#[cfg(not(feature = "tls"))]
fn encryption(flags: &Flags, host: IpAddr) -> Result<Encryption, Failure> {
    if flags.plaintext || is_loopback(host) {
        return Ok(Encryption::Plaintext);
    }
    Err(Failure::usage(format_args!(
        "this porter-server was built without encryption; to listen on {host} all the same give --plaintext"
    )))
}

fn is_loopback(host: IpAddr) -> bool {
    host.to_canonical().is_loopback()
}

fn warn_of_plaintext(encryption: &Encryption, host: IpAddr) {
    if matches!(encryption, Encryption::Plaintext) && !is_loopback(host) {
        warn(&format!(
            "--plaintext on {host}: passwords and messages travel unencrypted, for anyone on the way to read and change"
        ));
    }
}

fn warn_of_cheap_hashes(rounds: u32) {
    if rounds < limits::HASH_ROUNDS_WEAK {
        let least = limits::HASH_ROUNDS_WEAK;
        warn(&format!("--hash-rounds {rounds} makes stolen hashes cheap to guess; use at least {least}"));
    }
}

fn warn(text: &str) {
    log::warn!("{text}");
    // With stderr gone the log still has it.
    let _ = writeln!(io::stderr(), "porter-server: warning: {text}");
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

fn port(text: &str) -> Result<u16, String> {
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
