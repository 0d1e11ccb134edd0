//! Connections from proxies that have yet to say for whom they are.
//!
//! They are no connections of the engine's: it learns of them when their header is there, with the client's address. Until
//! then they wait here, bounded in number and time, and so does a health check until its proxy closes it. What comes is only
//! looked at until the header is whole: what follows it stays in the socket, for whatever reads that next.

use super::{PROXIED_FIRST, Server};
use crate::Moment;
use crate::engine::HeaderFault;
use crate::limits::{PROXY_HEADER_BYTES, PROXY_HEADERS, PROXY_HEADERS_LEAST, SHARE_DUE};
use crate::proxy_header::{ProxyClient, ProxyHeader};
use crate::store::Store;
use ipnet::IpNet;
use log::Level;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Token};
use slab::Slab;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};

/// Which addresses are proxies', and the connections from there that wait for their header.
#[derive(Default)]
pub(super) struct Proxied {
    from: Vec<IpNet>,
    waiting: Slab<AwaitingHeader>,
    /// Of them those of which something new is known.
    ready: VecDeque<usize>,
    due: BTreeSet<(Moment, usize)>,
}

struct AwaitingHeader {
    stream: TcpStream,
    proxy: SocketAddr,
    deadline: Moment,
    in_ready: bool,
    /// The proxy has closed its sending side.
    is_read_closed: bool,
    /// Its header is there, and it is nobody's: it waits for its end.
    is_health_check: bool,
}

/// What has come of a header.
enum Look {
    Incomplete,
    /// The connection has ended, or is broken, before anything came.
    Gone,
    Wrong(&'static str),
    Client(SocketAddr),
    HealthCheck,
}

impl Proxied {
    pub(super) fn new(from: Vec<IpNet>) -> Proxied {
        Proxied { from, ..Proxied::default() }
    }

    /// Others are proxies from now on; whoever waits goes on waiting.
    pub(super) fn set_proxies(&mut self, from: Vec<IpNet>) {
        self.from = from;
    }

    /// Whether connections from an address begin with a header.
    pub(super) fn is_proxy(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.from.iter().any(|network| network.contains(&address))
    }

    /// Whether anybody waits.
    #[inline]
    pub(super) fn has_any(&self) -> bool {
        !self.waiting.is_empty()
    }

    #[inline]
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Remembers what an event says; events are hints.
    pub(super) fn take_event(&mut self, index: usize, event: &Event) {
        let Some(waiting) = self.waiting.get_mut(index) else { return };
        waiting.is_read_closed |= event.is_read_closed() || event.is_error();
        if !std::mem::replace(&mut waiting.in_ready, true) {
            self.ready.push_back(index);
        }
    }

    /// Nobody waits any more.
    pub(super) fn clear(&mut self) {
        *self = Proxied::new(std::mem::take(&mut self.from));
    }

    fn poll_ready(&mut self) -> Option<usize> {
        let index = self.ready.pop_front()?;
        if let Some(waiting) = self.waiting.get_mut(index) {
            waiting.in_ready = false;
        }
        Some(index)
    }

    fn insert(&mut self, stream: TcpStream, proxy: SocketAddr, deadline: Moment) -> usize {
        let waiting = AwaitingHeader {
            stream,
            proxy,
            deadline,
            in_ready: false,
            is_read_closed: false,
            is_health_check: false,
        };
        let index = self.waiting.insert(waiting);
        self.due.insert((deadline, index));
        index
    }

    fn remove(&mut self, index: usize) -> Option<AwaitingHeader> {
        let waiting = self.waiting.try_remove(index)?;
        self.due.remove(&(waiting.deadline, index));
        // The index may be another's soon.
        if waiting.in_ready {
            self.ready.retain(|ready| *ready != index);
        }
        Some(waiting)
    }

    /// Who is given up when there is no room: the oldest of the proxy that has the most.
    fn first_of_most(&self) -> Option<usize> {
        let mut counts: HashMap<IpAddr, usize> = HashMap::new();
        for (_, waiting) in &self.waiting {
            *counts.entry(waiting.proxy.ip()).or_default() += 1;
        }
        let (most, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
        let of_most = |index: usize| self.waiting.get(index).is_some_and(|other| other.proxy.ip() == most);
        self.due.iter().map(|(_, index)| *index).find(|index| of_most(*index))
    }
}

impl AwaitingHeader {
    /// Looks at what has come, and takes the header when it is whole.
    fn look(&mut self, buffer: &mut [u8]) -> Look {
        let bytes = &mut buffer[..PROXY_HEADER_BYTES];
        let came = loop {
            match self.stream.peek(bytes) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                came => break came,
            }
        };
        let count = match came {
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock && !self.is_read_closed => 0,
            Err(_) => return Look::Gone,
        };
        match ProxyHeader::of(&bytes[..count]) {
            ProxyHeader::Incomplete if !self.is_read_closed => Look::Incomplete,
            ProxyHeader::Incomplete if count == 0 => Look::Gone,
            ProxyHeader::Incomplete => Look::Wrong("the connection ends within its PROXY header"),
            ProxyHeader::Wrong(reason) => Look::Wrong(reason),
            ProxyHeader::Whole(length, client) => match self.stream.read_exact(&mut bytes[..length]) {
                Err(_) => Look::Gone,
                Ok(()) => match client {
                    ProxyClient::At(client) => Look::Client(client),
                    ProxyClient::Untold => Look::Client(self.proxy),
                    ProxyClient::HealthCheck => Look::HealthCheck,
                },
            },
        }
    }
}

impl<S: Store> Server<S> {
    /// Somebody has connected who is to say first for whom. A header that came along is looked at in this turn.
    pub(super) fn await_header(&mut self, stream: TcpStream, proxy: SocketAddr, now: Moment) {
        // They hold descriptors as connections do, and get what those leave.
        let free = self.engine.connections_free().clamp(PROXY_HEADERS_LEAST, PROXY_HEADERS);
        while self.proxied.waiting.len() >= free {
            let Some(oldest) = self.proxied.first_of_most() else { break };
            self.end_header(oldest, HeaderFault::TimedOut("no PROXY header came while others waited"), now);
        }
        let deadline = now + self.engine.login_timeout();
        let index = self.proxied.insert(stream, proxy, deadline);
        let token = Token(PROXIED_FIRST + index);
        let Some(waiting) = self.proxied.waiting.get_mut(index) else { return };
        if let Err(error) = self.poll.registry().register(&mut waiting.stream, token, Interest::READABLE) {
            log_event!(Level::Warn, "connection not watched", proxy = %proxy, reason = ?error);
            self.proxied.remove(index);
            return;
        }
        self.look_at_header(index, now);
    }

    /// Looks at one of which something new is known; false if there is none.
    pub(super) fn look_at_next_header(&mut self, now: Moment) -> bool {
        let Some(index) = self.proxied.poll_ready() else { return false };
        self.look_at_header(index, now);
        true
    }

    /// Ends what has waited for too long.
    pub(super) fn end_overdue_headers(&mut self, now: Moment) {
        for _ in 0..SHARE_DUE {
            let overdue = self.proxied.due.first().filter(|(due, _)| *due <= now);
            let Some((_, index)) = overdue.copied() else { return };
            self.end_header(
                index,
                HeaderFault::TimedOut("no PROXY header came within the login timeout"),
                now,
            );
        }
    }

    fn look_at_header(&mut self, index: usize, now: Moment) {
        let Some(waiting) = self.proxied.waiting.get_mut(index) else { return };
        if waiting.is_health_check {
            if waiting.is_read_closed {
                self.proxied.remove(index);
            }
            return;
        }
        match waiting.look(&mut self.buffer) {
            Look::Incomplete => {}
            Look::Gone => drop(self.proxied.remove(index)),
            Look::Wrong(reason) => self.end_header(index, HeaderFault::Malformed(reason), now),
            Look::HealthCheck => {
                waiting.is_health_check = true;
                log_event!(Level::Debug, "health check", proxy = %waiting.proxy);
                if waiting.is_read_closed {
                    self.proxied.remove(index);
                }
            }
            Look::Client(client) => {
                let Some(AwaitingHeader { stream, proxy, .. }) = self.proxied.remove(index) else { return };
                if let Some(conn) = self.engine.handle_connect_through(client, proxy, now) {
                    self.admit(conn, stream, true, now);
                }
            }
        }
    }

    /// A connection that never said for whom it is is told so, where that can be done in plain text, and closed.
    fn end_header(&mut self, index: usize, fault: HeaderFault, now: Moment) {
        let Some(waiting) = self.proxied.remove(index) else { return };
        if waiting.is_health_check {
            return;
        }
        let is_plain = !self.handshakes.encrypts();
        if let Some(conn) = self.engine.handle_header_fault(waiting.proxy, fault, is_plain, now) {
            self.admit(conn, waiting.stream, true, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn stream() -> TcpStream {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        TcpStream::connect(listener.local_addr().unwrap()).unwrap()
    }

    #[test]
    fn whose_connections_begin_with_a_header() {
        let proxied = Proxied::new(vec!["192.0.2.0/24".parse().unwrap(), "2001:db8::/64".parse().unwrap()]);
        for (address, is_proxy) in [
            ("192.0.2.255", true),
            ("::ffff:192.0.2.1", true),
            ("192.0.3.1", false),
            ("2001:db8::1", true),
            ("2001:db8:0:1::1", false),
        ] {
            assert_eq!(proxied.is_proxy(address.parse().unwrap()), is_proxy, "{address}");
        }
        assert!(!Proxied::default().is_proxy("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn the_proxy_with_the_most_gives_up_its_oldest_and_nothing_is_left_of_who_goes() {
        let mut proxied = Proxied::default();
        let at = |seconds| Moment::START + Duration::from_secs(seconds);
        let many: SocketAddr = "192.0.2.1:1".parse().unwrap();
        let one = proxied.insert(stream(), "192.0.2.2:1".parse().unwrap(), at(1));
        let young = proxied.insert(stream(), many, at(3));
        let old = proxied.insert(stream(), many, at(2));
        assert_eq!(proxied.first_of_most(), Some(old));
        assert_eq!(proxied.next_deadline(), Some(at(1)));
        for index in [one, old, young] {
            assert!(proxied.remove(index).is_some() && proxied.remove(index).is_none());
        }
        assert!(proxied.due.is_empty() && proxied.first_of_most().is_none());
    }
}
