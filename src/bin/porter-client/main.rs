//! `porter-client`: talks with a porter server, for a person at a terminal or a pipe.

mod backoff;
mod change_password;
mod display;
mod flags;
mod input;
mod login;
mod output;
mod password_file;
mod prompter;
#[path = "../porter-admin/question.rs"]
mod question;
mod receipts;
mod send_queue;
mod session;
mod signals;
mod tally;

use change_password::Account;
use display::Detail;
use flags::Flags;
use password_file::{password_from_file, password_from_text};
use porter::cli::{self, Failure, HostPort, server_port};
use session::Settings;
use std::env;
use std::net::ToSocketAddrs;
use std::process::ExitCode;
use zeroize::Zeroizing;

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
        if flags.change_password {
            return change_password::run(Account { host, port, protection, name: flags.name, password });
        }
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
