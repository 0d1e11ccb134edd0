//! A user as a shared store has it: `PASSWORD SECONDS STATE`, the password in PHC form, the registration in seconds since 1970.

use crate::auth::{Name, PasswordHash};
use crate::store::{Account, Lookup, Stamp};

const ACTIVE: &str = "active";
const DISABLED: &str = "disabled";

/// Reads a record; the error says what is wrong, but not what it has.
pub(super) fn parse(name: &Name, record: &str) -> Result<Account, String> {
    parse_named(name, record).map_err(|what| format!("the record of {name} in the shared store has {what}"))
}

/// The same; the error says only what the record has.
pub(super) fn parse_named(name: &Name, record: &str) -> Result<Account, String> {
    let bad = str::to_owned;
    let mut words = record.split(' ');
    let (Some(password), Some(seconds), Some(state), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad("other than three words"));
    };
    let password = PasswordHash::from_phc(password).map_err(|error| bad(&error.to_string()))?;
    let seconds = seconds.parse().map_err(|_| bad("a time that is no number"))?;
    let registered = Stamp::from_seconds(seconds);
    if i64::try_from(registered.seconds()) != Ok(seconds) {
        return Err(bad("a time that is not one of the years 1970 to 9999"));
    }
    let is_disabled = match state {
        ACTIVE => false,
        DISABLED => true,
        _ => return Err(bad("an unknown state")),
    };
    Ok(Account { name: name.clone(), password, is_disabled, registered })
}

/// What is written for a user.
pub(super) fn text(account: &Account) -> String {
    let Account { password, is_disabled, registered, .. } = account;
    format!("{} {} {}", password.to_phc(), registered.seconds(), state(*is_disabled))
}

pub(super) fn state(is_disabled: bool) -> &'static str {
    if is_disabled { DISABLED } else { ACTIVE }
}

impl From<Account> for Lookup {
    fn from(account: Account) -> Lookup {
        match account.is_disabled {
            true => Lookup::Disabled(account.password),
            false => Lookup::Known(account.password),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let name = Name::new("ann").unwrap();
        let password = PasswordHash { rounds: 7, salt: [1; 16], hash: [2; 16] };
        for registered in
            ["1970-01-01T00:00:00Z", "2026-01-31T08:00:00Z", "2106-02-07T06:28:16Z", "9999-12-31T23:59:59Z"]
        {
            for is_disabled in [false, true] {
                let (name, password) = (name.clone(), password.clone());
                let registered = Stamp::parse(registered).unwrap();
                let account = Account { name: name.clone(), password, is_disabled, registered };
                assert_eq!(parse(&name, &text(&account)), Ok(account));
            }
        }
        for bad in ["", "a b c", "$x 1 active", &format!("{} x active", password.to_phc())] {
            assert!(parse(&name, bad).is_err());
        }
        for bad in [
            "1",
            "1 active more",
            "1 asleep",
            "-1 active",
            "253402300800 active",
            "99999999999999999999 active",
        ] {
            assert!(parse(&name, &format!("{} {bad}", password.to_phc())).is_err());
        }
    }
}
