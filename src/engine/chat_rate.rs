//! The chat rate: how fast each session may write where what one writes goes to many. Each has a leaky bucket.
//!
//! A connection whose session's bucket is full is not read until it has room again. Nothing is dropped, and no thread
//! sleeps: the end of the pause is a deadline.

use super::ConnId;
use super::connection::Connection;
use super::registry::Registry;
use crate::Moment;
use crate::auth::SessionId;
use crate::limits::{CHAT_BURST, SHARE_DUE};
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

/// Buckets that are not looked through for empty ones.
const BUCKETS_LEAST: usize = 64;

/// The buckets of those who wrote lately, and the connections that are not read for now.
#[derive(Debug, Default)]
pub(super) struct ChatRate {
    /// What each text takes to leak away; zero for no limit.
    interval: Duration,
    /// When each bucket will be empty. One that is need not be here.
    empty_at: HashMap<SessionId, Moment>,
    /// With more buckets than this those that are empty are dropped.
    sweep_above: usize,
    paused: BTreeSet<(Moment, ConnId)>,
}

impl ChatRate {
    /// So many texts a second; 0 for any number.
    pub(super) fn new(texts_per_second: u32) -> ChatRate {
        let interval = Duration::from_secs(1).checked_div(texts_per_second).unwrap_or_default();
        ChatRate { interval, sweep_above: BUCKETS_LEAST, ..ChatRate::default() }
    }

    /// Sets another rate. A connection that is not read for now is read again when it was to be.
    pub(super) fn set_rate(&mut self, texts_per_second: u32) {
        let interval = ChatRate::new(texts_per_second).interval;
        if std::mem::replace(&mut self.interval, interval) != interval {
            self.empty_at.clear();
        }
    }

    /// When the first connection that is not read for now is to be read again.
    pub(super) fn next_pause_end(&self) -> Option<Moment> {
        self.paused.first().map(|(end, _)| *end)
    }

    /// Beside the way of a message where there is no limit.
    #[inline(never)]
    fn pour(&mut self, session: SessionId, now: Moment) {
        if self.empty_at.len() > self.sweep_above {
            self.empty_at.retain(|_, empty_at| *empty_at > now);
            self.empty_at.shrink_to(BUCKETS_LEAST);
            self.sweep_above = (self.empty_at.len() * 2).max(BUCKETS_LEAST);
        }
        let empty_at = self.empty_at.entry(session).or_default();
        *empty_at = (*empty_at).max(now) + self.interval;
    }

    /// When a full bucket has room for another text; `None` if it has now.
    fn full_until(&self, session: SessionId, now: Moment) -> Option<Moment> {
        let empty_at = *self.empty_at.get(&session)?;
        let room_at = empty_at - self.interval * (CHAT_BURST - 1);
        (room_at > now).then_some(room_at)
    }
}

impl Registry {
    /// A session has written a text on this connection.
    pub(super) fn note_text(&mut self, id: ConnId, session: SessionId) {
        if !self.chat_rate.interval.is_zero() {
            self.chat_rate.pour(session, self.now);
            self.pause_if_full(id, session);
        }
    }

    /// A connection is not read while the bucket of the session that it carries is full.
    pub(super) fn pause_if_full(&mut self, id: ConnId, session: SessionId) {
        let Some(end) = self.chat_rate.full_until(session, self.now) else { return };
        if self.connections.get_mut(id).is_some_and(Connection::pause) {
            self.chat_rate.paused.insert((end, id));
        }
    }

    /// Those whose pause is over are read again, a share of them if they are many. It was not they who were idle.
    pub(super) fn end_pauses(&mut self) {
        let now = self.now;
        for _ in 0..SHARE_DUE {
            if self.chat_rate.next_pause_end().is_none_or(|end| end > now) {
                return;
            }
            let Some((_, id)) = self.chat_rate.paused.pop_first() else { return };
            if self.connections.get_mut(id).is_some_and(|connection| connection.end_pause(now)) {
                self.wake(id);
            }
        }
    }
}
