//! The store's process: connections, what they have subscribed to, and what they are answered.

use super::link::Lane;
use super::redis::{Redis, Reply};
use super::resp::{encode, take_command};
use porter::Moment;
use std::collections::BTreeSet;

/// Milliseconds since 1970 when the world begins.
const EPOCH: u64 = 1_700_000_000_000;

pub(super) struct Store {
    pub(super) redis: Redis,
    connections: Vec<Connection>,
    /// It does nothing until then.
    pub(super) stopped: Moment,
}

#[derive(Default)]
struct Connection {
    input: Vec<u8>,
    channels: BTreeSet<String>,
    output: Vec<u8>,
    /// What its client had written before it left: that is carried out all the same.
    rest: Lane,
    is_closed: bool,
}

impl Store {
    pub(super) fn new() -> Store {
        Store { redis: Redis::new(), connections: Vec::new(), stopped: Moment::START }
    }

    pub(super) fn set_time(&mut self, now: Moment) {
        self.redis.set_time(EPOCH + u64::try_from(now.since_start().as_millis()).unwrap());
    }

    pub(super) fn connect(&mut self) -> usize {
        self.connections.push(Connection::default());
        self.connections.len() - 1
    }

    /// A client has gone; this is still under way.
    pub(super) fn leave(&mut self, end: usize, rest: Lane) {
        self.connections[end].is_closed = true;
        self.connections[end].rest = rest;
    }

    /// The process ends: what is under way reaches nobody.
    pub(super) fn restart(&mut self) {
        for connection in &mut self.connections {
            *connection = Connection { is_closed: true, ..Connection::default() };
        }
    }

    pub(super) fn is_closed(&self, end: usize) -> bool {
        self.connections[end].is_closed
    }

    /// Carries out what those have written who have gone.
    pub(super) fn handle_rests(&mut self, now: Moment) {
        if now < self.stopped {
            return;
        }
        for end in 0..self.connections.len() {
            while let Some(bytes) = self.connections[end].rest.receive(now) {
                self.handle_bytes(end, &bytes);
            }
        }
    }

    pub(super) fn next_rest(&self) -> Option<Moment> {
        let rests = self.connections.iter().filter_map(|connection| connection.rest.next());
        rests.min().map(|due| due.max(self.stopped))
    }

    /// Carries out the commands that are there whole.
    pub(super) fn handle_bytes(&mut self, end: usize, bytes: &[u8]) {
        self.connections[end].input.extend_from_slice(bytes);
        while let Some(command) = take_command(&mut self.connections[end].input) {
            let connection = &mut self.connections[end];
            if command[0] == "SUBSCRIBE" {
                for (number, channel) in (1..).zip(&command[1..]) {
                    connection.channels.insert(channel.clone());
                    let heard = [Reply::text("subscribe"), Reply::text(channel), Reply::Number(number)];
                    encode(&Reply::Push(heard.into()), &mut connection.output);
                }
                continue;
            }
            let reply = self.redis.run(&command);
            // Whoever publishes hears it before the answer.
            for (channel, text) in self.redis.take_published() {
                let heard = [Reply::text("message"), Reply::text(&channel), Reply::Text(text)];
                let heard = Reply::Push(heard.into());
                let listeners = self.connections.iter_mut();
                listeners
                    .filter(|listener| listener.channels.contains(&channel))
                    .for_each(|listener| encode(&heard, &mut listener.output));
            }
            encode(&reply, &mut self.connections[end].output);
        }
    }

    /// What was said to a client since the last call.
    pub(super) fn take_output(&mut self, end: usize) -> Vec<u8> {
        std::mem::take(&mut self.connections[end].output)
    }
}
