//! The load generator: one `mio` poll loop with all connections to one server, whatever it speaks.

use crate::dialect::{Dialect, NAME};
use crate::link::{Errand, Link, News};
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const EVENTS: usize = 1_024;
const READ_BYTES: usize = 64 * 1024;
/// Clients on their way in at once.
const ENTERING: usize = 64;
/// Whoever waits longer for a server has found a fault.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// How long messages are exchanged.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Until {
    After(Duration),
    Messages(u64),
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Crowd {
    poll: Poll,
    events: Events,
    dialect: Dialect,
    address: SocketAddr,
    /// By token.
    links: Vec<Option<Link>>,
    buffer: Vec<u8>,
    out: Vec<u8>,
    clients: u64,
}

impl Crowd {
    /// Nobody yet.
    ///
    /// # Errors
    /// If the system gives no poll.
    pub(crate) fn new(dialect: Dialect, address: SocketAddr) -> Result<Crowd, String> {
        Ok(Crowd {
            poll: Poll::new().map_err(|error| format!("cannot wait for events: {error}"))?,
            events: Events::with_capacity(EVENTS),
            dialect,
            address,
            links: Vec::new(),
            buffer: vec![0; READ_BYTES],
            out: Vec::new(),
            clients: 0,
        })
    }

    /// Brings so many more inside: the first alone, so that the others find its password remembered where a server
    /// remembers.
    ///
    /// # Errors
    /// If not all get in.
    pub(crate) fn admit(&mut self, count: usize) -> Result<(), String> {
        let (mut started, mut ready) = (0, 0);
        while ready < count {
            let most = if ready == 0 { 1 } else { ENTERING };
            while started < count && started - ready < most {
                let place = self.links.len();
                self.links.push(None);
                self.open(place, NAME, Errand::Talk)?;
                started += 1;
            }
            self.turn(Some(PATIENCE), |_, _, news, _| {
                ready += usize::from(news.ready);
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Makes room for so many more, and says from which place on.
    pub(crate) fn add_places(&mut self, count: usize) -> usize {
        let first = self.links.len();
        self.links.resize_with(first + count, || None);
        first
    }

    /// A client comes to an empty place.
    ///
    /// # Errors
    /// If it cannot connect.
    pub(crate) fn open(&mut self, place: usize, name: &str, errand: Errand) -> Result<(), String> {
        self.clients += 1;
        let mut link = Link::begin(self.dialect, self.address, self.clients, name, errand)?;
        // On the loopback the connection is mostly there already.
        link.flush()?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut link.stream, Token(place), interest);
        registered.map_err(|error| format!("cannot wait for events: {error}"))?;
        self.links[place] = Some(link);
        Ok(())
    }

    /// A client sends its next message; its latency counts from `due`.
    ///
    /// # Errors
    /// If its connection is lost.
    pub(crate) fn ask_at(&mut self, place: usize, due: Instant) -> Result<(), String> {
        let Some(Some(link)) = self.links.get_mut(place) else { return Ok(()) };
        link.due.push_back(due);
        link.ask(1, &mut self.out)
    }

    /// Waits, and lets `heed` hear what each event brought: the place, the link there, the news, and a buffer to send
    /// with. A place whose connection the server has closed is empty afterwards.
    ///
    /// # Errors
    /// If a connection fails, or if nothing came within a patience that is not zero.
    pub(crate) fn turn(
        &mut self,
        patience: Option<Duration>,
        mut heed: impl FnMut(usize, &mut Link, News, &mut Vec<u8>) -> Result<(), String>,
    ) -> Result<(), String> {
        match self.poll.poll(&mut self.events, patience) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            outcome => outcome.map_err(|error| format!("cannot wait for events: {error}"))?,
        }
        if self.events.is_empty() && patience.is_some_and(|patience| !patience.is_zero()) {
            return Err(format!("the server was silent for {patience:?}"));
        }
        for event in &self.events {
            let place = event.token().0;
            let Some(Some(link)) = self.links.get_mut(place) else { continue };
            let news = link.handle_event(event, &mut self.buffer)?;
            heed(place, link, news, &mut self.out)?;
            if news.closed {
                self.links[place] = None;
            }
        }
        Ok(())
    }

    /// Keeps so many messages of each client in flight for a while, waits for the last echo, and says how many there
    /// were.
    ///
    /// # Errors
    /// If a connection fails, or an echo does not come.
    pub(crate) fn exchange(&mut self, in_flight: u32, until: Until) -> Result<u64, String> {
        let began = Instant::now();
        let (mut asked, mut echoed) = (0, 0);
        for link in self.links.iter_mut().flatten() {
            link.ask(in_flight, &mut self.out)?;
            asked += u64::from(in_flight);
        }
        while echoed < asked {
            let stops = match until {
                Until::After(span) => began.elapsed() >= span,
                Until::Messages(count) => asked >= count,
            };
            self.turn(Some(PATIENCE), |_, link, news, out| {
                echoed += u64::from(news.echoes);
                if news.echoes > 0 && !stops {
                    asked += u64::from(news.echoes);
                    link.ask(news.echoes, out)?;
                }
                Ok(())
            })?;
        }
        Ok(echoed)
    }

    /// Messages whose echo is to come.
    pub(crate) fn waits_for(&self) -> u64 {
        self.links.iter().flatten().map(|link| u64::from(link.waits_for())).sum()
    }

    /// When those were due.
    pub(crate) fn overdue(&self) -> impl Iterator<Item = Instant> {
        self.links.iter().flatten().flat_map(|link| link.due.iter().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::visits::Visitor;
    use std::io::{Read, Write};
    use std::net::TcpListener;
    use std::thread;

    /// A server that sends back what it gets, in pieces of so many bytes, after it was changed. It ends with the test.
    fn server(piece: usize, change: fn(&mut [u8])) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                stream.set_nodelay(true).unwrap();
                thread::spawn(move || {
                    let mut buffer = [0; 4_096];
                    while let Ok(count @ 1..) = stream.read(&mut buffer) {
                        change(&mut buffer[..count]);
                        if buffer[..count].chunks(piece).any(|bytes| stream.write_all(bytes).is_err()) {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    #[test]
    fn every_message_is_counted_once_its_echo_is_there_however_it_comes() {
        for piece in [4_096, 50] {
            let mut crowd = Crowd::new(Dialect::Frames, server(piece, |_| {})).unwrap();
            crowd.admit(3).unwrap();
            let count = crowd.exchange(4, Until::Messages(500)).unwrap();
            assert!((500..520).contains(&count), "{count}");
            assert_eq!(crowd.waits_for(), 0);
            let more = crowd.exchange(1, Until::After(Duration::from_millis(1))).unwrap();
            assert!(more >= 3, "{more}");
        }
    }

    #[test]
    fn an_echo_that_is_none_ends_the_exchange() {
        let change =
            |bytes: &mut [u8]| bytes.iter_mut().filter(|byte| **byte == b'.').for_each(|byte| *byte = b',');
        let address = server(4_096, change);
        let mut crowd = Crowd::new(Dialect::Frames, address).unwrap();
        crowd.admit(1).unwrap();
        let reason = crowd.exchange(1, Until::Messages(1)).unwrap_err();
        assert!(reason.contains("is not the echo of message 0"), "{reason}");
        let reason =
            Visitor::new(Dialect::Frames, address, true).visit_for(Duration::from_millis(1)).unwrap_err();
        assert!(reason.contains("is not the echo of the message"), "{reason}");
    }
}
