//! `porter-client`: talks with a porter server, for a person at a terminal or a pipe.

mod backoff;
mod display;
mod editor;
mod input;
mod login;
mod output;
mod password_file;
mod prompter;
mod receipts;
mod send_queue;
mod session;
mod signals;
mod tally;
mod terminal;

use clap::Parser;
use display::Detail;
use password_file::{password_from_file, password_from_text};
use porter::cli::{self, Failure, HostPort, server_port};
use porter::client::ProtectionFlags;
use porter::limits::{MAX_FRAME_BYTES_DEFAULT, MAX_FRAME_BYTES_LEAST, MAX_FRAME_BYTES_MOST};
use session::Settings;
use std::env;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Talks with a porter server. Each line is a message; `exit` or the end of the input ends the conversation.
///
/// Host, port, name and password are asked for on a terminal if they are not given. Where the input is none, host and
/// port have defaults, and name and password are asked for on the session's terminal, if there is one.
///
/// A line that begins with / is a command: /help lists them. A message that begins with / is written with two.
///
/// Replies go to stdout, one line each; everything else goes to stderr. The exit code is 0 only if the server has sent
/// Bye because it was asked to, or had nothing left to answer; where the input is no terminal, only if it took every
/// line. It is 1 if something failed, 2 for wrong usage; SIGINT, SIGTERM, SIGHUP and SIGQUIT end the conversation and
/// then the program, as those signals do.
#[derive(Parser, Debug)]
#[command(name = "porter-client", version)]
struct Flags {
    /// The server's name or address, perhaps with :PORT behind it [default: 127.0.0.1]
    #[arg(value_name = "HOST[:PORT]", conflicts_with = "host")]
    server: Option<HostPort>,
    /// The same as a flag
    #[arg(long, short = 'H')]
    host: Option<HostPort>,
    /// The server's port [default: 9090]
    #[arg(long, short, value_parser = server_port)]
    port: Option<u16>,
    /// Who you are; a new name is registered
    #[arg(long, short)]
    name: Option<String>,
    /// Send this one message, whatever it begins with, show what comes back, and leave; the input is not read
    #[arg(long, short, value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<String>,
    /// A file or pipe with your password on its first line, or - for the first line of the input; the environment's
    /// PORTER_PASSWORD serves too
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// The longest frame that the server takes, as its own --max-frame says; a longer line is not sent
    #[arg(long, value_name = "BYTES", default_value_t = MAX_FRAME_BYTES_DEFAULT,
        value_parser = clap::value_parser!(u32).range(i64::from(MAX_FRAME_BYTES_LEAST)..=i64::from(MAX_FRAME_BYTES_MOST)))]
    max_frame: u32,
    /// Tell nothing but replies and what goes wrong: no lengths, no notices
    #[arg(long, short)]
    quiet: bool,
    /// Tell lengths, and how it goes, even where stderr is no terminal
    #[arg(long, short, conflicts_with = "quiet")]
    verbose: bool,
    #[command(flatten)]
    protection: ProtectionFlags,
}

fn main() -> ExitCode {
    cli::run("porter-client", |flags: Flags| {
        let password = match &flags.password_file {
            Some(path) => password_from_file(path)?,
            None => environment_password()?,
        };
        let host = cli::given_or_asked(flags.server.or(flags.host), "Host", "127.0.0.1", reachable_host)?;
        let port = match (host.port, flags.port) {
            (None, None) => cli::given_or_asked(None, "Port", "9090", server_port)?,
            _ => host.port_or(flags.port, 9090)?,
        };
        let host = host.host;
        let protection = flags.protection.protection();
        let detail = match (flags.quiet, flags.verbose) {
            (true, _) => Detail::Quiet,
            (_, true) => Detail::Verbose,
            _ => Detail::WhereSeen,
        };
        let (name, message, max_frame_bytes) = (flags.name, flags.message, flags.max_frame);
        session::run(Settings { host, port, protection, name, password, message, max_frame_bytes, detail })
    })
}

/// Checks a host while somebody is there to give another.
fn reachable_host(text: &str) -> Result<HostPort, String> {
    let host: HostPort = text.parse()?;
    match (host.host.as_str(), 0).to_socket_addrs() {
        Ok(_) => Ok(host),
        Err(error) => Err(format!("cannot find {:?}: {error}", host.host)),
    }
}

fn environment_password() -> Result<Option<Zeroizing<String>>, Failure> {
    match env::var("PORTER_PASSWORD") {
        Ok(text) => Ok(password_from_text(&Zeroizing::new(text))),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::usage("PORTER_PASSWORD is not UTF-8")),
    }
}
