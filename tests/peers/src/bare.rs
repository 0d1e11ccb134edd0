//! The practical limit: an epoll loop that takes frames apart and writes them back, and does nothing else.
//!
//! A frame is a length (`u32`, big-endian, 1 to 65 536) and as many bytes. For a connection that asks and waits it makes
//! a read and a write, and the wait is shared by all that are ready: fewer system calls a message there cannot be
//! without io_uring. It logs nothing, knows nobody, sets no timer and has no limit on connections: it is a yardstick.
//!
//! Its first line is `listening on ADDR:PORT`; it serves until it is killed.

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::{Errno, read, retry_on_intr, write};
use rustix::net::{SocketFlags, accept_with, sockopt};
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, OwnedFd};

const EVENTS: usize = 1_024;
/// One buffer for all connections.
const READ_BYTES: usize = 64 * 1024;
const FRAME_BYTES_MOST: usize = 65_536;
/// Of a listening socket, capped by the system.
const BACKLOG: i32 = 4_096;
/// Edge-triggered: a connection that was served is not looked at again by the next wait.
const READS: EventFlags = EventFlags::IN.union(EventFlags::RDHUP).union(EventFlags::ET);

/// A connection.
struct Connection {
    socket: OwnedFd,
    /// The beginning of a frame whose rest is to come.
    partial: Vec<u8>,
    /// Echoes that the socket did not take; while there are some, nothing is read.
    unsent: Vec<u8>,
}

/// Whether a connection stays.
#[derive(PartialEq)]
enum Course {
    Stays,
    Leaves,
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    // Accepted sockets inherit it.
    sockopt::set_tcp_nodelay(&listener, true)?;
    // std's backlog is 128: too few for a storm.
    rustix::net::listen(&listener, BACKLOG)?;
    println!("listening on {}", listener.local_addr()?);
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(u64::MAX), EventFlags::IN)?;
    let mut events = Vec::with_capacity(EVENTS);
    let mut buffer = vec![0; READ_BYTES];
    // By descriptor: the system gives the lowest that is free.
    let mut connections: Vec<Option<Connection>> = Vec::new();
    loop {
        events.clear();
        retry_on_intr(|| epoll::wait(&poll, spare_capacity(&mut events), None))?;
        for event in &events {
            if event.data.u64() == u64::MAX {
                accept(&listener, &poll, &mut connections)?;
                continue;
            }
            let place = event.data.u64() as usize;
            let Some(Some(connection)) = connections.get_mut(place) else { continue };
            let outcome = serve(connection, event.flags, &poll, &mut buffer);
            if !matches!(outcome, Ok(Course::Stays)) {
                connections[place] = None;
            }
        }
    }
}

fn accept(
    listener: &TcpListener,
    poll: &OwnedFd,
    connections: &mut Vec<Option<Connection>>,
) -> io::Result<()> {
    let socket = match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok(socket) => socket,
        Err(Errno::AGAIN | Errno::INTR | Errno::CONNABORTED) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let place = socket.as_raw_fd() as usize;
    epoll::add(poll, &socket, EventData::new_u64(place as u64), READS)?;
    if connections.len() <= place {
        connections.resize_with(place + 1, || None);
    }
    connections[place] = Some(Connection { socket, partial: Vec::new(), unsent: Vec::new() });
    Ok(())
}

fn serve(
    connection: &mut Connection,
    flags: EventFlags,
    poll: &OwnedFd,
    buffer: &mut [u8],
) -> rustix::io::Result<Course> {
    let place = EventData::new_u64(connection.socket.as_raw_fd() as u64);
    if !connection.unsent.is_empty() {
        let count = write(&connection.socket, &connection.unsent)?;
        connection.unsent.drain(..count);
        if !connection.unsent.is_empty() {
            return Ok(Course::Stays);
        }
        // What came meanwhile is told anew.
        epoll::modify(poll, &connection.socket, place, READS)?;
        return Ok(Course::Stays);
    }
    loop {
        let count = match read(&connection.socket, &mut *buffer) {
            Ok(0) => return Ok(Course::Leaves),
            Ok(count) => count,
            Err(Errno::AGAIN) => return Ok(Course::Stays),
            Err(error) => return Err(error),
        };
        if echo(connection, &buffer[..count])? == Course::Leaves {
            return Ok(Course::Leaves);
        }
        if !connection.unsent.is_empty() {
            epoll::modify(poll, &connection.socket, place, EventFlags::OUT | EventFlags::ET)?;
            return Ok(Course::Stays);
        }
        // A short read has emptied the socket, unless its end is to be read, too.
        if count < buffer.len() && !flags.intersects(EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR) {
            return Ok(Course::Stays);
        }
    }
}

/// Writes back all whole frames, with one call, and keeps what is left.
fn echo(connection: &mut Connection, bytes: &[u8]) -> rustix::io::Result<Course> {
    let kept = std::mem::take(&mut connection.partial);
    let joined;
    let bytes = if kept.is_empty() {
        bytes
    } else {
        joined = [&kept, bytes].concat();
        &joined
    };
    let Some(whole) = whole_frames(bytes) else { return Ok(Course::Leaves) };
    let (frames, rest) = bytes.split_at(whole);
    connection.partial.extend_from_slice(rest);
    if frames.is_empty() {
        return Ok(Course::Stays);
    }
    let sent = match write(&connection.socket, frames) {
        Ok(count) => count,
        Err(Errno::AGAIN) => 0,
        Err(error) => return Err(error),
    };
    connection.unsent.extend_from_slice(&frames[sent..]);
    Ok(Course::Stays)
}

/// How many bytes the whole frames at the beginning have; `None` if a length is not allowed.
fn whole_frames(bytes: &[u8]) -> Option<usize> {
    let mut whole = 0;
    while let Some((header, rest)) = bytes[whole..].split_first_chunk() {
        let length = u32::from_be_bytes(*header) as usize;
        if length == 0 || length > FRAME_BYTES_MOST {
            return None;
        }
        if rest.len() < length {
            break;
        }
        whole += header.len() + length;
    }
    Some(whole)
}
