//! The end of a run: clients that are cut off, answers that are still to come, and farewells.

use super::{EventLoop, SWEEP};
use crate::Moment;
use crate::load::LoadError;
use crate::load::client::State;
use crate::load::dialect::Dialect;
use std::ops::Range;
use std::time::Duration;

/// How long an interrupt leaves clients for a farewell.
const FAREWELL_INTERRUPTED: Duration = Duration::from_secs(2);

impl<D: Dialect> EventLoop<D> {
    /// Cuts a client off: its connection breaks, and it knows what its login knows.
    pub(in crate::load) fn break_off(&mut self, slot: usize) {
        if let Some(connection) = self.connections[slot].take() {
            connection.reset();
            self.clients.handle_left(slot, self.clock.now(), Ok(()));
        }
    }

    /// From now on nobody comes again.
    pub(in crate::load) fn stop_returns(&mut self) {
        self.returns_until = Moment::START;
        self.queue.clear();
    }

    /// Waits for the answers that are still to come, as long as timeouts last, or not for long if the run was cut short.
    /// After that nobody waits for anything: what has not come to an end counts with the time waited.
    pub(in crate::load) fn await_answers(&mut self) -> Result<(), LoadError> {
        self.clients.talks_until = Moment::START;
        self.last_turns(self.timeouts.echo, |it| it.clients.requests_waiting > 0)?;
        self.give_up(0..self.connections.len());
        Ok(())
    }

    /// Nobody waits any more for what these clients have under way: it counts with the time waited.
    pub(in crate::load) fn give_up(&mut self, slots: Range<usize>) {
        let now = self.clock.now();
        let under_way = slots.filter(|slot| self.connections[*slot].is_some());
        under_way.for_each(|slot| self.clients.give_up(slot, now));
    }

    /// Everybody leaves and waits for the server's close, so that no session stays behind: who waits in vain has failed.
    /// Who is still on the way in is cut off, and so is everybody if the server does not answer any more.
    pub(in crate::load) fn dismiss(&mut self) -> Result<(), LoadError> {
        self.stop_returns();
        for slot in 0..self.connections.len() {
            match self.clients.all[slot].state {
                State::Inside if self.watchdog.has_server() => {
                    let now = self.clock.now();
                    self.send(slot, |clients, out| clients.leave(slot, now, out));
                }
                State::Leaving | State::Parting if self.watchdog.has_server() => {}
                _ => self.break_off(slot),
            }
        }
        // A little more than the timeout, so that it ends for each by itself.
        let timeout = self.timeouts.bye + SWEEP * 4;
        self.last_turns(timeout, |it| it.connections.iter().any(Option::is_some))
    }

    /// Turns while that is so, as long as it lasts at the end of a run, and while the server may still answer.
    fn last_turns(&mut self, timeout: Duration, goes_on: fn(&Self) -> bool) -> Result<(), LoadError> {
        let is_cut = self.watchdog.cut.is_some();
        let most = if is_cut { timeout.min(FAREWELL_INTERRUPTED) } else { timeout };
        let end = self.clock.now() + most;
        self.turn_while(end, &mut |_| {}, |it| it.watchdog.has_server() && goes_on(it))
    }
}
