//! One side of a TLS connection, driven by hand over a socket that is lent to each call.
//!
//! It behaves as a socket does: reading gives what came, `WouldBlock`, or 0 at the end; writing takes what it can. It
//! serves sockets that block and sockets that do not, and never does more than the call needs.

use rustls::Connection;
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};

/// Bytes of text in one record: what is taken before the last was written.
pub const RECORD_BYTES: usize = 16 * 1024;
/// Encrypted bytes read in one call at most, so that a peer that sends many records with nothing in them is not
/// listened to for ever.
const SHARE_BYTES: usize = 64 * 1024;

/// Bytes of an alert in the clear, with its record's header.
const GOODBYE_BYTES: usize = 7;

/// What came from the other side is not TLS.
#[derive(Clone, Copy, Debug)]
pub struct NotTls;

impl fmt::Display for NotTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("what came is not TLS")
    }
}

impl std::error::Error for NotTls {}

/// One side of a TLS connection.
///
/// What it holds is bounded: of text that came, what one read of the socket can hold beyond a record; of text to be
/// sent, one record; of a handshake, what `rustls` allows (64 KiB).
#[derive(Debug)]
pub struct Channel {
    tls: Connection,
    /// Text that came and was not read yet.
    text_bytes: usize,
    /// The last read of the socket gave less than was asked for, and nobody has said since that there may be more.
    is_drained: bool,
    /// The peer will send nothing more.
    is_ended: bool,
    /// TLS has failed: nothing more is read or taken; an alert may still wait to be written.
    has_failed: bool,
    /// Something of the peer's was understood: it speaks TLS.
    has_heard: bool,
}

impl Channel {
    /// A side that has not said anything yet.
    pub fn new(tls: impl Into<Connection>) -> Channel {
        let mut tls = tls.into();
        tls.set_buffer_limit(Some(RECORD_BYTES));
        Channel {
            tls,
            text_bytes: 0,
            is_drained: false,
            is_ended: false,
            has_failed: false,
            has_heard: false,
        }
    }

    /// Whether the handshake is still to be completed; until then nothing is taken.
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether text waits to be read though the socket may have nothing.
    pub fn has_text(&self) -> bool {
        self.text_bytes > 0
    }

    /// Whether there is nothing to be read, not even the end, until the socket has more: the last read left nothing in it,
    /// and it [was not told](Channel::expect_more) of more.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.is_drained && self.text_bytes == 0 && !self.is_ended
    }

    /// More may have come since the socket was read.
    pub(crate) fn expect_more(&mut self) {
        self.is_drained = false;
    }

    /// Whether encrypted bytes wait to be written.
    pub fn has_backlog(&self) -> bool {
        self.tls.wants_write()
    }

    /// The certificate that the peer has shown, in DER.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.tls.peer_certificates().and_then(|chain| chain.first()).map(AsRef::as_ref)
    }

    /// Reads text, and goes on with the handshake on the way. 0 is the end, orderly or not: frames tell whether
    /// something is missing.
    ///
    /// # Errors
    /// `WouldBlock` as the socket gives it, or when a share of bytes held no text; `InvalidData` ([`NotTls`] or `rustls::Error`)
    /// if what came is not TLS as it should be (what there is to say about it is written by [`flush`](Channel::flush)); and what the
    /// socket gives.
    pub fn read(&mut self, socket: &mut (impl Read + Write), text: &mut [u8]) -> io::Result<usize> {
        let mut came = 0;
        loop {
            if self.text_bytes > 0 && !text.is_empty() {
                let count = self.tls.reader().read(text)?;
                self.text_bytes -= count.min(self.text_bytes);
                return Ok(count);
            }
            if self.is_ended {
                return Ok(0);
            }
            if came >= SHARE_BYTES {
                self.is_drained = false;
                return Err(ErrorKind::WouldBlock.into());
            }
            came += if self.has_failed { self.discard(socket, text)? } else { self.take(socket)? };
        }
    }

    /// Goes on with the handshake, on a socket that blocks until it is done.
    ///
    /// # Errors
    /// As [`read`](Channel::read), and `UnexpectedEof` if the peer ends it.
    pub fn shake_hands(&mut self, socket: &mut (impl Read + Write)) -> io::Result<()> {
        self.flush(socket)?;
        while self.is_handshaking() {
            if self.is_ended {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the connection ended in the TLS handshake",
                ));
            }
            self.take(socket)?;
        }
        self.flush(socket)
    }

    /// Takes text for sending, at most a record and only when all before it is written, and writes what it can.
    ///
    /// # Errors
    /// `WouldBlock` if nothing could be taken, and what the socket gives.
    pub fn write(&mut self, socket: &mut impl Write, text: &[u8]) -> io::Result<usize> {
        self.write_slices(socket, &[IoSlice::new(&text[..text.len().min(RECORD_BYTES)])])
    }

    /// As [`write`](Channel::write), from several places into one record; what is beyond a record may be taken too.
    ///
    /// # Errors
    /// As [`write`](Channel::write).
    pub fn write_slices(&mut self, socket: &mut impl Write, text: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(socket)?;
        if self.has_failed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.is_handshaking() {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.tls.writer().write_vectored(text)?;
        match self.flush(socket) {
            // It is taken; that it waits is seen by `has_backlog`.
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(count),
            outcome => outcome.map(|()| count),
        }
    }

    /// Writes what waits, all of it.
    ///
    /// # Errors
    /// What the socket gives; `WouldBlock` if some is left.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        while self.tls.wants_write() {
            match self.tls.write_tls(socket) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Says that nothing more will be sent (`close_notify`, once). It waits to be written.
    pub fn finish(&mut self) {
        self.tls.send_close_notify();
    }

    /// Reads the socket once and sees to what came.
    fn take(&mut self, socket: &mut (impl Read + Write)) -> io::Result<usize> {
        let mut tap = Tap { socket, first: None, last: [0; GOODBYE_BYTES], is_short: false };
        let count = loop {
            match self.tls.read_tls(&mut tap) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    self.is_drained = error.kind() == ErrorKind::WouldBlock;
                    return Err(error);
                }
                Ok(count) => break count,
            }
        };
        self.is_drained = tap.is_short;
        if self.tls.is_handshaking() && tap.is_goodbye() {
            // As long as there is nothing to encrypt it with, rustls takes this for a mere warning, or for an error.
            self.is_ended = true;
            return Ok(count);
        }
        if !self.has_heard && tap.first.is_some_and(|first| !super::is_tls_record(&[first])) {
            self.has_failed = true;
            // An alert is what a client that waits for a frame can tell from one.
            self.tls.send_close_notify();
            return Err(io::Error::new(ErrorKind::InvalidData, NotTls));
        }
        self.has_heard |= count > 0;
        let state = match self.tls.process_new_packets() {
            Ok(state) => state,
            Err(error) => {
                self.has_failed = true;
                return Err(io::Error::new(ErrorKind::InvalidData, error));
            }
        };
        self.text_bytes = state.plaintext_bytes_to_read();
        self.is_ended = count == 0 || state.peer_has_closed();
        // A socket that does not take it fails again when something is written next.
        let _ = self.flush(socket);
        Ok(count)
    }

    /// What comes after a failure is of no interest, but for its end.
    fn discard(&mut self, socket: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
        let count = socket.read(into)?;
        self.is_drained = count < into.len();
        self.is_ended = count == 0;
        Ok(count)
    }
}

/// A socket of which is noted what was read first and last, and whether it had less than was asked for.
struct Tap<'a, S> {
    socket: &'a mut S,
    first: Option<u8>,
    last: [u8; GOODBYE_BYTES],
    is_short: bool,
}

impl<S> Tap<'_, S> {
    /// Whether it ended with `close_notify`, not encrypted.
    fn is_goodbye(&self) -> bool {
        matches!(self.last, [0x15, 0x03, _, 0, 2, 1 | 2, 0])
    }
}

impl<S: Read> Read for Tap<'_, S> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.socket.read(into)?;
        self.is_short = count < into.len();
        self.first = into[..count].first().copied();
        self.last = into[..count].last_chunk().copied().unwrap_or_default();
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
