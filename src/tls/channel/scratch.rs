//! The memory that is needed while a socket is read or written, and both.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};

/// Memory that a call needs only while it lasts: all connections of a thread take turns with it.
#[derive(Default)]
pub(super) struct Scratch {
    /// What is read from the socket.
    pub(super) came: Vec<u8>,
    /// Text from several places.
    pub(super) text: Vec<u8>,
    /// Encrypted bytes that are written.
    pub(super) records: Vec<u8>,
}

thread_local! {
    pub(super) static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
}

pub(super) fn read_once(socket: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match socket.read(into) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// Writes until all is taken or the socket fails, and says how much it has taken.
pub(super) fn write_out(socket: &mut impl Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    while written < bytes.len() {
        match socket.write(&bytes[written..]) {
            Ok(0) => return (written, Err(ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(error)),
        }
    }
    (written, Ok(()))
}
