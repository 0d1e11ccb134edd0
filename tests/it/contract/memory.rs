//! What the contract's loop runs on: a store and wires in memory, and numbers in place of random ones.

use super::driver::Wire;
use porter::Moment;
use porter::auth::{Name, PasswordHash};
use porter::engine::{Entropy, EntropyError, Output, TransportEvent, Written};
use porter::store::{Completion, Lookup, Store, Ticket};
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::rc::Rc;

/// A client's end of a wire, and what lies on it.
#[derive(Default)]
pub(super) struct Pipe {
    /// What was sent and not read.
    pub(super) sent: Vec<u8>,
    /// How nothing more comes, once that is so.
    pub(super) end: Option<TransportEvent<'static>>,
    is_over: bool,
    pub(super) received: Vec<u8>,
    /// Nothing more is written.
    pub(super) is_shut: bool,
}

pub(super) type Shared = Rc<RefCell<Pipe>>;

impl Wire for Shared {
    fn is_readable(&self) -> bool {
        let pipe = self.borrow();
        !pipe.sent.is_empty() || (pipe.end.is_some() && !pipe.is_over)
    }

    fn read(&mut self, most: usize) -> Result<Vec<u8>, TransportEvent<'static>> {
        let mut pipe = self.borrow_mut();
        match pipe.end {
            Some(end) if pipe.sent.is_empty() => {
                pipe.is_over = true;
                Err(end)
            }
            _ => {
                let count = pipe.sent.len().min(most);
                Ok(pipe.sent.drain(..count).collect())
            }
        }
    }

    fn write(&mut self, output: Output<'_>) -> Written {
        let bytes = output.bytes.to_vec();
        self.borrow_mut().received.extend_from_slice(&bytes);
        Written::bytes(bytes.len())
    }

    fn shut_down(&mut self) {
        self.borrow_mut().is_shut = true;
    }
}

/// Keeps users, and answers when it is let work, as one with a disk does.
#[derive(Default)]
pub(super) struct MemoryStore {
    users: HashMap<Name, PasswordHash>,
    /// In the order in which they came.
    names: Vec<Name>,
    waiting: Vec<(Ticket, Name, PasswordHash)>,
    answers: VecDeque<Completion>,
    visitors: HashMap<IpAddr, Name>,
}

impl Store for MemoryStore {
    fn find(&self, name: &Name) -> Lookup {
        match self.users.get(name) {
            Some(password) => Lookup::Known(password.clone()),
            None if self.waiting.iter().any(|(_, waiting, _)| waiting == name) => Lookup::Pending,
            None => Lookup::Unknown,
        }
    }

    fn user_count(&self) -> usize {
        self.users.len()
    }

    fn rounds(&self, number: usize) -> Option<u32> {
        self.names.get(number).and_then(|name| self.users.get(name)).map(|password| password.rounds)
    }

    fn register(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        self.waiting.push((ticket, name, password));
    }

    fn rehash(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        self.waiting.push((ticket, name, password));
    }

    fn next_commit(&self) -> Option<Moment> {
        (!self.waiting.is_empty()).then_some(Moment::START)
    }

    fn commit(&mut self, _: Moment) {
        for (ticket, name, password) in self.waiting.drain(..) {
            if self.users.insert(name.clone(), password).is_none() {
                self.names.push(name);
            }
            self.answers.push_back(Completion { ticket, outcome: Ok(()) });
        }
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        self.answers.pop_front()
    }

    fn last_visitor(&self, address: IpAddr) -> Option<Name> {
        self.visitors.get(&address).cloned()
    }

    fn note_visitor(&mut self, address: IpAddr, name: &Name) {
        self.visitors.insert(address, name.clone());
    }
}

/// Goes from number to number.
pub(super) struct Counter(pub(super) u64);

impl Entropy for Counter {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
        for byte in bytes {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (self.0 >> 56) as u8;
        }
        Ok(())
    }
}
