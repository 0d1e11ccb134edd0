//! The server: flags, asked-for values, and then [`porter::server`].

mod flags;
mod settings;

use clap::ValueEnum;
use flags::{Flags, Mode, host, port};
use porter::cli::{self, Failure};
use porter::handler::{Chat, Echo, Handler, Operator};
use porter::limits;
use porter::server::{Encryption, LogFile, Options, Server};
use settings::{config, encryption, is_loopback};
use std::io::{self, IsTerminal, Write};
use std::net::IpAddr;
use std::process::ExitCode;

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
