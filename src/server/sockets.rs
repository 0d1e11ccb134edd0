//! The turn's phases that touch sockets: accept, read, write, close.

use super::listeners::Listeners;
use super::slice::Slice;
use super::socket::{Outcome, Socket, WriteFailure};
use super::{
    CLOSE_SHARE, ConnId, READ_SHARE, Server, WORK_LOOKS, WORK_SHARE, WRITE_FOR_MANY_SHARE, WRITE_SHARE,
};
use crate::Moment;
use crate::engine::{ReadBudget, SocketCommand, TransportEvent};
use crate::limits::{
    ACCEPTS_LAST, SHARE_ACCEPTS, SHARE_BYTES, SHARE_CLOSES, SHARE_LEAST_BYTES, SHARE_TURN_BYTES,
    SHARE_WRITTEN_BYTES,
};
use crate::store::Store;
use log::Level;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Token};

const _: () = assert!(usize::BITS >= 64, "an event's token holds a slot's index and its generation");

impl<S: Store> Server<S> {
    /// Remembers what an event says of a socket; events are hints.
    pub(super) fn take_socket_event(&mut self, conn: ConnId, event: &Event, now: Moment) {
        let Some(socket) = socket_of(&mut self.sockets, conn) else { return };
        if event.is_error() {
            return self.close_writing(conn, now);
        }
        if event.is_readable() {
            socket.notice_readable();
        }
        if event.is_read_closed() {
            socket.notice_read_closed();
        }
        let may_write = event.is_writable() && socket.notice_writable();
        if socket.is_readable() {
            if event.is_read_closed() {
                self.give_turn_behind(conn);
            } else {
                self.give_turn(conn);
            }
        }
        if event.is_read_closed() {
            self.engine.handle_transport(conn, TransportEvent::HalfClosed, now);
        }
        if may_write {
            self.unblocked.push_back(conn);
        }
    }

    /// Accepts a share of those who wait, and in turn with them looks at headers of proxies.
    #[inline]
    pub(super) fn accept(&mut self, now: Moment) {
        let is_ready = |listeners: &Listeners| listeners.is_ready(now);
        if self.proxied.has_ready() || self.listeners.as_ref().is_some_and(is_ready) {
            self.accept_share(now);
        }
    }

    fn accept_share(&mut self, now: Moment) {
        for _ in 0..SHARE_ACCEPTS {
            let has_looked = self.look_at_next_header(now);
            self.busy |= has_looked;
            if !self.accept_next(now) && !has_looked {
                return;
            }
        }
    }

    /// Accepts the next who waits; false if nobody does, or can be.
    fn accept_next(&mut self, now: Moment) -> bool {
        let accepted = self.listeners.as_mut().and_then(|listeners| listeners.accept(now));
        let Some((stream, peer)) = accepted else { return false };
        self.busy = true;
        if self.proxied.is_proxy(peer.ip()) {
            self.await_header(stream, peer, now);
        } else if let Some(conn) = self.engine.handle_connect(peer, now) {
            self.admit(conn, stream, false, now);
        }
        true
    }

    /// Lets nobody in any more, but takes those who wait: the system would reset them, and they are told why instead, or go
    /// on elsewhere. A crowd that goes on coming is not waited for.
    pub(super) fn stop_listening(&mut self, now: Moment) {
        if let Some(listeners) = &mut self.listeners {
            listeners.notice_all_ready();
        }
        for _ in 0..ACCEPTS_LAST {
            if !self.accept_next(now) {
                break;
            }
        }
        self.listeners = None;
    }

    /// Puts a connection's socket where it is served from; `was_watched` as one that waited for its PROXY header.
    pub(super) fn admit(&mut self, conn: ConnId, stream: TcpStream, was_watched: bool, now: Moment) {
        let refused = self.engine.is_closing(conn);
        let mut socket = Socket::new(conn, stream, self.handshakes.transport(refused));
        let is_open = socket.is_open() && !refused;
        let token = Token(conn.pack() as usize);
        let registry = self.poll.registry();
        let registered = match was_watched {
            false => registry.register(socket.source(), token, Interest::READABLE),
            true => registry.reregister(socket.source(), token, Interest::READABLE),
        };
        if self.sockets.len() <= conn.index() {
            self.sockets.resize_with(conn.index() + 1, || None);
        }
        self.sockets[conn.index()] = Some(socket);
        if let Err(error) = registered {
            log_event!(Level::Warn, "connection not watched", conn = #conn.generation(), reason = ?error);
            self.engine.handle_transport(conn, TransportEvent::Reset, now);
        } else if is_open {
            // Who speaks without waiting to be greeted has done so by now, and is answered in one with the greeting.
            self.give_turn(conn);
        }
    }

    /// Gives ready sockets their shares, as many as the turn has time for: in turn one of which something new is known and
    /// one that has had its share before. So whoever sends little waits for none who send as much as they can, nor for a
    /// crowd that leaves, and these are not kept waiting either.
    pub(super) fn read(&mut self, now: Moment) {
        self.take_unblocked();
        // Those who come back in this turn are the next one's.
        let (mut ready, mut behind) = (self.ready.len(), self.behind.len());
        self.busy |= ready + behind > 0;
        let share_bytes = share_bytes(ready + behind);
        let mut slice = Slice::new(&READ_SHARE, now);
        let mut was_ready = false;
        while ready + behind > 0 {
            was_ready = ready > 0 && (behind == 0 || !was_ready);
            let (left, list) =
                if was_ready { (&mut ready, &mut self.ready) } else { (&mut behind, &mut self.behind) };
            *left -= 1;
            let Some(conn) = list.pop_front() else { break };
            slice.add(1, 0);
            if self.read_one(conn, share_bytes, now, &mut slice) {
                self.give_turn_behind(conn);
            }
            if slice.is_over(|| self.clock.now()) {
                break;
            }
        }
    }

    /// Whether a socket waits to be read.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty() || !self.behind.is_empty()
    }

    /// Has the engine do a share of what is for many. Who is read again for that comes behind those who waited longer: else it
    /// would take, turn for turn, the room that there is now.
    pub(super) fn work(&mut self, now: Moment) {
        if !self.engine.is_working() {
            return;
        }
        self.take_unblocked();
        self.work_share(now);
        while let Some(conn) = self.engine.poll_unblocked() {
            self.give_turn_behind(conn);
        }
    }

    fn work_share(&mut self, now: Moment) {
        let mut slice = Slice::new(&WORK_SHARE, now);
        while self.engine.is_working() && self.engine.handle_work(WORK_LOOKS, now) > 0 {
            slice.add(WORK_LOOKS, 0);
            if slice.is_over(|| self.clock.now()) {
                return;
            }
        }
    }

    /// Gives one socket its share; true if it is to have another turn.
    fn read_one(&mut self, conn: ConnId, share_bytes: usize, now: Moment, slice: &mut Slice) -> bool {
        let Some(socket) = socket_of(&mut self.sockets, conn) else { return false };
        socket.in_ready = false;
        if socket.awaits_handshake() {
            self.look_at_first_bytes(conn, now);
            return false;
        }
        let mut budget = self.engine.read_budget(conn);
        if budget == ReadBudget::Nothing && self.engine.is_held_by_output(conn) {
            // Perhaps it was only that nobody had yet tried to write it.
            let written = self.write_one(conn, now);
            slice.add(1, written);
            budget = self.engine.read_budget(conn);
        }
        let Some(socket) = socket_of(&mut self.sockets, conn) else { return false };
        match budget {
            ReadBudget::Nothing => return false,
            ReadBudget::Backlog => self.engine.handle_bytes(conn, &mut [], now),
            ReadBudget::Bytes(_) if !socket.is_readable() => return false,
            ReadBudget::Bytes(most) => {
                let most = most.min(share_bytes);
                match socket.read(&mut self.buffer[..most]) {
                    Outcome::Bytes(count) => {
                        slice.add(0, count);
                        self.engine.handle_bytes(conn, &mut self.buffer[..count], now);
                    }
                    // Broken, and yet not at its end: no event will tell of one.
                    Outcome::Nothing if socket.is_write_closed() && !socket.is_readable() => {
                        self.engine.handle_transport(conn, TransportEvent::Reset, now);
                    }
                    Outcome::Nothing => {}
                    Outcome::End if socket.is_write_closed() => {
                        self.engine.handle_transport(conn, TransportEvent::Reset, now)
                    }
                    Outcome::End if !socket.is_open() => {
                        self.engine.handle_transport(conn, TransportEvent::NeverOpened, now)
                    }
                    Outcome::End => self.engine.handle_transport(conn, TransportEvent::Ended, now),
                    Outcome::Broken => self.engine.handle_transport(conn, TransportEvent::Reset, now),
                    Outcome::Fault(reason) => {
                        self.engine.handle_transport(conn, TransportEvent::Failed(&reason), now)
                    }
                }
            }
        }
        // Who spoke is answered at once, while all that it takes is at hand; others at the end of the turn, together.
        let written = self.write_one(conn, now);
        slice.add(0, written);
        let Some(socket) = socket_of(&mut self.sockets, conn) else { return false };
        if socket.has_just_opened() {
            self.engine.note_handshake();
            self.handshakes.leave(conn);
        }
        match self.engine.read_budget(conn) {
            ReadBudget::Nothing => false,
            ReadBudget::Backlog => true,
            ReadBudget::Bytes(_) => socket.is_readable(),
        }
    }

    /// Connections that could not be served before are given a turn.
    pub(super) fn take_unblocked(&mut self) {
        while let Some(conn) = self.engine.poll_unblocked() {
            self.give_turn(conn);
        }
    }

    /// Puts a socket on the list of those that are read in this turn or the next.
    pub(super) fn give_turn(&mut self, conn: ConnId) {
        if let Some(socket) = socket_of(&mut self.sockets, conn)
            && !std::mem::replace(&mut socket.in_ready, true)
        {
            self.ready.push_back(conn);
        }
    }

    /// The same, behind whoever says little: it had a share before, is at its end, or costs much.
    pub(super) fn give_turn_behind(&mut self, conn: ConnId) {
        if let Some(socket) = socket_of(&mut self.sockets, conn)
            && !std::mem::replace(&mut socket.in_ready, true)
        {
            self.behind.push_back(conn);
        }
    }

    /// Writes answers, and what is for one.
    pub(super) fn write(&mut self, began: Moment, now: Moment) {
        let mut slice = Slice::new(&WRITE_SHARE, began);
        while let Some(conn) = self.engine.poll_output() {
            let bytes = self.write_one(conn, now);
            slice.add(1, bytes);
            if slice.is_over(|| self.clock.now()) {
                return;
            }
        }
    }

    /// Writes a share of what is for many, or was left when a socket took no more.
    pub(super) fn write_for_many(&mut self, now: Moment) {
        let mut slice = Slice::new(&WRITE_FOR_MANY_SHARE, now);
        while let Some(conn) = self.unblocked.pop_front().or_else(|| self.engine.poll_output_for_many()) {
            let bytes = self.write_one(conn, now);
            slice.add(1, bytes);
            if slice.is_over(|| self.clock.now()) {
                return;
            }
        }
    }

    /// Writes what a socket takes of a share, and says as how many bytes that counts.
    pub(super) fn write_one(&mut self, conn: ConnId, now: Moment) -> usize {
        let Some(socket) = socket_of(&mut self.sockets, conn) else { return 0 };
        if socket.is_write_closed() {
            self.engine.handle_transport(conn, TransportEvent::WriteClosed, now);
            return 0;
        }
        let (mut count, mut left, mut failure) = (0, 0, None);
        self.engine.handle_writable(conn, now, |output| {
            let (written, why) = socket.write(&output);
            (count, left, failure) = (written.bytes, output.bytes.len() - written.bytes, why);
            written
        });
        if socket.is_blocked() {
            self.watch_writing(conn, now);
        } else if left > 0 && count > 0 {
            self.engine.list_behind(conn);
            // However short its pieces were, it took as long as a share does.
            count = count.max(SHARE_WRITTEN_BYTES);
        }
        match failure {
            None => {}
            Some(WriteFailure::Broken) => self.close_writing(conn, now),
            Some(WriteFailure::NeverOpened) => {
                let reason = "closed before the handshake was done";
                self.engine.handle_transport(conn, TransportEvent::Failed(reason), now);
            }
        }
        count
    }

    /// Has the system tell when a socket that has not taken all can be written again. It is asked only then: else it
    /// would wake the server once for each that connects, and once for each that is on its way out.
    fn watch_writing(&mut self, conn: ConnId, now: Moment) {
        let Some(socket) = socket_of(&mut self.sockets, conn) else { return };
        if std::mem::replace(&mut socket.watches_writing, true) {
            return;
        }
        let token = Token(conn.pack() as usize);
        let both = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().reregister(socket.source(), token, both) {
            log_event!(Level::Warn, "connection not watched", conn = #conn.generation(), reason = ?error);
            self.engine.handle_transport(conn, TransportEvent::Reset, now);
        }
    }

    /// The connection is broken for writing, but what arrived before can still be read, and may be an Exit: reading comes
    /// upon the end after it.
    fn close_writing(&mut self, conn: ConnId, now: Moment) {
        let Some(socket) = socket_of(&mut self.sockets, conn) else { return };
        if socket.notice_write_closed() {
            self.give_turn_behind(conn);
            self.engine.handle_transport(conn, TransportEvent::WriteClosed, now);
        }
    }

    /// Closes a share of those that are over: however late the turn is, as many as it has accepted, or those that are sent
    /// away at once would be more and more on a busy machine.
    pub(super) fn close(&mut self, began: Moment, now: Moment) {
        let mut slice = Slice::new(&CLOSE_SHARE, began);
        for closed in 0..SHARE_CLOSES {
            if closed >= SHARE_ACCEPTS && slice.is_over(|| self.clock.now()) {
                return;
            }
            let Some((conn, command)) = self.engine.poll_command() else { return };
            slice.add(1, 0);
            self.handshakes.leave(conn);
            let Some(socket) = socket_of(&mut self.sockets, conn) else { continue };
            match command {
                SocketCommand::ShutDown => {
                    socket.shut_down();
                    if socket.is_blocked() {
                        self.watch_writing(conn, now);
                    }
                }
                SocketCommand::Close => {
                    socket.say_goodbye();
                    self.sockets[conn.index()] = None;
                    if let Some(listeners) = &mut self.listeners {
                        listeners.end_pause();
                    }
                }
            }
        }
    }
}

/// What each of so many sockets that have something to be read may take in a turn.
fn share_bytes(ready: usize) -> usize {
    (SHARE_TURN_BYTES / ready.max(1)).clamp(SHARE_LEAST_BYTES, SHARE_BYTES)
}

/// The socket of a connection, unless its slot is somebody else's by now.
pub(super) fn socket_of(sockets: &mut [Option<Socket>], conn: ConnId) -> Option<&mut Socket> {
    sockets.get_mut(conn.index())?.as_mut().filter(|socket| socket.generation == conn.generation())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_have_something_to_be_read_the_less_each_may_take() {
        for ready in 1..1_000 {
            let share = share_bytes(ready);
            assert!((SHARE_LEAST_BYTES..=SHARE_BYTES).contains(&share));
            assert!(share == SHARE_LEAST_BYTES || share * ready <= SHARE_TURN_BYTES, "{ready}");
        }
        assert_eq!((share_bytes(8), share_bytes(64)), (SHARE_BYTES, SHARE_LEAST_BYTES));
    }
}
