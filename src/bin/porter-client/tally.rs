//! What an exit code of 0 promises, and what of it could not be kept.
//!
//! This module must not know why.

use rustix::io::Errno;

/// What went wrong on the way, though the conversation went on.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// Messages that the server refused.
    pub(crate) refused: usize,
    /// Lines that were not sent because they could not be.
    pub(crate) unsendable: usize,
    /// A connection was lost, and with it perhaps a message.
    pub(crate) may_have_lost: bool,
    /// Why the input could not be read to its end.
    pub(crate) input_failed: Option<Errno>,
}

impl Tally {
    /// What a script has to know at the end; `None` if all went well.
    pub(crate) fn complaint(&self) -> Option<String> {
        let mut parts = Vec::new();
        if self.refused > 0 {
            parts.push(format!("the server refused {}", messages(self.refused)));
        }
        if self.unsendable > 0 {
            parts.push(format!("{} not sent", counted(self.unsendable, "line was", "lines were")));
        }
        if self.may_have_lost {
            parts.push("messages may have been lost with a connection".to_owned());
        }
        if let Some(error) = self.input_failed {
            parts.push(format!("the input could not be read to its end: {error}"));
        }
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

/// What is said of messages that were not sent, and of those that may not have been handled.
pub(crate) fn losses(unsent: usize, is_at_least: bool, unconfirmed: usize) -> String {
    let at_least = if is_at_least { "at least " } else { "" };
    let mut text = String::new();
    if unsent > 0 {
        let count = counted(unsent, "message was", "messages were");
        text += &format!("; {at_least}{count} not sent");
    }
    if unconfirmed > 0 {
        text += &format!("; {} may not have arrived", messages(unconfirmed));
    }
    text
}

fn messages(count: usize) -> String {
    counted(count, "message", "messages")
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_has_its_numbers() {
        assert_eq!(Tally::default().complaint(), None);
        let tally = Tally { refused: 1, unsendable: 2, ..Tally::default() };
        assert_eq!(tally.complaint().as_deref(), Some("the server refused 1 message; 2 lines were not sent"));
        assert_eq!(losses(0, false, 0), "");
        assert_eq!(losses(1, false, 0), "; 1 message was not sent");
        assert_eq!(
            losses(7, true, 2),
            "; at least 7 messages were not sent; 2 messages may not have arrived"
        );
    }
}
