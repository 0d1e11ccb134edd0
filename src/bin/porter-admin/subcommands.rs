//! The command line: the table of commands, and the flags that only a command line has.

use crate::generate::Kind;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, ArgAction, Command, value_parser};
use porter::cli::Unquoted;
use porter::command::{Argument, Spec, TABLE};
use porter::limits;
use porter::store::{Durability, StoreAddress};
#[cfg(feature = "tls")]
use porter::tls::Fingerprint;
use std::path::PathBuf;

/// What is for programs, or for the console.
const LEFT_OUT: &[&str] = &["help", "policy"];

pub(crate) fn command() -> Command {
    let wanted = || TABLE.iter().filter(|spec| !LEFT_OUT.contains(&spec.words[0]));
    let users = Command::new("users")
        .about("Accounts: list, add, passwd, disable, enable, remove, import, export, verify")
        .subcommand_required(true)
        .subcommands(wanted().filter(|spec| spec.words.len() == 2).map(subcommand));
    Command::new("porter-admin")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Administers a porter: the running server of a data directory, or the accounts in its files")
        .subcommand_required(true)
        .disable_help_subcommand(true)
        .arg(
            Arg::new("data")
                .long("data")
                .value_name("DIR")
                .help("The server's data directory, which must be there")
                .default_value("data")
                .value_parser(value_parser!(PathBuf))
                .global(true),
        )
        .arg(
            Arg::new("store")
                .long("store")
                .value_name("URL")
                .help("The users in a store that several servers share, instead of a directory's: redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE], or rediss:// with TLS")
                .env("PORTER_STORE")
                .hide_env_values(true)
                .value_parser(Unquoted::<StoreAddress>::new())
                .global(true),
        )
        .arg(
            Arg::new("store-durability")
                .long("store-durability")
                .value_name("WHAT")
                .help("What that store must keep of what it has acknowledged: always = all, or none")
                .default_value("always")
                .value_parser(
                    PossibleValuesParser::new(Durability::NAMES).try_map(|text| text.parse::<Durability>()),
                )
                .global(true),
        )
        .args(store_trust())
        .arg(
            Arg::new("json")
                .long("json")
                .help("Answers as JSON, one object a line")
                .action(ArgAction::SetTrue)
                .global(true),
        )
        .subcommand(users)
        .subcommands(wanted().filter(|spec| spec.words.len() == 1).map(subcommand))
        .subcommand(store())
        .subcommand(generate())
}

/// Whom to trust at a store that is spoken to through TLS, as the server has it.
#[cfg(feature = "tls")]
fn store_trust() -> Vec<Arg> {
    let flag = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help).global(true)
    };
    let file = |name, help| flag(name, "FILE", help).value_parser(value_parser!(PathBuf));
    vec![
        file(
            "store-ca",
            "Whom to trust at a rediss://: who has a certificate from an authority in this file (PEM)",
        ),
        flag("store-fingerprint", "SHA256:...", "Or who has the certificate with this fingerprint")
            .value_parser(value_parser!(Fingerprint)),
        file("store-cert", "Certificate in PEM that it is shown if it asks for one, with --store-key"),
        file("store-key", "Its private key in PEM"),
    ]
}

#[cfg(not(feature = "tls"))]
fn store_trust() -> Vec<Arg> {
    Vec::new()
}

/// The store itself.
fn store() -> Command {
    Command::new("store")
        .about("A store that several servers share: init, import, export")
        .subcommand_required(true)
        .subcommand(Command::new("init").about("Makes the store one that servers take for porter's; once"))
        .subcommand(
            Command::new("import")
                .about("Takes the users of a data directory there, as they are; it must be there"),
        )
        .subcommand(
            Command::new("export")
                .about("Takes its users to a data directory, as they are; it is made if there is none"),
        )
}

/// Needs no server and no data directory.
fn generate() -> Command {
    let directory = Arg::new("DIR").required(true).help("Where to write them; made if there is none");
    Command::new("generate")
        .about("Files for packagers: manual pages, completions, units, a filter for fail2ban")
        .arg(Arg::new("WHAT").required(true).help("Which of them").value_parser(value_parser!(Kind)))
        .arg(directory.value_parser(value_parser!(PathBuf)))
}

fn subcommand(spec: &'static Spec) -> Command {
    let name = spec.words[spec.words.len() - 1];
    let mut help = spec.help.to_owned();
    help[..1].make_ascii_uppercase();
    let command = Command::new(name).about(help);
    let value = |name: &'static str, help: &'static str| Arg::new(name).required(true).help(help);
    let file = |name: &'static str, help: &'static str| {
        Arg::new(name).value_name("FILE").help(help).value_parser(value_parser!(PathBuf))
    };
    let password_file = || {
        file("password-file", "Take the password from the first line of FILE; - is stdin")
            .long("password-file")
    };
    let hash_rounds = || {
        Arg::new("hash-rounds")
            .long("hash-rounds")
            .value_name("N")
            .help("PBKDF2 rounds of the new hash [default: the server's, or 3100000]")
            .value_parser(value_parser!(u32).range(1..=i64::from(limits::HASH_ROUNDS_MOST)))
    };
    match spec.argument {
        Argument::None(_) => command,
        Argument::Name(_) if name == "verify" => {
            command.arg(value("NAME", "The user's name")).arg(password_file())
        }
        Argument::Name(_) => command.arg(value("NAME", "The user's name")),
        Argument::Password(_) => {
            command.arg(value("NAME", "The user's name")).arg(password_file()).arg(hash_rounds())
        }
        Argument::Text(_) => command.arg(value("TEXT", "The text").num_args(1..).allow_hyphen_values(true)),
        Argument::Address(_) => command.arg(value("ADDRESS", "An IP address")),
        Argument::Users => command
            .arg(file("FILE", "CSV with the header name,password,registered; - is stdin").required(true))
            .arg(
                Arg::new("clear")
                    .long("clear")
                    .action(ArgAction::SetTrue)
                    .help("The passwords are clear ones, to be hashed here"),
            )
            .arg(hash_rounds()),
    }
}
