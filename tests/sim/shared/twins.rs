//! Connections that all come with the token of one client at once: in the end at most one of them may have its session.

use super::client::RESUME;
use super::redis::Value;
use super::server::Pipe;
use super::world::World;
use crate::wire::{Said, frame, take_reply};
use porter::engine::ConnId;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
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
        let mut is_understood = false;
        while let Some(said) = take_reply(&mut pipe.to_client) {
            is_understood = true;
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
        is_understood
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
        self.check_attached();
        self.twins.iter().for_each(|twin| twin.pipe.borrow_mut().end());
    }

    /// Each connection that is in has its session in the store, at its server and with its address, and said to have a
    /// connection: else nobody elsewhere could find it. It may be said of one more, for as long as its lease: a session was
    /// resumed, and the answer to that was lost with the link, so that its server knows nothing of it. Its client can still come
    /// back. Of none that was opened: its server ends what it was not answered to.
    fn check_attached(&self) {
        let own = self.clients.iter().filter(|client| client.is_in());
        let own = own.filter_map(|client| client.conn.as_ref()).map(|conn| (conn.server, &conn.pipe));
        let twins = self.twins.iter().filter(|twin| twin.is_in && !twin.is_over());
        let connections = own.chain(twins.map(|twin| (twin.server, &twin.pipe)));
        let mark = |place: usize| self.servers[place].as_ref().map(|server| server.mark.clone());
        let connections: BTreeSet<_> =
            connections.map(|(place, pipe)| (mark(place).unwrap(), pipe.borrow().peer.clone())).collect();
        let data = self.store.redis.data();
        let (mut attached, mut opened) = (BTreeSet::new(), BTreeSet::new());
        for id in data.keys("porter:session:") {
            let Some(Value::Hash(fields)) = data.get(&format!("porter:session:{id}")) else { panic!("{id}") };
            let is_alive = self.servers.iter().flatten().any(|server| server.mark == fields["owner"]);
            if is_alive && fields["attached"] == "1" {
                let place = (fields["owner"].clone(), fields["peer"].clone());
                assert!(attached.insert(place.clone()), "two sessions of one connection: {place:?}");
                opened.extend((fields["generation"] == "1").then_some(place));
            }
        }
        let missing: Vec<_> = connections.difference(&attached).collect();
        assert!(missing.is_empty(), "connections whose session the store does not have so: {missing:?}");
        let ghosts: Vec<_> = opened.difference(&connections).collect();
        assert!(ghosts.is_empty(), "sessions that never had a connection, or have none now: {ghosts:?}");
    }
}
