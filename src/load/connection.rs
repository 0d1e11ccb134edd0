//! One connection: how it begins, from which local port, and its bytes in and out.
//!
//! A machine has some 28 000 local ports for connections from one address to one server, and each stays taken for a
//! while if this side closes first. So it does not; and if they run out all the same, a loopback address has
//! neighbours, each with ports of its own.
//!
//! This module must not know what is said, nor where a message ends.

use super::Plan;
use super::error::{LoadError, OUT_OF_PORTS, REFUSED, lost, refused_transport};
use crate::client::failure;
use crate::keepalive::detect_dead_path;
use crate::transport::{Transport, Transports};
use mio::net::TcpStream;
use mio::{Interest, Poll, Token};
use rustix::io::Errno;
use socket2::{Domain, SockRef, Socket, Type};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Source addresses on the loopback network, 127.0.0.1 included: ports for some 900 000 connections.
const NEIGHBOURS: u8 = 32;

/// What connects to one server.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) server: SocketAddr,
    transports: Transports,
    /// The last byte of the source address 127.0.0.x; 1 leaves the choice to the system.
    neighbour: u8,
}

#[derive(Debug)]
pub(super) struct Connection {
    stream: TcpStream,
    transport: Transport,
    is_connected: bool,
    /// Messages can go through, and its client knows.
    is_open: bool,
    /// Whether the poll reports when the connection takes bytes again.
    watches_writable: bool,
    /// The last read has emptied the socket, as a short one does where there is no TLS between.
    is_drained: bool,
    /// The beginning of a message whose rest is to come.
    pub(super) partial: Vec<u8>,
    /// What is to be sent, by the next [`flush`](Connection::flush).
    pub(super) unsent: Vec<u8>,
    sent: usize,
    /// Why nothing can be sent any more; what the server sent last may say better, so it is read first.
    unsendable: Option<LoadError>,
}

impl Connector {
    pub(super) fn new(server: SocketAddr, transports: Transports) -> Connector {
        Connector { server, transports, neighbour: 1 }
    }

    /// To a server's address, once it is settled whom to trust there.
    pub(super) fn settled(plan: &Plan, server: SocketAddr) -> Result<Connector, LoadError> {
        let transports = Transports::settled(&plan.protection, &plan.host, server, plan.timeouts.connect);
        transports.map(|it| Connector::new(server, it)).map_err(|error| refused_transport(&error))
    }

    /// Begins a connection, from another source address if the ports of one have run out.
    pub(super) fn connect(&mut self) -> Result<Connection, LoadError> {
        let has_neighbours = matches!(self.server.ip(), IpAddr::V4(address) if address.is_loopback());
        let mut stream = self.begin();
        for _ in 1..NEIGHBOURS {
            match &stream {
                Err(error) if has_neighbours && is_out_of_ports(error) => {
                    self.neighbour = self.neighbour % NEIGHBOURS + 1;
                    stream = self.begin();
                }
                _ => break,
            }
        }
        let stream = stream.map_err(|error| unconnected(&error))?;
        let transport = self.transports.begin().map_err(|error| refused_transport(&error.into()))?;
        Ok(Connection {
            // On the loopback it is mostly there already, and the first messages can go out without a wait.
            is_connected: stream.peer_addr().is_ok(),
            stream,
            transport,
            is_open: false,
            watches_writable: false,
            is_drained: false,
            partial: Vec::new(),
            unsent: Vec::new(),
            sent: 0,
            unsendable: None,
        })
    }

    fn begin(&self) -> io::Result<TcpStream> {
        let stream = match self.neighbour {
            1 => TcpStream::connect(self.server)?,
            neighbour => bound(SocketAddr::from(([127, 0, 0, neighbour], 0)), self.server)?,
        };
        // One frame is one packet, now.
        stream.set_nodelay(true)?;
        detect_dead_path(SockRef::from(&stream))?;
        Ok(stream)
    }
}

/// Begins a connection from a chosen address, which mio's own way, two system calls shorter, does not offer.
fn bound(source: SocketAddr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&source.into())?;
    match socket.connect(&server.into()) {
        // It goes on by itself; the poll reports when it is there.
        Err(error) if error.raw_os_error() == Some(Errno::INPROGRESS.raw_os_error()) => {}
        outcome => outcome?,
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// Whether a connection failed for lack of a local port: connecting says one, binding the other.
fn is_out_of_ports(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::AddrInUse)
}

fn unconnected(error: &io::Error) -> LoadError {
    match error.kind() {
        _ if is_out_of_ports(error) => {
            let reason = "ran out of local ports: no address and port here is free to connect from";
            LoadError::new(OUT_OF_PORTS, format!("{reason} ({error})"))
        }
        ErrorKind::ConnectionRefused => LoadError::new(REFUSED, format!("no server listens there ({error})")),
        _ => LoadError::new("connect_failed", format!("cannot connect: {error}")),
    }
}

impl Connection {
    /// Registers a new connection, once what can be sent at once is sent.
    pub(super) fn register(&mut self, poll: &Poll, token: Token) -> Result<(), LoadError> {
        self.flush();
        self.watches_writable = !self.is_connected || self.has_unsent();
        let interest = interest(self.watches_writable);
        poll.registry().register(&mut self.stream, token, interest).map_err(|error| lost(&error))
    }

    /// Whether messages can go through from now on: true once.
    pub(super) fn opens(&mut self) -> bool {
        let opens = !self.is_open && self.is_connected && self.transport.is_open();
        self.is_open |= opens;
        opens
    }

    /// Finds out whether the connection is there by now, or never will be.
    pub(super) fn advance(&mut self) -> Result<(), LoadError> {
        if self.is_connected {
            return Ok(());
        }
        if let Some(error) = self.stream.take_error().map_err(|error| unconnected(&error))? {
            return Err(unconnected(&error));
        }
        match self.stream.peer_addr() {
            Ok(_) => self.is_connected = true,
            Err(error) if error.kind() == ErrorKind::NotConnected => {}
            Err(error) => return Err(unconnected(&error)),
        }
        Ok(())
    }

    /// Reads what is there, in portions: 0 bytes at the end, `None` if nothing is there now. If the poll has reported that
    /// the peer has `ended` what it sends, what a short read leaves is the end, and one more read would only say so again.
    pub(super) fn read(&mut self, buffer: &mut [u8], ended: bool) -> Result<Option<usize>, LoadError> {
        match std::mem::take(&mut self.is_drained) {
            true if ended => return Ok(Some(0)),
            true if self.unsendable.is_none() => return Ok(None),
            _ => {}
        }
        loop {
            return match self.transport.read(&mut self.stream, buffer) {
                Ok(count) => {
                    let is_short = 0 < count && count < buffer.len();
                    self.is_drained = is_short && matches!(self.transport, Transport::Plain);
                    Ok(Some(count))
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    Err(refused_transport(&failure(error)))
                }
                Err(error) => Err(lost(&error)),
            };
        }
    }

    fn has_unsent(&self) -> bool {
        self.sent < self.unsent.len() || self.transport.has_backlog()
    }

    /// Sends what the system takes.
    pub(super) fn flush(&mut self) {
        while self.is_connected && self.has_unsent() {
            match self.transport.write(&mut self.stream, &self.unsent[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.unsendable.get_or_insert(lost(&error));
                    break;
                }
            }
        }
        self.unsent.clear();
        self.sent = 0;
    }

    /// Sends what the system takes, and has the poll report when it takes the rest.
    pub(super) fn send(&mut self, poll: &Poll, token: Token) -> Result<(), LoadError> {
        self.flush();
        if self.has_unsent() && !self.watches_writable {
            self.watches_writable = true;
            let registered = poll.registry().reregister(&mut self.stream, token, interest(true));
            registered.map_err(|error| lost(&error))?;
        }
        Ok(())
    }

    pub(super) fn check(&mut self) -> Result<(), LoadError> {
        self.unsendable.take().map_or(Ok(()), Err)
    }

    /// Ends the connection as a failure on the way would: without a farewell, and without a port that stays taken.
    pub(super) fn reset(self) {
        // Where the system does not reset, it closes, which is as good an end.
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }
}

fn interest(writable: bool) -> Interest {
    if writable { Interest::READABLE | Interest::WRITABLE } else { Interest::READABLE }
}
