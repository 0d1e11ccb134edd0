//! Places for a few connections beside the clients': those who are too many wait in the backlog.
//!
//! This module must not know what is said in them.

use log::Level;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use std::io;

/// Connections taken in one turn.
const ACCEPT_SHARE: usize = 4;

/// The places, and whether somebody waits for one. The first token is that of the listening socket.
pub(super) struct Places<C> {
    first_token: usize,
    places: Vec<Option<C>>,
    /// How many are taken: nearly always none, and then a turn must not look at each.
    count: usize,
    /// Who was served first the last time: where only some are served in a turn, it is not always the same ones.
    first: usize,
    is_ready: bool,
}

impl<C> Places<C> {
    pub(super) fn new(first_token: usize, most: usize) -> Places<C> {
        Places { first_token, places: (0..most).map(|_| None).collect(), count: 0, first: 0, is_ready: true }
    }

    /// There may be somebody at the listening socket.
    pub(super) fn notice_ready(&mut self) {
        self.is_ready = true;
    }

    /// Whether an event is one of these; it is noted, of a connection by `notice`.
    pub(super) fn take_event(&mut self, token: Token, notice: impl FnMut(&mut C)) -> bool {
        let Some(number) =
            token.0.checked_sub(self.first_token).filter(|number| *number <= self.places.len())
        else {
            return false;
        };
        match number.checked_sub(1) {
            None => self.is_ready = true,
            Some(index) => self.places[index].iter_mut().for_each(notice),
        }
        true
    }

    /// Whether nobody is connected, nor about to be.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.count == 0 && !self.is_ready
    }

    /// Whether somebody may wait for whom there is a place.
    pub(super) fn may_accept(&self) -> bool {
        self.is_ready && self.count < self.places.len()
    }

    /// Those who have a place.
    pub(super) fn iter(&self) -> impl Iterator<Item = &C> {
        self.places.iter().flatten()
    }

    /// Serves each, beginning behind whoever was first the last time; who does not go on leaves.
    pub(super) fn serve(&mut self, mut goes_on: impl FnMut(&mut C) -> bool) {
        self.first = (self.first + 1) % self.places.len();
        let (behind, before) = self.places.split_at_mut(self.first);
        for place in before.iter_mut().chain(behind) {
            if let Some(connection) = place
                && !goes_on(connection)
            {
                *place = None;
                self.count -= 1;
            }
        }
    }

    /// Gives places to a share of those who wait. `accept` gives the next, or `None` for one who is refused.
    pub(super) fn accept<S: Source>(
        &mut self,
        registry: &Registry,
        mut accept: impl FnMut() -> io::Result<Option<S>>,
        connection: impl Fn(S) -> C,
    ) {
        for _ in 0..ACCEPT_SHARE {
            if !self.is_ready {
                return;
            }
            let Some(index) = self.places.iter().position(Option::is_none) else { return };
            let mut stream = match accept() {
                Ok(Some(stream)) => stream,
                Ok(None) => continue,
                Err(error) => {
                    self.is_ready = error.kind() == io::ErrorKind::Interrupted;
                    return;
                }
            };
            let token = Token(self.first_token + 1 + index);
            if let Err(error) = registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)
            {
                log_event!(Level::Warn, "connection beside the clients' not served", reason = ?error);
                continue;
            }
            self.places[index] = Some(connection(stream));
            self.count += 1;
        }
    }
}
