//! A shared store, asked by a program that waits for each answer: at a server's start, and by whoever administers users.

use super::command::Command;
use super::greeting::{self, Durability, Step, refused, text};
use super::keys::{BIRTH, COUNT, alike_key, look_key, user_key};
use super::pipeline::{IF_IT_SPEAKS_TLS, Reply, WRITE_REDISS, first_reply};
use super::scripts::IMPORT;
use super::{StoreAddress, StoreError, record};
use crate::auth::{Name, skeleton};
use crate::store::Account;
use std::collections::HashMap;
use std::io::{self, Read, Write};

/// Commands that are written before their replies are read: neither side's buffers are ever full.
const AT_ONCE: usize = 256;

/// What carries bytes both ways, and waits for each.
pub trait Stream: Read + Write {}

impl<S: Read + Write> Stream for S {}

/// A connection that is there.
pub struct DirectStore {
    address: StoreAddress,
    durability: Durability,
    stream: Box<dyn Stream>,
    input: Vec<u8>,
    birth: Option<String>,
    cautions: Vec<String>,
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
    ) -> Result<DirectStore, StoreError> {
        let mut store =
            DirectStore { address, durability, stream, input: Vec::new(), birth: None, cautions: Vec::new() };
        match store.greet() {
            Ok(()) => Ok(store),
            Err(reason) => Err(StoreError::Unusable { address: store.address, reason }),
        }
    }

    /// What the store must keep.
    pub(super) fn durability(&self) -> Durability {
        self.durability
    }

    /// What whoever runs it should know of a store that can be used all the same.
    pub fn cautions(&self) -> Vec<String> {
        self.cautions.iter().map(|caution| self.failed(caution.clone()).to_string()).collect()
    }

    /// The same, without its name.
    pub(super) fn bare_cautions(&self) -> &[String] {
        &self.cautions
    }

    /// The mark that was made when the store was initialised, if it was.
    pub fn birth(&self) -> Option<&str> {
        self.birth.as_deref()
    }

    /// Makes that mark, from so many random bytes: from now on servers take what is there for porter's.
    ///
    /// # Errors
    /// If it was made before.
    pub fn init(&mut self, random: [u8; 16]) -> Result<(), StoreError> {
        let mark = format!("{:032x}", u128::from_be_bytes(random));
        match self.ask(&Command::new(&["SET", BIRTH, &mark, "NX"]))? {
            Reply::Null => Err(StoreError::Initialised(self.address.clone())),
            reply => {
                text(&reply).map(|_| self.birth = Some(mark)).ok_or_else(|| self.failed(refused(&reply)))
            }
        }
    }

    /// Adds users as they are, each if its name is free or it is there already; tells the names of the others.
    ///
    /// # Errors
    /// If the store does not answer: then the first of them may be there. To do it again does no harm.
    pub fn import(&mut self, accounts: &[Account]) -> Result<Vec<Name>, StoreError> {
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
            self.write(commands).map_err(|reason| self.failed(reason))?;
            for account in chunk {
                let reply = self.read().map_err(|reason| self.failed(reason))?;
                match text(&reply) {
                    Some("done") => {}
                    Some("taken") => refusals.push(account.name.clone()),
                    _ => return Err(self.failed(refused(&reply))),
                }
            }
        }
        Ok(refusals)
    }

    /// Sees to it that of users who look alike each keeps strangers from looking so: an older porter did not when it imported
    /// them.
    ///
    /// # Errors
    /// As [`import`](DirectStore::import).
    pub fn note_look_alikes(&mut self, accounts: &[Account]) -> Result<(), StoreError> {
        let mut looks: HashMap<String, Vec<&Account>> = HashMap::new();
        for account in accounts {
            looks.entry(skeleton(account.name.as_str())).or_default().push(account);
        }
        let alike = looks.into_values().filter(|alike| alike.len() > 1);
        let alike: Vec<Account> = alike.flatten().cloned().collect();
        // Who was changed meanwhile is not noted; whoever does it again notes them.
        self.import(&alike).map(drop)
    }

    pub(super) fn birth_known(&self) -> Result<String, StoreError> {
        self.birth.clone().ok_or_else(|| StoreError::NotInitialised(self.address.clone()))
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
                    return Err(format!("{reason}; {IF_IT_SPEAKS_TLS}"));
                }
                reply => reply?,
            };
            match step {
                Step::Hello => greeting::check_hello(&reply)?,
                Step::Select => text(&reply).map(drop).ok_or_else(|| refused(&reply))?,
                Step::Persistence => {
                    greeting::check_persistence(&reply, self.durability)?;
                    self.cautions = greeting::cautions(&reply, self.durability);
                }
                Step::Clock => {}
                Step::Birth if reply == Reply::Null => {}
                Step::Birth => self.birth = Some(text(&reply).ok_or_else(|| refused(&reply))?.to_owned()),
            }
        }
        Ok(())
    }

    pub(super) fn ask(&mut self, command: &Command) -> Result<Reply, StoreError> {
        self.write(std::iter::once(command.clone()))
            .and_then(|()| self.read())
            .map_err(|reason| self.failed(reason))
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

    pub(super) fn failed(&self, reason: String) -> StoreError {
        StoreError::Failed { address: self.address.clone(), reason }
    }
}

/// Why there is no answer: a socket that waits says so in its own words when it has waited long enough.
fn unanswered(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "it does not answer".to_owned(),
        _ => error.to_string(),
    }
}
