//! The table of commands.

use super::Command;
use crate::auth::{Name, PasswordHash};
use std::net::IpAddr;

/// What follows a command's words, and the command that it makes.
#[derive(Clone, Copy)]
pub enum Argument {
    /// Nothing.
    None(fn() -> Command),
    /// `NAME`
    Name(fn(Name) -> Command),
    /// `NAME`, and a hash where a program asks; a person is asked for the password.
    Password(fn(Name, PasswordHash) -> Command),
    /// `TEXT`, to the end of the line.
    Text(fn(String) -> Command),
    /// `ADDRESS`
    Address(fn(IpAddr) -> Command),
    /// `COUNT`, and so many lines behind it; a person names a file.
    Users,
}

/// One command.
#[derive(Clone, Copy)]
pub struct Spec {
    /// As it is typed, without the console's `/`.
    pub words: &'static [&'static str],
    /// What follows.
    pub argument: Argument,
    /// One line.
    pub help: &'static str,
    /// Whether it can be typed at the console. There no password can be asked for, and no file be read.
    pub is_for_console: bool,
    /// Whether it can be done where no server runs.
    pub is_for_files: bool,
}

/// All of them, in the order in which help shows them.
pub static TABLE: &[Spec] = &[
    live(&["help"], Argument::None(|| Command::Help), "this list"),
    live(&["who"], Argument::None(|| Command::Who), "who is here"),
    live(&["kick"], Argument::Name(Command::Kick), "ends every session of NAME"),
    Spec {
        is_for_console: false,
        ..live(&["say"], Argument::Text(Command::Say), "what a line of text does at the server's console")
    },
    live(&["stats"], Argument::None(|| Command::Stats), "figures since the start"),
    live(
        &["throttled"],
        Argument::None(|| Command::Throttled),
        "which addresses owe how much for wrong passwords",
    ),
    live(&["forgive"], Argument::Address(Command::Forgive), "takes back what ADDRESS owes"),
    live(&["reload"], Argument::None(|| Command::Reload), "reads files again, as SIGHUP does"),
    users(&["users", "list"], Argument::None(|| Command::ListUsers), "all users"),
    Spec {
        is_for_console: false,
        ..users(&["users", "add"], Argument::Password(Command::AddUser), "a new user; asks for the password")
    },
    Spec {
        is_for_console: false,
        ..users(
            &["users", "passwd"],
            Argument::Password(Command::SetPassword),
            "another password; ends the user's sessions",
        )
    },
    users(
        &["users", "disable"],
        Argument::Name(Command::DisableUser),
        "no login any more; ends the user's sessions",
    ),
    users(&["users", "enable"], Argument::Name(Command::EnableUser), "lets the user log in again"),
    users(
        &["users", "remove"],
        Argument::Name(Command::RemoveUser),
        "frees the name; ends the user's sessions",
    ),
    Spec {
        is_for_console: false,
        ..users(&["users", "import"], Argument::Users, "adds all users of FILE, or none")
    },
    Spec {
        is_for_console: false,
        ..users(&["users", "export"], Argument::None(|| Command::ExportUsers), "writes what import takes")
    },
    Spec {
        is_for_console: false,
        ..users(&["users", "verify"], Argument::Name(Command::ShowUser), "whether a password is the user's")
    },
    Spec {
        is_for_console: false,
        ..users(&["policy"], Argument::None(|| Command::Policy), "what new passwords have to keep to")
    },
    live(&["stop"], Argument::None(|| Command::Stop), "stops the server"),
];

/// What the console also takes for a command, and which it is.
pub(super) const ALIASES: &[(&str, &str)] = &[("quit", "stop"), ("users", "users list")];

const fn live(words: &'static [&'static str], argument: Argument, help: &'static str) -> Spec {
    Spec { words, argument, help, is_for_console: true, is_for_files: false }
}

const fn users(words: &'static [&'static str], argument: Argument, help: &'static str) -> Spec {
    Spec { words, argument, help, is_for_console: true, is_for_files: true }
}

impl Spec {
    /// As help shows it.
    pub fn usage(&self) -> String {
        let argument = match self.argument {
            Argument::None(_) => "",
            Argument::Name(_) | Argument::Password(_) => " NAME",
            Argument::Text(_) => " TEXT",
            Argument::Address(_) => " ADDRESS",
            Argument::Users => " FILE",
        };
        format!("{}{argument}", self.words.join(" "))
    }
}
