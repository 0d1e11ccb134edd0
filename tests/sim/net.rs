//! The network: one [`Link`] a connection, with what flies, what has arrived, and what the client has not yet read.

use std::collections::VecDeque;
use std::net::SocketAddr;

/// What the operating system would tell the server of a socket, once.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Events {
    pub(crate) readable: bool,
    pub(crate) ended: bool,
    pub(crate) writable: bool,
    pub(crate) broken: bool,
}

impl Events {
    pub(crate) fn any(self) -> bool {
        self.readable || self.ended || self.writable || self.broken
    }
}

/// What becomes of a connection whose client has gone with something unread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Breaks {
    /// It breaks altogether, with all that was on the way.
    Whole,
    /// Nothing can be written any more, but what has arrived can still be read.
    Writing,
}

/// What came of a read or write.
pub(crate) enum Outcome {
    Bytes(usize),
    Nothing,
    End,
    /// What came is nothing that the transport can go on with.
    Fault,
    Broken,
}

/// One connection, from both ends.
pub(crate) struct Link {
    pub(crate) peer: SocketAddr,
    /// How much each buffer takes.
    capacity: usize,
    /// Sent by the client, not yet arrived; perhaps with the end behind it.
    flying: VecDeque<u8>,
    end_flying: bool,
    arrived: VecDeque<u8>,
    end_arrived: bool,
    /// Written by the server, not yet read by the client.
    to_client: VecDeque<u8>,
    server_ended: bool,
    server_closed: bool,
    broken: bool,
    breaks: Breaks,
    /// Nothing can be written any more.
    write_broken: bool,
    /// What comes after what has arrived is garbled: nothing of it is the client's; and whether the server has come to it.
    garbled: bool,
    garble_is_read: bool,
    /// The client has closed, and reads no more.
    client_gone: bool,
    pub(crate) events: Events,
}

impl Link {
    pub(crate) fn new(peer: SocketAddr, capacity: usize, breaks: Breaks) -> Link {
        Link {
            peer,
            capacity,
            flying: VecDeque::new(),
            end_flying: false,
            arrived: VecDeque::new(),
            end_arrived: false,
            to_client: VecDeque::new(),
            server_ended: false,
            server_closed: false,
            broken: false,
            breaks,
            write_broken: false,
            garbled: false,
            garble_is_read: false,
            client_gone: false,
            events: Events::default(),
        }
    }

    // The client's end.

    /// Whether the client may send: it holds back while what it sent before is not yet on the way.
    pub(crate) fn takes_more(&self) -> bool {
        !self.end_flying && !self.end_arrived && !self.broken && self.flying.len() < 16_384
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.flying.extend(bytes);
    }

    /// The client closes its sending side.
    pub(crate) fn half_close(&mut self) {
        self.end_flying |= !self.end_arrived;
    }

    /// The client closes altogether.
    pub(crate) fn leave(&mut self) {
        self.half_close();
        self.client_gone = true;
        self.to_client.clear();
        self.events.writable = true;
    }

    /// The connection breaks, with all that was on the way.
    pub(crate) fn sever(&mut self) {
        self.broken = true;
        self.client_gone = true;
        self.events.broken = true;
        self.flying.clear();
        self.arrived.clear();
    }

    /// What has not arrived yet comes as something else.
    pub(crate) fn garble(&mut self) {
        if !self.broken && !self.end_arrived && !self.garbled {
            self.garbled = true;
            self.events.readable = true;
        }
    }

    /// The answer to what was written to a client that has gone: what the server has no room for is lost.
    fn break_writing(&mut self) {
        self.arrive(usize::MAX);
        self.flying.clear();
        (self.end_flying, self.end_arrived) = (false, true);
        self.write_broken = true;
        self.events.broken = true;
    }

    /// Lets up to `most` bytes arrive, and the end after the last of them.
    pub(crate) fn arrive(&mut self, most: usize) {
        if self.broken {
            return;
        }
        if self.garbled {
            self.flying.clear();
        }
        let room = self.capacity.saturating_sub(self.arrived.len());
        let count = most.min(room).min(self.flying.len());
        self.arrived.extend(self.flying.drain(..count));
        self.events.readable |= count > 0;
        if self.end_flying && self.flying.is_empty() {
            (self.end_flying, self.end_arrived) = (false, true);
            self.events.readable = true;
            self.events.ended = true;
        }
    }

    pub(crate) fn receive(&mut self, most: usize) -> Vec<u8> {
        let count = most.min(self.to_client.len());
        let taken = self.to_client.drain(..count).collect();
        // Much room was made: that is told once, and only to a server that ran out of it.
        self.events.writable |= count > 0 && self.has_room();
        taken
    }

    /// Whether there is something for the client to read.
    pub(crate) fn has_unread(&self) -> bool {
        !self.to_client.is_empty()
    }

    /// Whether the client has read the server's last byte, or never will.
    pub(crate) fn is_over(&self) -> bool {
        self.broken
            || self.client_gone
            || ((self.server_ended || self.server_closed) && self.to_client.is_empty())
    }

    // The server's end.

    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Outcome {
        if self.broken {
            return Outcome::Broken;
        }
        let count = buffer.len().min(self.arrived.len());
        if count == 0 && self.garbled && !std::mem::replace(&mut self.garble_is_read, true) {
            return Outcome::Fault;
        }
        if count == 0 {
            return if self.end_arrived { Outcome::End } else { Outcome::Nothing };
        }
        for (place, byte) in buffer.iter_mut().zip(self.arrived.drain(..count)) {
            *place = byte;
        }
        // What is garbled arrives behind it.
        self.events.readable |= self.garbled && !self.garble_is_read;
        Outcome::Bytes(count)
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Outcome {
        if self.broken || self.write_broken {
            return Outcome::Broken;
        }
        assert!(!self.server_ended, "written after the sending side was shut");
        if self.client_gone {
            // The first write goes through, and the answer is a reset.
            match self.breaks {
                Breaks::Whole => self.sever(),
                Breaks::Writing => self.break_writing(),
            }
            return Outcome::Bytes(bytes.len());
        }
        match (self.capacity - self.to_client.len()).min(bytes.len()) {
            0 => Outcome::Nothing,
            count => {
                self.to_client.extend(&bytes[..count]);
                Outcome::Bytes(count)
            }
        }
    }

    pub(crate) fn shut(&mut self) {
        self.server_ended = true;
    }

    pub(crate) fn close(&mut self) {
        self.server_closed = true;
        self.events = Events::default();
    }

    pub(crate) fn has_arrived(&self) -> bool {
        !self.broken
            && (!self.arrived.is_empty() || self.end_arrived || (self.garbled && !self.garble_is_read))
    }

    /// Whether a third of the buffer is free: a system tells of less to nobody, though a write would find it.
    pub(crate) fn has_room(&self) -> bool {
        let free = self.capacity - self.to_client.len();
        !self.broken && !self.write_broken && free > 0 && 2 * free >= self.to_client.len()
    }
}
