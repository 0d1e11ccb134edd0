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
    /// remembers. Says how long the first took to be admitted.
    ///
    /// # Errors
    /// If not all get in.
    pub(crate) fn admit(&mut self, count: usize) -> Result<Duration, String> {
        let began = Instant::now();
        let (mut first, mut started, mut ready) = (None, 0, 0);
        while ready < count {
            let most = if first.is_none() { 1 } else { ENTERING };
            while started < count && started - ready < most {
                let place = self.links.len();
                self.links.push(None);
                self.open(place, NAME, Errand::Talk)?;
                started += 1;
            }
            self.turn(Some(PATIENCE), |_, _, news, _| {
                ready += usize::from(news.ready);
                if news.ready && first.is_none() {
                    first = Some(began.elapsed());
                }
                Ok(())
            })?;
        }
        Ok(first.unwrap_or_default())
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
