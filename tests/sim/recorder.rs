//! Looks on at the engine's two other doors: what it asks of the store, and what it tells its handler.

use crate::disk::SimDisk;
use porter::auth::{Name, PasswordHash};
use porter::engine::{Entropy, EntropyError};
use porter::handler::{Context, Handler, Speaker};
use porter::store::{Account, AccountChange, Completion, DiskStore, Lookup, Stamp, Store, Ticket};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::rc::Rc;

use crate::random::Random;

/// What passed between the engine and its store.
#[derive(Debug)]
pub(crate) enum Stored {
    Register { ticket: u64, name: String, hash: PasswordHash },
    Rehash { ticket: u64, name: String, hash: PasswordHash },
    Answer { ticket: u64, kept: bool },
}

/// The real store, watched.
pub(crate) struct WatchedStore {
    pub(crate) real: DiskStore<SimDisk>,
    pub(crate) log: Vec<Stored>,
}

impl Store for WatchedStore {
    fn find(&self, name: &Name) -> Lookup {
        self.real.find(name)
    }

    fn user_count(&self) -> usize {
        self.real.user_count()
    }

    fn rounds(&self, number: usize) -> Option<u32> {
        self.real.rounds(number)
    }

    fn account(&self, number: usize) -> Option<Account> {
        self.real.account(number)
    }

    fn accounts_end(&self) -> usize {
        self.real.accounts_end()
    }

    fn visit(&self, number: usize) -> Option<(Name, Stamp)> {
        self.real.visit(number)
    }

    fn visits_end(&self) -> usize {
        self.real.visits_end()
    }

    fn register(&mut self, Ticket(ticket): Ticket, name: Name, hash: PasswordHash) {
        self.log.push(Stored::Register { ticket, name: name.to_string(), hash: hash.clone() });
        self.real.register(Ticket(ticket), name, hash);
    }

    fn rehash(&mut self, Ticket(ticket): Ticket, name: Name, hash: PasswordHash) {
        self.log.push(Stored::Rehash { ticket, name: name.to_string(), hash: hash.clone() });
        self.real.rehash(Ticket(ticket), name, hash);
    }

    fn alter(&mut self, ticket: Ticket, name: Name, change: AccountChange) -> bool {
        self.real.alter(ticket, name, change)
    }

    fn import(&mut self, ticket: Ticket, accounts: Vec<Account>) -> bool {
        self.real.import(ticket, accounts)
    }

    fn reload(&mut self) {
        self.real.reload();
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        let completion = self.real.poll_completion()?;
        self.log.push(Stored::Answer { ticket: completion.ticket.0, kept: completion.outcome.is_ok() });
        Some(completion)
    }

    fn last_visitor(&self, address: IpAddr) -> Option<Name> {
        self.real.last_visitor(address)
    }

    fn note_visitor(&mut self, address: IpAddr, name: &Name) {
        self.real.note_visitor(address, name);
    }
}

/// What the handler was told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Message { name: String, text: String },
    Joined { name: String },
    Left { name: String, last: bool },
}

/// What the handler was told and nobody has looked at yet.
pub(crate) type TellTale = Rc<RefCell<VecDeque<Told>>>;

/// A real handler, watched.
pub(crate) struct WatchedHandler {
    pub(crate) real: Box<dyn Handler>,
    pub(crate) log: TellTale,
}

impl Handler for WatchedHandler {
    fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context) {
        let told = Told::Message { name: from.name.to_string(), text: text.to_owned() };
        self.log.borrow_mut().push_back(told);
        self.real.message(from, text, context);
    }

    fn fans_out(&self) -> bool {
        self.real.fans_out()
    }

    fn joined(&mut self, who: Speaker<'_>, context: &mut dyn Context) {
        self.log.borrow_mut().push_back(Told::Joined { name: who.name.to_string() });
        self.real.joined(who, context);
    }

    fn left(&mut self, who: Speaker<'_>, last: bool, context: &mut dyn Context) {
        self.log.borrow_mut().push_back(Told::Left { name: who.name.to_string(), last });
        self.real.left(who, last, context);
    }

    fn console_text(&mut self, text: &str, context: &mut dyn Context) {
        self.real.console_text(text, context);
    }
}

/// The random source: from the seed, and at times there is nothing to be had.
#[derive(Clone)]
pub(crate) struct SeededEntropy(pub(crate) Rc<RefCell<Source>>);

/// What is behind it.
pub(crate) struct Source {
    pub(crate) random: Random,
    /// So many of the next calls fail.
    pub(crate) failures: u32,
    /// What was drawn of a token's length since somebody looked: tells in which order tokens were given.
    pub(crate) drawn: Vec<[u8; 16]>,
}

impl Entropy for SeededEntropy {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        let source = &mut *self.0.borrow_mut();
        if source.failures > 0 {
            source.failures -= 1;
            return Err(EntropyError("no random bytes (simulated)".to_owned()));
        }
        source.random.fill(bytes);
        source.drawn.extend(bytes.first_chunk::<16>());
        Ok(())
    }
}
