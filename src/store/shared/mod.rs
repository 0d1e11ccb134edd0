//! A store that several servers share: Valkey or Redis, 7.0 or newer.
//!
#![doc = include_str!("shared.md")]

mod address;
mod carriage;
mod command;
mod connection;
mod direct;
mod error;
mod frame;
mod greeting;
mod keys;
mod listing;
mod pipeline;
mod probe;
mod record;
mod refusal;
mod replies;
mod retries;
mod room;
mod scripts;
mod sessions;
#[cfg(test)]
mod tests;
mod trouble;

pub use address::{BadStoreAddress, StoreAddress};
pub use direct::DirectStore;
pub use error::StoreError;
pub use greeting::{BadDurability, Durability};
pub use listing::{BadRecord, StoredUsers, check_new};

use super::{
    Account, AccountChange, Completion, Directory, EndReason, EntryId, Fetched, Link, LinkFigures, Lookup,
    Notice, Store, Ticket,
};
use crate::Moment;
use crate::auth::{Name, Origin, PasswordHash, SessionId};
use crate::limits::{DEBT_MOST, STORE_VISIT};
use carriage::Carriage;
use command::Command;
use greeting::Step;
use keys::{BIRTH, COUNT, alike_key, debt_key, look_key, user_key, visitor_key};
use log::Level;
use pipeline::Pipeline;
use probe::Probe;
use retries::{Retries, Retry};
use scripts::{ALTER, CHARGE, REGISTER, REHASH};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use trouble::{Kind, Trouble};

/// From one line about a strange reply to the next.
const WARN_PAUSE: Duration = Duration::from_secs(10);

/// One that speaks no TLS may wait for the end of what it takes for a line.
const NO_HANDSHAKE: &str = "it does not answer to TLS: if it speaks none at this port, give its tls-port, or write redis:// for rediss://";

/// What scripts call a user who is not one any more.
const REMOVED: &str = "removed";

/// What a reply is for.
#[derive(Debug)]
enum Asked {
    Greeting(Step),
    Name {
        ticket: Ticket,
        name: Name,
    },
    Visitor {
        ticket: Ticket,
    },
    Stored {
        ticket: Ticket,
    },
    Debt {
        origin: Origin,
    },
    Open {
        ticket: Ticket,
        entry: EntryId,
    },
    Resume {
        ticket: Ticket,
        /// Hashes of the new token, and of the one that was presented, and the peer.
        opened: (String, String, String),
        asked: Moment,
    },
    EndAll {
        ticket: Ticket,
        name: Name,
        why: EndReason,
    },
    Confirm {
        session: SessionId,
    },
    Retry(Retry),
    /// These sessions are spoken of by it, and which of their tokens each has.
    Kept {
        renewed: Vec<(SessionId, u64)>,
    },
    Present,
    Who {
        ticket: Ticket,
    },
    Debts {
        ticket: Ticket,
    },
    /// The answer is what the store's clock shows.
    Clock,
    /// Whether it takes what it is told.
    Probe,
    /// Nobody waits for it.
    Noted,
}

/// Users, visitors and debts that several servers share.
#[derive(Debug)]
pub struct SharedStore {
    address: StoreAddress,
    places: Vec<SocketAddr>,
    durability: Durability,
    pipeline: Pipeline<Asked>,
    /// What was made at the `store init` that this is about.
    birth: String,
    trouble: Trouble,
    /// A connection is being made, and somebody has accepted it.
    is_accepted: bool,
    probe: Probe,
    /// What was said of it that is to be known though it can be used.
    cautions: Vec<String>,
    fetched: VecDeque<Fetched>,
    completed: VecDeque<Completion>,
    debts: VecDeque<(Origin, Duration)>,
    notices: VecDeque<Notice>,
    carriage: Carriage,
    retries: Retries,
    /// As far as it was told.
    now: Moment,
    users: usize,
    /// All users, where somebody has asked for them beforehand.
    listed: Option<Vec<Account>>,
    /// When something was last wrong with a reply: one line a while is enough.
    warned: Option<Moment>,
}

impl SharedStore {
    /// The store that was found at this address, whose host is at these places. It has no connection of its own yet: whoever
    /// drives it makes one. Others know it by a random mark; a session that its process leaves behind waits for as long as one
    /// that lost its connection.
    ///
    /// # Errors
    /// One line, if the store was never initialised.
    pub fn new(
        address: StoreAddress,
        places: Vec<SocketAddr>,
        direct: &DirectStore,
        mark: [u8; 8],
        resume_window: Duration,
    ) -> Result<SharedStore, StoreError> {
        let birth = direct.birth().ok_or_else(|| StoreError::NotInitialised(address.clone()))?.to_owned();
        let durability = direct.durability();
        Ok(SharedStore {
            trouble: Trouble::new(address.to_string()),
            is_accepted: false,
            probe: Probe::new(),
            cautions: direct.bare_cautions().to_vec(),
            address,
            places,
            durability,
            pipeline: Pipeline::new(),
            birth,
            fetched: VecDeque::new(),
            completed: VecDeque::new(),
            debts: VecDeque::new(),
            notices: VecDeque::new(),
            carriage: Carriage::new(mark, resume_window),
            retries: Retries::new(),
            now: Moment::START,
            users: 0,
            listed: None,
            warned: None,
        })
    }

    /// Takes users to be [listed](Store::account), as [`DirectStore::users`] has them: there may be many, so it is for a
    /// program that has nothing else to do.
    pub fn take_accounts(&mut self, accounts: Vec<Account>) {
        self.listed = Some(accounts);
    }

    /// Whether it can be reached.
    pub fn is_ready(&self) -> bool {
        self.pipeline.is_ready()
    }

    /// Strangers can bring it about, so it is not said each time.
    fn warn(&mut self, reason: String, now: Moment) {
        if self.warned.is_none_or(|before| before + WARN_PAUSE <= now) {
            self.warned = Some(now);
            self.notices.push_back(Notice::new(Level::Warn, reason));
        }
    }

    /// A script that looks at the birth and the clock before all else, with its other keys and arguments.
    fn script(&self, script: &str, keys: &[&str], arguments: &[&str]) -> Command {
        let command = Command::guarded(script, keys, &self.birth);
        arguments.iter().fold(command, |command, argument| command.with(argument.as_bytes()))
    }

    /// Has a user's record changed.
    fn change(&mut self, script: &str, keys: &[&str], ticket: Ticket, arguments: &[&str]) {
        let command = self.script(script, keys, arguments);
        self.pipeline.ask(command, Asked::Stored { ticket });
    }
}

fn charge_command(origin: Origin, penalty: Duration) -> Command {
    let command = Command::script(CHARGE, &[&debt_key(origin)]);
    let spans = [penalty, DEBT_MOST].map(|span| span.as_millis().to_string());
    let command = spans.iter().fold(command, |command, span| command.with(span.as_bytes()));
    command.with(origin.to_string().as_bytes())
}

impl Store for SharedStore {
    fn link(&mut self) -> Option<&mut dyn Link> {
        Some(self)
    }

    fn find(&self, _: &Name) -> Lookup {
        Lookup::Elsewhere
    }

    fn fetch(&mut self, ticket: Ticket, name: &Name) {
        let command = Command::new(&["MGET", BIRTH, &user_key(name), &look_key(name), COUNT]);
        self.pipeline.ask(command, Asked::Name { ticket, name: name.clone() });
    }

    /// While the store is away nobody waits for a greeting.
    fn fetch_visitor(&mut self, ticket: Ticket, address: IpAddr) -> bool {
        if !self.is_ready() {
            return false;
        }
        self.pipeline.ask(Command::new(&["GET", &visitor_key(address)]), Asked::Visitor { ticket });
        true
    }

    fn poll_fetched(&mut self) -> Option<Fetched> {
        self.fetched.pop_front()
    }

    fn user_count(&self) -> usize {
        self.users
    }

    /// Of users elsewhere it is not known: a name that nobody has costs what a new one does.
    fn rounds(&self, _: usize) -> Option<u32> {
        None
    }

    fn lists_accounts(&self) -> bool {
        self.listed.is_some()
    }

    fn account(&self, number: usize) -> Option<Account> {
        self.listed.as_ref()?.get(number).cloned()
    }

    fn accounts_end(&self) -> usize {
        self.listed.as_ref().map_or(0, Vec::len)
    }

    fn register(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        let (user, look) = (user_key(&name), look_key(&name));
        self.change(REGISTER, &[&user, &look, COUNT], ticket, &[&password.to_phc(), name.as_str()]);
    }

    fn rehash(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        self.change(REHASH, &[&user_key(&name)], ticket, &[&password.to_phc(), ""]);
    }

    fn replace(&mut self, ticket: Ticket, name: Name, password: PasswordHash, replaces: &PasswordHash) {
        self.change(REHASH, &[&user_key(&name)], ticket, &[&password.to_phc(), &replaces.to_phc()]);
    }

    fn alter(&mut self, ticket: Ticket, name: Name, change: AccountChange) -> bool {
        let state = match change {
            AccountChange::Enable => record::state(false),
            AccountChange::Disable => record::state(true),
            AccountChange::Remove => REMOVED,
        };
        let (user, look, alike) = (user_key(&name), look_key(&name), alike_key(&name));
        self.change(ALTER, &[&user, &look, COUNT, &alike], ticket, &[name.as_str(), state]);
        true
    }

    fn trouble(&self, _: Moment) -> Option<&str> {
        self.trouble.reason()
    }

    fn excuse(&self) -> &'static str {
        let kind = self.trouble.kind().or(self.probe.is_refused().then_some(Kind::Refusing));
        kind.map_or("the shared store gave no answer that is of use", Kind::excuse)
    }

    fn place(&self) -> Option<String> {
        Some(self.address.to_string())
    }

    fn link_figures(&self) -> Option<LinkFigures> {
        Some(LinkFigures { round_trip: self.pipeline.round_trip(), waiting: self.pipeline.waiting() })
    }

    fn figures(&self) -> Vec<String> {
        let round_trip = self.pipeline.round_trip().as_secs_f64() * 1e3;
        vec![format!(
            "shared store: {}, {} requests wait, the last reply took {round_trip:.1} ms",
            match self.trouble.kind() {
                Some(Kind::Refusing) => "refuses what it is told",
                _ if self.is_ready() => "ready",
                _ => "away",
            },
            self.pipeline.waiting()
        )]
    }

    fn next_commit(&self) -> Option<Moment> {
        let has_answers = !self.fetched.is_empty() || !self.completed.is_empty() || !self.notices.is_empty();
        if has_answers || self.carriage.has_news() {
            return Some(Moment::START);
        }
        let own = [self.carriage.next_deadline(), self.probe.due(), self.next_retry()];
        let own = self.is_ready().then(|| own.into_iter().min()).flatten();
        self.pipeline.next_deadline().into_iter().chain(own).min()
    }

    /// Gives up what is late. It does not block.
    fn commit(&mut self, now: Moment) {
        self.now = now;
        // What was not read is not late.
        if self.carriage.has_room() && self.pipeline.is_late(now) {
            match self.is_accepted && self.address.is_encrypted() {
                true => self.give_up(Kind::Unreachable, NO_HANDSHAKE, now),
                false => self.give_up(Kind::Gone, "it does not answer", now),
            }
        }
        while let Some(unanswered) = self.pipeline.poll_overdue(now) {
            self.leave_unanswered(unanswered);
        }
        self.renew(now);
        self.send_retries();
        self.probe_if_due(now);
    }

    fn directory(&mut self) -> Option<&mut dyn Directory> {
        Some(self)
    }

    fn is_idle(&self) -> bool {
        self.pipeline.waiting() == 0 && self.retries.is_done()
    }

    fn poll_notice(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        self.completed.pop_front()
    }

    fn last_visitor(&self, _: IpAddr) -> Option<Name> {
        None
    }

    fn note_visitor(&mut self, address: IpAddr, name: &Name) {
        let seconds = STORE_VISIT.as_secs().to_string();
        let command = Command::new(&["SET", &visitor_key(address), name.as_str(), "EX", &seconds]);
        self.pipeline.ask(command, Asked::Noted);
    }

    fn fetch_debt(&mut self, origin: Origin) {
        self.pipeline.ask(Command::new(&["PTTL", &debt_key(origin)]), Asked::Debt { origin });
    }

    fn charge(&mut self, origin: Origin, penalty: Duration) {
        self.ask_until_answered(Retry::Charge { origin, penalty });
    }

    fn forgive(&mut self, origin: Origin) {
        self.ask_until_answered(Retry::Forgive { origin });
    }

    fn poll_debt(&mut self) -> Option<(Origin, Duration)> {
        self.debts.pop_front()
    }
}
