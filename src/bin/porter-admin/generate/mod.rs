//! Files for packagers, of all programs that this one was built with: manual pages, completions, units of systemd, and what
//! fail2ban needs to know about the log.

mod whole;

#[cfg(feature = "client")]
#[path = "../../porter-client/flags.rs"]
mod client_flags;
#[cfg(feature = "load")]
#[path = "../../porter-load/flags.rs"]
mod load_flags;
#[path = "../../porter-server/flags.rs"]
mod server_flags;

use crate::subcommands;
use clap::{Command, CommandFactory, ValueEnum};
use clap_complete::{Generator, Shell};
use clap_mangen::Man;
use porter::cli::{self, Failure};
use serde_json::json;
use std::path::Path;
use whole::write_whole;

/// What there is to generate.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// Manual pages, in section 1
    Man,
    /// Completions for bash, zsh and fish
    Completions,
    /// A service, and a socket that starts it
    Systemd,
    /// A filter, and a jail that is not enabled
    Fail2ban,
}

/// A file's path in the directory, and what it has.
type Generated = (String, Vec<u8>);

/// Writes all files of a kind.
///
/// # Errors
/// [`Failure`] with the file that cannot be written, or if stdout cannot be.
pub(crate) fn generate(kind: Kind, directory: &Path, is_json: bool) -> Result<(), Failure> {
    let files = match kind {
        Kind::Man => manual_pages(),
        Kind::Completions => completions(),
        Kind::Systemd => texts(&[
            ("porter.service", include_str!("porter.service")),
            ("porter.socket", include_str!("porter.socket")),
        ]),
        Kind::Fail2ban => texts(&[
            ("filter.d/porter.conf", include_str!("filter.conf")),
            ("jail.d/porter.conf", include_str!("jail.conf")),
        ]),
    };
    write_whole(directory, &files)?;
    let done = format!("wrote {} files to {}", files.len(), directory.display());
    cli::print(&if is_json { format!("{}\n", json!({ "done": done })) } else { format!("{done}\n") })
}

/// The command lines of all programs.
fn programs() -> Vec<Command> {
    vec![
        server_flags::Flags::command(),
        #[cfg(feature = "client")]
        client_flags::Flags::command(),
        #[cfg(feature = "load")]
        load_flags::Flags::command(),
        subcommands::command(),
    ]
}

fn manual_pages() -> Vec<Generated> {
    let mut pages = Vec::new();
    for mut program in programs() {
        program.build();
        add_page(program, &mut pages);
    }
    pages
}

/// The page of a command, and those of its subcommands.
fn add_page(command: Command, pages: &mut Vec<Generated>) {
    command.get_subcommands().for_each(|deeper| add_page(deeper.clone(), pages));
    let page = Man::new(command).source(concat!("porter ", env!("CARGO_PKG_VERSION"))).manual("porter");
    let mut text = Vec::new();
    // Writing to a vector cannot fail.
    let _ = page.render(&mut text);
    pages.push((page.get_filename(), text));
}

fn completions() -> Vec<Generated> {
    let mut scripts = Vec::new();
    for mut program in programs() {
        let name = program.get_name().to_owned();
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut program, &name, &mut text);
            scripts.push((shell.file_name(&name), text));
        }
    }
    scripts
}

fn texts(files: &[(&str, &str)]) -> Vec<Generated> {
    files.iter().map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec())).collect()
}
