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
mod shared;
mod show;
mod subcommands;

use ask::Porter;
use clap::{ArgMatches, CommandFactory, FromArgMatches, Parser};
use porter::auth::Name;
use porter::cli::{self, Failure};
use server::{connect, one_line};
use shared::Shared;
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

    /// The text of an argument, if there is one of this name.
    fn text(&self, name: &str) -> Option<&'a str> {
        self.matches.try_get_one::<String>(name).ok().flatten().map(String::as_str)
    }

    /// The name that was given.
    ///
    /// # Errors
    /// [`Failure`] if it cannot be any user's, before anybody is asked for anything.
    fn name(&self) -> Result<&'a str, Failure> {
        let text = self.text("NAME").unwrap_or_default();
        one_line(text)?;
        name(text).map(|_| text).map_err(Failure::failed)
    }
}

/// A name that a user may have: one from before today's rules keeps its own.
///
/// # Errors
/// The rule that it breaks.
fn name(text: &str) -> Result<Name, String> {
    let name = Name::new(text).or_else(|rule| Name::stored(text).map_err(|_| rule));
    name.map_err(|rule| rule.explain(text))
}

fn run(matches: &ArgMatches) -> Result<(), Failure> {
    let asked = Asked::new(matches);
    let data = asked.path("data").unwrap_or(Path::new("data"));
    let is_json = asked.matches.get_flag("json");
    let shared = Shared::of(&asked)?;
    let porter = |words: &[&str]| match &shared {
        Some(shared) => shared.users(words).map(|users| Box::new(users) as Box<dyn Porter>),
        None => connect(data, words),
    };
    carry_out(&asked, (data, is_json), shared.as_ref(), porter)?;
    shared.map_or(Ok(()), |shared| shared.check_found())
}

fn carry_out(
    asked: &Asked<'_>,
    (data, is_json): (&Path, bool),
    shared: Option<&Shared>,
    porter: impl Fn(&[&str]) -> Result<Box<dyn Porter>, Failure>,
) -> Result<(), Failure> {
    let line = |argument: &str| [asked.words.join(" ").as_str(), argument].join(" ").trim_end().to_owned();
    match asked.words[..] {
        ["store", _] => shared::administer(shared, asked, data, is_json),
        ["users", "add" | "passwd"] => {
            // Nobody is kept waiting while a person thinks of a password: neither a server, nor whoever else wants the files.
            let name = asked.name()?;
            let policy = passwords::policy(&mut *porter(&asked.words)?, asked)?;
            let password = passwords::new_password(name, &policy, asked.path("password-file"))?;
            let request = line(&format!("{name} {}", policy.hash(&password)?.to_phc()));
            Shown::new(is_json).show_all(&mut *porter(&asked.words)?, &[request])
        }
        ["users", "verify"] => {
            let name = asked.name()?;
            passwords::verify(&mut *porter(&asked.words)?, name, asked.path("password-file"))
        }
        ["users", "import"] => import::import(asked, is_json, shared, porter),
        ["generate"] => match asked.matches.get_one::<generate::Kind>("WHAT") {
            Some(kind) => generate::generate(*kind, asked.path("DIR").unwrap_or(Path::new("")), is_json),
            None => Err(Failure::usage("there is nothing to generate")),
        },
        ["users", "export"] if !is_json => show::export(&mut *porter(&asked.words)?),
        _ => {
            let words = asked.matches.try_get_many::<String>("TEXT").ok().flatten();
            let argument = match (words, asked.text("NAME")) {
                (Some(words), _) => words.map(String::as_str).collect::<Vec<_>>().join(" "),
                (None, Some(_)) => asked.name()?.to_owned(),
                (None, None) => asked.text("ADDRESS").unwrap_or_default().to_owned(),
            };
            Shown::new(is_json).show_all(&mut *porter(&asked.words)?, &[line(&argument)])
        }
    }
}
