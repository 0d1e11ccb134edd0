//! Connecting to the server, and the local ports that they need.
//!
//! A machine has some 28 000 local ports for connections from one address to one server, and each stays taken for a
//! while if this side closes first. So it does not; and if they run out all the same, a loopback address has
//! neighbours, each with ports of its own.

use super::error::{LoadError, refused_transport};
use crate::client::{Transport, Transports};
use crate::keepalive::detect_dead_path;
use mio::net::TcpStream;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Source addresses on the loopback network, 127.0.0.1 included: ports for some 900 000 connections.
const NEIGHBOURS: u8 = 32;

/// What connects to one server.
#[derive(Debug)]
pub(super) struct Connector {
    server: SocketAddr,
    transports: Transports,
    /// The last byte of the source address 127.0.0.x; 1 leaves the choice to the system.
    neighbour: u8,
}

impl Connector {
    pub(super) fn new(server: SocketAddr, transports: Transports) -> Connector {
        Connector { server, transports, neighbour: 1 }
    }

    /// What a new connection's bytes pass through.
    ///
    /// # Errors
    /// What TLS has against it.
    pub(super) fn transport(&self) -> Result<Transport, LoadError> {
        self.transports.begin().map_err(|error| refused_transport(&error))
    }

    pub(super) fn server(&self) -> SocketAddr {
        self.server
    }

    /// Begins a connection, from another source address if the ports of one have run out.
    ///
    /// # Errors
    /// What the system says; [`out_of_ports`] recognises that there is no port left at any source address.
    pub(super) fn connect(&mut self) -> io::Result<TcpStream> {
        for _ in 1..NEIGHBOURS {
            match self.begin() {
                Err(error) if out_of_ports(&error) && self.has_neighbours() => self.turn_to_neighbour(),
                outcome => return outcome,
            }
        }
        self.begin()
    }

    fn begin(&self) -> io::Result<TcpStream> {
        let stream = match self.source() {
            None => TcpStream::connect(self.server)?,
            Some(source) => bound(source, self.server)?,
        };
        // One frame is one packet, now.
        stream.set_nodelay(true)?;
        detect_dead_path(SockRef::from(&stream))?;
        Ok(stream)
    }

    fn source(&self) -> Option<SocketAddr> {
        (self.neighbour > 1).then(|| (Ipv4Addr::new(127, 0, 0, self.neighbour), 0).into())
    }

    fn has_neighbours(&self) -> bool {
        matches!(self.server.ip(), IpAddr::V4(address) if address.is_loopback())
    }

    fn turn_to_neighbour(&mut self) {
        self.neighbour = self.neighbour % NEIGHBOURS + 1;
    }
}

/// Begins a connection from a chosen address, which mio's own way, two system calls shorter, does not offer.
fn bound(source: SocketAddr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&source.into())?;
    match socket.connect(&server.into()) {
        // It goes on by itself; the poll tells when it is there.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        outcome => outcome?,
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// Whether a connection failed for lack of a local port: connecting says one, binding the other.
pub(super) fn out_of_ports(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrNotAvailable | io::ErrorKind::AddrInUse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::net::TcpListener;

    #[test]
    fn a_loopback_server_is_reached_from_other_addresses() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut connector = Connector::new(listener.local_addr().unwrap(), Transports::Plain);
        let mut sources = HashSet::new();
        // Elsewhere than on Linux the neighbours exist only when somebody set them up.
        let rounds = if cfg!(target_os = "linux") { NEIGHBOURS } else { 1 };
        for _ in 0..rounds {
            let _stream = connector.connect().unwrap();
            sources.insert(listener.accept().unwrap().1.ip());
            connector.turn_to_neighbour();
        }
        assert_eq!(sources.len(), usize::from(rounds));
        assert!(sources.iter().all(|source| source.is_loopback()));
        assert_eq!(Connector::new(listener.local_addr().unwrap(), Transports::Plain).source(), None);
    }

    #[test]
    fn only_loopback_ipv4_has_neighbours() {
        let neighbours =
            |server: &str| Connector::new(server.parse().unwrap(), Transports::Plain).has_neighbours();
        assert!(neighbours("127.0.0.1:9090"));
        assert!(!neighbours("[::1]:9090") && !neighbours("192.0.2.1:9090"));
    }
}
