//! A chat: texts that many read, and whispers beside them that one reads.
//!
//! Each reader must have every text, in order. A text is over when the last of its readers has it.

use super::{Clients, State};
use crate::Moment;
use crate::load::dialect::{Dialect, Role};
use std::collections::VecDeque;

/// One who writes, those who read it, and what is under way between them.
#[derive(Debug)]
struct Audience {
    writer: usize,
    readers: usize,
    /// Of each text under way, from the oldest on, readers that do not have it yet.
    missing: VecDeque<usize>,
}

/// The room and the pair that whispers.
#[derive(Debug)]
pub(in crate::load) struct Chat {
    audiences: [Audience; 2],
    /// Texts of the room that readers have got.
    pub(in crate::load) deliveries: u64,
    /// Texts that the room's writer is to send now.
    pub(in crate::load) owed: usize,
}

impl Chat {
    /// Nobody reads yet.
    pub(super) fn new() -> Chat {
        let audience = |role: Role| Audience { writer: role.slot(), readers: 0, missing: VecDeque::new() };
        Chat { audiences: [Role::Whisperer, Role::Writer].map(audience), deliveries: 0, owed: 0 }
    }

    /// Those who read, or write, as a client of this slot does.
    fn audience(&mut self, slot: usize) -> &mut Audience {
        let is_pair = matches!(Role::of(slot), Role::Listener | Role::Whisperer);
        &mut self.audiences[usize::from(!is_pair)]
    }
}

impl<D: Dialect> Clients<D> {
    /// Those who are inside now are those who read. Who comes to nothing later is waited for no more.
    pub(in crate::load) fn begin_chat(&mut self, in_flight: usize) {
        for role in [Role::Whisperer, Role::Writer] {
            self.prepare(role.slot(), in_flight);
        }
        let Some(chat) = &mut self.chat else { return };
        for (slot, client) in self.all.iter().enumerate() {
            if client.state == State::Inside && matches!(Role::of(slot), Role::Listener | Role::Reader) {
                chat.audience(slot).readers += 1;
            }
        }
    }

    /// A writer of a chat has sent a text.
    pub(super) fn note_text(&mut self, slot: usize) {
        if let Some(chat) = &mut self.chat {
            let audience = chat.audience(slot);
            audience.missing.push_back(audience.readers);
        }
    }

    /// Whether a message is the text that a reader of a chat is to have next.
    pub(super) fn reads(&mut self, slot: usize, message: &[u8], now: Moment) -> bool {
        let Some(chat) = &mut self.chat else { return false };
        let role = Role::of(slot);
        if !matches!(role, Role::Listener | Role::Reader) || self.all[slot].state != State::Inside {
            return false;
        }
        let (due, audience) = (self.all[slot].next_request, chat.audience(slot));
        let writer = &mut self.all[audience.writer];
        let first = writer.next_request.wrapping_sub(audience.missing.len() as u64);
        let place = due.wrapping_sub(first) as usize;
        let Some(missing) = audience.missing.get_mut(place) else { return false };
        if !writer.exchange.is_answer(due, message) {
            return false;
        }
        *missing -= 1;
        chat.deliveries += u64::from(role == Role::Reader);
        self.all[slot].next_request = due.wrapping_add(1);
        self.end_texts(slot, now);
        true
    }

    /// A reader of a chat is gone, and nobody waits for it any more.
    pub(super) fn forget_reader(&mut self, slot: usize, now: Moment) {
        let client = &self.all[slot];
        let reads = matches!(Role::of(slot), Role::Listener | Role::Reader) && client.state == State::Inside;
        let Some(chat) = self.chat.as_mut().filter(|_| reads) else { return };
        let audience = chat.audience(slot);
        if audience.readers == 0 {
            return;
        }
        audience.readers -= 1;
        let first = self.all[audience.writer].next_request.wrapping_sub(audience.missing.len() as u64);
        let had = client.next_request.wrapping_sub(first) as usize;
        audience.missing.iter_mut().skip(had).for_each(|missing| *missing -= 1);
        // What nobody is left to read did not arrive.
        if audience.readers > 0 {
            self.end_texts(slot, now);
        }
    }

    /// Texts of a reader's audience that all have are over, and in the room others may follow.
    fn end_texts(&mut self, slot: usize, now: Moment) {
        let Some(chat) = &mut self.chat else { return };
        let (audience, mut owed) = (chat.audience(slot), 0);
        while audience.missing.front() == Some(&0) {
            audience.missing.pop_front();
            let writer = &mut self.all[audience.writer];
            let Some(began) = writer.waiting.pop_front() else { break };
            self.requests_waiting -= 1;
            let sort = super::sort(Some(Role::of(audience.writer)));
            self.metrics.request(sort, began, now, true);
            if writer.budget > 0 && now < self.talks_until {
                owed += 1;
            }
        }
        chat.owed += owed;
    }
}
