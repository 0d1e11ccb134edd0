//! How long clients wait, for what, and what comes of it if that was in vain.

use super::{Clients, State};
use crate::Moment;
use crate::load::dialect::Dialect;
use crate::load::{LoadError, Timeouts};

impl<D: Dialect> Clients<D> {
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
        let waiting = std::mem::take(&mut self.all[slot].waiting);
        self.requests_waiting -= waiting.len() as u64;
        waiting.into_iter().for_each(|began| self.metrics.request(began, now, false));
    }

    /// What a client has waited for in vain, if it has.
    pub(in crate::load) fn overdue(
        &self,
        slot: usize,
        now: Moment,
        timeouts: &Timeouts,
    ) -> Option<LoadError> {
        let client = &self.all[slot];
        let is_over = |since: Moment, most| since + most <= now;
        match client.state {
            State::Connecting if is_over(client.began, timeouts.connect) => {
                let reason = format!("no connection within {:?}", timeouts.connect);
                Some(LoadError::new("connect_timeout", reason))
            }
            State::LoggingIn if is_over(client.since, timeouts.login) => {
                let reason = format!("nothing came for {:?} {}", timeouts.login, self.awaited(slot));
                Some(LoadError::new("no_answer", reason))
            }
            State::Leaving | State::Parting if is_over(client.since, timeouts.bye) => {
                let reason = format!("nothing came for {:?} {}", timeouts.bye, self.awaited(slot));
                Some(LoadError::new("no_bye", reason))
            }
            _ if client.waiting.front().is_some_and(|sent| is_over(*sent, timeouts.echo)) => {
                let (most, advice) = (timeouts.echo, self.dialect.advice());
                Some(LoadError::new("no_echo", format!("no echo of a message within {most:?}; {advice}")))
            }
            _ => None,
        }
    }

    /// What the client waits for, as the end of a sentence about what happened instead.
    pub(super) fn awaited(&self, slot: usize) -> String {
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
