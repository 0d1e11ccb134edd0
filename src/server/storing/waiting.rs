//! A shared store's connection for a program that waits: at a server's start, and for whoever administers users.

use super::connector::StoreConnector;
use super::stream::{StoreStream, begun, next_place, report};
use crate::Clock;
use crate::store::{DirectStore, Durability, Link, LinkAction, StoreError};
use crate::transport::{Transport, Transports};
use rustix::event::{Timespec, poll};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long such a program waits for an answer: a person can end it.
const REPLY_WAIT: Duration = Duration::from_secs(10);
/// How long one is waited for before what is late is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Connects to a shared store, and finds out whether it is one that porter can use.
///
/// # Errors
/// [`StoreError`], if it cannot be reached, or cannot be used.
pub fn connect_store(connector: &StoreConnector, durability: Durability) -> Result<DirectStore, StoreError> {
    let address = connector.address();
    let mut failure = String::new();
    for place in connector.look_up()? {
        let connected = connector.transports().begin().and_then(|transport| connect(&place, transport));
        match connected {
            Ok(stream) => return DirectStore::new(address.clone(), durability, Box::new(stream)),
            Err(error) => failure = error.to_string(),
        }
    }
    Err(StoreError::Unreachable { address: address.clone(), reason: failure })
}

/// A connection through which bytes go.
fn connect(place: &SocketAddr, transport: Transport) -> io::Result<StoreStream<TcpStream>> {
    let socket = TcpStream::connect_timeout(place, REPLY_WAIT)?;
    socket.set_read_timeout(Some(REPLY_WAIT))?;
    socket.set_write_timeout(Some(REPLY_WAIT))?;
    socket.set_nodelay(true)?;
    let mut stream = StoreStream::new(socket, transport);
    stream.shake_hands()?;
    Ok(stream)
}

/// What carries the bytes of a store's [`Link`], one exchange at a time.
#[derive(Debug, Default)]
pub struct WaitingLink {
    transports: Transports,
    stream: Option<StoreStream<TcpStream>>,
    /// Which of the store's addresses is tried next.
    next_place: usize,
}

impl WaitingLink {
    /// To a store that is connected to so.
    pub fn new(connector: &StoreConnector) -> WaitingLink {
        WaitingLink { transports: connector.transports().clone(), ..WaitingLink::default() }
    }

    /// Writes what the store has to say, and waits a moment for what it is told.
    pub fn exchange(&mut self, link: &mut dyn Link, clock: Clock) {
        if let Err(error) = self.try_exchange(link, clock) {
            self.stream = None;
            report(&error, link, clock.now());
        }
    }

    fn try_exchange(&mut self, link: &mut dyn Link, clock: Clock) -> io::Result<()> {
        match link.action(clock.now()) {
            LinkAction::Nothing => {}
            LinkAction::Close => self.stream = None,
            LinkAction::Connect => {
                let place = next_place(link, &mut self.next_place)?;
                let stream = connect(&place, begun(&self.transports, link)?)?;
                stream.socket().set_read_timeout(Some(LOOK))?;
                self.stream = Some(stream);
                link.handle_connected(clock.now());
            }
        }
        let output = link.output(clock.now()).to_vec();
        let Some(stream) = &mut self.stream else {
            // Nothing to wait for but the time: a signal may end it early.
            let _ = poll(&mut [], Timespec::try_from(LOOK).ok().as_ref());
            return Ok(());
        };
        stream.write_all(&output)?;
        stream.flush()?;
        link.advance(output.len());
        let mut buffer = [0; 16 * 1024];
        match stream.read(&mut buffer) {
            Ok(0) => Err(stream.ended()),
            Ok(count) => {
                if !link.handle_bytes(&buffer[..count], clock.now()) {
                    self.stream = None;
                }
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Moment;
    use std::net::{Ipv4Addr, TcpListener};

    struct Places(Vec<SocketAddr>, bool);

    impl Link for Places {
        fn addresses(&self) -> &[SocketAddr] {
            &self.0
        }

        fn action(&mut self, _: Moment) -> LinkAction {
            if self.1 { LinkAction::Nothing } else { LinkAction::Connect }
        }

        fn handle_connected(&mut self, _: Moment) {
            self.1 = true;
        }

        fn handle_closed(&mut self, _: &str, _: Moment) {}

        fn handle_bytes(&mut self, _: &[u8], _: Moment) -> bool {
            true
        }

        fn output(&mut self, _: Moment) -> &[u8] {
            b""
        }

        fn advance(&mut self, _: usize) {}
    }

    /// A name may have an address at which nobody listens, as `localhost` often has.
    #[test]
    fn each_address_of_a_store_is_tried_in_turn() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let nowhere = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let mut places = Places(vec![nowhere, listener.local_addr().unwrap()], false);
        let mut link = WaitingLink::default();
        link.exchange(&mut places, Clock::new());
        assert!(!places.1);
        link.exchange(&mut places, Clock::new());
        assert!(places.1);
    }
}
