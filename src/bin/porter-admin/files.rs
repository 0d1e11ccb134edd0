//! The files of a server that does not run, or a store that several share, worked on as a server would: by the engine,
//! without any connection.

use crate::ask::{Porter, Take, last};
use porter::Clock;
use porter::cli::Failure;
use porter::command::{Command, Line, LineError, import_line};
use porter::engine::{Config, Engine, EntropyError};
use porter::handler::Echo;
use porter::server::OsEntropy;
use porter::store::{AnyStore, DiskStore, OpenError, OsDisk, Store};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

/// Lets a store do what waits.
pub(crate) type Carry = Box<dyn FnMut(&mut AnyStore)>;

/// How long a store is waited for that has not taken all that follows from what is done.
const SETTLE_WAIT: Duration = Duration::from_secs(10);

/// An engine that has the users.
pub(crate) struct Files {
    engine: Engine<AnyStore>,
    clock: Clock,
    carry: Carry,
}

impl Files {
    /// # Errors
    /// [`OpenError`], also if another process has them.
    pub(crate) fn open(data: &Path, clock: Clock) -> Result<Files, OpenError> {
        let (store, repairs) = DiskStore::open(OsDisk::open(data, clock)?)?;
        repairs.iter().for_each(|repair| eprintln!("porter-admin: repaired {repair}"));
        // Whatever is due: there is nobody who would be held up.
        let made = Files::new(AnyStore::Files(Box::new(store)), clock, Box::new(|store| store.close()));
        made.map_err(|reason| OpenError::Directory {
            directory: data.to_owned(),
            error: std::io::Error::other(reason),
        })
    }

    /// # Errors
    /// If there are no random bytes.
    pub(crate) fn new(store: AnyStore, clock: Clock, carry: Carry) -> Result<Files, EntropyError> {
        let engine = Engine::new(Config::default(), store, Box::new(Echo), Box::new(OsEntropy::new()))?;
        Ok(Files { engine, clock, carry })
    }

    fn command(&self, lines: &[String]) -> Result<Command, Failure> {
        let (first, rest) = lines.split_first().ok_or_else(|| Failure::failed("nothing was asked for"))?;
        match self.engine.parse_line(first).map_err(Failure::failed)? {
            Line::Command(command) => Ok(command),
            Line::Import(_) => {
                let accounts = rest.iter().map(|line| import_line(line)).collect::<Result<_, _>>();
                accounts
                    .map(Command::ImportUsers)
                    .map_err(|error: LineError| Failure::failed(format_args!("nobody is imported: {error}")))
            }
        }
    }
}

impl Files {
    /// It is done, but for what a store that is elsewhere has not taken yet: this program is the only one that knows of that.
    fn settle(&mut self, done: String) -> Result<String, Failure> {
        let until = self.clock.now() + SETTLE_WAIT;
        while !self.engine.store().is_idle() {
            if self.clock.now() > until {
                return Err(Failure::failed(format_args!("{done}: it has not, so do it again")));
            }
            (self.carry)(self.engine.store_mut());
        }
        Ok(done)
    }
}

impl Porter for Files {
    fn ask(&mut self, lines: &[String], take: Take<'_>) -> Result<String, Failure> {
        let command = self.command(lines)?;
        let id = self.engine.handle_command(command, self.clock.now());
        let mut notices = Vec::new();
        loop {
            while let Some(answer) = self.engine.poll_answer(id) {
                let Value::Object(object) = answer.to_json() else { continue };
                let said = last(&object);
                // Once is enough.
                let is_repeated =
                    |text: &String| said.as_ref().is_err_and(|failure| failure.to_string() == *text);
                notices
                    .drain(..)
                    .filter(|text| !is_repeated(text))
                    .for_each(|text| eprintln!("porter-admin: {text}"));
                match said? {
                    Some(done) => return self.settle(done),
                    None => take(&object)?,
                }
            }
            (self.carry)(self.engine.store_mut());
            while let Some(notice) = self.engine.store_mut().poll_notice() {
                if notice.level <= log::Level::Warn {
                    notices.push(notice.text);
                }
            }
            self.engine.handle_completions(self.clock.now());
        }
    }
}
