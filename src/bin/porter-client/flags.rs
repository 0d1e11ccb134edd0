//! The flags. porter-admin has them too, for manual pages and completions.

use clap::Parser;
use porter::cli::{HostPort, server_port};
use porter::client::ProtectionFlags;
use porter::limits::{MAX_FRAME_BYTES_DEFAULT, MAX_FRAME_BYTES_LEAST, MAX_FRAME_BYTES_MOST};
use std::path::PathBuf;

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
pub(crate) struct Flags {
    /// The server's name or address, perhaps with :PORT behind it [default: 127.0.0.1]
    #[arg(value_name = "HOST[:PORT]", conflicts_with = "host")]
    pub(crate) server: Option<HostPort>,
    /// The same as a flag
    #[arg(long, short = 'H')]
    pub(crate) host: Option<HostPort>,
    /// The server's port [default: 9090]
    #[arg(long, short, value_parser = server_port)]
    pub(crate) port: Option<u16>,
    /// Who you are; a new name is registered
    #[arg(long, short)]
    pub(crate) name: Option<String>,
    /// Send this one message, whatever it begins with, show what comes back, and leave; the input is not read
    #[arg(long, short, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) message: Option<String>,
    /// Change your password, and leave. The new one is asked for twice, or is the next line of an input that is no terminal
    #[arg(long, conflicts_with = "message")]
    pub(crate) change_password: bool,
    /// A file or pipe with your password on its first line, or - for the first line of the input; the environment's
    /// PORTER_PASSWORD serves too
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// The longest frame that the server takes, as its own --max-frame says; a longer line is not sent
    #[arg(long, value_name = "BYTES", default_value_t = MAX_FRAME_BYTES_DEFAULT,
        value_parser = clap::value_parser!(u32).range(i64::from(MAX_FRAME_BYTES_LEAST)..=i64::from(MAX_FRAME_BYTES_MOST)))]
    pub(crate) max_frame: u32,
    /// Tell nothing but replies and what goes wrong: no lengths, no notices
    #[arg(long, short)]
    pub(crate) quiet: bool,
    /// Tell lengths, and how it goes, even where stderr is no terminal
    #[arg(long, short, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    #[command(flatten)]
    pub(crate) protection: ProtectionFlags,
}
