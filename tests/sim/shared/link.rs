//! A connection between a server and the store: bytes that are under way, in both directions.

use porter::Moment;
use std::collections::VecDeque;
use std::time::Duration;

/// Bytes under way in one direction: they arrive in order, and not before their time.
#[derive(Default)]
pub(super) struct Lane {
    pieces: VecDeque<(Moment, Vec<u8>)>,
}

impl Lane {
    pub(super) fn send(&mut self, bytes: Vec<u8>, arrives: Moment) {
        let last = self.pieces.back().map_or(Moment::START, |(due, _)| *due);
        self.pieces.push_back((arrives.max(last), bytes));
    }

    pub(super) fn receive(&mut self, now: Moment) -> Option<Vec<u8>> {
        let is_due = self.next().is_some_and(|due| due <= now);
        if is_due { self.pieces.pop_front().map(|(_, bytes)| bytes) } else { None }
    }

    pub(super) fn next(&self) -> Option<Moment> {
        self.pieces.front().map(|(due, _)| *due)
    }

    /// The connection broke: so many of the pieces arrive, and the rest never.
    pub(super) fn lose_behind(&mut self, pieces: usize) {
        self.pieces.truncate(pieces);
    }

    pub(super) fn len(&self) -> usize {
        self.pieces.len()
    }
}

/// Where a server's end is.
pub(super) enum State {
    Down,
    /// The other end answers then, or says that nobody is there.
    Connecting(Moment),
    Up,
}

/// A server's connection to the store, and how the way there is.
pub(super) struct Link {
    pub(super) state: State,
    pub(super) to_store: Lane,
    pub(super) to_server: Lane,
    /// Which of the store's connections is the other end.
    pub(super) end: Option<usize>,
    /// How long a piece is under way.
    pub(super) delay: Duration,
    /// Until then nobody is reached.
    pub(super) barred: Moment,
}

impl Link {
    pub(super) fn new() -> Link {
        Link {
            state: State::Down,
            to_store: Lane::default(),
            to_server: Lane::default(),
            end: None,
            delay: Duration::from_micros(200),
            barred: Moment::START,
        }
    }

    /// When something arrives at the server.
    pub(super) fn next(&self) -> Option<Moment> {
        match self.state {
            State::Down => None,
            State::Connecting(due) => Some(due),
            State::Up => self.to_server.next(),
        }
    }
}
