//! `porter-client`: talks with a porter server, for a person at a terminal or a pipe.

use clap::Parser;
use porter::cli::{self, Failure};
use porter::client::{ProtectionFlags, Settings, converse};
use std::env;
use std::fs::File;
use std::io::Read;
use std::net::ToSocketAddrs;
use std::path::{Path, PathBuf};
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
    /// A file with your password on its first line; the environment's PORTER_PASSWORD serves too
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    #[command(flatten)]
    protection: ProtectionFlags,
}

/// Bytes of a password file that are looked at: far more than a password may have.
const PASSWORD_FILE_BYTES: u64 = 16 * 1024;

fn main() -> ExitCode {
    cli::run("porter-client", |flags: Flags| {
        let password = match &flags.password_file {
            Some(path) => Some(first_line(path)?),
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

fn first_line(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let cannot = |reason: &dyn std::fmt::Display| {
        Failure::failed(format_args!("cannot take a password from {}: {reason}", path.display()))
    };
    // Room for all of it from the start, so that no copy is left behind by growing.
    let mut bytes = Zeroizing::new(Vec::with_capacity(PASSWORD_FILE_BYTES as usize + 1));
    let file = File::open(path).map_err(|error| cannot(&error))?;
    file.take(PASSWORD_FILE_BYTES).read_to_end(&mut bytes).map_err(|error| cannot(&error))?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok("") => Err(cannot(&"its first line is empty")),
        Ok(password) => Ok(Zeroizing::new(password.to_owned())),
        Err(_) => Err(cannot(&"its first line is not UTF-8")),
    }
}

fn environment_password() -> Result<Option<Zeroizing<String>>, Failure> {
    match env::var("PORTER_PASSWORD") {
        Ok(password) if !password.is_empty() => Ok(Some(Zeroizing::new(password))),
        Ok(_) | Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(Failure::usage("PORTER_PASSWORD is not UTF-8")),
    }
}
