//! What a person or a program may ask of a running porter, beside what clients may: one table for the console, the control
//! socket and `porter-admin`.
//!
//! A [`Command`] is read from a line of words by the [table](TABLE), which is also where help texts and the subcommands of
//! `porter-admin` come from. What it is answered with is data: [`Answer`]s, which the console shows as text and the control
//! socket as JSON.
//!
//! This module must not know who carries a command out.

mod answer;
mod completion;
#[cfg(feature = "admin")]
mod json;
mod line;
mod table;

pub use answer::{Answer, Figure, FigureValue, Figures};
pub use completion::completions;
pub use line::{Line, LineError, import_line};
pub use table::{Argument, Spec, TABLE};

use crate::auth::{Name, PasswordHash};
use crate::store::Account;
use std::net::IpAddr;

/// Something to be done or told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Which commands there are.
    Help,
    /// Who is here.
    Who,
    /// Figures since the start.
    Stats,
    /// What a new password has to keep to, and how it is to be hashed.
    Policy,
    /// Ends every session of a name.
    Kick(Name),
    /// What a line of text does at the console.
    Say(String),
    /// Which addresses owe how much.
    Throttled,
    /// Takes the debt of an address back.
    Forgive(IpAddr),
    /// Reads files again, as SIGHUP does.
    Reload,
    /// Stops the server, in order.
    Stop,
    /// All users.
    ListUsers,
    /// All users, with what their passwords are checked by.
    ExportUsers,
    /// One user, likewise.
    ShowUser(Name),
    /// A new user.
    AddUser(Name, PasswordHash),
    /// A user's next password; ends the user's sessions.
    SetPassword(Name, PasswordHash),
    /// No login and no resume any more; ends the user's sessions.
    DisableUser(Name),
    /// Undoes that.
    EnableUser(Name),
    /// The name is free again; ends the user's sessions.
    RemoveUser(Name),
    /// New users, all of them or none.
    ImportUsers(Vec<Account>),
}
