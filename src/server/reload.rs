//! What others may have changed is read anew while the server runs: log file, certificate, users, configuration.
//!
//! This module must not know where a configuration comes from.

use super::Server;
use super::listeners::Listeners;
use super::service_manager::ServiceState;
use super::start::fit_descriptors;
use crate::Moment;
use crate::engine::Config;
use crate::log_event::log_with_fields;
use crate::store::{Notice, Store};
use ipnet::IpNet;
use log::kv::Value;
use log::{Level, LevelFilter};

/// What came of one part of a reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReloadLine {
    /// How much it matters.
    pub level: Level,
    /// In words, on one line.
    pub text: String,
    /// What kind of line it is, in words that never change.
    pub event: &'static str,
    /// What it is about, for whoever reads fields.
    pub fields: Vec<(&'static str, String)>,
}

impl ReloadLine {
    /// A line whose text is its event's words.
    pub fn new(level: Level, event: &'static str) -> ReloadLine {
        ReloadLine { level, text: event.to_owned(), event, fields: Vec::new() }
    }

    /// The same line with another text.
    pub fn saying(self, text: String) -> ReloadLine {
        ReloadLine { text, ..self }
    }

    /// The same line with another field.
    pub fn with(mut self, key: &'static str, value: impl ToString) -> ReloadLine {
        self.fields.push((key, value.to_string()));
        self
    }

    pub(super) fn log(&self) {
        let event = [("event", Value::from(self.event))];
        let fields = self.fields.iter().map(|(key, value)| (*key, Value::from(&**value)));
        log_with_fields(self.level, &self.text, &event.into_iter().chain(fields).collect::<Vec<_>>());
    }
}

impl From<Notice> for ReloadLine {
    fn from(Notice { level, text, file }: Notice) -> ReloadLine {
        let mut line = ReloadLine::new(level, "store").saying(format!("store {text}")).with("note", text);
        line.fields.extend(file.map(|file| ("file", file.to_owned())));
        line
    }
}

/// What a server is to run with from now on. Nobody is dropped for it: a lower limit counts for whoever comes next.
#[derive(Clone, Debug)]
pub struct NewSettings {
    /// The engine's settings. Bounds on frames and output stay as they were, whatever it says: they are about what is under
    /// way.
    pub config: Config,
    /// What is logged.
    pub log_level: LevelFilter,
    /// From where connections begin with a PROXY header.
    pub proxies: Vec<IpNet>,
    /// What is to be said of it: what has changed, and what differs and cannot change.
    pub lines: Vec<ReloadLine>,
}

/// Reads the configuration anew, or says on one line what is wrong with it.
pub type ReadSettings = Box<dyn FnMut() -> Result<NewSettings, String>>;

impl<S: Store> Server<S> {
    /// Has the configuration read anew on SIGHUP, by this.
    pub fn attach_configuration(&mut self, read: ReadSettings) {
        self.read_settings = Some(read);
    }

    /// Reads everything anew, and says what came of each; it is logged too. Whatever cannot be read stays as it was.
    pub(super) fn reload(&mut self, now: Moment) -> Vec<ReloadLine> {
        self.notify(ServiceState::Reloading);
        let mut lines = Vec::new();
        if let Some(log) = self.log.as_ref().filter(|log| log.is_file()) {
            log.reopen();
            lines.push(ReloadLine::new(Level::Info, "log reopened"));
        }
        self.handshakes.reload(&mut lines);
        self.keep_control(&mut lines);
        self.engine.handle_reload(now);
        while let Some(notice) = self.engine.store_mut().poll_notice() {
            lines.push(notice.into());
        }
        self.reload_configuration(now, &mut lines);
        lines.iter().for_each(ReloadLine::log);
        self.notify_reloaded(&lines);
        lines
    }

    fn reload_configuration(&mut self, now: Moment, lines: &mut Vec<ReloadLine>) {
        let Some(read) = &mut self.read_settings else { return };
        match read() {
            Ok(NewSettings { mut config, log_level, proxies, lines: mut said }) => {
                fit_descriptors(&mut config, self.listeners.as_ref().map_or(0, Listeners::count));
                self.proxied.set_proxies(proxies);
                self.engine.handle_config(config, now);
                log::set_max_level(log_level);
                lines.push(ReloadLine::new(Level::Info, "configuration reloaded"));
                lines.append(&mut said);
            }
            Err(reason) => {
                let line =
                    ReloadLine::new(Level::Error, "configuration not reloaded").with("reason", &reason);
                let text = format!("configuration not reloaded reason={reason:?}; the old one stays");
                lines.push(line.saying(text));
            }
        }
    }
}
