//! How long clients wait, for what, and what comes of it if that was in vain.

use super::{Clients, State};
use crate::Moment;
use crate::load::dialect::Dialect;
use crate::load::{LoadError, Timeouts};
use std::time::Duration;

impl<D: Dialect> Clients<D> {
    /// The server closed the client's connection.
    pub(in crate::load) fn handle_closed(&mut self, slot: usize, now: Moment) -> Result<(), LoadError> {
        if self.all[slot].state == State::Parting {
            self.set_state(slot, State::Outside, now);
            return Ok(());
        }
        let reason = format!("the server closed the connection {}", self.awaited(slot));
        Err(LoadError::new("connection_lost", reason))
    }

    /// Nobody waits any more for what this client still waits for: it counts with the time waited.
    pub(in crate::load) fn give_up(&mut self, slot: usize, now: Moment) {
        self.give_up_requests(slot, now);
        let client = &self.all[slot];
        let Some(latencies) = self.metrics.at(client.began) else { return };
        match (client.state, client.asked) {
            (State::Connecting, _) => latencies.connect.record_unfinished(now.since(client.began)),
            (State::LoggingIn, Some(asked)) => latencies.login.record_unfinished(now.since(asked)),
            _ => return,
        }
        latencies.resume.record_unfinished(now.since(client.lost));
    }

    /// Answers that are to come never will: they count with the time waited, whatever the reason.
    pub(super) fn give_up_requests(&mut self, slot: usize, now: Moment) {
        let client = &mut self.all[slot];
        self.requests_waiting -= client.waiting.len() as u64;
        let sort = super::sort(client.role);
        client.waiting.drain(..).for_each(|text| self.metrics.request(sort, text.since, now, false));
    }

    /// What a client has waited for in vain, if it has.
    pub(in crate::load) fn overdue(
        &self,
        slot: usize,
        now: Moment,
        timeouts: &Timeouts,
    ) -> Option<LoadError> {
        let client = &self.all[slot];
        let wait = match client.state {
            State::Connecting => Some(("connect_timeout", client.began, timeouts.connect)),
            State::LoggingIn => Some(("no_answer", client.since, timeouts.login)),
            State::Leaving | State::Parting => Some(("no_bye", client.since, timeouts.bye)),
            _ => None,
        };
        let echo = client.waiting.front().map(|text| ("no_echo", text.since, timeouts.echo));
        let is_over = |(_, since, most): &(&str, Moment, Duration)| *since + *most <= now;
        let (kind, _, most) = wait.into_iter().chain(echo).find(is_over)?;
        let reason = match kind {
            "connect_timeout" => format!("no connection within {most:?}"),
            "no_echo" => format!(
                "no echo of a message within {most:?}: the load may be too much for the server; else {}",
                self.dialect.advice()
            ),
            _ => format!("nothing came for {most:?} {}", self.awaited(slot)),
        };
        Some(LoadError::new(kind, reason))
    }

    /// What the client waits for, as the end of a sentence about what happened instead.
    fn awaited(&self, slot: usize) -> String {
        let client = &self.all[slot];
        let due = match client.state {
            State::Outside | State::Connecting | State::Failed => {
                return "before the connection was there".to_owned();
            }
            State::LoggingIn => self.dialect.awaited(&client.login),
            State::Inside if client.waiting.is_empty() => return "while the client stayed".to_owned(),
            State::Inside => "an echo",
            State::Leaving => "Bye",
            State::Parting => "the close after Bye",
        };
        format!("where {due} was due")
    }
}
