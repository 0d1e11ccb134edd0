//! The end of a run: clients that are cut off, answers that are still to come, and goodbyes.

use super::{EventLoop, SWEEP};
use crate::Moment;
use crate::load::LoadError;
use crate::load::client::State;
use crate::load::connection::Flow;
use crate::load::dialect::Dialect;
use crate::load::watchdog::Cut;
use std::time::Duration;

/// How long an interrupt leaves clients for a goodbye.
const GOODBYE_INTERRUPTED: Duration = Duration::from_secs(2);

impl<D: Dialect> EventLoop<'_, D> {
    /// Cuts a client off: its connection breaks, and it knows what its login knows.
    pub(in crate::load) fn break_off(&mut self, slot: usize) {
        let now = self.clock.now();
        self.clients.give_up(slot, now);
        if let Some(connection) = self.connections[slot].take() {
            connection.reset();
            self.clients.handle_left(slot, now, Ok(()));
        }
    }

    /// Waits for the answers that are still to come, as long as timeouts last, or not for long if the run was cut short.
    /// After that nobody waits for anything: what has not come to an end counts with the time waited.
    ///
    /// # Errors
    /// If the poll fails.
    pub(in crate::load) fn await_answers(&mut self) -> Result<(), LoadError> {
        self.clients.talks_until = Moment::START;
        let end = self.clock.now() + self.last_wait(self.timeouts.echo);
        while self.clients.requests_waiting > 0 && self.clock.now() < end && self.has_server() {
            self.turn(end)?;
        }
        let now = self.clock.now();
        for slot in 0..self.clients.len() {
            match self.clients.state(slot) {
                State::Inside | State::Leaving | State::Parting => self.clients.give_up(slot, now),
                _ => self.break_off(slot),
            }
        }
        Ok(())
    }

    /// Whether the server may still answer.
    fn has_server(&self) -> bool {
        self.cut().is_none_or(Cut::has_server)
    }

    /// How long to wait at the end of a run.
    fn last_wait(&self, timeout: Duration) -> Duration {
        if self.cut().is_some() { timeout.min(GOODBYE_INTERRUPTED) } else { timeout }
    }

    /// Everybody leaves and waits for the server's close, so that no session stays behind: who waits in vain has failed.
    /// Who is still on the way in is cut off, and so is everybody if the server does not answer any more.
    ///
    /// # Errors
    /// If the poll fails.
    pub(in crate::load) fn dismiss(&mut self) -> Result<(), LoadError> {
        self.returns_until = Moment::START;
        self.without_port.clear();
        for slot in 0..self.connections.len() {
            match self.clients.state(slot) {
                State::Inside if self.has_server() => {
                    let (now, mut flow) = (self.clock.now(), Flow::Continue);
                    self.send(slot, |clients, out| flow = clients.leave(slot, now, out));
                    self.settle(slot, Ok(flow));
                }
                State::Leaving | State::Parting if self.has_server() => {}
                _ => self.break_off(slot),
            }
        }
        // A little more than the timeout, so that it ends for each by itself.
        let end = self.clock.now() + self.last_wait(self.timeouts.bye + SWEEP * 4);
        while self.clock.now() < end && self.has_server() && self.connections.iter().any(Option::is_some) {
            self.turn(self.clock.now() + SWEEP)?;
        }
        Ok(())
    }
}
