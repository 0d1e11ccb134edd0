//! One loop for whoever drives an engine without sockets of the system.

use porter::Moment;
use porter::engine::{ConnId, Engine, Output, ReadBudget, SocketCommand, TransportEvent, Written};
use porter::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

/// Carries bytes: a socket, a pipe, a wire in memory. It is closed when it is dropped.
pub(crate) trait Wire {
    /// Whether something may have come: bytes, the end, or that the wire is broken.
    fn is_readable(&self) -> bool;
    /// Takes some of what has come, be it nothing; or the reason why nothing will come any more.
    fn read(&mut self, most: usize) -> Result<Vec<u8>, TransportEvent<'static>>;
    /// Takes some of what is to be written.
    fn write(&mut self, output: Output<'_>) -> Written;
    /// Lets the peer know that nothing will be written any more.
    fn shut_down(&mut self);
}

/// The connections of an engine.
pub(crate) struct Driver<W> {
    pub(crate) wires: BTreeMap<ConnId, W>,
    /// Those of whom an event told something, and those who have more to be read or handled.
    ready: BTreeSet<ConnId>,
}

/// What one turn has time for.
#[derive(Clone, Copy)]
pub(crate) struct Shares {
    /// Connections that are looked at for what is for many.
    pub(crate) looks: usize,
    /// Rounds of passwords' hashes.
    pub(crate) rounds: u32,
}

impl<W: Wire> Driver<W> {
    /// Of nobody.
    pub(crate) fn new() -> Driver<W> {
        Driver { wires: BTreeMap::new(), ready: BTreeSet::new() }
    }

    /// Somebody has connected. `None`: there is no room, not even to say so, and the wire is closed.
    pub(crate) fn accept<S: Store>(
        &mut self,
        engine: &mut Engine<S>,
        peer: SocketAddr,
        wire: W,
        now: Moment,
    ) -> Option<ConnId> {
        let conn = engine.handle_connect(peer, now)?;
        self.wires.insert(conn, wire);
        self.ready.insert(conn);
        Some(conn)
    }

    /// A wire can be read or written again. A half-close is told at once, while what came before it is still to be read:
    /// nobody hashes for who has gone. So is that nothing reaches the peer any more.
    pub(crate) fn note_event<S: Store>(
        &mut self,
        engine: &mut Engine<S>,
        conn: ConnId,
        closed: Option<TransportEvent<'_>>,
        now: Moment,
    ) {
        if let Some(event) = closed {
            engine.handle_transport(conn, event, now);
        }
        self.ready.insert(conn);
    }

    /// One turn. It is over soon, whatever the crowd: what its shares leave is the next one's.
    pub(crate) fn turn<S: Store>(
        &mut self,
        engine: &mut Engine<S>,
        shares: Shares,
        now: Moment,
        mut show: impl FnMut(String),
    ) {
        self.read(engine, now);
        // Deadlines come after what has arrived.
        engine.handle_time(now);
        self.write(engine, shares.looks, now);
        while let Some((conn, command)) = engine.poll_command() {
            match command {
                SocketCommand::ShutDown => self.wires.get_mut(&conn).into_iter().for_each(W::shut_down),
                SocketCommand::Close => drop(self.wires.remove(&conn)),
            }
        }
        // What is to be stored, and the answers of the store.
        engine.store_mut().commit(now);
        engine.handle_completions(now);
        engine.handle_hashing(shares.rounds, now);
        while let Some(line) = engine.poll_console_line() {
            show(line);
        }
    }

    /// Until when to wait for an event before the next turn: a moment that has come is not at all, `None` is for ever.
    pub(crate) fn next_turn<S: Store>(&mut self, engine: &mut Engine<S>) -> Option<Moment> {
        self.take_unblocked(engine);
        let is_busy = engine.is_hashing() || engine.has_work() || engine.has_command();
        if is_busy || !self.ready.is_empty() {
            return Some(Moment::START);
        }
        engine.next_deadline().into_iter().chain(engine.store_mut().next_commit()).min()
    }

    fn read<S: Store>(&mut self, engine: &mut Engine<S>, now: Moment) {
        self.take_unblocked(engine);
        for conn in std::mem::take(&mut self.ready) {
            let Some(wire) = self.wires.get_mut(&conn) else { continue };
            match engine.read_budget(conn) {
                ReadBudget::Backlog => engine.handle_bytes(conn, &mut [], now),
                ReadBudget::Bytes(most) if wire.is_readable() => match wire.read(most) {
                    Ok(mut bytes) => engine.handle_bytes(conn, &mut bytes, now),
                    Err(end) => engine.handle_transport(conn, end, now),
                },
                ReadBudget::Bytes(_) | ReadBudget::Nothing => {}
            }
            // Who spoke is answered at once.
            engine.handle_writable(conn, now, |output| wire.write(output));
            // Whoever has more is the next turn's, so that nobody waits for it.
            let has_more = match engine.read_budget(conn) {
                ReadBudget::Backlog => true,
                ReadBudget::Bytes(_) => wire.is_readable(),
                ReadBudget::Nothing => false,
            };
            if has_more {
                self.ready.insert(conn);
            }
        }
    }

    /// Back-pressure: those that were not read, for their own output's sake or their password's, and can be now.
    fn take_unblocked<S: Store>(&mut self, engine: &mut Engine<S>) {
        while let Some(conn) = engine.poll_unblocked() {
            self.ready.insert(conn);
        }
    }

    /// A share of what is for many is handed out; then what is for one is written, then what is for many.
    fn write<S: Store>(&mut self, engine: &mut Engine<S>, looks: usize, now: Moment) {
        engine.handle_work(looks, now);
        while let Some(conn) = engine.poll_output().or_else(|| engine.poll_output_for_many()) {
            if let Some(wire) = self.wires.get_mut(&conn) {
                engine.handle_writable(conn, now, |output| wire.write(output));
            }
        }
    }
}
