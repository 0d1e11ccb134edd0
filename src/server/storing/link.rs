//! The connection to a store that is elsewhere, in the server's loop: made, read, written and, when it is lost, made anew.

use super::name_lookup::{Found, NameLookup};
use super::stream::{StoreStream, begun, next_place, report};
use crate::Clock;
use crate::Moment;
use crate::server::{STORE, ServerHandle};
use crate::store::{Link, LinkAction};
use crate::transport::Transports;
use log::Level;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Interest, Registry};
use std::io::{self, ErrorKind, Read, Write};

/// How often the store's connection is read in a turn: what is left is the next turn's.
const READS: usize = 16;

/// How far a store's connection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    /// There is none, or it is being made.
    #[default]
    Connecting,
    /// It is there, and nothing that the store has to say goes through it yet.
    Handshaking,
    /// The store knows that it is there.
    Open,
}

/// The socket of a store's connection.
#[derive(Debug)]
pub(in crate::server) struct StoreLink {
    stream: Option<StoreStream<TcpStream>>,
    progress: Progress,
    is_readable: bool,
    is_writable: bool,
    transports: Transports,
    /// Which of its addresses is tried next.
    next_place: usize,
    names: NameLookup,
    /// A connection is gone or could not be made: the store may be elsewhere now.
    is_lost: bool,
    /// It was said that its name cannot be looked up.
    is_unknown: bool,
}

impl StoreLink {
    /// Plain TCP, unless other transports are set.
    pub(in crate::server) fn new(handle: ServerHandle) -> StoreLink {
        StoreLink::naming(NameLookup::new(handle))
    }

    fn naming(names: NameLookup) -> StoreLink {
        StoreLink {
            stream: None,
            progress: Progress::Connecting,
            is_readable: false,
            is_writable: false,
            transports: Transports::Plain,
            next_place: 0,
            names,
            is_lost: false,
            is_unknown: false,
        }
    }

    /// What connections begin with.
    #[cfg(feature = "shared")]
    pub(super) fn set_transports(&mut self, transports: Transports) {
        self.transports = transports;
    }

    pub(in crate::server) fn take_event(&mut self, event: &Event) {
        self.is_readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.is_writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// There were more events than one wait reports: of this one may not have been told yet.
    pub(in crate::server) fn note_unreported(&mut self) {
        self.is_readable |= self.progress != Progress::Connecting;
    }

    /// Whether there is more to read than a turn's part.
    pub(in crate::server) fn has_unread(&self) -> bool {
        self.progress != Progress::Connecting && self.is_readable
    }

    fn close(&mut self) {
        self.is_lost |= self.stream.take().is_some();
        (self.progress, self.is_readable, self.is_writable) = (Progress::Connecting, false, false);
    }

    /// There is no connection any more, or none yet, for this reason.
    fn fail(&mut self, link: &mut dyn Link, error: &io::Error, now: Moment) {
        self.close();
        self.is_lost = true;
        report(error, link, now);
    }

    /// Takes what has come. Says whether anything has.
    pub(super) fn receive(&mut self, link: &mut dyn Link, buffer: &mut [u8], clock: Clock) -> bool {
        let may_be_there = self.is_writable && self.progress == Progress::Connecting;
        if self.stream.is_none() || !(self.is_readable || may_be_there) {
            return false;
        }
        if let Err(error) = self.connect_or_read(link, buffer, clock) {
            self.fail(link, &error, clock.now());
        }
        true
    }

    fn connect_or_read(&mut self, link: &mut dyn Link, buffer: &mut [u8], clock: Clock) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        if self.progress == Progress::Connecting {
            let socket = stream.socket();
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            match socket.peer_addr() {
                Err(error) if error.kind() == ErrorKind::NotConnected => return Ok(()),
                connected => connected?,
            };
            socket.set_nodelay(true)?;
            self.progress = Progress::Handshaking;
            link.handle_accepted();
        }
        for _ in 0..READS {
            open(&mut self.progress, stream, link, clock);
            let read = stream.read(buffer);
            // The handshake may end with this read, and what was said right behind it comes after that.
            open(&mut self.progress, stream, link, clock);
            // Not before: where the store says how late it is there it was not later than this.
            match read {
                Ok(0) => return Err(stream.ended()),
                Ok(count) if !link.handle_bytes(&buffer[..count], clock.now()) => {
                    self.close();
                    break;
                }
                Ok(_) if link.takes_bytes() => {}
                Ok(_) => break,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // Nobody tells again of what a transport has left in the socket.
                    self.is_readable = !stream.is_exhausted();
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Does what the store wants of its socket, and writes what it has to say.
    pub(super) fn send(&mut self, link: &mut dyn Link, registry: &Registry, now: Moment) {
        if let Some(found) = self.names.poll() {
            self.take_addresses(link, found);
        }
        match link.action(now) {
            LinkAction::Nothing => {}
            LinkAction::Close => self.close(),
            LinkAction::Connect => {
                if let Err(error) = self.connect(link, registry) {
                    self.fail(link, &error, now);
                }
            }
        }
        if let Err(error) = self.write(link, now) {
            self.fail(link, &error, now);
        }
        if std::mem::take(&mut self.is_lost)
            && let Some((host, port)) = link.host()
        {
            self.names.begin(host, port);
        }
    }

    fn connect(&mut self, link: &mut dyn Link, registry: &Registry) -> io::Result<()> {
        self.close();
        let place = next_place(link, &mut self.next_place)?;
        let transport = begun(&self.transports, link)?;
        let mut socket = TcpStream::connect(place)?;
        registry.register(&mut socket, STORE, Interest::READABLE | Interest::WRITABLE)?;
        self.stream = Some(StoreStream::new(socket, transport));
        Ok(())
    }

    /// What was found when its name was looked up; where nothing was its addresses stay.
    fn take_addresses(&mut self, link: &mut dyn Link, found: Found) {
        match found {
            Ok(places) => {
                self.is_unknown = false;
                // Those of a name come in any order.
                let is_old = |place| link.addresses().contains(place);
                if places.iter().all(is_old) && places.len() == link.addresses().len() {
                    return;
                }
                let shown: Vec<String> = places.iter().map(ToString::to_string).collect();
                log_event!(Level::Info, "shared store has other addresses", addrs = ?shown.join(" "));
                link.handle_addresses(places);
                self.next_place = 0;
            }
            Err(reason) if !std::mem::replace(&mut self.is_unknown, true) => {
                log_event!(Level::Warn, "shared store cannot be looked up", reason = ?reason; "its addresses stay");
            }
            Err(_) => {}
        }
    }

    fn write(&mut self, link: &mut dyn Link, now: Moment) -> io::Result<()> {
        // Asked in any case: that is when the store sees how late it is.
        let mut output = link.output(now);
        let is_there = self.progress != Progress::Connecting && self.is_writable;
        let Some(stream) = self.stream.as_mut().filter(|_| is_there) else { return Ok(()) };
        loop {
            let has_text = self.progress == Progress::Open && !output.is_empty();
            let written = if has_text { stream.write(output) } else { stream.flush().map(|()| 0) };
            match written {
                Ok(0) => break,
                Ok(count) => {
                    link.advance(count);
                    output = link.output(now);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.is_writable = false;
                    break;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.is_writable &= !stream.has_backlog();
        Ok(())
    }
}

/// Tells the store that its connection is there, once it is.
fn open(progress: &mut Progress, stream: &StoreStream<TcpStream>, link: &mut dyn Link, clock: Clock) {
    if *progress == Progress::Handshaking && stream.is_open() {
        *progress = Progress::Open;
        link.handle_connected(clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::WAKER;
    use mio::{Events, Poll};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};
    use std::sync::{Arc, Mutex, mpsc};
    use std::time::Duration;

    /// A store that wants a connection whenever it has none.
    struct Named {
        places: Vec<SocketAddr>,
        is_there: bool,
        is_wanted: bool,
        /// How many connections it has lost, or never had.
        lost: usize,
    }

    impl Link for Named {
        fn addresses(&self) -> &[SocketAddr] {
            &self.places
        }

        fn host(&self) -> Option<(&str, u16)> {
            Some(("store.example", 6379))
        }

        fn handle_addresses(&mut self, addresses: Vec<SocketAddr>) {
            self.places = addresses;
        }

        fn action(&mut self, _: Moment) -> LinkAction {
            if std::mem::replace(&mut self.is_wanted, false) {
                LinkAction::Connect
            } else {
                LinkAction::Nothing
            }
        }

        fn handle_connected(&mut self, _: Moment) {
            self.is_there = true;
        }

        fn handle_closed(&mut self, _: &str, _: Moment) {
            (self.is_there, self.is_wanted, self.lost) = (false, true, self.lost + 1);
        }

        fn handle_bytes(&mut self, _: &[u8], _: Moment) -> bool {
            true
        }

        fn output(&mut self, _: Moment) -> &[u8] {
            b""
        }

        fn advance(&mut self, _: usize) {}
    }

    struct World {
        poll: Poll,
        link: StoreLink,
        store: Named,
    }

    impl World {
        /// A store at this place, whose name is looked up so.
        fn new(place: SocketAddr, look_up: impl Fn(&str, u16) -> Found + Send + Sync + 'static) -> World {
            let poll = Poll::new().unwrap();
            let handle = ServerHandle::new(poll.registry(), WAKER).unwrap();
            let store = Named { places: vec![place], is_there: false, is_wanted: true, lost: 0 };
            World { poll, link: StoreLink::naming(NameLookup::by(handle, Arc::new(look_up))), store }
        }

        /// Goes on, as a server does, until something is so.
        fn until(&mut self, is_so: impl Fn(&Named) -> bool) {
            let (clock, mut events) = (Clock::new(), Events::with_capacity(8));
            self.link.send(&mut self.store, self.poll.registry(), clock.now());
            while !is_so(&self.store) {
                self.poll.poll(&mut events, Some(Duration::from_secs(100))).unwrap();
                assert!(!events.is_empty(), "waited in vain");
                events.iter().filter(|event| event.token() == STORE).for_each(|event| {
                    self.link.take_event(event);
                });
                self.link.receive(&mut self.store, &mut [0; 64], clock);
                self.link.send(&mut self.store, self.poll.registry(), clock.now());
            }
        }
    }

    fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let place = listener.local_addr().unwrap();
        (listener, place)
    }

    /// The story: a store moved to another address, and every server had to be restarted to find it.
    #[test]
    fn a_store_that_has_moved_is_found_again() {
        let ((old, old_place), (new, new_place)) = (listener(), listener());
        let mut world = World::new(old_place, move |host, port| {
            assert_eq!((host, port), ("store.example", 6379));
            Ok(vec![new_place])
        });
        world.until(|store| store.is_there);
        let connection = old.accept().unwrap();
        drop((old, connection));
        world.until(|store| store.is_there && store.places == [new_place]);
        new.accept().unwrap();
    }

    /// A name server that does not answer holds up nobody, is asked by one thread, and what it says in the end counts, if that
    /// is an address.
    #[test]
    fn a_look_up_that_takes_long_or_fails_leaves_the_old_addresses() {
        let ((old, old_place), (_new, new_place)) = (listener(), listener());
        let (answers, to_answer) = mpsc::channel::<Found>();
        let (asked, questions) = mpsc::channel();
        let to_answer = Mutex::new(to_answer);
        let mut world = World::new(old_place, move |_, _| {
            asked.send(()).unwrap();
            to_answer.lock().unwrap().recv().unwrap()
        });
        for round in 0..3 {
            world.until(|store| store.is_there);
            drop(old.accept().unwrap());
            world.until(|store| store.lost == round + 1);
        }
        world.until(|store| store.is_there);
        questions.recv().unwrap();
        assert!(questions.try_recv().is_err(), "a second look-up was begun beside the first");
        answers.send(Err("the name server is away".to_owned())).unwrap();
        // The next begins when that is known, and something is lost again.
        let mut lost = world.store.lost;
        while questions.try_recv().is_err() {
            drop(old.accept().unwrap());
            lost += 1;
            world.until(|store| store.lost == lost && store.places == [old_place]);
            world.until(|store| store.is_there);
        }
        answers.send(Ok(vec![new_place])).unwrap();
        world.until(|store| store.places == [new_place]);
    }
}
