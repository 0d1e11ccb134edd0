//! All listening sockets: where they are, and whose turn it is to be accepted from.

use super::error::PortChoice;
use super::listener::Listener;
use super::{LISTENERS_FIRST, Options, Server, ServerError};
use crate::Moment;
use crate::store::Store;
use log::Level;
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustix::io::Errno;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Further ports that are tried when the one asked for is busy.
const PORTS_TRIED: u16 = 100;
/// How long accepting pauses when the system has no descriptor or memory for one more connection.
const PAUSE: Duration = Duration::from_millis(100);
/// How often that is logged at most.
const PAUSE_LOGGED_EVERY: Duration = Duration::from_secs(1);

/// The listening sockets. They take turns, one connection each, so that a crowd at one keeps nobody waiting at another.
pub(super) struct Listeners {
    listeners: Vec<Listener>,
    /// Somebody may be waiting at one of them, as far as is known.
    is_ready: bool,
    /// Who is asked first.
    turn: usize,
    paused_until: Option<Moment>,
    pause_logged: Option<Moment>,
}

impl Listeners {
    /// Takes over what listens already, or listens at every address that is asked for, or at one whose port is looked for.
    ///
    /// # Errors
    /// [`ServerError::Listen`], [`ServerError::Socket`].
    pub(super) fn bind(options: &Options) -> Result<Listeners, ServerError> {
        let mut listeners = Vec::new();
        for socket in &options.sockets {
            let fd = socket.as_raw_fd();
            listeners.push(Listener::adopt(socket).map_err(|error| ServerError::Socket { fd, error })?);
        }
        if listeners.is_empty() {
            for name in &options.listen {
                listeners.extend(listen_at(name, options.share_port, PortChoice::Listed)?);
            }
        }
        if listeners.is_empty() {
            listeners.push(listen_near(options)?);
        }
        Ok(Listeners { listeners, is_ready: true, turn: 0, paused_until: None, pause_logged: None })
    }

    pub(super) fn register(&mut self, registry: &Registry) -> io::Result<()> {
        self.listeners.iter_mut().enumerate().try_for_each(|(index, listener)| {
            registry.register(listener.source(), Token(LISTENERS_FIRST + index), Interest::READABLE)
        })
    }

    pub(super) fn count(&self) -> usize {
        self.listeners.len()
    }

    pub(super) fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.iter().map(Listener::address).collect()
    }

    pub(super) fn notice_ready(&mut self, index: usize) {
        if let Some(listener) = self.listeners.get_mut(index) {
            listener.notice_ready();
            self.is_ready = true;
        }
    }

    /// Whether somebody may be waiting who can be accepted now.
    #[inline]
    pub(super) fn is_ready(&self, now: Moment) -> bool {
        self.is_ready && self.paused_until.is_none_or(|until| until <= now)
    }

    /// When to try again, if somebody may be waiting: at once, unless accepting pauses.
    #[inline]
    pub(super) fn next_attempt(&self) -> Option<Moment> {
        self.is_ready.then_some(self.paused_until.unwrap_or(Moment::START))
    }

    /// A descriptor has become free: no need to wait any longer.
    pub(super) fn end_pause(&mut self) {
        self.paused_until = None;
    }

    /// The next who waits; `None` if nobody does, or there is nothing to accept them with.
    pub(super) fn accept(&mut self, now: Moment) -> Option<(TcpStream, SocketAddr)> {
        if !self.is_ready(now) {
            return None;
        }
        for _ in 0..self.listeners.len() {
            let turn = self.turn % self.listeners.len();
            self.turn = turn + 1;
            let Some(listener) = self.listeners.get_mut(turn).filter(|listener| listener.is_ready()) else {
                continue;
            };
            match listener.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    self.paused_until = None;
                    return Some(accepted);
                }
                // Out of descriptors or memory, or something that is not getting better by trying again at once.
                Err(error) => {
                    self.pause(&error, now);
                    return None;
                }
            }
        }
        self.is_ready = false;
        None
    }

    /// Whoever has connected by now waits, be it that no event has said so.
    pub(super) fn notice_all_ready(&mut self) {
        self.listeners.iter_mut().for_each(Listener::notice_ready);
        self.is_ready = true;
    }

    fn pause(&mut self, error: &io::Error, now: Moment) {
        self.paused_until = Some(now + PAUSE);
        if self.pause_logged.is_none_or(|logged| now.since(logged) >= PAUSE_LOGGED_EVERY) {
            self.pause_logged = Some(now);
            log_event!(Level::Warn, "accepting paused", reason = ?error; "it goes on when a connection closes");
        }
    }
}

impl<S: Store> Server<S> {
    /// The address that is listened on, or the first of several.
    ///
    /// # Errors
    /// If the system does not say, or the server has stopped listening.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.addresses()?.first().copied().ok_or(io::ErrorKind::NotConnected.into())
    }

    /// All addresses that are listened on.
    ///
    /// # Errors
    /// If the system does not say, or the server has stopped listening.
    pub fn addresses(&self) -> io::Result<Vec<SocketAddr>> {
        self.listeners.as_ref().ok_or(io::ErrorKind::NotConnected)?.addresses()
    }
}

/// Listens on the port, or, unless it must be that one, on the next free one.
fn listen_near(options: &Options) -> Result<Listener, ServerError> {
    let Options { host, port, strict_port, share_port, .. } = *options;
    let further = if strict_port || port == 0 { 0 } else { PORTS_TRIED };
    let last = port.saturating_add(further);
    let choice = if further > 0 { PortChoice::OrNext } else { PortChoice::This };
    let mut port = port;
    loop {
        let address = SocketAddr::new(host, port);
        match Listener::bind(address, false, share_port) {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && port < last => port += 1,
            Err(error) => return Err(ServerError::Listen { address, choice, error }),
        }
    }
}

/// Listens at all addresses of a name that this machine has, and at one at least.
///
/// # Errors
/// [`ServerError::Listen`].
pub(super) fn listen_at(
    name: &[SocketAddr],
    share_port: bool,
    choice: PortChoice,
) -> Result<Vec<Listener>, ServerError> {
    let mut listeners = Vec::new();
    let mut missing = None;
    for address in name.iter().copied() {
        match Listener::bind(address, true, share_port) {
            Ok(listener) => listeners.push(listener),
            Err(error) if is_not_here(&error) => missing = Some((address, error)),
            Err(error) => return Err(ServerError::Listen { address, choice, error }),
        }
    }
    match missing {
        Some((address, error)) if listeners.is_empty() => Err(ServerError::Listen { address, choice, error }),
        Some((address, error)) => {
            log_event!(Level::Warn, "not listening", addr = %address, reason = ?error; "the same name has other addresses");
            Ok(listeners)
        }
        None => Ok(listeners),
    }
}

/// Whether an address is none of this machine's, as IPv6 is on some of which every name says otherwise.
fn is_not_here(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, TcpStream as Peer};

    fn two() -> Listeners {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Listeners::bind(&Options { listen: vec![vec![any], vec![any]], ..Options::default() }).unwrap()
    }

    /// Accepting is tried when somebody may wait and there is something to accept them with, and else costs nothing.
    #[test]
    fn accepting_is_tried_when_it_may_succeed() {
        let start = Moment::START;
        let mut listeners = two();
        assert_eq!((listeners.is_ready(start), listeners.next_attempt()), (true, Some(start)));
        assert!(listeners.accept(start).is_none());
        assert_eq!((listeners.is_ready(start), listeners.next_attempt()), (false, None));
        let peer = Peer::connect(listeners.addresses().unwrap()[1]).unwrap();
        listeners.notice_ready(1);
        let address = listeners.accept(start).map(|(_, address)| address);
        assert_eq!(address, Some(peer.local_addr().unwrap()));
        assert!(listeners.is_ready(start), "there may be another");
        listeners.pause(&io::ErrorKind::OutOfMemory.into(), start);
        let over = start + PAUSE;
        assert_eq!((listeners.is_ready(start), listeners.next_attempt()), (false, Some(over)));
        assert!(listeners.is_ready(over) && listeners.accept(start).is_none());
        listeners.end_pause();
        assert_eq!((listeners.is_ready(start), listeners.next_attempt()), (true, Some(start)));
    }

    #[test]
    fn a_crowd_at_one_address_keeps_nobody_waiting_at_another() {
        let mut listeners = two();
        let addresses = listeners.addresses().unwrap();
        let connect = |address: SocketAddr| Peer::connect(address).unwrap();
        let _crowd: Vec<Peer> = (0..50).map(|_| connect(addresses[0])).collect();
        let few: Vec<Peer> = (0..3).map(|_| connect(addresses[1])).collect();
        let accepted: Vec<SocketAddr> = (0..6).map(|_| listeners.accept(Moment::START).unwrap().1).collect();
        for peer in few {
            assert!(accepted.contains(&peer.local_addr().unwrap()), "{accepted:?}");
        }
    }
}
