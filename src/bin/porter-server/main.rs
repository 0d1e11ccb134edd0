//! The server: flags, asked-for values, and then [`porter::server`].

mod checks;
mod environment;
mod flags;
mod reread;
mod settings;

use checks::{Checked, exposed_password, place};
use clap::ValueEnum;
use environment::service_manager;
use flags::{Flags, Mode};
use log::Level;
use porter::Clock;
use porter::cli::{self, Failure, Given};
use porter::engine::Entropy;
use porter::handler::{Chat, Echo, Handler, Operator};
use porter::log_event;
use porter::server::{
    Encryption, LogHandle, Options, OsEntropy, Server, ServerError, StoreConnector, connect_store,
};
use porter::store::{AnyStore, Durability, OsDisk, SharedStore};
use reread::Reread;
use settings::{cheap_hashes, log_options, open_host};
use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

fn main() -> ExitCode {
    cli::run_configured("porter-server", serve)
}

fn serve(given: Given<Flags>, arguments: Vec<OsString>) -> Result<(), Failure> {
    if given.flags.check_config {
        // 0 says that all is well, and that it was shown.
        return cli::print(&checks::shown(&given)?).map_err(Failure::usage);
    }
    let mut checked = Checked::new(&given)?;
    let reread = given.flags.config.is_some().then(|| Reread::new(arguments, &given));
    let unused = checked.passed.unused(&given);
    let exposed = exposed_password(&given);
    let place = if checked.is_place_asked_for() { place(&given)? } else { (Ipv4Addr::LOCALHOST.into(), 0) };
    let options = checked.options(&given.flags, place)?;
    let flags = given.flags;
    let shared = checked.store.take();
    let log = LogHandle::install(&log_options(&flags)).map_err(Failure::failed)?;
    let mode = flags.mode.to_possible_value().map_or(String::new(), |mode| mode.get_name().to_owned());
    let (version, data) = (env!("CARGO_PKG_VERSION"), flags.data.display());
    log_event!(Level::Info, "start", version = %version, mode = %mode, data = ?data);
    checked.passed.log(&unused);
    // The server has its own of each from now on.
    checked.passed.clients.clear();
    let weak = cheap_hashes(options.config.hash_rounds).into_iter().chain(exposed);
    weak.for_each(|text| warn(&log, &text));
    warn_of_plaintext(&log, &options);
    let handler: Box<dyn Handler> = match flags.mode {
        Mode::Echo => Box::new(Echo),
        // Whoever reads a pipe wants what clients write; a person also wants to know who is there to write.
        Mode::Operator if io::stdout().is_terminal() => Box::new(Operator::announcing()),
        Mode::Operator => Box::new(Operator::default()),
        Mode::Chat => Box::new(Chat),
    };
    let metrics = (checked.passed.metrics, checked.metrics);
    let window = options.config.resume_window;
    let opened = |connector| shared_store(connector, flags.store_durability, window, &log);
    let opened = shared.map(opened).transpose();
    let listened =
        opened.and_then(|store| listen(options, store, handler, flags.mode, &log, (reread, metrics)));
    listened.map_err(|failure| {
        log_event!(Level::Error, "failed", reason = ?failure);
        log.flush();
        // Once is enough.
        if log.logs_to_stderr(Level::Error) && !log.is_waiting() { Failure::silent() } else { failure }
    })
}

/// The store that several servers share, if it can be used.
fn shared_store(
    connector: StoreConnector,
    durability: Durability,
    resume_window: Duration,
    log: &LogHandle,
) -> Result<(SharedStore, StoreConnector), Failure> {
    let direct = connect_store(&connector, durability).map_err(Failure::failed)?;
    let mut mark = [0; 8];
    OsEntropy::new().fill(&mut mark).map_err(Failure::failed)?;
    let places = connector.look_up().map_err(Failure::failed)?;
    let store = SharedStore::new(connector.address().clone(), places, &direct, mark, resume_window);
    let store = store.map_err(Failure::failed)?;
    direct.cautions().iter().for_each(|caution| warn(log, caution));
    Ok((store, connector))
}

fn listen(
    options: Options,
    shared: Option<(SharedStore, StoreConnector)>,
    handler: Box<dyn Handler>,
    mode: Mode,
    log: &LogHandle,
    (reread, metrics): (Option<Reread>, (Option<TcpListener>, Vec<SocketAddr>)),
) -> Result<(), Failure> {
    let (wanted_port, data) = (options.port, options.data.clone());
    // With users elsewhere the directory has the control socket alone, of whoever is first.
    let mut directory = None;
    let server = match shared {
        None => Server::bind_any(options, handler),
        Some((store, connector)) => {
            directory = Some(OsDisk::open(&data, Clock::new()));
            let server = Server::with_store(options, AnyStore::Shared(Box::new(store)), handler);
            server.map(|mut server| {
                server.attach_store_connector(&connector);
                server
            })
        }
    };
    let mut server = server.map_err(refused)?;
    server.attach_log(log.clone());
    server.attach_signals().map_err(Failure::failed)?;
    server.attach_console();
    if let Some(mut reread) = reread {
        server.attach_configuration(Box::new(move || reread.read()));
    }
    match &directory {
        Some(Err(error)) => warn(log, &format!("porter-admin cannot reach this server: {error}")),
        _ => attach_control(&mut server, &data, log),
    }
    attach_metrics(&mut server, metrics)?;
    attach_service_manager(&mut server, log);
    let addresses = server.addresses().map_err(Failure::failed)?;
    addresses.iter().for_each(|address| log_event!(Level::Info, "listening", addr = %address));
    let port = addresses.first().map_or(0, SocketAddr::port);
    if wanted_port != 0 && port != wanted_port {
        let text = format!("{wanted_port} is in use, listening on {port}");
        report(log, &text, &text);
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
    server: &mut Server<AnyStore>,
    (passed, addresses): (Option<TcpListener>, Vec<SocketAddr>),
) -> Result<(), Failure> {
    #[cfg(feature = "admin")]
    {
        let bound = match passed {
            Some(socket) => vec![server.attach_metrics_socket(&socket).map_err(refused)?],
            None if addresses.is_empty() => Vec::new(),
            None => server.attach_metrics(&addresses).map_err(refused)?,
        };
        bound.iter().for_each(|address| log_event!(Level::Info, "metrics", addr = %address));
    }
    #[cfg(not(feature = "admin"))]
    let _ = (server, passed, addresses);
    Ok(())
}

/// A socket that was passed and is none is a mistake of whoever started this, as a flag's value is.
fn refused(error: ServerError) -> Failure {
    match error {
        ServerError::Socket { .. } => Failure::usage(error),
        error => Failure::failed(error),
    }
}

/// A server whose service manager cannot be notified serves its clients nevertheless.
fn attach_service_manager(server: &mut Server<AnyStore>, log: &LogHandle) {
    match service_manager() {
        Ok(Some(manager)) => server.attach_service_manager(manager),
        Ok(None) => {}
        Err(reason) => warn(log, &reason),
    }
}

/// A server that cannot be administered serves its clients nevertheless.
fn attach_control(server: &mut Server<AnyStore>, data: &Path, log: &LogHandle) {
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
    let about = match mode {
        Mode::Echo => "echo mode: each message goes back to its client (--mode chat or operator for more)",
        Mode::Operator => "operator mode: messages are shown here, and a line typed here answers the last",
        Mode::Chat => "chat mode: each message goes to all others, and a line typed here to all",
    };
    let help = if io::stdin().is_terminal() { "; /help lists the commands" } else { "" };
    format!("{about}{help}")
}

fn warn_of_plaintext(log: &LogHandle, options: &Options) {
    if let (Encryption::Plaintext, Some(host)) = (&options.encryption, open_host(&options.hosts())) {
        let text = format!(
            "--plaintext on {host}: passwords and messages travel unencrypted, for anyone on the way to read and change"
        );
        warn(log, &text);
    }
}

fn warn(log: &LogHandle, text: &str) {
    report(log, text, &format!("warning: {text}"));
}

/// Logs a warning, and says it on stderr, in its own words, if the log is not there.
fn report(log: &LogHandle, text: &str, said: &str) {
    log::warn!("{text}");
    if !log.logs_to_stderr(Level::Warn) {
        // With stderr gone the log still has it.
        let _ = writeln!(io::stderr(), "porter-server: {said}");
    }
}
