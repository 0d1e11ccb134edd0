//! Lines that ask for something: words by the table, and what is behind them.

use super::Command;
use super::table::{ALIASES, Argument, Spec, TABLE};
use crate::auth::{Name, PasswordHash};
use crate::limits::IMPORT_USERS;
use crate::store::{Account, Stamp};

/// What a line asks for.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// This.
    Command(Command),
    /// Users to be added, in so many lines behind this one.
    Import(usize),
}

impl Line {
    /// Reads a line of the control socket. A name may be that of a user from before today's rules, as `is_known` says.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub fn parse(line: &str, is_known: impl Fn(&Name) -> bool) -> Result<Line, String> {
        let (spec, rest) = find(line, |_| true).ok_or("no such command; help lists them")?;
        argument(spec, rest, is_known)
    }

    /// Reads what was typed at the console behind `/`.
    ///
    /// # Errors
    /// What is wrong with it, on one line.
    pub fn typed(line: &str, is_known: impl Fn(&Name) -> bool) -> Result<Command, String> {
        let alias = ALIASES.iter().find(|(alias, _)| *alias == line.trim_end());
        let line = alias.map_or(line, |(_, command)| command);
        let (spec, rest) =
            find(line, |spec| spec.is_for_console).ok_or_else(|| match find(line, |_| true) {
                Some((spec, _)) => {
                    format!("porter-admin {} does that; it cannot be done here", spec.words.join(" "))
                }
                None => "no such command; /help lists them".to_owned(),
            })?;
        match argument(spec, rest, is_known)? {
            Line::Command(command) => Ok(command),
            Line::Import(_) => Err("users are imported by porter-admin".to_owned()),
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

fn argument(spec: &Spec, rest: &str, is_known: impl Fn(&Name) -> bool) -> Result<Line, String> {
    let wrong = || format!("it is: {}", spec.usage());
    let name = |text: &str| Name::meant(text, |name| is_known(name)).map_err(|rule| rule.told(text));
    // An argument is all that follows: of a name with a space in it is to be said that it is no name.
    let given = rest.trim();
    let command = match spec.argument {
        Argument::None(command) if given.is_empty() => command(),
        Argument::Text(command) if !given.is_empty() => command(rest.to_owned()),
        Argument::Name(command) if !given.is_empty() => command(name(given)?),
        Argument::Password(command) => {
            let (text, phc) = given.rsplit_once(char::is_whitespace).ok_or_else(wrong)?;
            let name = name(text.trim_end())?;
            command(name, PasswordHash::from_phc(phc).map_err(|error| error.to_string())?)
        }
        Argument::Address(command) if !given.is_empty() => {
            // As `throttled` has it: in IPv6 it is a network that owes.
            let address = given.strip_suffix("/64").filter(|bare| bare.contains(':')).unwrap_or(given);
            command(address.parse().map_err(|_| format!("{given:?} is no IP address"))?)
        }
        Argument::Users if !given.is_empty() => {
            let count = given.parse().ok().filter(|count| (1..=IMPORT_USERS).contains(count));
            return Ok(Line::Import(
                count.ok_or(format!("users are imported 1 to {IMPORT_USERS} at a time"))?,
            ));
        }
        _ => return Err(wrong()),
    };
    Ok(Line::Command(command))
}

/// Reads one user to be imported, as `users.csv` has them: `NAME,HASH,REGISTERED`, with `!` before the hash of one who is
/// disabled.
///
/// # Errors
/// What is wrong with it.
pub fn import_line(line: &str) -> Result<Account, String> {
    let mut parts = line.split(',');
    let (Some(name), Some(password), Some(registered), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("it has not the three fields name,password,registered".to_owned());
    };
    // A user from before today's rules goes from one server to another.
    let name = Name::stored(name).map_err(|rule| rule.told(name))?;
    let bare = password.strip_prefix('!');
    let hash = PasswordHash::from_phc(bare.unwrap_or(password)).map_err(|error| error.to_string())?;
    let registered = registered.parse::<Stamp>().map_err(|error| error.to_string())?;
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
                assert!(said.starts_with(&expected), "{line}: {said}");
                if spec.is_for_console {
                    assert_eq!(Line::typed(&line, |_| false), Err(said));
                }
            }
        }
        assert_eq!(Line::typed("kick", |_| false), Err("it is: kick NAME".to_owned()));
    }

    #[test]
    fn at_the_console_there_is_what_needs_neither_password_nor_file() {
        let typed = |line: &str| Line::typed(line, |_| false);
        assert_eq!(typed("quit"), Ok(Command::Stop));
        assert_eq!(typed("users"), Ok(Command::ListUsers));
        assert_eq!(typed("users remove ann"), Ok(Command::RemoveUser(name("ann"))));
        for elsewhere in ["users add ann", "users import 3", "users verify ann", "say x"] {
            assert!(typed(elsewhere).unwrap_err().contains("porter-admin"), "{elsewhere}");
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
