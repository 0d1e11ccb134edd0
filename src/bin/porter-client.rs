//! `porter-client`: talks with a porter server, for a person at a terminal or a pipe.

use clap::Parser;
use porter::cli::{self, Failure};
use porter::client::{ProtectionFlags, Settings, converse, password_from_file, password_from_text};
use std::env;
use std::net::ToSocketAddrs;
use std::path::PathBuf;
use std::process::ExitCode;
use zeroize::Zeroizing;

/// Talks with a porter server. Each line is a message; `exit` or the end of the input ends the conversation.
///
/// Host, port, name and password are asked for on a terminal if they are not given. Elsewhere host and port have
/// defaults, and name and password must be given.
#[derive(Parser, Debug)]
#[command(version)]
struct Flags {
    /// The server's name or address [default: 127.0.0.1]
    #[arg(long, value_parser = host)]
    host: Option<String>,
    /// The server's port [default: 9090]
    #[arg(long, value_parser = port)]
    port: Option<u16>,
    /// Who you are; a new name is registered
    #[arg(long)]
    name: Option<String>,
    /// A file or pipe with your password on its first line, or - for the first line of the input; the environment's
    /// PORTER_PASSWORD serves too
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    protection: ProtectionFlags,
}

fn main() -> ExitCode {
    cli::run("porter-client", |flags: Flags| {
        let password = match &flags.password_file {
            Some(path) => password_from_file(path)?,
            None => environment_password()?,
        };
        let host = cli::given_or_asked(flags.host, "Host", "127.0.0.1", reachable_host)?;
        let port = cli::given_or_asked(flags.port, "Port", "9090", port)?;
        let protection = flags.protection.protection();
        converse(Settings { host, port, protection, name: flags.name, password })
    })
}

/// Checks how a host is written; brackets around an IPv6 address are taken off.
fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let is_possible = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
    if bare.is_empty() || !bare.chars().all(is_possible) {
        return Err(format!("{text:?} is not the name or address of a host"));
    }
    Ok(bare.to_owned())
}

/// Checks a host while somebody is there to give another.
fn reachable_host(text: &str) -> Result<String, String> {
    let host = host(text)?;
    match (host.as_str(), 0).to_socket_addrs() {
        Ok(_) => Ok(host),
        Err(error) => Err(format!("cannot find {host:?}: {error}")),
    }
}

fn port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port > 0 => Ok(port),
        _ => Err(format!("{text:?} is not a port: a number from 1 to 65535")),
    }
}

fn environment_password() -> Result<Option<Zeroizing<String>>, Failure> {
    match env::var("PORTER_PASSWORD") {
        Ok(text) => Ok(password_from_text(&Zeroizing::new(text))),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::usage("PORTER_PASSWORD is not UTF-8")),
    }
}
