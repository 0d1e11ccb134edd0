//! The error codes.

use std::fmt;

/// Why the server refused; the number is what travels.
///
/// Codes below 100 leave the connection open; from 100 on the server closes after them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Code {
    /// Identify with a name outside the rules, or one that looks like somebody else's; the latter also answers Register, if
    /// that other name was registered meanwhile.
    BadName = 1,
    /// Register with a password outside the rules.
    WeakPassword = 2,
    /// Someone else registered the name first; PasswordWanted (Login) follows.
    NameTaken = 3,
    /// Login with a wrong password.
    WrongPassword = 4,
    /// The user, or the new password, could not be stored; nothing was registered or changed.
    StorageFailed = 5,
    /// Resume with a token that is unknown or expired.
    NoSuchSession = 6,
    /// A message addressed to a name that is not online.
    NoSuchRecipient = 7,
    /// A message in chat that begins with `@` and addresses nobody as it stands; it was delivered to nobody.
    BadAddress = 8,
    /// Length 0, unknown kind, payload too short or left over, text that is not UTF-8.
    Malformed = 100,
    /// Length above the limit.
    FrameTooLarge = 101,
    /// A kind that is not allowed in this state.
    UnexpectedFrame = 102,
    /// A frame with a token that is not this session's.
    BadToken = 103,
    /// The last allowed wrong password, or one registration too many.
    TooManyAttempts = 104,
    /// The address has failed too often; the text begins with the seconds to wait.
    Throttled = 105,
    /// Connection limit, too many from this address that are not logged in, or the hash would wait too long; the text
    /// begins with the seconds to wait.
    Busy = 106,
    /// Not authenticated within the login timeout, or idle longer than the idle timeout.
    TimedOut = 107,
    /// Its waiting output reached the limit, or nothing of it could be written for 30 s.
    SlowConsumer = 108,
    /// A fault of the server's own.
    Internal = 109,
}

impl Code {
    /// Its place in [`ALL`](Code::ALL).
    pub(crate) fn index(self) -> usize {
        let number = self as usize;
        if number < 100 { number - 1 } else { number - 100 + 8 }
    }

    /// Every code, in the order of their numbers.
    pub const ALL: [Code; 18] = [
        Code::BadName,
        Code::WeakPassword,
        Code::NameTaken,
        Code::WrongPassword,
        Code::StorageFailed,
        Code::NoSuchSession,
        Code::NoSuchRecipient,
        Code::BadAddress,
        Code::Malformed,
        Code::FrameTooLarge,
        Code::UnexpectedFrame,
        Code::BadToken,
        Code::TooManyAttempts,
        Code::Throttled,
        Code::Busy,
        Code::TimedOut,
        Code::SlowConsumer,
        Code::Internal,
    ];

    /// The code with this number, if there is one.
    pub fn from_number(number: u16) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.number() == number)
    }

    /// The number that travels.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Whether the server closes the connection after this error.
    pub const fn closes(self) -> bool {
        self.number() >= 100
    }

    /// Whether the session ends with this error; after the other closing ones it can be resumed.
    pub const fn ends_session(self) -> bool {
        matches!(self, Code::Malformed | Code::FrameTooLarge | Code::UnexpectedFrame | Code::BadToken)
    }
}

/// The name in the protocol's table, such as `WrongPassword`.
impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_codes_are_one_to_one() {
        for code in Code::ALL {
            assert_eq!(Code::from_number(code.number()), Some(code));
        }
        let known = (0..=u16::MAX).filter(|number| Code::from_number(*number).is_some()).count();
        assert_eq!(known, Code::ALL.len());
    }
}
