//! Who reads whose texts: everybody its own, as echoes, or in a chat many what one writes.
//!
//! Each reader must have every text, in order. A text is over when the last of its readers has it.

use super::{Client, Clients, State, Text};
use crate::Moment;
use crate::load::dialect::{Dialect, Role};

impl<D: Dialect> Clients<D> {
    /// Those who are inside now are those who read in the chat. Who comes to nothing later is waited for no more.
    pub(in crate::load) fn begin_chat(&mut self, in_flight: usize) {
        for writer in [Role::Whisperer, Role::Writer] {
            self.prepare(writer.slot(), in_flight);
        }
        for slot in 0..self.all.len() {
            let writer = match Role::of(slot) {
                Role::Listener => Role::Whisperer.slot(),
                Role::Reader => Role::Writer.slot(),
                Role::Whisperer | Role::Writer => continue,
            };
            if self.all[slot].state == State::Inside {
                self.all[slot].reads = Some(writer);
                self.all[writer].readers += 1;
            }
        }
    }

    /// Whether a message is the text that a client is to have next.
    pub(super) fn reads(&mut self, slot: usize, message: &[u8], now: Moment, out: &mut Vec<u8>) -> bool {
        let Client { reads: Some(writer), next_text: due, .. } = self.all[slot] else { return false };
        let written = &mut self.all[writer];
        let place = written.place(due);
        if place >= written.waiting.len() || !written.exchange.is_answer(due, message) {
            return false;
        }
        written.waiting[place].missing -= 1;
        self.all[slot].next_text = due.wrapping_add(1);
        self.deliveries += u64::from(self.all[slot].role == Some(Role::Reader));
        self.end_texts(writer, now);
        if writer == slot {
            self.follow(slot, now, out);
        }
        true
    }

    /// A reader of what another writes is gone, and nobody waits for it any more.
    pub(super) fn forget_reader(&mut self, slot: usize, now: Moment) {
        let Some(writer) = self.all[slot].reads.take().filter(|writer| *writer != slot) else { return };
        let due = self.all[slot].next_text;
        let written = &mut self.all[writer];
        let place = written.place(due);
        written.waiting.iter_mut().skip(place).for_each(|text| text.missing -= 1);
        written.readers -= 1;
        // What nobody is left to read did not arrive.
        if written.readers > 0 {
            self.end_texts(writer, now);
        }
    }

    /// A client's texts that all its readers have are over. In a chat others may follow those of the room.
    fn end_texts(&mut self, slot: usize, now: Moment) {
        let writer = &mut self.all[slot];
        while let Some(&Text { since, missing: 0 }) = writer.waiting.front() {
            writer.waiting.pop_front();
            self.requests_waiting -= 1;
            self.metrics.request(super::sort(writer.role), since, now, true);
            self.owed += usize::from(writer.role.is_some() && writer.budget > 0 && now < self.talks_until);
        }
    }
}
