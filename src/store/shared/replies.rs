//! What the store answers, and what follows.

use super::command::Command;
use super::greeting::{self, Step, refused, text};
use super::pipeline::{Reply, Unanswered};
use super::retries::Retry;
use super::{Asked, SharedStore, record, refusal};
use crate::Moment;
use crate::auth::Name;
use crate::store::{Completion, Failure, Fetched, Found, Lookup, Notice};
use log::Level;
use std::time::Duration;

/// What is said of a store in which porter's mark is missing, or is another.
const EMPTIED: &str = "it was emptied, or is another than it was: restore it, or restart every server after porter-admin store init";

impl SharedStore {
    /// Carries out what was answered to a command; an error where the connection is of no use any more.
    pub(super) fn take_reply(&mut self, what: Asked, reply: &Reply, now: Moment) -> Result<(), String> {
        if let Some(reason) = unusable(reply) {
            self.leave_unanswered(Unanswered(what));
            return Err(reason);
        }
        if is_late(reply) {
            // It is slow, or a clock was set; what looks at the clock each second would be late as well.
            self.pipeline.ask(Command::new(&["TIME"]), Asked::Clock);
            self.leave_unanswered(Unanswered(what));
            return Ok(());
        }
        if refusal::error(reply).is_some() && !matches!(what, Asked::Probe | Asked::Greeting(_)) {
            self.take_refusal(what, reply, now);
            return Ok(());
        }
        match what {
            Asked::Probe => self.take_probe(reply, now),
            Asked::Greeting(step) => self.take_greeting(step, reply, now)?,
            Asked::Name { ticket, name } => {
                let found = self.found(&name, reply);
                let is_emptied = found == Ok(None);
                let answer = match found {
                    Ok(found) => found.map(Found::Name),
                    Err(reason) => {
                        self.warn(reason.clone(), now);
                        Some(Found::Unusable(reason))
                    }
                };
                self.fetched.push_back(Fetched { ticket, answer });
                if is_emptied {
                    return Err(EMPTIED.to_owned());
                }
            }
            Asked::Visitor { ticket } => {
                let last = text(reply).and_then(|name| Name::stored(name).ok());
                self.fetched.push_back(Fetched { ticket, answer: Some(Found::Visitor(last)) });
            }
            Asked::Stored { ticket } => {
                self.completed.push_back(Completion { ticket, outcome: outcome(reply) });
            }
            Asked::Debt { origin } | Asked::Retry(Retry::Charge { origin, .. }) => match reply {
                Reply::Number { data, .. } => {
                    let owed = Duration::from_millis(u64::try_from(*data).unwrap_or(0));
                    self.debts.push_back((origin, owed));
                }
                other => {
                    let reason = format!("what {origin} owes elsewhere is not known: {}", refused(other));
                    self.warn(reason, now);
                }
            },
            Asked::Open { ticket, entry } => self.take_opened(ticket, entry, reply),
            Asked::Resume { ticket, opened, asked } => self.take_resumed(ticket, opened, asked, reply),
            Asked::Who { ticket } => self.take_sessions(ticket, reply),
            Asked::Debts { ticket } => self.take_debts(ticket, reply),
            Asked::EndAll { ticket, .. } => {
                let count =
                    if let Reply::Number { data, .. } = reply { usize::try_from(*data).ok() } else { None };
                self.fetched.push_back(Fetched { ticket, answer: count.map(Found::Ended) });
            }
            Asked::Kept { renewed } => self.take_kept(&renewed, reply),
            Asked::Present => self.take_present(reply),
            Asked::Clock => self.take_clock(reply, now),
            Asked::Retry(Retry::End { entry }) => drop(self.carriage.ended.remove(&entry)),
            Asked::Retry(_) | Asked::Confirm { .. } | Asked::Noted => {}
        }
        Ok(())
    }

    /// What is to be known of a store that can be used is said when it is new.
    fn caution(&mut self, cautions: Vec<String>) {
        for caution in cautions.iter().filter(|caution| !self.cautions.contains(caution)) {
            let text = format!("the shared store {}: {caution}", self.address);
            self.notices.push_back(Notice::new(Level::Warn, text));
        }
        self.cautions = cautions;
    }

    fn take_clock(&mut self, reply: &Reply, now: Moment) {
        greeting::clock(reply).into_iter().for_each(|shown| self.pipeline.set_clock(shown, now));
    }

    fn take_greeting(&mut self, step: Step, reply: &Reply, now: Moment) -> Result<(), String> {
        match step {
            Step::Hello => greeting::check_hello(reply),
            Step::Select => text(reply).map(drop).ok_or_else(|| refused(reply)),
            Step::Persistence => {
                greeting::check_persistence(reply, self.durability)?;
                self.caution(greeting::cautions(reply, self.durability));
                Ok(())
            }
            Step::Clock => {
                self.take_clock(reply, now);
                Ok(())
            }
            Step::Birth => match (reply, text(reply)) {
                (_, Some(birth)) if self.birth == birth => {
                    self.pipeline.handle_greeted(now);
                    self.say_all(now);
                    self.notices.extend(self.trouble.end_away(now));
                    self.probe_now(now);
                    Ok(())
                }
                (Reply::Null, _) | (_, Some(_)) => Err(EMPTIED.to_owned()),
                _ => Err(refused(reply)),
            },
        }
    }

    /// What is known of a name, of the reply to a question for all that tells; nothing if the birth is not the same.
    fn found(&mut self, name: &Name, reply: &Reply) -> Result<Option<Lookup>, String> {
        let Reply::Array { data, .. } = reply else { return Err(refused(reply)) };
        let [birth, user, look, count] = data.as_slice() else { return Err(refused(reply)) };
        if text(birth) != Some(&self.birth) {
            return Ok(None);
        }
        if let Some(count) = text(count).and_then(|count| count.parse().ok()) {
            self.users = count;
        }
        match (text(user), look) {
            (Some(record), _) => record::parse(name, record).map(|account| Some(account.into())),
            (None, Reply::Null) if *user == Reply::Null => Ok(Some(Lookup::Unknown)),
            // Its own look without its record: that is missing, or something else is there.
            (None, look) if *user == Reply::Null && text(look) == Some(name.as_str()) => {
                Err(format!("the record of {name} is missing or no text"))
            }
            (None, _) if *user == Reply::Null => Ok(Some(Lookup::LookAlike)),
            (None, _) => Err(refused(user)),
        }
    }
}

/// Why the connection is of no use any more, if this reply says so, whatever it answers.
fn unusable(reply: &Reply) -> Option<String> {
    let Reply::SimpleError { data, .. } = reply else { return None };
    match data.split(' ').next()? {
        "EMPTIED" => Some(EMPTIED.to_owned()),
        "READONLY" | "MASTERDOWN" | "LOADING" | "NOAUTH" => Some(refused(reply)),
        _ => None,
    }
}

/// Whether a script was not carried out because nobody waited for it any more.
fn is_late(reply: &Reply) -> bool {
    matches!(reply, Reply::SimpleError { data, .. } if data.starts_with("LATE "))
}

/// What a script says.
pub(super) fn outcome(reply: &Reply) -> Result<(), Failure> {
    Err(match text(reply) {
        Some("done") => return Ok(()),
        Some("taken") => Failure::Taken,
        Some("looks") => Failure::LookAlike,
        Some("changed") => Failure::Changed,
        Some("unknown") => Failure::Unknown,
        _ => Failure::Other(format!("the shared store did not take it: {}", refused(reply))),
    })
}
