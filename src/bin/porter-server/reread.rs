//! The configuration, read anew while the server runs.

use crate::flags::Flags;
use crate::settings::{cheap_hashes, config};
use log::Level;
use porter::cli::{Given, Setting, Source};
use porter::server::{NewSettings, ReloadLine};
use std::ffi::OsString;

/// The flags that a running server keeps as they were when it started: what it listens on, what it is, where its files
/// are, and how much of what is already under way it takes.
const FIXED: &[&str] = &[
    "mode",
    "data",
    "store",
    "store-durability",
    "store-ca",
    "store-fingerprint",
    "store-cert",
    "store-key",
    "host",
    "port",
    "strict-port",
    "listen",
    "share-port",
    "tls",
    "plaintext",
    "tls-cert",
    "tls-key",
    "log-file",
    "log-format",
    "metrics",
    "max-frame",
    "output-limit",
    "output-total",
];

/// What is needed to read the same command line and its file once more.
pub(crate) struct Reread {
    arguments: Vec<OsString>,
    /// What the server runs with, for what it can change.
    settings: Vec<Setting>,
}

impl Reread {
    pub(crate) fn new(arguments: Vec<OsString>, given: &Given<Flags>) -> Reread {
        Reread { arguments, settings: given.settings.clone() }
    }

    /// What the server is to run with from now on, and what is to be said about it. On an error all stays as it was.
    ///
    /// # Errors
    /// One line about what is wrong, and where.
    pub(crate) fn read(&mut self) -> Result<NewSettings, String> {
        let given = Given::<Flags>::read(&self.arguments).map_err(|failure| failure.to_string())?;
        let given = given.ok_or("the command line asks for help")?;
        let config = config(&given).map_err(|failure| failure.to_string())?;
        let mut lines = Vec::new();
        for (now, new) in self.settings.iter_mut().zip(&given.settings) {
            if now.value == new.value {
                continue;
            }
            let (is, was) = (shown(new), shown(now));
            let key = &now.key;
            if FIXED.contains(&key.as_str()) {
                let place = match &new.source {
                    Source::File { path, line } => format!(" at {}:{line}", path.display()),
                    _ => String::new(),
                };
                let text = format!("{key} is {is}{place} and stays {was} until the server is started anew");
                lines.push(changed(Level::Warn, "setting not changed", key, is, was).saying(text));
            } else {
                let text = format!("{key} is {is}; it was {was}");
                lines.push(changed(Level::Info, "setting changed", key, is, was).saying(text));
                *now = new.clone();
            }
        }
        if lines.iter().any(|line| line.text.starts_with("hash-rounds")) {
            lines.extend(cheap_hashes(config.hash_rounds).map(|text| {
                ReloadLine::new(Level::Warn, "setting is weak").with("note", &text).saying(text)
            }));
        }
        let Flags { log_level, proxy_from, .. } = given.flags;
        Ok(NewSettings { config, log_level, proxies: proxy_from, lines })
    }
}

fn changed(level: Level, event: &'static str, key: &str, is: &str, was: &str) -> ReloadLine {
    ReloadLine::new(level, event).with("key", key).with("value", is).with("was", was)
}

fn shown(setting: &Setting) -> &str {
    if setting.key == "store" && setting.value.is_some() {
        // It may have a password.
        return "another";
    }
    setting.value.as_deref().unwrap_or("not set")
}
