//! What a command is answered with.

use crate::auth::{Name, PasswordHash};
use crate::store::{Account, Stamp};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// One piece of an answer. The last of a command is [`Done`](Answer::Done) or [`Failed`](Answer::Failed).
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// For a person alone.
    Text(String),
    /// Somebody who is here, or whose connection is lost and may be resumed for so long.
    Present {
        /// Whose session it is.
        name: Name,
        /// Where the client is; none while its connection is lost.
        peer: Option<SocketAddr>,
        /// While it is lost.
        resumable: Duration,
    },
    /// How many are here.
    Presence {
        /// Sessions with a connection.
        online: usize,
        /// Sessions without.
        lost: usize,
        /// Connections that are not logged in.
        strangers: usize,
    },
    /// Figures since the start.
    Figures(Figures),
    /// What new passwords have to keep to.
    Policy {
        /// Rounds of new hashes.
        hash_rounds: u32,
        /// Fewest characters.
        min_password_characters: u32,
    },
    /// What an address, or a network, owes.
    Debt {
        /// The address, or the network with its length.
        origin: String,
        /// How much.
        owed: Duration,
    },
    /// One user of a list.
    User {
        /// The account.
        account: Account,
        /// When it was last seen at any address that is remembered.
        seen: Option<Stamp>,
    },
    /// One user, as a program stores them.
    Record(Account),
    /// What a user's password is checked by.
    Hash(PasswordHash),
    /// It was done.
    Done(String),
    /// It was not, and nothing has changed.
    Failed(String),
}

impl Answer {
    /// Whether no more follows.
    pub fn is_last(&self) -> bool {
        matches!(self, Answer::Done(_) | Answer::Failed(_))
    }

    /// The record of a user as `users.csv` has it.
    pub fn record(account: &Account) -> [String; 3] {
        let mark = if account.is_disabled { "!" } else { "" };
        let password = format!("{mark}{}", account.password.to_phc());
        [account.name.to_string(), password, account.registered.to_string()]
    }
}

/// For a person at a terminal, on one line or, of figures, on several.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Answer::Text(text) | Answer::Done(text) | Answer::Failed(text) => f.write_str(text),
            Answer::Present { name, peer: Some(peer), .. } => write!(f, "{name}  {peer}"),
            Answer::Present { name, resumable, .. } => {
                write!(f, "{name}  connection lost, can be resumed for {} s", resumable.as_secs())
            }
            Answer::Presence { online, lost, strangers } => {
                write!(f, "{online} online, {lost} lost, {strangers} not logged in")
            }
            Answer::Figures(figures) => f.write_str(&figures.lines.join("\n")),
            Answer::Policy { hash_rounds, min_password_characters } => {
                write!(f, "{hash_rounds} rounds, at least {min_password_characters} characters")
            }
            Answer::Debt { origin, owed } => write!(f, "{origin}  {} s", owed.as_secs_f64().ceil()),
            Answer::User { account: Account { name, password, is_disabled, registered }, seen } => {
                let state = if *is_disabled { "disabled" } else { "active" };
                let rounds = password.rounds;
                write!(f, "{name}  registered {registered}, {state}, {rounds} rounds")?;
                seen.map_or(Ok(()), |seen| write!(f, ", last seen {seen}"))
            }
            Answer::Record(account) => f.write_str(&Answer::record(account).join(",")),
            Answer::Hash(hash) => f.write_str(&hash.to_phc()),
        }
    }
}

/// Figures for a person and for a program.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Figures {
    /// For a person.
    pub lines: Vec<String>,
    /// For a program.
    pub values: Vec<Figure>,
}

/// One figure for a program.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What it is called, with its unit; that of a counter ends in `_total`.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub help: &'static str,
    /// How much it is.
    pub value: FigureValue,
}

/// How much a figure is.
#[derive(Clone, Debug, PartialEq)]
pub enum FigureValue {
    /// A sum since the start.
    Counter(f64),
    /// As it is now.
    Gauge(f64),
    /// Sums since the start, told apart by a label of this name.
    Counters(&'static str, Vec<(String, f64)>),
    /// As they are now, likewise.
    Gauges(&'static str, Vec<(String, f64)>),
    /// How many were up to so many seconds, class by class, and their sum in seconds.
    Histogram {
        /// The upper end of each class, and how many are in it.
        classes: Vec<(f64, u64)>,
        /// All of them together.
        sum: f64,
    },
}
