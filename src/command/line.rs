//! Lines that ask for something: words by the table, and what is behind them.

use super::Command;
use super::table::{ALIASES, Argument, Spec, TABLE};
use crate::auth::{BadName, BadPasswordHash, Name, PasswordHash};
use crate::limits::IMPORT_USERS;
use crate::store::{Account, BadStamp, Stamp};
use thiserror::Error;

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// This.
    Command(Command),
    /// Users to be added, in so many lines behind this one.
    Import(usize),
}

/// Why a line asks for nothing that can be done. One line, which may repeat what was typed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LineError {
    /// No command has these words.
    #[error("no such command; {help} lists them")]
    Unknown {
        /// How the commands are listed where it was asked for.
        help: &'static str,
    },
    /// The command with these words is for porter-admin.
    #[error("porter-admin {0} does that; it cannot be done here")]
    Elsewhere(String),
    /// What is behind the words is not what the command takes, which is this.
    #[error("it is: {0}")]
    Usage(String),
    /// A name that nobody has.
    #[error("{}", rule.explain(text))]
    Name {
        /// What stands for it.
        text: String,
        /// The rule that it breaks.
        rule: BadName,
    },
    /// A hash that is none.
    #[error(transparent)]
    Password(#[from] BadPasswordHash),
    /// An address that is none.
    #[error("{0:?} is no IP address")]
    Address(String),
    /// A number of users that cannot be imported at a time.
    #[error("users are imported 1 to {IMPORT_USERS} at a time")]
    Count,
    /// A user to be imported has not three fields.
    #[error("it has not the three fields name,password,registered")]
    Fields,
    /// The time when a user registered is none.
    #[error(transparent)]
    Registered(#[from] BadStamp),
    /// A direct message without a text, or to nobody.
    #[error("not sent: a direct message is @NAME, one space, and the text")]
    NoDirect,
    /// A text for everybody that was meant as a command.
    #[error("not sent: it looks like a command, but a command begins with its /")]
    LooksLikeCommand,
}

impl LineError {
    fn name(text: &str, rule: BadName) -> LineError {
        LineError::Name { text: text.to_owned(), rule }
    }
}

impl Line {
    /// Reads a line of the control socket. A name may be that of a user from before today's rules, as `is_known` says.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn parse(line: &str, is_known: impl Fn(&Name) -> bool) -> Result<Line, LineError> {
        let (spec, rest) = find(line, |_| true).ok_or(LineError::Unknown { help: "help" })?;
        argument(spec, rest, is_known)
    }

    /// Reads what was typed at the console behind `/`.
    ///
    /// # Errors
    /// [`LineError`].
    pub fn typed(line: &str, is_known: impl Fn(&Name) -> bool) -> Result<Command, LineError> {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == line.trim_end());
        let line = alias.map_or(line, |(_, command)| command);
        let elsewhere = |spec: &Spec| LineError::Elsewhere(spec.words.join(" "));
        let (spec, rest) =
            find(line, |spec| spec.is_for_console).ok_or_else(|| match find(line, |_| true) {
                Some((spec, _)) => elsewhere(spec),
                None => LineError::Unknown { help: "/help" },
            })?;
        match argument(spec, rest, is_known)? {
            Line::Command(command) => Ok(command),
            Line::Import(_) => Err(elsewhere(spec)),
        }
    }
}

/// The command whose words a line begins with, and what is behind them.
fn find(line: &str, is_wanted: impl Fn(&Spec) -> bool) -> Option<(&'static Spec, &str)> {
    TABLE.iter().filter(|spec| is_wanted(spec)).find_map(|spec| {
        let mut rest = line;
        for word in spec.words {
            let (first, behind) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = (first == *word).then_some(behind)?;
        }
        Some((spec, rest))
    })
}

fn argument(spec: &Spec, rest: &str, is_known: impl Fn(&Name) -> bool) -> Result<Line, LineError> {
    let wrong = || LineError::Usage(spec.usage());
    let name =
        |text: &str| Name::meant(text, |name| is_known(name)).map_err(|rule| LineError::name(text, rule));
    // An argument is all that follows: of a name with a space in it is to be said that it is no name.
    let given = rest.trim();
    let command = match spec.argument {
        Argument::None(command) if given.is_empty() => command(),
        Argument::Text(command) if !given.is_empty() => command(rest.to_owned()),
        Argument::Name(command) if !given.is_empty() => command(name(given)?),
        Argument::Password(command) => {
            let (text, phc) = given.rsplit_once(char::is_whitespace).ok_or_else(wrong)?;
            let name = name(text.trim_end())?;
            command(name, PasswordHash::from_phc(phc)?)
        }
        Argument::Address(command) if !given.is_empty() => {
            // As `throttled` has it: in IPv6 it is a network that owes.
            let address = given.strip_suffix("/64").filter(|bare| bare.contains(':')).unwrap_or(given);
            command(address.parse().map_err(|_| LineError::Address(given.to_owned()))?)
        }
        Argument::Users if !given.is_empty() => {
            let count = given.parse().ok().filter(|count| (1..=IMPORT_USERS).contains(count));
            return count.map(Line::Import).ok_or(LineError::Count);
        }
        _ => return Err(wrong()),
    };
    Ok(Line::Command(command))
}

/// Reads one user to be imported, as `users.csv` has them: `NAME,HASH,REGISTERED`, with `!` before the hash of one who is
/// disabled.
///
/// # Errors
/// [`LineError`].
pub fn import_line(line: &str) -> Result<Account, LineError> {
    let mut parts = line.split(',');
    let (Some(name), Some(password), Some(registered), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(LineError::Fields);
    };
    // A user from before today's rules goes from one server to another.
    let name = Name::stored(name).map_err(|rule| LineError::name(name, rule))?;
    let bare = password.strip_prefix('!');
    let hash = PasswordHash::from_phc(bare.unwrap_or(password))?;
    let registered = registered.parse::<Stamp>()?;
    Ok(Account { name, password: hash, is_disabled: bare.is_some(), registered })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn a_line_is_the_command_whose_words_it_begins_with() {
        let hash = "$pbkdf2-md5$i=1000$AAECAwQFBgcICQoLDA0ODw$EBESExQVFhcYGRobHB0eHw";
        let parse = |line: &str| Line::parse(line, |_| false);
        let command = |line: &str| match parse(line) {
            Ok(Line::Command(command)) => command,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(command("users list"), Command::ListUsers);
        assert_eq!(command("users disable ann"), Command::DisableUser(name("ann")));
        assert_eq!(command("say two  words "), Command::Say("two  words ".to_owned()));
        assert_eq!(command("forgive ::1"), Command::Forgive("::1".parse().unwrap()));
        let network = Command::Forgive("2001:db8:1:2::".parse().unwrap());
        assert_eq!(command("forgive 2001:db8:1:2::/64"), network);
        let added = Command::AddUser(name("ann"), PasswordHash::from_phc(hash).unwrap());
        assert_eq!(command(&format!("users add ann {hash}")), added);
        assert_eq!(parse("users import 3"), Ok(Line::Import(3)));
        for wrong in [
            "",
            " ",
            "users",
            "user list",
            "users list ann",
            "users add ann",
            "users add ann x",
            "kick",
            "kick =x",
            "kick a b",
            "forgive ann",
            "forgive 192.0.2.1/64",
            "forgive ::/48",
            "users import 0",
            "users import x",
            "users import 99999999999",
            "say",
            "say  ",
            "who me",
            " who",
            "/who",
            "usersx list",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_name_is_said_to_be_none() {
        let hash = "$pbkdf2-md5$i=1000$AAECAwQFBgcICQoLDA0ODw$EBESExQVFhcYGRobHB0eHw";
        for spec in TABLE {
            let behind = match spec.argument {
                Argument::Name(_) => String::new(),
                Argument::Password(_) => format!(" {hash}"),
                _ => continue,
            };
            for text in ["bo b", "a  b c", "=x", "server", "x\u{3000}y"] {
                let line = format!("{} {text}{behind}", spec.words.join(" "));
                let expected = format!("{text:?} is no name: ");
                let said = Line::parse(&line, |_| false).unwrap_err();
                assert!(said.to_string().starts_with(&expected), "{line}: {said}");
                if spec.is_for_console {
                    assert_eq!(Line::typed(&line, |_| false), Err(said));
                }
            }
        }
        assert_eq!(Line::typed("kick", |_| false), Err(LineError::Usage("kick NAME".to_owned())));
    }

    #[test]
    fn at_the_console_there_is_what_needs_neither_password_nor_file() {
        let typed = |line: &str| Line::typed(line, |_| false);
        assert_eq!(typed("quit"), Ok(Command::Stop));
        assert_eq!(typed("users"), Ok(Command::ListUsers));
        assert_eq!(typed("users remove ann"), Ok(Command::RemoveUser(name("ann"))));
        for elsewhere in ["users add ann", "users import 3", "users verify ann", "say x"] {
            assert!(typed(elsewhere).unwrap_err().to_string().contains("porter-admin"), "{elsewhere}");
        }
    }

    #[test]
    fn every_command_has_words_of_its_own() {
        for (row, spec) in TABLE.iter().enumerate() {
            let found = find(&spec.words.join(" "), |_| true).unwrap().0;
            assert!(std::ptr::eq(found, &TABLE[row]), "{:?} is hidden by {:?}", spec.words, found.words);
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_parsers_panic(line in "(users |kick |forgive |import )?[/@ ,a-z0-9\\PC]*") {
            let _ = Line::parse(&line, |_| false);
            let _ = Line::typed(&line, |_| true);
            let _ = import_line(&line);
        }
    }
}
