//! What is to be done, as the engine gives it: work of its own in shares, output, commands, lines.

use super::registry::Registry;
use super::{ConnId, Engine, SocketCommand, Unsent};
use crate::Moment;
use crate::store::Store;
use std::time::Duration;

impl<S: Store> Engine<S> {
    /// A turn is over that took so long, [store](Engine::store_mut) aside.
    #[inline]
    pub fn handle_turn_end(&mut self, took: Duration) {
        self.registry.turns.record(took);
    }

    /// Does a share of what is too much for one turn: hands out texts that are for many, for which it looks at up to `most`
    /// connections, and goes on with a kick of many, a list of all, or Bye to all; or, when too much waits for all together,
    /// goes on with cutting off those of a crowd by whom most is freed. Says how much that was, in looks; 0 says that output
    /// must be written first, or time pass.
    pub fn handle_work(&mut self, most: usize, now: Moment) -> usize {
        self.registry.now = now;
        let looked = match self.registry.go_on_with_cut_off() {
            0 => self.registry.hand_out(most) + self.registry.go_on_with_tasks(),
            looked => looked,
        };
        self.apply_changes();
        looked
    }

    /// A connection that has output to be written, not only for many: to be asked for until there is none.
    pub fn poll_output(&mut self) -> Option<ConnId> {
        self.registry.pop_output()
    }

    /// A connection whose output is for many, in the order in which they got some: to be asked for as long as a turn has
    /// time, when [`poll_output`](Engine::poll_output) gives none.
    pub fn poll_output_for_many(&mut self) -> Option<ConnId> {
        self.registry.pop_output_for_many()
    }

    /// Whether there is [work](Engine::handle_work) that was not done when it was asked for.
    pub fn is_working(&self) -> bool {
        let Registry { fan_out, tasks, cut_off, .. } = &self.registry;
        !fan_out.is_empty() || !tasks.is_empty() || cut_off.is_some()
    }

    /// Whether a turn's share has left something to be done in the next, whatever happens.
    pub fn has_work(&self) -> bool {
        let answers = &self.registry.answers;
        self.is_working()
            || self.registry.has_outputs()
            || (answers.has_typed() && answers.is_listing_for_console())
    }

    /// A connection that could not be served and now has a [read budget](Engine::read_budget).
    pub fn poll_unblocked(&mut self) -> Option<ConnId> {
        self.registry.unblocked.pop()
    }

    /// What is to be done with a socket. After [`SocketCommand::Close`] the connection is forgotten.
    pub fn poll_command(&mut self) -> Option<(ConnId, SocketCommand)> {
        let (id, command) = self.registry.commands.pop_front()?;
        if command == SocketCommand::Close {
            self.registry.remove(id);
        }
        Some((id, command))
    }

    /// Whether [`poll_command`](Engine::poll_command) has something to be done.
    pub fn has_command(&self) -> bool {
        !self.registry.commands.is_empty()
    }

    /// A line for the person at the console, with nothing in it that could harm a terminal.
    #[inline]
    pub fn poll_console_line(&mut self) -> Option<String> {
        // It is asked in every turn, mostly for nothing.
        if self.registry.console.is_empty() && !self.registry.answers.has_typed() {
            return None;
        }
        self.pop_console_line()
    }

    fn pop_console_line(&mut self) -> Option<String> {
        if let Some(line) = self.registry.console.pop() {
            return Some(line);
        }
        if !self.registry.answers.has_typed() {
            return None;
        }
        self.show_answers();
        self.registry.console.pop()
    }

    /// What waits to be written to a connection.
    pub fn output(&self, id: ConnId) -> Unsent<'_> {
        self.registry.connections.get(id).map_or(Unsent::NOTHING, |connection| connection.outbox.unsent())
    }
}
