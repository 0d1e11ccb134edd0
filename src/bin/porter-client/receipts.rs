//! Which texts the server has certainly handled.
//!
//! The protocol has no receipts, and the client does not know the server's mode. But a server that echoes says each text
//! again, in order: once two in a row have come back, the others are known to be due. And requests are handled in order:
//! the answer to a last question, behind all texts, says that they were. This module must not know connections.

use porter::limits::{ANSWER_WAIT, CHAT_BURST, CHAT_PACE, RECEIPTS};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

#[derive(Debug, Default)]
pub(crate) struct Receipts {
    /// The texts that were sent and have not come back, by their hash.
    due: VecDeque<u64>,
    mode: Mode,
    /// When a chat that slows its writers down would be through with what was sent, if it took no burst.
    through_at: Option<Instant>,
    has_sent: bool,
    /// Texts that were sent and are not known to be handled, where they are not remembered.
    forgotten: usize,
    /// Questions who is online that are not answered.
    whos_due: usize,
    /// The last of them was asked for the sake of its place behind all texts.
    last_is_asked: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Unknown,
    /// One text came back, which may be chance.
    Perhaps,
    Echo,
    /// Nothing comes back.
    Other,
}

impl Receipts {
    /// A text was sent.
    pub(crate) fn sent(&mut self, text: &str, now: Instant) {
        self.has_sent = true;
        self.through_at = Some(self.through_at.map_or(now, |at| at.max(now)) + CHAT_PACE);
        if self.mode == Mode::Other {
            self.forgotten += 1;
        } else {
            self.due.push_back(hash(text));
        }
        if self.mode != Mode::Echo && self.due.len() > RECEIPTS {
            self.mode = Mode::Other;
            self.forgotten = std::mem::take(&mut self.due).len();
        }
    }

    /// The server said something of its own.
    pub(crate) fn server_said(&mut self, text: &str) {
        if self.due.front() == Some(&hash(text)) {
            self.due.pop_front();
            self.mode = if self.mode == Mode::Unknown { Mode::Perhaps } else { Mode::Echo };
        }
    }

    /// It was asked who is online.
    pub(crate) fn who_asked(&mut self) {
        self.whos_due += 1;
    }

    /// It was asked who is online, behind the last text: nobody wants to see that answer.
    pub(crate) fn last_who_asked(&mut self) {
        self.who_asked();
        self.last_is_asked = true;
    }

    /// The server said who is online: whether that is to be shown.
    pub(crate) fn who_answered(&mut self) -> bool {
        self.whos_due = self.whos_due.saturating_sub(1);
        let is_last = self.last_is_asked && self.whos_due == 0;
        if is_last {
            self.last_is_asked = false;
            (self.has_sent, self.forgotten) = (false, 0);
            if self.mode != Mode::Echo {
                self.due.clear();
            }
        }
        !is_last
    }

    /// Whether the server has not yet come to the question behind the last text.
    pub(crate) fn is_last_who_due(&self) -> bool {
        self.last_is_asked
    }

    /// Whether something is to come from the server.
    pub(crate) fn is_owed(&self) -> bool {
        self.whos_due > 0 || self.unanswered() > 0
    }

    /// Whether the server is known to say each text again.
    pub(crate) fn is_echo(&self) -> bool {
        self.mode == Mode::Echo
    }

    /// Texts that should have come back and have not.
    pub(crate) fn unanswered(&self) -> usize {
        if self.mode == Mode::Echo { self.due.len() } else { 0 }
    }

    /// The same, and all texts if they are not known to come back.
    pub(crate) fn unconfirmed(&self) -> usize {
        self.due.len() + self.forgotten
    }

    /// The connection was lost: whether something that was sent on it may not have arrived.
    pub(crate) fn connection_lost(&mut self) -> bool {
        let is_echo_due = if self.mode == Mode::Echo { !self.due.is_empty() } else { self.has_sent };
        let may_be_lost = is_echo_due || self.whos_due > 0;
        self.due.clear();
        (self.has_sent, self.through_at, self.whos_due) = (false, None, 0);
        (self.forgotten, self.last_is_asked) = (0, false);
        may_be_lost
    }

    /// Until when a server that works may say nothing, and take nothing, if it has not since `quiet_since`. One that does
    /// not echo may be a chat that slows its writers down.
    pub(crate) fn silence_ends(&self, quiet_since: Instant) -> Instant {
        let chat_is_through = self.through_at.and_then(|at| at.checked_sub(CHAT_PACE * CHAT_BURST));
        match chat_is_through.filter(|_| self.mode != Mode::Echo) {
            Some(at) => at.max(quiet_since) + ANSWER_WAIT,
            None => quiet_since + ANSWER_WAIT,
        }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::now;

    #[test]
    fn an_echo_is_known_by_two_texts_and_misses_the_rest() {
        let mut receipts = Receipts::default();
        ["zero", "one", "two", "three"].iter().for_each(|text| receipts.sent(text, now()));
        receipts.server_said("said at the console");
        receipts.server_said("zero");
        assert_eq!((receipts.unanswered(), receipts.unconfirmed()), (0, 3));
        receipts.server_said("one");
        receipts.server_said("said at the console");
        assert_eq!((receipts.unanswered(), receipts.unconfirmed()), (2, 2));
        assert!(receipts.connection_lost());
        assert!(!receipts.connection_lost());
        receipts.sent("four", now());
        receipts.server_said("four");
        receipts.who_asked();
        assert!(receipts.is_owed());
        receipts.who_answered();
        assert!(!receipts.is_owed() && !receipts.connection_lost());
    }

    #[test]
    fn a_server_that_echoes_nothing_is_not_expected_to_and_given_more_time() {
        let (mut receipts, now) = (Receipts::default(), now());
        (0..CHAT_BURST).for_each(|number| receipts.sent(&number.to_string(), now));
        assert_eq!(receipts.silence_ends(now), now + ANSWER_WAIT);
        (0..=RECEIPTS).for_each(|number| receipts.sent(&number.to_string(), now));
        assert_eq!((receipts.unanswered(), receipts.unconfirmed()), (0, CHAT_BURST as usize + RECEIPTS + 1));
        assert_eq!(receipts.silence_ends(now), now + CHAT_PACE * (RECEIPTS as u32 + 1) + ANSWER_WAIT);
        assert!(receipts.connection_lost());
        assert_eq!(receipts.silence_ends(now), now + ANSWER_WAIT);
        assert_eq!(receipts.unconfirmed(), 0);
    }

    #[test]
    fn the_answer_to_the_last_question_confirms_what_was_sent_before_it() {
        let mut receipts = Receipts::default();
        for texts in [3, RECEIPTS + 3] {
            (0..texts).for_each(|number| receipts.sent(&number.to_string(), now()));
            receipts.who_asked();
            receipts.last_who_asked();
            assert!(receipts.who_answered(), "the first was asked by somebody");
            assert_eq!((receipts.unconfirmed(), receipts.is_last_who_due()), (texts, true));
            assert!(!receipts.who_answered());
            assert_eq!((receipts.unconfirmed(), receipts.is_last_who_due()), (0, false));
            assert!(!receipts.connection_lost());
        }
    }
}
