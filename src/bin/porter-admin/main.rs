//! porter-admin: accounts, and what else may be asked of a porter, from a command line.
//!
//! Where a server runs it is asked over its control socket; where none does, the `users` commands work on its files, by
//! the same engine.

mod ask;
mod files;
mod generate;
mod import;
#[path = "../porter-client/password_file.rs"]
mod password_file;
mod passwords;
mod question;
mod server;
mod show;
mod subcommands;

use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use porter::cli::{self, Failure};
use server::connect;
use show::Shown;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the command line has.
struct Flags(ArgMatches);

impl CommandFactory for Flags {
    fn command() -> clap::Command {
        subcommands::command()
    }

    fn command_for_update() -> clap::Command {
        subcommands::command()
    }
}

impl FromArgMatches for Flags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Flags, clap::Error> {
        Ok(Flags(matches.clone()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.0 = matches.clone();
        Ok(())
    }
}

impl Parser for Flags {}

fn main() -> ExitCode {
    cli::run("porter-admin", |Flags(matches)| run(&matches))
}

/// A subcommand with its own flags.
struct Asked<'a> {
    /// Its words, as in the table.
    words: Vec<&'a str>,
    matches: &'a ArgMatches,
}

impl<'a> Asked<'a> {
    fn new(mut matches: &'a ArgMatches) -> Asked<'a> {
        let mut words = Vec::new();
        while let Some((word, deeper)) = matches.subcommand() {
            words.push(word);
            matches = deeper;
        }
        Asked { words, matches }
    }

    fn path(&self, name: &str) -> Option<&'a Path> {
        self.matches.get_one::<PathBuf>(name).map(PathBuf::as_path)
    }

    fn text(&self, name: &str) -> &'a str {
        self.matches.get_one::<String>(name).map_or("", String::as_str)
    }
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let asked = Asked::new(matches);
    let data = asked.path("data").unwrap_or(Path::new("data"));
    let is_json = asked.matches.get_flag("json");
    let line = |argument: &str| [asked.words.join(" ").as_str(), argument].join(" ").trim_end().to_owned();
    let porter = |words: &[&str]| connect(data, words);
    match asked.words[..] {
        ["users", "add" | "passwd"] => {
            // Nobody is kept waiting while a person thinks of a password: neither a server, nor whoever else wants the files.
            let policy = passwords::policy(&mut *porter(&asked.words)?, &asked)?;
            let name = asked.text("NAME");
            let password = passwords::new_password(name, &policy, asked.path("password-file"))?;
            let request = line(&format!("{name} {}", policy.hash(&password)?.to_phc()));
            Shown::new(is_json).show_all(&mut *porter(&asked.words)?, &[request])
        }
        ["users", "verify"] => {
            let mut porter = porter(&asked.words)?;
            passwords::verify(&mut *porter, asked.text("NAME"), asked.path("password-file"))
        }
        ["users", "import"] => import::import(&asked, is_json, porter),
        ["generate"] => match asked.matches.get_one::<generate::Kind>("WHAT") {
            Some(kind) => generate::generate(*kind, asked.path("DIR").unwrap_or(Path::new("")), is_json),
            None => Err(Failure::usage("there is nothing to generate")),
        },
        ["users", "export"] if !is_json => show::export(&mut *porter(&asked.words)?),
        _ => {
            let words = asked.matches.try_get_many::<String>("TEXT").ok().flatten();
            let argument = words.map(|words| words.map(String::as_str).collect::<Vec<_>>().join(" "));
            let argument = argument.unwrap_or_else(|| {
                ["NAME", "ADDRESS"]
                    .iter()
                    .find_map(|id| asked.matches.try_get_one::<String>(id).ok().flatten())
                    .cloned()
                    .unwrap_or_default()
            });
            Shown::new(is_json).show_all(&mut *porter(&asked.words)?, &[line(&argument)])
        }
    }
}
