//! The store's connection: greeted, read, and given up.

use super::carriage::Unsaid;
use super::command::Command;
use super::greeting::{self, Step};
use super::pipeline::{Reply, Unanswered};
use super::room::ROOM;
use super::{Asked, SharedStore};
use crate::Moment;
use crate::store::{Completion, Directory, Failure, Fetched, Link, LinkAction, News, Notice};
use log::Level;
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

    fn handle_connected(&mut self, now: Moment) {
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
                Ok(None) => return true,
                Err(reason) => Err(reason),
            };
            if let Err(reason) = taken {
                self.give_up(&reason, now);
                return false;
            }
        }
    }

    fn handle_closed(&mut self, reason: &str, now: Moment) {
        self.give_up(reason, now);
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
            | Asked::Who { ticket }
            | Asked::Debts { ticket } => {
                self.fetched.push_back(Fetched { ticket, answer: None });
            }
            Asked::Open { ticket, entry } => {
                // It may be there all the same.
                self.carry(entry, None);
                self.fetched.push_back(Fetched { ticket, answer: None });
            }
            Asked::Resume { ticket, .. } => {
                self.end_resuming();
                self.fetched.push_back(Fetched { ticket, answer: None });
            }
            Asked::EndAll { ticket, name, why } => {
                self.insist(Unsaid::EndAll { name, why, became: None });
                self.fetched.push_back(Fetched { ticket, answer: None });
            }
            Asked::Said(unsaid) => self.insist(unsaid),
            Asked::Confirm { session } => {
                self.carriage.note_new_tokens(session);
                self.carriage.renew_at(session, self.now);
            }
            // Where the connection is of use still these are asked again at once.
            Asked::Present if self.is_ready() => self.ask_who_is_here(),
            Asked::Kept { told } => {
                told.into_iter().for_each(|(session, _)| self.carriage.renew_at(session, self.now));
            }
            Asked::Stored { ticket } => {
                self.completed.push_back(Completion { ticket, outcome: Err(Failure::Away) });
            }
            Asked::Greeting(_) | Asked::Debt { .. } | Asked::Present | Asked::Clock | Asked::Noted => {}
        }
    }

    /// The connection is of no use any more, for this reason.
    pub(super) fn give_up(&mut self, reason: &str, now: Moment) {
        if self.trouble.is_none() {
            let text = format!("the shared store {} cannot be reached: {reason}", self.address);
            self.notices.push_back(Notice::new(Level::Error, text.clone()));
            self.trouble = Some((now, text));
        }
        self.carriage.push_news(News::Cut);
        for unanswered in self.pipeline.handle_closed(now) {
            self.leave_unanswered(unanswered);
        }
        for what in self.pipeline.take_queued(|what| matches!(what, Asked::Said(_))) {
            self.leave_unanswered(Unanswered(what));
        }
    }
}
