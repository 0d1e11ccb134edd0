//! Connections that all come with the token of one client at once: in the end at most one of them may have its session.

use super::client::RESUME;
use super::server::Pipe;
use super::world::World;
use crate::wire::{Said, frame, take_reply};
use porter::engine::ConnId;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

pub(super) struct Twin {
    pub(super) server: usize,
    pub(super) id: ConnId,
    pub(super) pipe: Rc<RefCell<Pipe>>,
    /// What it comes with, until it has said so.
    token: Option<[u8; 16]>,
    /// Whose session it is, whichever connection has it.
    line: usize,
    is_in: bool,
}

impl Twin {
    /// Takes what it was told. Says whether that was anything.
    pub(super) fn hear(&mut self) -> bool {
        let mut pipe = self.pipe.borrow_mut();
        let mut has_heard = false;
        while let Some(said) = take_reply(&mut pipe.to_client) {
            has_heard = true;
            match said {
                Said::Hello(_) => pipe.send(&frame(RESUME, &[&self.token.take().unwrap()])),
                Said::Welcome(..) => self.is_in = true,
                Said::Bye | Said::Error(..) => self.is_in = false,
                _ => {}
            }
        }
        if pipe.is_shut && !pipe.is_closed {
            pipe.end();
        }
        has_heard
    }

    pub(super) fn is_over(&self) -> bool {
        self.pipe.borrow().is_closed
    }
}

impl World {
    /// So many connections come with a client's token at once, wherever they get to.
    pub(super) fn come_many_times(&mut self, number: usize) {
        let alive = self.alive();
        self.lines += 1;
        let Some(session) = &mut self.clients[number].session else { return };
        // Its client knows nothing of them.
        session.may_be_over = true;
        let (token, line) = (session.token, *session.line.get_or_insert(self.lines));
        for _ in 0..2 + self.random.below(6) {
            let Some(place) = (!alive.is_empty()).then(|| self.random.pick(&alive)) else { return };
            if let Some((id, pipe)) = self.reach(place, number) {
                self.twins.push(Twin { server: place, id, pipe, token: Some(token), line, is_in: false });
            }
        }
    }

    /// Nobody is somewhere twice, be it that two of its connections never hear of each other.
    pub(super) fn check_twins(&mut self) {
        let mut lines: BTreeMap<usize, usize> = BTreeMap::new();
        let own = self.clients.iter().filter(|client| client.is_in());
        let own = own.filter_map(|client| client.session.and_then(|session| session.line));
        let twins = self.twins.iter().filter(|twin| twin.is_in && !twin.is_over());
        for line in own.chain(twins.map(|twin| twin.line)) {
            *lines.entry(line).or_default() += 1;
        }
        assert!(lines.values().all(|count| *count == 1), "connections of one session: {lines:?}");
        self.twins.iter().for_each(|twin| twin.pipe.borrow_mut().end());
    }
}
