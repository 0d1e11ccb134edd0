//! What the store is told until it has answered: kept while it cannot be asked, and sent a few at a time, so that a store that
//! was away is not taken for dead under all that has come together.

use super::command::Command;
use super::keys::debt_key;
use super::scripts::{END, END_ALL, FORGIVE};
use super::sessions::{hex, word};
use super::trouble::Kind;
use super::{Asked, SharedStore, charge_command};
use crate::Moment;
use crate::auth::{Name, Origin};
use crate::limits::LEASE_RENEWAL;
use crate::store::{EndReason, EntryId};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How many may be under way: a store that syncs each needs a quarter of the time that one is waited for, at most.
const AT_ONCE: usize = 100;
/// Origins whose charges are kept.
const CHARGED: usize = 10_000;

/// Something that is asked again until it is answered.
#[derive(Debug)]
pub(super) enum Retry {
    End {
        entry: EntryId,
    },
    /// If the user's record became this, or whatever it is.
    EndAll {
        name: Name,
        why: EndReason,
        became: Option<String>,
    },
    Charge {
        origin: Origin,
        penalty: Duration,
    },
    Forgive {
        origin: Origin,
    },
}

/// What waits to be asked, or asked again.
#[derive(Debug)]
pub(super) struct Retries {
    /// As soon as fewer are under way. An end that is forgotten would be a session that can be resumed: of those there are at
    /// most as many as sessions.
    waiting: VecDeque<Retry>,
    /// Behind them. What an origin is charged is one charge.
    charges: BTreeMap<Origin, Duration>,
    /// What the store refused though it takes others, and when that is asked again.
    refused: Vec<Retry>,
    refused_due: Moment,
}

impl Retries {
    pub(super) fn new() -> Retries {
        Retries {
            waiting: VecDeque::new(),
            charges: BTreeMap::new(),
            refused: Vec::new(),
            refused_due: Moment::NEVER,
        }
    }

    pub(super) fn add(&mut self, retry: Retry) {
        match retry {
            Retry::Charge { origin, penalty } => {
                if self.charges.len() < CHARGED || self.charges.contains_key(&origin) {
                    *self.charges.entry(origin).or_default() += penalty;
                }
            }
            retry => {
                if let Retry::Forgive { origin } = &retry {
                    self.charges.remove(origin);
                }
                self.waiting.push_back(retry);
            }
        }
    }

    /// The store has refused it.
    pub(super) fn add_refused(&mut self, retry: Retry, now: Moment) {
        if self.refused.len() < CHARGED || !matches!(retry, Retry::Charge { .. }) {
            self.refused.push(retry);
            self.refused_due = self.refused_due.min(now + LEASE_RENEWAL);
        }
    }

    /// What was refused is asked again.
    fn take_up_refused(&mut self) {
        self.refused_due = Moment::NEVER;
        std::mem::take(&mut self.refused).into_iter().for_each(|retry| self.add(retry));
    }

    /// What comes before all else on a new connection: ends of all sessions of a name, which are few, and as much of the rest as
    /// may be under way.
    pub(super) fn take_first(&mut self) -> Vec<Retry> {
        self.take_up_refused();
        let (mut first, rest) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition::<Vec<_>, _>(|retry| matches!(retry, Retry::EndAll { .. }));
        self.waiting = rest.into();
        while first.len() < AT_ONCE
            && let Some(retry) = self.pop()
        {
            first.push(retry);
        }
        first
    }

    /// Whether the store has answered to all, as far as it was asked.
    pub(super) fn is_done(&self) -> bool {
        self.is_empty() && self.refused.is_empty()
    }

    fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.charges.is_empty()
    }

    fn pop(&mut self) -> Option<Retry> {
        let charge = |(origin, penalty)| Retry::Charge { origin, penalty };
        self.waiting.pop_front().or_else(|| self.charges.pop_first().map(charge))
    }
}

impl SharedStore {
    /// Asks for something until it is answered.
    pub(super) fn ask_until_answered(&mut self, retry: Retry) {
        self.retries.add(retry);
        self.send_retries();
    }

    /// Asks what waits, as long as few are under way and the store takes what it is told.
    pub(super) fn send_retries(&mut self) {
        if !self.is_ready() || self.trouble.kind() == Some(Kind::Refusing) {
            return;
        }
        if self.retries.refused_due <= self.now {
            self.retries.take_up_refused();
        }
        if self.retries.is_empty() {
            return;
        }
        let under_way = self.pipeline.asked().filter(|what| matches!(what, Asked::Retry(_))).count();
        for _ in under_way..AT_ONCE {
            let Some(retry) = self.retries.pop() else { return };
            self.pipeline.ask(self.retry_command(&retry), Asked::Retry(retry));
        }
    }

    /// When what was refused is to be asked again.
    pub(super) fn next_retry(&self) -> Moment {
        if self.trouble.kind() == Some(Kind::Refusing) { Moment::NEVER } else { self.retries.refused_due }
    }

    pub(super) fn retry_command(&self, retry: &Retry) -> Command {
        match retry {
            Retry::End { entry } => self.script(END, &[], &[&hex(&entry.0), &self.carriage.owner]),
            Retry::EndAll { name, why, became: None } => self.end_all_command(name, *why),
            // Of this server as well: it does not know either.
            Retry::EndAll { name, why, became: Some(record) } => {
                self.script(END_ALL, &[], &[name.as_str(), "", word(*why), record])
            }
            Retry::Charge { origin, penalty } => charge_command(*origin, *penalty),
            Retry::Forgive { origin } => Command::script(FORGIVE, &[&debt_key(*origin)])
                .with(self.carriage.owner.as_bytes())
                .with(origin.to_string().as_bytes()),
        }
    }

    pub(super) fn end_all_command(&self, name: &Name, why: EndReason) -> Command {
        self.script(END_ALL, &[], &[name.as_str(), &self.carriage.owner, word(why), ""])
    }
}
