//! A shared store, asked by a program that waits for each answer: at a server's start, and by whoever administers users.

use super::command::Command;
use super::greeting::{self, Durability, Step, refused, text};
use super::keys::{BIRTH, COUNT, USER, alike_key, look_key, user_key};
use super::pipeline::{Reply, WRITE_REDISS, first_reply};
use super::scripts::IMPORT;
use super::{StoreAddress, record};
use crate::auth::Name;
use crate::store::Account;
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

/// Commands that are written before their replies are read: neither side's buffers are ever full.
const AT_ONCE: usize = 256;

/// What carries bytes both ways, and waits for each.
pub trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// A connection that is there. Each error is one line that names the store.
pub struct DirectStore {
    address: StoreAddress,
    durability: Durability,
    stream: Box<dyn Stream>,
    input: Vec<u8>,
    birth: Option<String>,
}

impl DirectStore {
    /// Finds out whether the store at the other end is one that porter can use.
    ///
    /// # Errors
    /// If it is not, or does not answer.
    pub fn new(
        address: StoreAddress,
        durability: Durability,
        stream: Box<dyn Stream>,
    ) -> Result<DirectStore, String> {
        let mut store = DirectStore { address, durability, stream, input: Vec::new(), birth: None };
        match store.greet() {
            Ok(()) => Ok(store),
            Err(reason) => Err(format!("the shared store {} cannot be used: {reason}", store.address)),
        }
    }

    /// What the store must keep.
    pub(super) fn durability(&self) -> Durability {
        self.durability
    }

    /// The mark that was made when the store was initialised, if it was.
    pub fn birth(&self) -> Option<&str> {
        self.birth.as_deref()
    }

    /// Makes that mark, from so many random bytes: from now on servers take what is there for porter's.
    ///
    /// # Errors
    /// If it was made before.
    pub fn init(&mut self, random: [u8; 16]) -> Result<(), String> {
        let mark = format!("{:032x}", u128::from_be_bytes(random));
        match self.ask(&Command::new(&["SET", BIRTH, &mark, "NX"]))? {
            Reply::Null => Err(format!("{} is initialised already; nothing is changed", self.address)),
            reply => {
                text(&reply).map(|_| self.birth = Some(mark)).ok_or_else(|| self.named(&refused(&reply)))
            }
        }
    }

    /// All users, in no order.
    ///
    /// # Errors
    /// If the store does not answer, or has a record that is none.
    pub fn accounts(&mut self) -> Result<Vec<Account>, String> {
        self.birth_known()?;
        let (mut accounts, mut cursor) = (BTreeMap::new(), "0".to_owned());
        loop {
            let scan = Command::new(&["SCAN", &cursor, "MATCH", &format!("{USER}*"), "COUNT", "1000"]);
            let reply = self.ask(&scan)?;
            let Reply::Array { data, .. } = &reply else { return Err(self.named(&refused(&reply))) };
            let [next, Reply::Array { data: keys, .. }] = data.as_slice() else {
                return Err(self.named(&refused(&reply)));
            };
            cursor = text(next).unwrap_or("0").to_owned();
            // A key may be there twice.
            for account in self.accounts_of(keys)? {
                accounts.insert(account.name.clone(), account);
            }
            if cursor == "0" {
                return Ok(accounts.into_values().collect());
            }
        }
    }

    fn accounts_of(&mut self, keys: &[Reply]) -> Result<Vec<Account>, String> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> =
            keys.iter().filter_map(text).filter_map(|key| key.strip_prefix(USER)).collect();
        let keys = names.iter().map(|name| format!("{USER}{name}"));
        let command = keys.fold(Command::new(&["MGET"]), |command, key| command.with(key.as_bytes()));
        let reply = self.ask(&command)?;
        let Reply::Array { data, .. } = &reply else { return Err(self.named(&refused(&reply))) };
        let mut accounts = Vec::with_capacity(names.len());
        for (name, record) in names.into_iter().zip(data) {
            // It may have been removed since.
            let Some(record) = text(record) else { continue };
            let name = Name::stored(name).map_err(|error| self.named(&format!("a name there: {error}")))?;
            accounts.push(record::parse(&name, record)?);
        }
        Ok(accounts)
    }

    /// Adds users as they are, each if its name is free or it is there already; tells the names of the others.
    ///
    /// # Errors
    /// If the store does not answer: then the first of them may be there. To do it again does no harm.
    pub fn import(&mut self, accounts: &[Account]) -> Result<Vec<Name>, String> {
        let birth = self.birth_known()?;
        let mut refusals = Vec::new();
        for chunk in accounts.chunks(AT_ONCE) {
            let commands = chunk.iter().map(|account| {
                let name = &account.name;
                let (user, look, alike) = (user_key(name), look_key(name), alike_key(name));
                Command::guarded(IMPORT, &[&user, &look, COUNT, &alike], &birth)
                    .with(account.name.as_str().as_bytes())
                    .with(record::text(account).as_bytes())
            });
            self.write(commands)?;
            for account in chunk {
                let reply = self.read()?;
                match text(&reply) {
                    Some("done") => {}
                    Some("taken") => refusals.push(account.name.clone()),
                    _ => return Err(self.named(&refused(&reply))),
                }
            }
        }
        Ok(refusals)
    }

    fn birth_known(&self) -> Result<String, String> {
        self.birth.clone().ok_or_else(|| self.named(&greeting::not_initialised(&self.address)))
    }

    fn greet(&mut self) -> Result<(), String> {
        for (step, command) in greeting::commands(&self.address.clone()) {
            let reply = self.write(std::iter::once(command)).and_then(|()| self.read());
            let reply = match reply {
                // One that speaks TLS does not always say so before it leaves.
                Err(reason)
                    if step == Step::Hello
                        && !self.address.is_encrypted()
                        && !reason.contains(WRITE_REDISS) =>
                {
                    return Err(format!("{reason}; if it speaks TLS at this port, {WRITE_REDISS}"));
                }
                reply => reply?,
            };
            match step {
                Step::Hello => greeting::check_hello(&reply)?,
                Step::Select => text(&reply).map(drop).ok_or_else(|| refused(&reply))?,
                Step::Persistence => greeting::check_persistence(&reply, self.durability)?,
                Step::Clock => {}
                Step::Birth => self.birth = text(&reply).map(str::to_owned),
            }
        }
        Ok(())
    }

    fn ask(&mut self, command: &Command) -> Result<Reply, String> {
        self.write(std::iter::once(command.clone()))
            .and_then(|()| self.read())
            .map_err(|error| self.named(&error))
    }

    fn write(&mut self, commands: impl Iterator<Item = Command>) -> Result<(), String> {
        let mut output = Vec::new();
        commands.for_each(|command| command.encode(None, &mut output));
        self.stream.write_all(&output).map_err(|error| unanswered(&error))
    }

    fn read(&mut self) -> Result<Reply, String> {
        let mut buffer = [0; 16 * 1024];
        loop {
            if let Some((reply, length)) = first_reply(&self.input)? {
                self.input.drain(..length);
                return Ok(reply);
            }
            match self.stream.read(&mut buffer).map_err(|error| unanswered(&error))? {
                0 => return Err("it has closed the connection".to_owned()),
                count => self.input.extend_from_slice(&buffer[..count]),
            }
        }
    }

    fn named(&self, reason: &str) -> String {
        format!("the shared store {}: {reason}", self.address)
    }
}

/// Why there is no answer: a socket that waits says so in its own words when it has waited long enough.
fn unanswered(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it does not answer".to_owned(),
        _ => error.to_string(),
    }
}
