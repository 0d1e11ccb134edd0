//! The store's connection: greeted, read, and given up.

use super::command::Command;
use super::greeting::{self, Step};
use super::pipeline::{IF_IT_SPEAKS_TLS, Reply, Unanswered};
use super::retries::Retry;
use super::room::ROOM;
use super::trouble::Kind;
use super::{Asked, SharedStore};
use crate::Moment;
use crate::store::{Completion, Directory, Failure, Fetched, Link, LinkAction, News};
use std::net::SocketAddr;

impl Link for SharedStore {
    fn addresses(&self) -> &[SocketAddr] {
        &self.places
    }

    fn host(&self) -> Option<(&str, u16)> {
        Some((self.address.host(), self.address.port()))
    }

    fn handle_addresses(&mut self, addresses: Vec<SocketAddr>) {
        self.places = addresses;
    }

    fn is_encrypted(&self) -> bool {
        self.address.is_encrypted()
    }

    fn action(&mut self, now: Moment) -> LinkAction {
        self.pipeline.action(now)
    }

    fn handle_accepted(&mut self) {
        self.is_accepted = true;
    }

    fn handle_connected(&mut self, now: Moment) {
        self.is_accepted = false;
        self.pipeline.handle_connected();
        for (step, command) in greeting::commands(&self.address) {
            // Nobody answers but what others say from then on.
            if step == Step::Birth {
                self.pipeline.say_first(&Command::new(&["SUBSCRIBE", &self.carriage.channel(), ROOM]));
            }
            self.pipeline.ask_first(&command, Asked::Greeting(step), now);
        }
    }

    fn takes_bytes(&self) -> bool {
        self.carriage.has_room()
    }

    fn handle_bytes(&mut self, bytes: &[u8], now: Moment) -> bool {
        self.pipeline.handle_bytes(bytes);
        self.now = now;
        loop {
            let taken = match self.pipeline.poll_reply(now) {
                Ok(Some((Some(what), reply))) => self.take_reply(what, &reply, now),
                Ok(Some((None, push))) => {
                    if let Reply::Push { data, .. } = &push {
                        self.take_push(data);
                    }
                    Ok(())
                }
                Ok(None) => {
                    self.send_retries();
                    return true;
                }
                Err(reason) => Err(reason),
            };
            if let Err(reason) = taken {
                self.give_up(Kind::Unusable, &reason, now);
                return false;
            }
        }
    }

    fn handle_closed(&mut self, reason: &str, now: Moment) {
        match self.is_dropped_unanswered() {
            true => self.give_up(Kind::Unreachable, &format!("{reason}; {IF_IT_SPEAKS_TLS}"), now),
            false => self.give_up(Kind::Gone, reason, now),
        }
    }

    fn handle_failed(&mut self, reason: &str, now: Moment) {
        self.give_up(Kind::Unreachable, reason, now);
    }

    fn output(&mut self, now: Moment) -> &[u8] {
        self.now = now;
        self.pipeline.output(now)
    }

    fn advance(&mut self, bytes: usize) {
        self.pipeline.advance(bytes);
    }
}

impl SharedStore {
    /// Nobody will answer this any more.
    pub(super) fn leave_unanswered(&mut self, Unanswered(what): Unanswered<Asked>) {
        match what {
            Asked::Name { ticket, .. }
            | Asked::Visitor { ticket }
            | Asked::Resume { ticket, .. }
            | Asked::Who { ticket }
            | Asked::Debts { ticket } => {
                self.fetched.push_back(Fetched { ticket, answer: None });
            }
            Asked::Open { ticket, entry } => {
                // It may be there all the same.
                self.carry(entry, None);
                self.fetched.push_back(Fetched { ticket, answer: None });
            }
            Asked::EndAll { ticket, name, why } => {
                self.ask_until_answered(Retry::EndAll { name, why, became: None });
                self.fetched.push_back(Fetched { ticket, answer: None });
            }
            Asked::Retry(retry) => self.ask_until_answered(retry),
            Asked::Confirm { session } => {
                self.carriage.note_new_tokens(session);
                self.carriage.renew_at(session, self.now);
            }
            // Where the connection is of use still these are asked again at once.
            Asked::Present if self.is_ready() => self.ask_who_is_here(),
            Asked::Kept { renewed } => {
                renewed.into_iter().for_each(|(session, _)| self.carriage.renew_at(session, self.now));
            }
            Asked::Stored { ticket } => {
                self.completed.push_back(Completion { ticket, outcome: Err(Failure::Away) });
            }
            Asked::Greeting(_) | Asked::Debt { .. } | Asked::Present | Asked::Clock | Asked::Noted => {}
            Asked::Probe => self.probe.want_again(self.now),
        }
    }

    /// Whether it has said nothing to what every connection begins with: one that speaks TLS leaves so.
    fn is_dropped_unanswered(&self) -> bool {
        !self.address.is_encrypted()
            && matches!(self.pipeline.first_asked(), Some(Asked::Greeting(Step::Hello)))
    }

    /// The connection is of no use any more, for this reason.
    pub(super) fn give_up(&mut self, kind: Kind, reason: &str, now: Moment) {
        self.notices.extend(self.trouble.note(kind, reason, now));
        self.is_accepted = false;
        self.carriage.push_news(News::Cut);
        for unanswered in self.pipeline.handle_closed(now) {
            self.leave_unanswered(unanswered);
        }
        for what in self.pipeline.take_queued(|what| matches!(what, Asked::Retry(_))) {
            self.leave_unanswered(Unanswered(what));
        }
        self.probe.end();
    }
}
