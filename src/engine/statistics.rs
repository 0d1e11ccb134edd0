//! What is in the engine, counted: for whoever wants to be sure that nothing is left.

use super::Engine;
use crate::Moment;
use crate::store::Store;

/// How many of everything that is held for somebody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Connections, closing ones too.
    pub connections: usize,
    /// Of them, those that are not logged in and were not refused for want of room.
    pub strangers: usize,
    /// Sessions, lost ones too.
    pub sessions: usize,
    /// Sessions without a connection.
    pub lost_sessions: usize,
    /// Hashes that wait or are under way.
    pub hash_jobs: usize,
    /// Of them, or at the store, new hashes of known users, for whom nobody waits.
    pub rehashes: usize,
    /// Logins that wait for the registration of their name to be stored.
    pub waiting_logins: usize,
    /// Requests that the store has not answered.
    pub store_requests: usize,
    /// Deadlines of connections.
    pub deadlines: usize,
    /// Bytes that came and are not handled.
    pub input_bytes: usize,
    /// Bytes that wait to be written.
    pub output_bytes: usize,
    /// Memory that they take.
    pub output_held_bytes: usize,
}

impl<S: Store> Engine<S> {
    /// How it fares, on one short line. It looks at no connection.
    pub fn summary(&self, now: Moment) -> String {
        let trouble = self.health(now).err().map_or(String::new(), |trouble| format!("{trouble}; "));
        let (connections, sessions) = (self.registry.connections.len(), &self.registry.sessions);
        let logged_in = sessions.len() - sessions.lost_count();
        let users = self.store.user_count();
        format!("{trouble}connections: {connections}, logged in: {logged_in}, users: {users}")
    }

    /// Counts what is in the engine. It looks at every connection, so it is nothing for every turn of a server.
    pub fn statistics(&self) -> Statistics {
        let connections = || self.registry.connections.iter().map(|(_, connection)| connection);
        Statistics {
            connections: self.registry.connections.len(),
            strangers: self.registry.strangers.len(),
            sessions: self.registry.sessions.len(),
            lost_sessions: self.registry.sessions.lost_count(),
            hash_jobs: self.admission.hashing.len(),
            rehashes: self.admission.rehashing.len(),
            waiting_logins: self.admission.early_logins.values().map(Vec::len).sum(),
            store_requests: self.admission.storing.len(),
            deadlines: self.registry.timers.len(),
            input_bytes: connections().map(|connection| connection.input_len()).sum(),
            output_bytes: connections().map(|connection| connection.outbox.len()).sum(),
            output_held_bytes: self.registry.held_output_bytes(),
        }
    }
}
