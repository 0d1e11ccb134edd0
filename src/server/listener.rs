//! A listening socket, and accepting that does not forget.

use crate::keepalive::{detect_dead_path, set_probe_time};
use crate::limits::{KEEPALIVE_IDLE, KEEPALIVE_IDLE_LEAST};
use log::Level;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, SockRef, Socket, Type};
use std::io;
use std::net::{self, SocketAddr};
use std::time::Duration;

/// So many are accepted with the same time of silence before they are probed: each change costs a call of the system.
const PROBES_ALIKE: u32 = 16;
/// Those who may wait to be accepted, as far as the system allows: a crowd that comes back at once after the network
/// was away must not have to knock again a second later.
const BACKLOG: i32 = 65_535;

/// A listening socket and what is known of who waits at it.
pub(super) struct Listener {
    socket: TcpListener,
    /// Somebody may be waiting: mio tells only once.
    ready: bool,
    /// Connections accepted so far.
    accepted: u32,
}

impl Listener {
    /// Listens at an address. `is_exact`: an IPv6 address that is all of them leaves IPv4 to another socket. `shares_port`:
    /// with others of this user who say so too, among whom the system shares out who connects.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn bind(address: SocketAddr, is_exact: bool, shares_port: bool) -> io::Result<Listener> {
        let socket = listen(address, is_exact, shares_port)?;
        Ok(Listener { socket, ready: true, accepted: 0 })
    }

    /// Takes over a socket that listens already.
    ///
    /// # Errors
    /// What the system says, or that it does not listen.
    pub(super) fn adopt(socket: &net::TcpListener) -> io::Result<Listener> {
        let socket = adopt(socket)?;
        make_inheritable(SockRef::from(&socket))?;
        Ok(Listener { socket, ready: true, accepted: 0 })
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn source(&mut self) -> &mut TcpListener {
        &mut self.socket
    }

    pub(super) fn notice_ready(&mut self) {
        self.ready = true;
    }

    /// Whether somebody may be waiting.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// The next who waits; `None` if nobody does.
    ///
    /// # Errors
    /// What the system says, if it is about accepting and not about one who waited.
    pub(super) fn accept(&mut self) -> io::Result<Option<(TcpStream, SocketAddr)>> {
        loop {
            match self.socket.accept() {
                Ok(accepted) => {
                    self.spread_probes();
                    return Ok(Some(accepted));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    return Ok(None);
                }
                // The peer gave up while it waited, or the call was interrupted: the next one, please.
                Err(error) if is_passing(&error) => {
                    log_event!(Level::Debug, "accept failed", reason = ?error)
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Those who are accepted from now on are probed after another time of silence than those before. The system sees to
    /// what is due in a tick all at once, before anything else: ten thousand who fell silent together, behind a text for
    /// all, would hold up everybody when they were probed together.
    fn spread_probes(&mut self) {
        self.accepted = self.accepted.wrapping_add(1);
        if !self.accepted.is_multiple_of(PROBES_ALIKE) {
            return;
        }
        let steps = (KEEPALIVE_IDLE - KEEPALIVE_IDLE_LEAST).as_secs() as u32 + 1;
        let earlier = Duration::from_secs(u64::from(self.accepted / PROBES_ALIKE % steps));
        if let Err(error) = set_probe_time(&self.socket, KEEPALIVE_IDLE - earlier) {
            log_event!(Level::Debug, "probes not spread", reason = ?error);
        }
    }
}

/// A listening socket with room for a crowd, whose accepted sockets inherit what is set here once instead of at each:
/// no waiting for more bytes before a small frame is sent, and finding out that a path is dead.
fn listen(address: SocketAddr, is_exact: bool, shares_port: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A port that the last server has just left is free.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() && is_exact {
        socket.set_only_v6(true)?;
    }
    if shares_port {
        share_port(&socket)?;
    }
    socket.set_nonblocking(true)?;
    make_inheritable(SockRef::from(&socket))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// A socket that another process has made, as this one needs it.
///
/// # Errors
/// What the system says, or that it does not listen.
pub(super) fn adopt(socket: &net::TcpListener) -> io::Result<TcpListener> {
    if !does_listen(socket)? {
        return Err(io::Error::other("it does not listen"));
    }
    socket.set_nonblocking(true)?;
    socket.try_clone().map(TcpListener::from_std)
}

#[cfg(not(target_vendor = "apple"))]
fn does_listen(socket: &net::TcpListener) -> io::Result<bool> {
    Ok(rustix::net::sockopt::socket_acceptconn(socket)?)
}

/// The system does not say, and accepting will.
#[cfg(target_vendor = "apple")]
fn does_listen(_: &net::TcpListener) -> io::Result<bool> {
    Ok(true)
}

/// Sets on a listening socket what those that it accepts inherit.
fn make_inheritable(socket: SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    detect_dead_path(&*socket)
}

#[cfg(target_os = "linux")]
fn share_port(socket: &Socket) -> io::Result<()> {
    socket.set_reuse_port(true)
}

/// Others hand all who connect to the last who listens, or do not say what they do.
#[cfg(not(target_os = "linux"))]
fn share_port(_: &Socket) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether the error was about one who waited, and not about accepting.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SHARE_ACCEPTS;
    use std::collections::BTreeMap;
    use std::net::TcpStream;

    /// The story: whoever had read the last text for all was probed twenty seconds later, all of a crowd in one tick, in the
    /// middle of whatever the server did: for five thousand the system took 6 ms.
    #[test]
    fn those_who_fall_silent_together_are_not_probed_together() {
        const CROWD: usize = 1_600;
        let mut listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0)), false, false).unwrap();
        let address = listener.address().unwrap();
        let mut at_once: BTreeMap<Duration, usize> = BTreeMap::new();
        for _ in 0..CROWD / SHARE_ACCEPTS {
            let crowd = [(); SHARE_ACCEPTS].map(|()| TcpStream::connect(address).unwrap());
            for _ in &crowd {
                let (accepted, _) = listener.accept().unwrap().unwrap();
                *at_once.entry(SockRef::from(&accepted).tcp_keepalive_time().unwrap()).or_default() += 1;
            }
        }
        assert!(at_once.keys().all(|idle| (KEEPALIVE_IDLE_LEAST..=KEEPALIVE_IDLE).contains(idle)));
        assert!(at_once.values().all(|count| *count <= CROWD / 6), "{at_once:?}");
    }
}
