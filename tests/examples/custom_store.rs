//! porter as a library: users kept where you want.
//!
//! A [`Store`] says who is known and keeps who registers. This one keeps users for as long as the program runs, as a test of
//! a service would. It runs a server on a thread of its own, talks to it, and stops it:
//!
//! ```text
//! $ cargo run --example custom_store
//! server: hi
//! 1 user was registered
//! ```

use porter::auth::{Name, PasswordHash};
use porter::client::Client;
use porter::engine::Config;
use porter::handler::Echo;
use porter::server::{Options, Server, ServerThread};
use porter::store::{Completion, Lookup, Store, Ticket};
use std::collections::{BTreeMap, VecDeque};
use std::error::Error;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Users that others may look at, too.
type Users = Arc<Mutex<BTreeMap<Name, PasswordHash>>>;

struct Memory {
    users: Users,
    /// In the order in which they came: a user keeps its number when one more comes.
    names: Vec<Name>,
    stored: VecDeque<Ticket>,
}

impl Memory {
    fn keep(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        if users.insert(name.clone(), password).is_none() {
            self.names.push(name);
        }
        self.stored.push_back(ticket);
    }
}

impl Store for Memory {
    fn find(&self, name: &Name) -> Lookup {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        users.get(name).cloned().map_or(Lookup::Unknown, Lookup::Known)
    }

    fn user_count(&self) -> usize {
        self.users.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn rounds(&self, number: usize) -> Option<u32> {
        let users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        self.names.get(number).and_then(|name| users.get(name)).map(|hash| hash.rounds)
    }

    fn register(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        self.keep(ticket, name, password);
    }

    fn rehash(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
        self.keep(ticket, name, password);
    }

    fn poll_completion(&mut self) -> Option<Completion> {
        self.stored.pop_front().map(|ticket| Completion { ticket, outcome: Ok(()) })
    }

    fn last_visitor(&self, _: IpAddr) -> Option<Name> {
        None
    }

    fn note_visitor(&mut self, _: IpAddr, _: &Name) {}
}

fn main() -> Result<(), Box<dyn Error>> {
    let users = Users::default();
    let store_users = Arc::clone(&users);
    let config = Config { hash_rounds: 1_000, ..Config::default() };
    let options = Options { port: 0, config, ..Options::default() };
    let server = ServerThread::spawn(move || {
        let store = Memory { users: store_users, names: Vec::new(), stored: VecDeque::new() };
        Server::with_store(options, store, Box::new(Echo))
    })?;
    let mut client = Client::connect(server.address(), Duration::from_secs(10))?;
    client.identify("ann")?;
    client.register("open sesame")?;
    client.login("open sesame")?;
    client.send("hi")?;
    println!("server: {}", client.receive()?.text);
    client.exit()?;
    server.stop()?;
    let count = users.lock().unwrap_or_else(PoisonError::into_inner).len();
    println!("{count} user was registered");
    Ok(())
}
