//! Rooms of thousands in chat, who all read: texts always under way, many who go at once, and a kick of nearly all.

use crate::attacks::{Attack, Outcome};
use crate::host::{Guest, Host, extra_name, frame, reset};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Readers of a full room.
pub(crate) const READERS: usize = 9_900;
/// Of the room that half leaves: those who stay, and those who leave, each under a name of its own.
pub(crate) const STAY: usize = 4_900;
pub(crate) const LEAVE: usize = 4_900;
/// A text of the full room, and its frame from `bob`.
const TEXT: [u8; 64] = [b'x'; 64];
const TEXT_FRAME_BYTES: u64 = 4 + 2 + 3 + TEXT.len() as u64;
/// The reader looks so often whether it is to end.
const LOOK: Duration = Duration::from_millis(50);

/// Readers with a thread that reads for all of them, until it is dropped.
struct Room {
    bytes: Arc<AtomicU64>,
    closed: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    reading: Option<JoinHandle<()>>,
}

impl Room {
    /// Lets them come in, and reads whatever is sent to them from then on.
    fn fill(guests: impl Iterator<Item = Guest>) -> Room {
        let mut poll = Poll::new().unwrap();
        let [bytes, closed]: [Arc<AtomicU64>; 2] = Default::default();
        let over = Arc::new(AtomicBool::new(false));
        let (all_bytes, all_closed, is_over) = (Arc::clone(&bytes), Arc::clone(&closed), Arc::clone(&over));
        let mut readers = Vec::new();
        // They come in while those who are in read already, or the first would hold up the others.
        let (sender, arrivals) = std::sync::mpsc::channel::<Guest>();
        let reading = std::thread::spawn(move || {
            let mut events = Events::with_capacity(1024);
            let mut buffer = vec![0; 256 * 1024];
            while !is_over.load(Ordering::Relaxed) {
                while let Ok(guest) = arrivals.try_recv() {
                    guest.stream.set_nonblocking(true).unwrap();
                    let mut stream = TcpStream::from_std(guest.stream);
                    let token = Token(readers.len());
                    poll.registry().register(&mut stream, token, Interest::READABLE).unwrap();
                    readers.push(Some(stream));
                }
                poll.poll(&mut events, Some(LOOK)).unwrap();
                for event in &events {
                    drain(&mut readers[event.token().0], &mut buffer, &all_bytes, &all_closed);
                }
            }
            readers.into_iter().flatten().for_each(|stream| reset(stream.into()));
        });
        guests.for_each(|guest| sender.send(guest).unwrap());
        Room { bytes, closed, over, reading: Some(reading) }
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(reading) = self.reading.take() {
            let _ = reading.join();
        }
    }
}

fn drain(reader: &mut Option<TcpStream>, buffer: &mut [u8], bytes: &AtomicU64, closed: &AtomicU64) {
    let Some(stream) = reader else { return };
    loop {
        match stream.read(buffer) {
            Ok(count @ 1..) => {
                bytes.fetch_add(count as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            _ => {
                closed.fetch_add(1, Ordering::Relaxed);
                *reader = None;
                return;
            }
        }
    }
}

/// One writes to so many, and again as soon as all have read all but so many of its texts.
pub(crate) fn texts_under_way(host: &Host, in_flight: u64) -> Attack {
    let mut writer = Host::log_in(host.connect(), "bob");
    let room = Room::fill((0..READERS).map(|_| Host::log_in(host.connect(), "bob")));
    Box::new(move |host, until| {
        let text = frame(0x05, &[&writer.token[..], &TEXT].concat());
        let before = room.bytes();
        let (began, [used, _]) = (Instant::now(), host.cpu());
        let mut written = 0;
        while Instant::now() < until {
            writer.stream.write_all(&text).unwrap();
            written += 1;
            let due = (written + 1_u64).saturating_sub(in_flight) * TEXT_FRAME_BYTES * READERS as u64;
            if !waits_for(|| room.bytes() - before >= due) {
                return Outcome { told: "a text did not reach all".to_owned(), took: None };
            }
        }
        let (due, last) = (written * TEXT_FRAME_BYTES * READERS as u64, Instant::now());
        let took = waits_for(|| room.bytes() - before >= due).then(|| last.elapsed());
        let deliveries = written * READERS as u64;
        let pace = deliveries as f64 / began.elapsed().as_secs_f64();
        let used = host.cpu()[0] - used;
        let each = used.as_nanos() as u64 / deliveries.max(1);
        let longest = host.longest_turn();
        let told =
            format!("{written} texts, {pace:.0} deliveries/s of {each} ns each, longest turn {longest}");
        Outcome { told, took }
    })
}

/// Half of a room loses its connections at once; what becomes of the sessions is up to the resume window.
pub(crate) fn half_leaves(host: &Host) -> Attack {
    let stay = Room::fill((0..STAY).map(|_| Host::log_in(host.connect(), "bob")));
    let names = (0..LEAVE).map(|n| Host::log_in(host.connect(), &extra_name(n)));
    let leave = Room::fill(names);
    Box::new(move |host, until| {
        let before = stay.bytes();
        let began = Instant::now();
        drop(leave);
        // Header, kind and the length of no name, then "guest0000 left".
        let due = before + (6 + 14) * (LEAVE * STAY) as u64;
        let told = waits_for(|| stay.bytes() >= due);
        let took = told.then(|| began.elapsed());
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        let share = (stay.bytes() - before) as f64 / (due - before) as f64;
        let told = format!(
            "{:.0} % of {} notices, longest turn {}",
            share * 100.0,
            LEAVE * STAY,
            host.longest_turn()
        );
        Outcome { told, took }
    })
}

/// The person at the console kicks nearly all.
pub(crate) fn kick(host: &Host) -> Attack {
    let room = Room::fill((0..READERS).map(|_| Host::log_in(host.connect(), "bob")));
    Box::new(move |host, until| {
        let began = Instant::now();
        host.type_line("/kick bob");
        let told = waits_for(|| room.closed() >= READERS as u64);
        let took = told.then(|| began.elapsed());
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        Outcome { told: format!("{} closed, longest turn {}", room.closed(), host.longest_turn()), took }
    })
}

/// Waits for what is sure to come; false if it does not.
fn waits_for(is_there: impl Fn() -> bool) -> bool {
    let began = Instant::now();
    while !is_there() {
        if began.elapsed() > crate::host::CEILING {
            return false;
        }
        std::thread::yield_now();
    }
    true
}
