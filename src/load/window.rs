//! A part of a run, and what was measured in it.

use super::stats::{Latencies, Latency};
use crate::Moment;

/// What was measured in a part of the run.
#[derive(Debug)]
pub(super) struct Window {
    /// Its beginning and its end.
    pub(super) from: Moment,
    pub(super) until: Moment,
    /// By the beginning of each, so that the end of a window cuts nothing off but what never came to its end.
    pub(super) latencies: Latencies,
    /// From the beginning of the way in, or the loss of the last connection, until Welcome.
    pub(super) absence: Latency,
    /// Whether messages that are under way when it begins belong to it. They must where each client sends the next after
    /// the last one's echo: in a stall that has begun before they are all that there is.
    has_messages_before: bool,
}

impl Window {
    pub(super) fn new(from: Moment, until: Moment) -> Window {
        let (latencies, absence) = (Latencies::default(), Latency::default());
        Window { from, until, latencies, absence, has_messages_before: false }
    }

    /// One for clients whose messages wait for one another.
    pub(super) fn of_messages_in_turn(from: Moment, until: Moment) -> Window {
        Window { has_messages_before: true, ..Window::new(from, until) }
    }

    /// Ends it then, if it was to end later.
    pub(super) fn end_at(&mut self, moment: Moment) {
        self.from = self.from.min(moment);
        self.until = self.until.min(moment);
    }

    /// Whether a message belongs to it that was due at `began` and whose wait ended at `now`.
    pub(super) fn has_message(&self, began: Moment, now: Moment) -> bool {
        self.holds(began) || (self.has_messages_before && began < self.from && self.from <= now)
    }

    pub(super) fn holds(&self, moment: Moment) -> bool {
        self.from <= moment && moment < self.until
    }
}

/// The window in which something began. The windows of a run are few.
pub(super) fn window_of(windows: &mut [Window], moment: Moment) -> Option<&mut Window> {
    windows.iter_mut().find(|window| window.holds(moment))
}
