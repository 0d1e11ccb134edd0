//! The server: flags, asked-for values, and then [`porter::server`].

mod environment;
mod flags;
mod reread;
mod settings;

use clap::ValueEnum;
use environment::{passed, service_manager};
use flags::{Flags, Mode, port};
use log::Level;
use porter::cli::{self, Failure, Given, Source};
use porter::handler::{Chat, Echo, Handler, Operator};
use porter::limits::LISTENERS;
use porter::log_event;
use porter::server::{Encryption, LogFile, Options, Server};
use reread::Reread;
use settings::{cheap_hashes, checked, config, encryption, log_options, open_host, shares_port};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, ToSocketAddrs};
#[cfg(feature = "admin")]
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    cli::run_configured("porter-server", serve)
}

fn serve(given: Given<Flags>, arguments: Vec<OsString>) -> Result<(), Failure> {
    if given.flags.check_config {
        return cli::print(&checked(&given)?);
    }
    let config = config(&given)?;
    let reread = given.flags.config.is_some().then(|| Reread::new(arguments, &given));
    let passed = passed()?;
    let are_passed = !passed.clients.is_empty();
    let places = if are_passed { Vec::new() } else { listed(&given)? };
    let is_asked_for = places.is_empty() && !are_passed;
    let (host, port) = if is_asked_for { place(&given)? } else { (Ipv4Addr::LOCALHOST.into(), 0) };
    let unused = passed.unused(&given);
    let flags = given.flags;
    #[cfg(feature = "admin")]
    let metrics = flags.metrics;
    #[cfg(not(feature = "admin"))]
    let metrics = None;
    let hosts: Vec<IpAddr> = match (are_passed, places.is_empty()) {
        (true, _) => passed.hosts(),
        (false, true) => vec![host],
        (false, false) => places.iter().flatten().map(SocketAddr::ip).collect(),
    };
    let encryption = encryption(&flags, &hosts)?;
    let log = LogFile::install(&log_options(&flags)).map_err(Failure::failed)?;
    let mode = flags.mode.to_possible_value().map_or(String::new(), |mode| mode.get_name().to_owned());
    let (version, data) = (env!("CARGO_PKG_VERSION"), flags.data.display());
    log_event!(Level::Info, "start", version = %version, mode = %mode, data = ?data);
    passed.log(&unused);
    cheap_hashes(config.hash_rounds).iter().for_each(|text| warn(&log, text));
    warn_of_plaintext(&log, &encryption, &hosts);
    let options = Options {
        host,
        port,
        strict_port: flags.strict_port,
        listen: places,
        sockets: passed.clients,
        share_port: shares_port(&flags),
        proxies: flags.proxy_from,
        data: flags.data,
        encryption,
        config,
    };
    let handler: Box<dyn Handler> = match flags.mode {
        Mode::Echo => Box::new(Echo),
        // Whoever reads a pipe wants what clients write; a person also wants to know who is there to write.
        Mode::Operator if io::stdout().is_terminal() => Box::new(Operator::announcing()),
        Mode::Operator => Box::new(Operator::default()),
        Mode::Chat => Box::new(Chat),
    };
    let metrics = (passed.metrics, metrics);
    listen(options, handler, flags.mode, &log, (reread, metrics)).map_err(|failure| {
        log_event!(Level::Error, "failed", reason = ?failure);
        log.flush();
        // Once is enough.
        if log.tells_stderr(Level::Error) && !log.is_waiting() { Failure::silent() } else { failure }
    })
}

/// The addresses of each place that is listed to listen at.
fn listed(given: &Given<Flags>) -> Result<Vec<Vec<SocketAddr>>, Failure> {
    let addresses = given.flags.listen.iter().map(|place| place.to_socket_addrs().map(Iterator::collect));
    let listen: io::Result<Vec<Vec<SocketAddr>>> = addresses.collect();
    let listen = listen.map_err(|error| given.fault("listen", &error.to_string()))?;
    if listen.iter().flatten().count() > LISTENERS {
        return Err(given.fault("listen", &format!("at most {LISTENERS} addresses can be listened on")));
    }
    Ok(listen)
}

/// Where to listen: as it was given, or as the person at the terminal wants it, or by default.
fn place(given: &Given<Flags>) -> Result<(IpAddr, u16), Failure> {
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

fn listen(
    options: Options,
    handler: Box<dyn Handler>,
    mode: Mode,
    log: &LogFile,
    (reread, metrics): (Option<Reread>, (Option<TcpListener>, Option<SocketAddr>)),
) -> Result<(), Failure> {
    let (wanted_port, data) = (options.port, options.data.clone());
    let mut server = Server::bind(options, handler).map_err(Failure::failed)?;
    server.attach_log(log.clone());
    server.attach_signals().map_err(Failure::failed)?;
    server.attach_console();
    if let Some(mut reread) = reread {
        server.attach_configuration(Box::new(move || reread.read()));
    }
    attach_control(&mut server, &data, log);
    attach_metrics(&mut server, metrics)?;
    attach_service_manager(&mut server, log);
    let addresses = server.addresses().map_err(Failure::failed)?;
    addresses.iter().for_each(|address| log_event!(Level::Info, "listening", addr = %address));
    let port = addresses.first().map_or(0, SocketAddr::port);
    if wanted_port != 0 && port != wanted_port {
        let text = format!("{wanted_port} is in use, listening on {port}");
        tell(log, &text, &text);
    }
    let mut stdout = io::stdout();
    // With stdout gone the service is still wanted; the log has the addresses too.
    for address in &addresses {
        let _ = writeln!(stdout, "listening on {address}").and_then(|()| stdout.flush());
    }
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

/// Whoever has asked for figures wants them: without them there is no start.
fn attach_metrics(
    server: &mut Server,
    (passed, address): (Option<TcpListener>, Option<SocketAddr>),
) -> Result<(), Failure> {
    #[cfg(feature = "admin")]
    if let Some(socket) = passed {
        let bound = server.attach_metrics_socket(&socket).map_err(|error| {
            let fd = socket.as_raw_fd();
            Failure::failed(format_args!(
                "file descriptor {fd} was passed for metrics and cannot be used: {error}"
            ))
        })?;
        log_event!(Level::Info, "metrics", addr = %bound);
    } else if let Some(address) = address {
        let bound = server.attach_metrics(address).map_err(|error| {
            Failure::failed(format_args!("--metrics {address} cannot be listened on: {error}"))
        })?;
        log_event!(Level::Info, "metrics", addr = %bound);
    }
    #[cfg(not(feature = "admin"))]
    let _ = (server, passed, address);
    Ok(())
}

/// A server whose service manager cannot be notified serves its clients nevertheless.
fn attach_service_manager(server: &mut Server, log: &LogFile) {
    match service_manager() {
        Ok(Some(manager)) => server.attach_service_manager(manager),
        Ok(None) => {}
        Err(reason) => warn(log, &reason),
    }
}

/// A server that cannot be administered serves its clients nevertheless.
fn attach_control(server: &mut Server, data: &Path, log: &LogFile) {
    #[cfg(feature = "admin")]
    if let Err(error) = server.attach_control(data) {
        let path = data.join(porter::server::CONTROL_FILE);
        warn(
            log,
            &format!("porter-admin cannot reach this server: {} cannot be made: {error}", path.display()),
        );
    }
    #[cfg(not(feature = "admin"))]
    let _ = (server, data, log);
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

fn warn_of_plaintext(log: &LogFile, encryption: &Encryption, hosts: &[IpAddr]) {
    if let (Encryption::Plaintext, Some(host)) = (encryption, open_host(hosts)) {
        let text = format!(
            "--plaintext on {host}: passwords and messages travel unencrypted, for anyone on the way to read and change"
        );
        warn(log, &text);
    }
}

fn warn(log: &LogFile, text: &str) {
    tell(log, text, &format!("warning: {text}"));
}

/// Logs a warning, and says it on stderr, in its own words, if the log is not there.
fn tell(log: &LogFile, text: &str, said: &str) {
    log::warn!("{text}");
    if !log.tells_stderr(Level::Warn) {
        // With stderr gone the log still has it.
        let _ = writeln!(io::stderr(), "porter-server: {said}");
    }
}
