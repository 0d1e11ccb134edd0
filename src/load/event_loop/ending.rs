//! The end of a run: clients that are cut off, answers that are still to come, and farewells.

use super::{EventLoop, SWEEP};
use crate::Moment;
use crate::load::LoadError;
use crate::load::client::{Flow, State};
use crate::load::dialect::Dialect;
use crate::load::watchdog::Cut;
use std::time::Duration;

/// How long an interrupt leaves clients for a farewell.
const FAREWELL_INTERRUPTED: Duration = Duration::from_secs(2);

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

    /// From now on nobody comes again.
    pub(in crate::load) fn stop_returns(&mut self) {
        self.returns_until = Moment::START;
        self.queue.clear();
        self.without_port.clear();
    }

    /// Waits for the answers that are still to come, as long as timeouts last, or not for long if the run was cut short.
    /// After that nobody waits for anything: what has not come to an end counts with the time waited.
    pub(in crate::load) fn await_answers(&mut self) -> Result<(), LoadError> {
        self.clients.talks_until = Moment::START;
        let end = self.clock.now() + self.last_wait(self.timeouts.echo);
        self.turn_while(end, &mut |_| {}, |it| it.clients.requests_waiting > 0 && it.has_server())?;
        let now = self.clock.now();
        for slot in 0..self.clients.all.len() {
            match self.clients.all[slot].state {
                State::Inside | State::Leaving | State::Parting => self.clients.give_up(slot, now),
                _ => self.break_off(slot),
            }
        }
        Ok(())
    }

    /// Nobody waits any more: what is under way counts with the time waited.
    pub(in crate::load) fn give_up_all(&mut self) {
        let now = self.clock.now();
        let under_way = (0..self.connections.len()).filter(|slot| self.connections[*slot].is_some());
        under_way.for_each(|slot| self.clients.give_up(slot, now));
    }

    /// Whether the server may still answer.
    fn has_server(&self) -> bool {
        self.cut().is_none_or(Cut::has_server)
    }

    /// How long to wait at the end of a run.
    fn last_wait(&self, timeout: Duration) -> Duration {
        if self.cut().is_some() { timeout.min(FAREWELL_INTERRUPTED) } else { timeout }
    }

    /// Everybody leaves and waits for the server's close, so that no session stays behind: who waits in vain has failed.
    /// Who is still on the way in is cut off, and so is everybody if the server does not answer any more.
    pub(in crate::load) fn dismiss(&mut self) -> Result<(), LoadError> {
        self.stop_returns();
        for slot in 0..self.connections.len() {
            match self.clients.all[slot].state {
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
        let is_somebody_there = |it: &mut Self| it.has_server() && it.connections.iter().any(Option::is_some);
        self.turn_while(end, &mut |_| {}, is_somebody_there)
    }
}
