//! The whole porter without a socket.
//!
//! An [`Engine`] decides everything: what bytes mean, who may speak, what is answered, when a connection closes. It
//! has no socket, file, clock or source of randomness of its own. What happened is handed in by `handle_*`, each with
//! the [`Moment`] at which it happened; what is to be done about it is asked for by `poll_*` until there is nothing
//! more; plain nouns only look. So the same engine runs behind real sockets and in a simulated world.
//!
#![doc = include_str!("contract.md")]
//!
//! ```
#![doc = include_str!("driver.rs")]
//! ```
//!
#![doc = include_str!("orders.md")]
//!
//! This module must not know mio, files, threads or the clock.

mod accounts;
mod admission;
mod answers;
mod arrival;
mod changes;
mod chat_rate;
mod close_reason;
mod commands;
mod completions;
mod config;
mod connection;
mod console;
mod delivery;
#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod driver;
mod entropy;
mod events;
mod fan_out;
mod fetches;
mod figures;
mod frames;
mod hash_times;
mod histogram;
mod login;
mod output;
mod output_total;
mod password_change;
mod password_hashes;
mod peer;
mod poll;
mod registry;
mod roll;
mod room;
mod sessions;
mod slow_consumer;
mod statistics;
mod stranger_log;
mod strangers;
mod tasks;
#[cfg(test)]
mod tests;
mod timers;
mod transport;
mod turns;

pub use crate::protocol::Unsent;
pub use answers::CommandId;
pub use arrival::HeaderFault;
pub use config::{Config, ConfigError};
pub use connection::ReadBudget;
pub use console::ConsoleLine;
pub use entropy::{Entropy, EntropyError};
pub use figures::NotReady;
pub use statistics::Statistics;
pub use transport::{Output, TransportEvent, Written};

use crate::Moment;
use crate::auth::Origin;
use crate::handler::Handler;
use crate::limits::SHARE_DUE;
use crate::slots::Key;
use crate::store::Store;
use admission::Admission;
use delivery::Delivery;
use registry::Registry;
use std::net::IpAddr;
use std::time::Duration;
use zeroize::Zeroizing;

/// Names a connection for ever.
pub type ConnId = Key;

/// What is to be done with a connection's socket, beside reading and writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketCommand {
    /// Shut its sending side.
    ShutDown,
    /// Close it; the connection is forgotten.
    Close,
}

/// The whole porter without a socket.
pub struct Engine<S> {
    registry: Registry,
    admission: Admission,
    store: S,
    handler: Box<dyn Handler>,
    entropy: Box<dyn Entropy>,
    quit_asked: bool,
    stopping: bool,
}

impl<S: Store> Engine<S> {
    /// A porter with nobody in it.
    ///
    /// # Errors
    /// [`EntropyError`], if there are no keys to be had for the login cache and for names that nobody has.
    pub fn new(
        mut config: Config,
        mut store: S,
        handler: Box<dyn Handler>,
        mut entropy: Box<dyn Entropy>,
    ) -> Result<Engine<S>, EntropyError> {
        let (mut cache_key, mut decoy_key) = (Zeroizing::new([0; 32]), Zeroizing::new([0; 16]));
        entropy.fill(&mut *cache_key)?;
        entropy.fill(&mut *decoy_key)?;
        let admission = Admission::new(&config, &cache_key, &decoy_key);
        if !handler.fans_out() {
            config.chat_rate = 0;
        }
        let mut registry = Registry::new(config);
        registry.is_shared = store.directory().is_some();
        registry.shares_room = registry.is_shared && handler.fans_out();
        Ok(Engine { registry, admission, store, handler, entropy, quit_asked: false, stopping: false })
    }

    /// Time has passed. Hand in what has arrived first: what comes after its timer is too late. When much is due at once a
    /// share of it is done, and the rest is [due](Engine::next_deadline) still.
    pub fn handle_time(&mut self, now: Moment) {
        self.registry.now = now;
        self.registry.end_pauses();
        for _ in 0..SHARE_DUE {
            let Some(id) = self.registry.pop_due() else { break };
            self.registry.handle_due(id);
        }
        for _ in 0..SHARE_DUE {
            let due = self.registry.sessions.first_lost().filter(|(due, _)| *due <= now);
            let Some((_, session)) = due else { break };
            self.registry.end_session(session);
        }
        self.registry.stranger_log.end_interval(now);
        if self.registry.handler_timer.is_some_and(|due| due <= now) {
            self.registry.handler_timer = None;
            if !self.stopping {
                self.handler.timer(&mut Delivery {
                    registry: &mut self.registry,
                    author: None,
                    is_known_elsewhere: false,
                });
            }
        }
        self.admission.cache.expire(now);
        self.apply_changes();
    }

    /// Hashes for as long as `most` rounds of one hash take, all hashes that are under way side by side, and says how
    /// many rounds' time it was.
    pub fn handle_hashing(&mut self, most: u32, now: Moment) -> u32 {
        self.registry.now = now;
        let done = self.hash_rounds(most);
        self.admission.hash_rate.record(done, now);
        self.apply_changes();
        done
    }

    /// What the store keeps may have been changed by others: it takes that as it is now. Nobody is sent away; but a
    /// password that was verified for a record that is no more is hashed again.
    pub fn handle_reload(&mut self, now: Moment) {
        self.registry.now = now;
        let known: Vec<_> =
            self.admission.cache.names().map(|name| (name.clone(), self.store.find(name))).collect();
        self.store.reload();
        for (name, record) in known {
            if self.store.find(&name) != record {
                self.admission.cache.forget(&name);
            }
        }
    }

    /// The settings are others from now on. Nobody is sent away for that, and what is under way goes on as it began: a lower
    /// limit counts for whoever comes next, and the bounds on frames and output stay as they were.
    pub fn handle_config(&mut self, new: Config, now: Moment) {
        self.registry.now = now;
        let old = &self.registry.config;
        let config = Config {
            max_frame_bytes: old.max_frame_bytes,
            output_limit_bytes: old.output_limit_bytes,
            output_total_bytes: old.output_total_bytes,
            hash_rounds_per_second: old.hash_rounds_per_second,
            hash_lane_costs: old.hash_lane_costs.clone(),
            chat_rate: if self.handler.fans_out() { new.chat_rate } else { 0 },
            ..new
        };
        self.admission.set_config(&config);
        self.registry.chat_rate.set_rate(config.chat_rate);
        self.registry.config = config;
    }

    /// Store or handler may have something from elsewhere.
    pub fn handle_wake(&mut self, now: Moment) {
        self.registry.now = now;
        self.take_completions();
        if !self.stopping {
            self.handler.woken(&mut Delivery {
                registry: &mut self.registry,
                author: None,
                is_known_elsewhere: false,
            });
        }
        self.apply_changes();
    }

    /// The store may have answered.
    pub fn handle_completions(&mut self, now: Moment) {
        self.registry.now = now;
        self.take_completions();
        self.apply_changes();
    }

    /// The person at the console has typed a line.
    pub fn handle_console_line(&mut self, line: &str, now: Moment) {
        self.registry.now = now;
        self.run_line(line);
        self.apply_changes();
    }

    /// The server stops: Bye to all, and nobody new. Where others share its users its sessions are theirs to resume: then it
    /// closes without a word.
    pub fn handle_shutdown(&mut self, now: Moment) {
        self.registry.now = now;
        self.stopping = true;
        self.registry.stranger_log.sum_up();
        self.registry.stop();
        self.apply_changes();
    }

    /// What a connection can take now.
    pub fn read_budget(&self, id: ConnId) -> ReadBudget {
        let connection = self.registry.connections.get(id);
        connection.map_or(ReadBudget::Nothing, |connection| connection.read_budget(&self.registry.config))
    }

    /// When [`handle_time`](Engine::handle_time) has something to do though nothing happens.
    pub fn next_deadline(&self) -> Option<Moment> {
        let lost = self.registry.sessions.first_lost().map(|(due, _)| due);
        let summary = self.registry.stranger_log.next_summary();
        let timer = self.registry.handler_timer;
        let pause = self.registry.chat_rate.next_pause_end();
        let expiry = self.admission.cache.next_expiry();
        let due = Moment::first_of([self.registry.timers.first(), pause, lost, expiry, summary, timer]);
        (due != Moment::NEVER).then_some(due)
    }

    /// Whether the store owes an answer.
    pub fn is_storing(&self) -> bool {
        !self.admission.storing.is_empty() || !self.admission.fetching.is_empty()
    }

    /// Whether a password waits to be hashed.
    pub fn is_hashing(&self) -> bool {
        !self.admission.hashing.is_empty()
    }

    /// What the origin of an address owes for logins that were wrong.
    pub fn debt(&self, address: IpAddr, now: Moment) -> Duration {
        self.admission.throttle.owed(Origin::of(address), now)
    }

    /// Whether the person at the console wants the server to stop.
    pub fn is_quit_asked(&self) -> bool {
        self.quit_asked
    }

    /// Whether a connection was given its final reply, or is gone.
    pub fn is_closing(&self, id: ConnId) -> bool {
        self.registry.is_closing(id)
    }

    /// Whether nobody is connected.
    pub fn is_empty(&self) -> bool {
        self.registry.connections.is_empty()
    }

    /// The store, to look at.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// The store, to let it work.
    pub fn store_mut(&mut self) -> &mut S {
        &mut self.store
    }
}
