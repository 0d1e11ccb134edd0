//! The shell around the engine, as small as it can be: a turn with the same phases as the server's, its own ready
//! list, and sockets that tell of their readiness once.

use crate::model::Cause;
use crate::net::{Breaks, Events, Link, Outcome};
use crate::transport::{Transport, WriteFailure, Wrote};
use crate::wire::{Said, first_reply};
use crate::world::World;
use porter::Moment;
use porter::engine::{ConnId, ReadBudget, SocketCommand, Unsent, Written};
use porter::store::Store;
use std::collections::VecDeque;
use std::time::Duration;

/// Connections accepted in one turn.
const ACCEPTS: usize = 10;
/// Bytes of the buffer that every read is lent from.
const READ_BYTES: usize = 65_540;

/// One connection's socket, and what is remembered of its readiness.
pub(crate) struct Socket {
    pub(crate) link: usize,
    transport: Transport,
    readable: bool,
    ending: bool,
    /// Nothing written reaches the peer any more. After what is left to be read comes the end.
    write_closed: bool,
    writable: bool,
    in_ready: bool,
    /// It was read in this turn.
    was_read: bool,
    /// What the engine's output was when it was last looked at, and where frames end in it.
    output: Vec<u8>,
    ends: VecDeque<usize>,
    /// The first frame is written in part.
    begun: bool,
}

impl Socket {
    fn new(link: usize, transport: Transport) -> Socket {
        Socket {
            link,
            transport,
            readable: false,
            ending: false,
            write_closed: false,
            writable: true,
            in_ready: false,
            was_read: false,
            output: Vec::new(),
            ends: VecDeque::new(),
            begun: false,
        }
    }

    /// Bytes that wait to be written.
    pub(crate) fn output_bytes(&self) -> usize {
        self.output.len()
    }

    /// Whether the engine's output is other than when last looked at.
    pub(crate) fn is_stale(&self, output: Unsent<'_>) -> bool {
        let last = output.slices().last().unwrap_or_default();
        self.output.len() != output.len() || !self.output.ends_with(&last[last.len().saturating_sub(16)..])
    }

    /// Takes in the engine's output, and says what is new in it. What was there must still be there, unless a slow
    /// consumer's unsent frames were dropped: then all that was not begun.
    pub(crate) fn look(&mut self, output: &[u8]) -> Vec<Said> {
        if !output.starts_with(&self.output) {
            let begun = if self.begun { self.ends.front().copied().unwrap_or_default() } else { 0 };
            let kept = output.starts_with(&self.output[..begun]);
            assert!(kept, "waiting output was changed: {:?} is now {output:?}", self.output);
            self.output.truncate(begun);
            self.ends.truncate(usize::from(begun > 0));
        }
        let mut said = Vec::new();
        while let Some((reply, length)) = first_reply(&output[self.output.len()..]) {
            let start = self.output.len();
            self.output.extend_from_slice(&output[start..start + length]);
            self.ends.push_back(start + length);
            said.push(reply);
        }
        assert_eq!(self.output.len(), output.len(), "the output ends within a frame");
        said
    }

    /// What the peer did not take in time is dropped.
    pub(crate) fn forget(&mut self) {
        self.output.clear();
        self.ends.clear();
    }

    /// Writes what the link takes.
    fn write_plain(&mut self, link: &mut Link, output: &[u8]) -> Wrote {
        let (bytes, failure) = match link.write(output) {
            Outcome::Bytes(count) => (count, None),
            Outcome::Nothing => (0, None),
            Outcome::End | Outcome::Fault | Outcome::Broken => (0, Some(WriteFailure::Broken)),
        };
        self.writable = bytes == output.len();
        Wrote { written: Written::bytes(bytes), has_moved: bytes > 0, failure }
    }

    fn written(&mut self, count: usize) {
        self.output.drain(..count);
        self.begun = count > 0 && !self.ends.contains(&count) || (count == 0 && self.begun);
        while self.ends.front().is_some_and(|end| *end <= count) {
            self.ends.pop_front();
        }
        self.ends.iter_mut().for_each(|end| *end -= count);
    }
}

impl World {
    /// One turn of the server.
    pub(crate) fn turn(&mut self) {
        self.take_events();
        let (began, connections) = (self.clock.get(), self.model.conns.len());
        self.accept();
        let arrived = self.find_arrived();
        self.read();
        self.meet_deadlines(arrived);
        if self.engine().is_working() {
            self.call(Cause::FanOut);
        }
        self.write();
        self.write_for_many();
        self.close();
        self.store();
        self.hash();
        self.write();
        self.close();
        self.model.check_closing(began, connections);
        // Nobody may be forgotten, whether or not the server would wait for long.
        self.patience();
    }

    /// How long the server would wait; `None` for ever.
    pub(crate) fn patience(&mut self) -> Option<Duration> {
        self.take_unblocked();
        let busy = !self.ready.is_empty()
            || self.engine().has_work()
            || self.engine().is_hashing()
            || !self.knocking.is_empty()
            || !self.unblocked.is_empty();
        let now = self.clock.get();
        if busy || self.sockets.values().any(|socket| self.links[socket.link].events.any()) {
            return Some(Duration::ZERO);
        }
        self.check_quiet();
        let deadlines = [self.engine().next_deadline(), self.engine().store_mut().real.next_commit()];
        deadlines.into_iter().flatten().min().map(|due| due.since(now))
    }

    /// Nobody is forgotten when nothing is ready.
    fn check_quiet(&mut self) {
        let committing = self.engine().store_mut().real.next_commit().is_some();
        self.model.check_quiet(false, committing);
        for (id, socket) in &self.sockets {
            let link = &self.links[socket.link];
            let waits = socket.output_bytes() > 0 || socket.transport.has_backlog();
            let stuck = waits && link.has_room() && socket.transport.is_open();
            assert!(!stuck, "output of {id:?} waits though its socket takes it");
            let budget = self.engine.as_ref().map(|engine| engine.read_budget(*id));
            let unblocked =
                matches!(budget, Some(ReadBudget::Bytes(_))) && socket.readable && link.has_arrived();
            assert!(
                !unblocked && budget != Some(ReadBudget::Backlog),
                "{id:?} is ready for {budget:?}, and nobody knows: {:?}",
                self.model.conns[id]
            );
        }
    }

    fn take_events(&mut self) {
        let told: Vec<(ConnId, Events)> = {
            let links = &mut self.links;
            let sockets = self.sockets.iter();
            sockets.map(|(id, socket)| (*id, std::mem::take(&mut links[socket.link].events))).collect()
        };
        for (id, events) in told.into_iter().filter(|(_, events)| events.any()) {
            if events.broken {
                match self.settings.breaks {
                    Breaks::Whole => self.call(Cause::Reset(id)),
                    Breaks::Writing => self.close_writing(id),
                }
                continue;
            }
            let Some(socket) = self.sockets.get_mut(&id) else { continue };
            socket.readable |= events.readable;
            socket.ending |= events.ended;
            let may_write = events.writable && !std::mem::replace(&mut socket.writable, true);
            if socket.readable && !std::mem::replace(&mut socket.in_ready, true) {
                self.ready.push(id);
            }
            if events.ended {
                self.call(Cause::HalfClose(id));
            }
            if may_write && self.settings.record_bytes == 0 {
                self.write_one(id);
            } else if may_write {
                self.unblocked.push_back(id);
            }
        }
    }

    /// Those of whom something is there that the server takes.
    fn find_arrived(&mut self) -> Vec<ConnId> {
        self.sockets.values_mut().for_each(|socket| socket.was_read = false);
        self.sockets.keys().copied().filter(|id| self.is_to_be_read(*id)).collect()
    }

    fn is_to_be_read(&self, id: ConnId) -> bool {
        let (Some(engine), Some(socket)) = (&self.engine, self.sockets.get(&id)) else { return false };
        let is_unblocked = matches!(engine.read_budget(id), ReadBudget::Bytes(_)) && !engine.is_closing(id);
        is_unblocked && socket.readable && self.links[socket.link].has_arrived()
    }

    /// Whatever is due is done. Nobody may be too late of whom something had arrived that was not read.
    fn meet_deadlines(&mut self, mut unheard: Vec<ConnId>) {
        unheard.retain(|id| self.sockets.get(id).is_some_and(|socket| !socket.was_read));
        unheard.retain(|id| self.is_to_be_read(*id));
        self.call(Cause::Time);
        let engine = self.engine();
        let judged = unheard.iter().find(|id| engine.is_closing(**id));
        assert_eq!(judged, None, "too late, though something of it had arrived");
    }

    fn accept(&mut self) {
        for _ in 0..ACCEPTS {
            let Some(link) = self.knocking.pop_front() else { return };
            let peer = self.links[link].peer;
            let now = self.tick();
            let id = self.engine().handle_connect(peer, now);
            match id {
                Some(id) => {
                    let is_refused = self.engine().is_closing(id);
                    let transport = Transport::new(self.settings.record_bytes, is_refused);
                    assert!(self.sockets.insert(id, Socket::new(link, transport)).is_none());
                }
                None => self.links[link].close(),
            }
            self.observe(Cause::Connect(peer, id), now);
        }
    }

    fn read(&mut self) {
        self.take_unblocked();
        for (id, _) in self.sockets.iter().filter(|(_, socket)| !socket.in_ready) {
            let budget = self.engine.as_ref().map(|engine| engine.read_budget(*id));
            assert!(budget != Some(ReadBudget::Backlog), "{id:?} has frames left, and nobody knows");
        }
        for id in std::mem::take(&mut self.ready) {
            if self.read_one(id)
                && let Some(socket) = self.sockets.get_mut(&id)
            {
                socket.in_ready = true;
                self.ready.push(id);
            }
        }
    }

    /// Gives one socket its share; true if it is to have another turn.
    fn read_one(&mut self, id: ConnId) -> bool {
        let Some(socket) = self.sockets.get_mut(&id) else { return false };
        socket.in_ready = false;
        let readable = socket.readable;
        let is_plain = socket.transport.is_plain();
        if !is_plain && self.engine().is_held_by_output(id) {
            // Perhaps it was only that nobody had yet tried to write it.
            self.write_one(id);
        }
        match self.engine().read_budget(id) {
            ReadBudget::Nothing => return false,
            ReadBudget::Backlog => self.call(Cause::Turn(id)),
            ReadBudget::Bytes(_) if !readable => return false,
            ReadBudget::Bytes(most) => self.read_bytes(id, most.min(READ_BYTES)),
        }
        if !is_plain {
            // Who spoke is answered at once, and who has come through the opening is greeted.
            self.write_one(id);
        }
        match self.engine().read_budget(id) {
            ReadBudget::Nothing => false,
            ReadBudget::Backlog => true,
            ReadBudget::Bytes(_) => self.sockets.get(&id).is_some_and(|socket| socket.readable),
        }
    }

    fn read_bytes(&mut self, id: ConnId, most: usize) {
        let mut buffer = vec![0; most];
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.was_read = true;
        let outcome = socket.transport.read(&mut self.links[socket.link], &mut buffer);
        // A short read has emptied the socket.
        let is_short = matches!(outcome, Outcome::Bytes(count) if count < most);
        socket.readable = match outcome {
            Outcome::Bytes(_) => !is_short || socket.ending || socket.write_closed,
            Outcome::Fault => true,
            Outcome::Nothing | Outcome::End | Outcome::Broken => false,
        };
        let (is_open, write_closed) = (socket.transport.is_open(), socket.write_closed);
        match outcome {
            Outcome::Bytes(count) => self.call(Cause::Bytes(id, &buffer[..count])),
            Outcome::Nothing | Outcome::End if write_closed => self.call(Cause::Reset(id)),
            Outcome::Nothing => {}
            Outcome::End if !is_open => self.call(Cause::NeverOpened(id)),
            Outcome::End => self.call(Cause::End(id)),
            Outcome::Fault => self.call(Cause::Failed(id)),
            Outcome::Broken => self.call(Cause::Reset(id)),
        }
    }

    /// Nothing can be written any more, but what arrived before can still be read.
    fn close_writing(&mut self, id: ConnId) {
        let Some(socket) = self.sockets.get_mut(&id) else { return };
        socket.readable = true;
        if !std::mem::replace(&mut socket.write_closed, true) {
            if !std::mem::replace(&mut socket.in_ready, true) {
                self.ready.push(id);
            }
            self.drop_unwritable(id);
        }
    }

    fn drop_unwritable(&mut self, id: ConnId) {
        if let Some(socket) = self.sockets.get_mut(&id) {
            socket.transport.drop_held();
        }
        self.call(Cause::WriteClosed(id));
    }

    fn take_unblocked(&mut self) {
        while let Some(id) = self.engine().poll_unblocked() {
            if let Some(socket) = self.sockets.get_mut(&id)
                && !std::mem::replace(&mut socket.in_ready, true)
            {
                self.ready.push(id);
            }
        }
    }

    pub(crate) fn write(&mut self) {
        while let Some(id) = self.engine().poll_output() {
            self.write_one(id);
        }
    }

    fn write_for_many(&mut self) {
        for _ in 0..self.settings.writes_for_many {
            let next = self.unblocked.pop_front().or_else(|| self.engine().poll_output_for_many());
            let Some(id) = next else { return };
            self.write_one(id);
        }
    }

    fn write_one(&mut self, id: ConnId) {
        let (Some(engine), Some(socket)) = (&self.engine, self.sockets.get_mut(&id)) else { return };
        if socket.write_closed {
            return self.drop_unwritable(id);
        }
        let (unsent, is_last) = (engine.output(id), engine.is_closing(id));
        socket.writable |= engine.must_try(id);
        let is_idle = if socket.transport.is_plain() {
            unsent.is_empty() || !socket.writable
        } else {
            unsent.is_empty() && !socket.transport.has_backlog() && !is_last
        };
        if is_idle {
            return;
        }
        let output = unsent.to_vec();
        let link = &mut self.links[socket.link];
        let wrote = if socket.transport.is_plain() {
            socket.write_plain(link, &output)
        } else {
            socket.transport.write(link, &output, is_last, &mut socket.writable)
        };
        let Wrote { written, has_moved, failure } = wrote;
        let has_more = socket.writable && written.bytes > 0 && written.bytes < output.len();
        socket.written(written.bytes);
        if failure != Some(WriteFailure::Broken) {
            self.call(Cause::Written(id, written, has_moved));
        }
        if has_more {
            self.engine().list_behind(id);
        }
        match failure {
            None => {}
            Some(WriteFailure::Broken) if self.settings.breaks == Breaks::Writing => self.close_writing(id),
            Some(WriteFailure::Broken) => self.call(Cause::Reset(id)),
            Some(WriteFailure::NeverOpened) => self.call(Cause::Failed(id)),
        }
    }

    pub(crate) fn close(&mut self) {
        while let Some((id, command)) = self.engine().poll_command() {
            let now = self.clock.get();
            self.model.obey_command(id, command == SocketCommand::Close, now);
            match command {
                SocketCommand::ShutDown => {
                    let Some(socket) = self.sockets.get_mut(&id) else { continue };
                    socket.transport.shut(&mut self.links[socket.link]);
                }
                SocketCommand::Close => {
                    if let Some(socket) = self.sockets.remove(&id) {
                        self.links[socket.link].close();
                    }
                    self.gone.push(id);
                }
            }
        }
    }

    fn store(&mut self) {
        let now = self.clock.get();
        if self.engine().store_mut().real.next_commit().is_some_and(|due| due <= now) {
            self.engine().store_mut().real.commit(now);
            self.note_notices();
            // Before anybody is told, and after.
            self.rehearse();
            if !self.disk.is_dead() {
                self.call(Cause::Completions);
                self.rehearse();
            }
        }
    }

    fn hash(&mut self) {
        if self.engine().is_hashing() && !self.disk.is_dead() {
            self.call(Cause::Hashing);
        }
    }

    /// The moment of the next call: no two are the same.
    pub(crate) fn tick(&mut self) -> Moment {
        let now = self.clock.get() + Duration::from_nanos(1);
        self.clock.set(now);
        now
    }
}
