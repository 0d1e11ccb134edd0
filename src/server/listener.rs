//! The listening socket: a free port, and accepting that neither spins nor forgets.

use super::ServerError;
use crate::Moment;
use crate::keepalive::{detect_dead_path, set_probe_time};
use crate::limits::{KEEPALIVE_IDLE, KEEPALIVE_IDLE_LEAST};
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Further ports that are tried when the one asked for is busy.
const PORTS_TRIED: u16 = 100;
/// How long accepting pauses when the system has no descriptor or memory for one more connection.
const PAUSE: Duration = Duration::from_millis(100);
/// So many are accepted with the same time of silence before they are probed: each change costs a call of the system.
const PROBES_ALIKE: u32 = 16;
/// How often that is logged at most.
const PAUSE_LOGGED_EVERY: Duration = Duration::from_secs(1);
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
    paused_until: Option<Moment>,
    pause_logged: Option<Moment>,
}

impl Listener {
    /// Listens on the port, or, unless `strict`, on the next free one.
    ///
    /// # Errors
    /// [`ServerError::Listen`].
    pub(super) fn bind(host: IpAddr, port: u16, strict: bool) -> Result<Listener, ServerError> {
        let further = if strict || port == 0 { 0 } else { PORTS_TRIED };
        let last = port.saturating_add(further);
        let mut port = port;
        loop {
            let address = SocketAddr::new(host, port);
            match listen(address) {
                Ok(socket) => {
                    return Ok(Listener {
                        socket,
                        ready: true,
                        accepted: 0,
                        paused_until: None,
                        pause_logged: None,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && port < last => port += 1,
                Err(error) => {
                    return Err(ServerError::Listen { address, is_last_of_many: further > 0, error });
                }
            }
        }
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

    /// Whether somebody may be waiting who can be accepted now.
    pub(super) fn is_ready(&self, now: Moment) -> bool {
        self.ready && self.paused_until.is_none_or(|until| until <= now)
    }

    /// When to try again, if somebody may be waiting: at once, unless accepting pauses.
    pub(super) fn next_attempt(&self) -> Option<Moment> {
        self.ready.then_some(self.paused_until.unwrap_or(Moment::START))
    }

    /// A descriptor has become free: no need to wait any longer.
    pub(super) fn end_pause(&mut self) {
        self.paused_until = None;
    }

    /// The next who waits; `None` if nobody does, or there is nothing to accept them with.
    pub(super) fn accept(&mut self, now: Moment) -> Option<(TcpStream, SocketAddr)> {
        loop {
            match self.socket.accept() {
                Ok(accepted) => {
                    self.paused_until = None;
                    self.spread_probes();
                    return Some(accepted);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    return None;
                }
                // The peer gave up while it waited, or the call was interrupted: the next one, please.
                Err(error) if is_passing(&error) => log::debug!("accept failed reason={error:?}"),
                // Out of descriptors or memory, or something that is not getting better by trying again at once.
                Err(error) => {
                    self.pause(&error, now);
                    return None;
                }
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
            log::debug!("probes not spread reason={error:?}");
        }
    }

    fn pause(&mut self, error: &io::Error, now: Moment) {
        self.paused_until = Some(now + PAUSE);
        if self.pause_logged.is_none_or(|logged| now.since(logged) >= PAUSE_LOGGED_EVERY) {
            self.pause_logged = Some(now);
            log::warn!("accepting paused reason=\"{error}\"; it goes on when a connection closes");
        }
    }
}

/// A listening socket with room for a crowd, whose accepted sockets inherit what is set here once instead of at each:
/// no waiting for more bytes before a small frame is sent, and finding out that a path is dead.
fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    // A port that the last server has just left is free.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    detect_dead_path(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(TcpListener::from_std(socket.into()))
}

/// Whether the error was about one who waited, and not about accepting.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SHARE_ACCEPTS;
    use socket2::SockRef;
    use std::collections::BTreeMap;
    use std::net::{Ipv4Addr, TcpStream};

    /// Accepting is tried when somebody may wait and there is something to accept them with, and else costs nothing.
    #[test]
    fn accepting_is_tried_when_it_may_succeed() {
        let start = Moment::START;
        let mut listener = Listener::bind(Ipv4Addr::LOCALHOST.into(), 0, true).unwrap();
        assert_eq!((listener.is_ready(start), listener.next_attempt()), (true, Some(start)));
        assert!(listener.accept(start).is_none());
        assert_eq!((listener.is_ready(start), listener.next_attempt()), (false, None));
        let peer = TcpStream::connect(listener.address().unwrap()).unwrap();
        listener.notice_ready();
        let address = listener.accept(start).map(|(_, address)| address);
        assert_eq!(address, Some(peer.local_addr().unwrap()));
        assert!(listener.is_ready(start), "there may be another");
        listener.pause(&io::ErrorKind::OutOfMemory.into(), start);
        let over = start + PAUSE;
        assert_eq!((listener.is_ready(start), listener.next_attempt()), (false, Some(over)));
        assert!(listener.is_ready(over));
        listener.end_pause();
        assert_eq!((listener.is_ready(start), listener.next_attempt()), (true, Some(start)));
    }

    /// The story: whoever had read the last text for all was probed twenty seconds later, all of a crowd in one tick, in the
    /// middle of whatever the server did: for five thousand the system took 6 ms.
    #[test]
    fn those_who_fall_silent_together_are_not_probed_together() {
        const CROWD: usize = 1_600;
        let mut listener = Listener::bind(IpAddr::from([127, 0, 0, 1]), 0, true).unwrap();
        let address = listener.address().unwrap();
        let mut at_once: BTreeMap<Duration, usize> = BTreeMap::new();
        for _ in 0..CROWD / SHARE_ACCEPTS {
            let crowd = [(); SHARE_ACCEPTS].map(|()| TcpStream::connect(address).unwrap());
            for _ in &crowd {
                let (accepted, _) = listener.accept(Moment::START).unwrap();
                *at_once.entry(SockRef::from(&accepted).tcp_keepalive_time().unwrap()).or_default() += 1;
            }
        }
        assert!(at_once.keys().all(|idle| (KEEPALIVE_IDLE_LEAST..=KEEPALIVE_IDLE).contains(idle)));
        assert!(at_once.values().all(|count| *count <= CROWD / 6), "{at_once:?}");
    }
}
