//! Places for a few connections beside the clients': those who are too many wait in the backlog.
//!
//! This module must not know what is said in them.

use crate::Moment;
use crate::auth::Origin;
use log::Level;
use mio::event::Source;
use mio::{Interest, Registry, Token};
use std::cmp::Reverse;
use std::io;
use std::time::Duration;

/// Connections taken in one turn.
const ACCEPT_SHARE: usize = 4;
/// How long accepting pauses when the system has no descriptor or memory for one more.
const PAUSE: Duration = Duration::from_millis(100);

/// Somebody who has a place.
pub(super) trait Occupant {
    /// From when on somebody else may have its place, and where it comes from; `None` as long as it does what it is here
    /// for.
    fn gives_way(&self) -> Option<(Origin, Moment)> {
        None
    }
}

/// The places, and whether somebody waits for one. The first token is that of what listens.
pub(super) struct Places<C> {
    first_token: usize,
    places: Vec<Option<C>>,
    /// How many are taken: nearly always none, and then a turn must not look at each.
    count: usize,
    /// Who was served first the last time: where only some are served in a turn, it is not always the same ones.
    first: usize,
    is_ready: bool,
    paused_until: Option<Moment>,
}

impl<C: Occupant> Places<C> {
    pub(super) fn new(first_token: usize, most: usize) -> Places<C> {
        let places = (0..most).map(|_| None).collect();
        Places { first_token, places, count: 0, first: 0, is_ready: true, paused_until: None }
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

    /// Whether there is a place that nobody has.
    pub(super) fn has_room(&self) -> bool {
        self.count < self.places.len()
    }

    /// When somebody who may be waiting can be given a place: at once if there is one, or when somebody gives way.
    pub(super) fn next_accept(&self) -> Option<Moment> {
        if !self.is_ready {
            return None;
        }
        let place = if self.has_room() { Moment::START } else { self.first_to_go()?.1 };
        Some(self.paused_until.map_or(place, |until| until.max(place)))
    }

    /// Who gives way first, and when: of the origin with the most places, whoever may for the longest.
    fn first_to_go(&self) -> Option<(usize, Moment)> {
        let place = |(index, place): (usize, &Option<C>)| {
            let (origin, since) = place.as_ref()?.gives_way()?;
            Some((index, origin, since))
        };
        let all: Vec<_> = self.places.iter().enumerate().filter_map(place).collect();
        let count = |origin| all.iter().filter(|(_, other, _)| *other == origin).count();
        let first = all.iter().min_by_key(|(_, origin, since)| (Reverse(count(*origin)), *since));
        first.map(|(index, _, since)| (*index, *since))
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

    /// Gives places to a share of those who wait: those that nobody has, or, if all were taken before, those of who gives
    /// way. `accept` gives the next, or `None` for one who is refused.
    pub(super) fn accept<S: Source, A>(
        &mut self,
        registry: &Registry,
        now: Moment,
        mut accept: impl FnMut() -> io::Result<Option<(S, A)>>,
        connection: impl Fn(S, A) -> C,
    ) {
        let had_room = self.has_room();
        for _ in 0..ACCEPT_SHARE {
            if self.has_room() != had_room || self.next_accept().is_none_or(|next| next > now) {
                return;
            }
            self.paused_until = None;
            let free = self.places.iter().position(Option::is_none);
            let Some(index) = free.or_else(|| Some(self.first_to_go()?.0)) else { return };
            let (mut stream, peer) = match accept() {
                Ok(Some(accepted)) => accepted,
                Ok(None) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.is_ready = false;
                    return;
                }
                Err(error) => return self.pause(&error, now),
            };
            // Its token is free again when it is dropped, before the next has it.
            self.count -= usize::from(self.places[index].take().is_some());
            let token = Token(self.first_token + 1 + index);
            if let Err(error) = registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)
            {
                log_event!(Level::Warn, "connection beside the clients' not served", reason = ?error);
                continue;
            }
            self.places[index] = Some(connection(stream, peer));
            self.count += 1;
        }
    }

    /// One who gave up while waiting costs nothing; else there is no descriptor or memory for another, which nothing tells
    /// the end of.
    fn pause(&mut self, error: &io::Error, now: Moment) {
        if !matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted) {
            self.paused_until = Some(now + PAUSE);
            log_event!(Level::Debug, "accepting beside the clients paused", reason = ?error);
        }
    }
}
