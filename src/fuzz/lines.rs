//! Lines that ask for something.

use crate::command::{Answer, Line, import_line};
use crate::engine::ConsoleLine;

/// A line typed at the console is a command, a text, or refused.
pub fn console(line: &[u8]) {
    let line = String::from_utf8_lossy(line);
    if let Ok(Some(ConsoleLine::Direct(name, text))) = ConsoleLine::parse(&line, |_| false) {
        let again = format!("@{name} {text}");
        assert_eq!(ConsoleLine::parse(&again, |_| false), Ok(Some(ConsoleLine::Direct(name, text))));
    }
}

/// A line of the control socket is a command or refused; a user to be imported is written again as it was read.
pub fn control(line: &[u8]) {
    let line = String::from_utf8_lossy(line);
    let _ = Line::parse(&line, |_| false);
    if let Ok(account) = import_line(&line) {
        assert_eq!(Answer::record(&account).join(","), line);
    }
}
