//! How fast each may write in chat: so many texts a second, and bursts of a hundred.

use super::{Model, State};
use crate::plan::Mode;
use porter::Moment;
use porter::engine::ConnId;
use std::time::Duration;

const BURST: u64 = 100;
const SECOND: u64 = 1_000_000_000;

/// What one session may still write, in texts times the nanoseconds of a second.
#[derive(Debug)]
pub(super) struct Bucket {
    left: u64,
    at: Moment,
}

impl Bucket {
    pub(super) fn new(now: Moment) -> Bucket {
        Bucket { left: BURST * SECOND, at: now }
    }

    fn fill(&mut self, rate: u64, now: Moment) {
        let more = u64::try_from(now.since(self.at).as_nanos()).unwrap_or(u64::MAX).saturating_mul(rate);
        self.left = self.left.saturating_add(more).min(BURST * SECOND);
        self.at = now;
    }

    /// When another text may come; `None` if it may now.
    fn next(&self, rate: u64) -> Option<Moment> {
        let missing = SECOND.checked_sub(self.left).filter(|missing| *missing > 0)?;
        Some(self.at + Duration::from_nanos(missing.div_ceil(rate)))
    }
}

impl Model {
    fn rate(&self) -> Option<u64> {
        let rate = u64::from(self.settings.config.chat_rate);
        (rate > 0 && self.mode() == Mode::Chat).then_some(rate)
    }

    /// A session has written a text.
    pub(super) fn note_text(&mut self, id: ConnId, serial: u64) {
        let (Some(rate), now) = (self.rate(), self.now) else { return };
        let Some(session) = self.sessions.get_mut(&serial) else { return };
        session.bucket.fill(rate, now);
        let left = session.bucket.left.checked_sub(SECOND);
        session.bucket.left = left.unwrap_or_else(|| panic!("{id:?} writes faster than it may"));
        self.pause(id, serial);
    }

    /// A connection whose session has written as much as it may is not read.
    pub(super) fn pause(&mut self, id: ConnId, serial: u64) {
        let (Some(rate), now) = (self.rate(), self.now) else { return };
        let Some(session) = self.sessions.get_mut(&serial) else { return };
        session.bucket.fill(rate, now);
        let until = session.bucket.next(rate);
        self.conn(id).paused_until = until;
    }

    /// Who may write again has not been idle meanwhile.
    pub(super) fn end_pauses(&mut self) {
        let now = self.now;
        for conn in self.conns.values_mut() {
            if conn.paused_until.is_some_and(|until| until <= now) {
                conn.paused_until = None;
                if matches!(conn.state, State::Authenticated(_)) {
                    conn.last_frame = now;
                }
            }
        }
    }
}
