//! One side of a TLS connection, driven by hand over a socket that is lent to each call.
//!
//! It behaves as a socket does: reading gives what came, `WouldBlock`, or 0 at the end; writing takes what it can. It
//! serves sockets that block and sockets that do not, and never does more than the call needs.

mod clear;
mod connection;
mod scratch;

pub(crate) use clear::GOODBYE;
pub use clear::NotTls;
use clear::is_goodbye;
use connection::Connection;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::{ClientConfig, Error, InvalidMessage, ServerConfig};
use scratch::{SCRATCH, Scratch, read_once, write_out};
use std::fmt;
use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::Arc;
use zeroize::Zeroize;

/// Bytes of text in one record: what is taken before the last was written.
pub const RECORD_BYTES: usize = 16 * 1024;
/// Encrypted bytes read in one call at most, so that a peer that sends many records with nothing in them is not
/// listened to for ever.
const SHARE_BYTES: usize = 64 * 1024;
/// Bytes read from the socket at once, at least: a handshake's messages, though nobody asks for text yet.
const READ_LEAST_BYTES: usize = 4 * 1024;
/// Bytes that came and wait for more: the beginning of a record or, over many of them, of a message of the handshake.
const HELD_BYTES: usize = 64 * 1024;

/// One side of a TLS connection.
///
/// What it holds is bounded: of text that came, what one read of the socket can hold beyond a record; of text to be
/// sent, one record; of a handshake, 64 KiB. While nothing is said it holds nothing but keys.
pub struct Channel {
    tls: Connection,
    /// Text that came, and from where on it was not read yet.
    text: Vec<u8>,
    text_read: usize,
    /// Bytes that came and are no whole record or message of the handshake.
    held: Vec<u8>,
    /// Encrypted bytes that the socket did not take, and from where on.
    unsent: Vec<u8>,
    unsent_written: usize,
    /// The last read of the socket gave less than was asked for, and nobody has said since that there may be more.
    is_drained: bool,
    /// The peer will send nothing more.
    is_ended: bool,
    /// TLS has failed: nothing more is read or taken; an alert may still wait to be written.
    has_failed: bool,
    /// Something of the peer's was understood: it speaks TLS.
    is_understood: bool,
    /// It was said that nothing more will be sent.
    is_finished: bool,
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

impl Channel {
    /// A client that has not said anything yet to the server of this name.
    ///
    /// # Errors
    /// What `rustls` has against the configuration.
    pub fn client(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Channel, Error> {
        let mut channel = Channel::new(Connection::Client(UnbufferedClientConnection::new(config, name)?));
        // Its first words.
        channel.tls.process(&mut [], |_| {}, &mut channel.unsent)?;
        Ok(channel)
    }

    /// A server that has not heard anything yet.
    ///
    /// # Errors
    /// What `rustls` has against the configuration.
    pub fn server(config: Arc<ServerConfig>) -> Result<Channel, Error> {
        UnbufferedServerConnection::new(config).map(Connection::Server).map(Channel::new)
    }

    fn new(tls: Connection) -> Channel {
        Channel {
            tls,
            text: Vec::new(),
            text_read: 0,
            held: Vec::new(),
            unsent: Vec::new(),
            unsent_written: 0,
            is_drained: false,
            is_ended: false,
            has_failed: false,
            is_understood: false,
            is_finished: false,
        }
    }

    /// Whether the handshake is still to be completed; until then nothing is taken.
    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Whether text waits to be read though the socket may have nothing.
    pub fn has_text(&self) -> bool {
        !self.text.is_empty()
    }

    /// Whether there is nothing to be read, not even the end, until the socket has more: the last read left nothing in it,
    /// and it [was not told](Channel::expect_more) of more.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.is_drained && self.text.is_empty() && !self.is_ended
    }

    /// More may have come since the socket was read.
    pub(crate) fn expect_more(&mut self) {
        self.is_drained = false;
    }

    /// Whether encrypted bytes wait to be written.
    pub fn has_backlog(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// How many encrypted bytes wait to be written.
    pub(crate) fn backlog_bytes(&self) -> usize {
        self.unsent.len() - self.unsent_written
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
            if self.has_text() && !text.is_empty() {
                return Ok(self.take_text(text));
            }
            if self.is_ended {
                return Ok(0);
            }
            if came >= SHARE_BYTES {
                self.is_drained = false;
                return Err(ErrorKind::WouldBlock.into());
            }
            if self.has_failed {
                came += self.discard(socket, text)?;
                continue;
            }
            let (bytes, filled) = self.take(socket, text)?;
            if filled > 0 {
                return Ok(filled);
            }
            came += bytes;
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
            self.take(socket, &mut [])?;
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
        let mut scratch = SCRATCH.take().unwrap_or_default();
        let outcome = self.encrypt(text, &mut scratch).and_then(|taken| {
            let (written, outcome) = write_out(socket, &scratch.records);
            self.unsent.extend_from_slice(&scratch.records[written..]);
            match outcome {
                // It is taken; that it waits is seen by `has_backlog`.
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(taken),
                outcome => outcome.map(|()| taken),
            }
        });
        SCRATCH.set(Some(scratch));
        outcome
    }

    /// Writes what waits, all of it.
    ///
    /// # Errors
    /// What the socket gives; `WouldBlock` if some is left.
    pub fn flush(&mut self, socket: &mut impl Write) -> io::Result<()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let (written, outcome) = write_out(socket, &self.unsent[self.unsent_written..]);
        self.unsent_written += written;
        if self.unsent_written == self.unsent.len() {
            self.unsent = Vec::new();
            self.unsent_written = 0;
        }
        outcome
    }

    /// Says that nothing more will be sent (`close_notify`, once), if there are keys for that or none yet. It waits to be
    /// written.
    pub fn finish(&mut self) {
        if self.has_failed || std::mem::replace(&mut self.is_finished, true) {
            return;
        }
        let is_said = self.tls.say(None, &mut self.held, &mut self.unsent);
        if !is_said && self.tls.negotiated_cipher_suite().is_none() {
            self.unsent.extend_from_slice(&GOODBYE);
        }
    }

    /// Text that is held, as much as there is room for.
    fn take_text(&mut self, into: &mut [u8]) -> usize {
        let rest = &mut self.text[self.text_read..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        rest[..count].zeroize();
        self.text_read += count;
        if self.text_read == self.text.len() {
            self.text = Vec::new();
            self.text_read = 0;
        }
        count
    }

    /// Encrypts at most a record of text into the scratch memory, and says how much.
    fn encrypt(&mut self, text: &[IoSlice<'_>], scratch: &mut Scratch) -> io::Result<usize> {
        scratch.records.clear();
        let (taken, is_said) = if let [text] = text {
            let text = &text[..text.len().min(RECORD_BYTES)];
            (text.len(), self.tls.say(Some(text), &mut self.held, &mut scratch.records))
        } else {
            for slice in text {
                let room = RECORD_BYTES - scratch.text.len();
                scratch.text.extend_from_slice(&slice[..slice.len().min(room)]);
            }
            let is_said = self.tls.say(Some(&scratch.text), &mut self.held, &mut scratch.records);
            let taken = scratch.text.len();
            // Nobody's text is left for the others to find.
            scratch.text.fill(0);
            scratch.text.clear();
            (taken, is_said)
        };
        if is_said { Ok(taken) } else { Err(ErrorKind::BrokenPipe.into()) }
    }

    /// Reads the socket once and sees to what came. Says how many bytes that were, and how many of text it has put into `text`.
    fn take(&mut self, socket: &mut (impl Read + Write), text: &mut [u8]) -> io::Result<(usize, usize)> {
        let mut scratch = SCRATCH.take().unwrap_or_default();
        // Its size is set once; what it holds is written over.
        scratch.came.resize(RECORD_BYTES, 0);
        let asked = text.len().clamp(READ_LEAST_BYTES, RECORD_BYTES);
        let outcome = match read_once(socket, &mut scratch.came[..asked]) {
            Err(error) => {
                self.is_drained = error.kind() == ErrorKind::WouldBlock;
                Err(error)
            }
            Ok(count) => {
                self.is_drained = count < asked;
                let came = &mut scratch.came[..count];
                let outcome = self.process(came, text);
                // It was deciphered where it lay.
                came.fill(0);
                outcome.map(|filled| (count, filled))
            }
        };
        SCRATCH.set(Some(scratch));
        if outcome.is_ok() {
            // A socket that does not take it fails again when something is written next.
            let _ = self.flush(socket);
        }
        outcome
    }

    /// Sees to bytes that came, none at the end. Says how many of text it has put into `text`.
    fn process(&mut self, came: &mut [u8], text: &mut [u8]) -> io::Result<usize> {
        if self.tls.is_handshaking() && is_goodbye(came) {
            // As long as there is nothing to encrypt it with, rustls takes this for a mere warning, or for an error.
            self.is_ended = true;
            return Ok(0);
        }
        if !self.is_understood && came.first().is_some_and(|first| !super::is_tls_record(&[*first])) {
            self.has_failed = true;
            // An alert is what a client that waits for a frame can tell from one.
            self.unsent.extend_from_slice(&GOODBYE);
            return Err(io::Error::new(ErrorKind::InvalidData, NotTls));
        }
        self.is_understood |= !came.is_empty();
        self.is_ended = came.is_empty();
        self.decipher(came, text).map_err(|error| {
            self.has_failed = true;
            io::Error::new(ErrorKind::InvalidData, error)
        })
    }

    /// Deciphers bytes that came, those that were held before them, and holds what is no whole record.
    fn decipher(&mut self, came: &mut [u8], text: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        let beyond = &mut self.text;
        let hand_on = |part: &[u8]| {
            let count = part.len().min(text.len() - filled);
            text[filled..][..count].copy_from_slice(&part[..count]);
            filled += count;
            beyond.extend_from_slice(&part[count..]);
        };
        if self.held.is_empty() {
            let processed = self.tls.process(came, hand_on, &mut self.unsent)?;
            self.held.extend_from_slice(&came[processed.bytes..]);
            self.is_ended |= processed.is_ended;
        } else {
            self.held.extend_from_slice(came);
            let processed = self.tls.process(&mut self.held, hand_on, &mut self.unsent)?;
            self.held[..processed.bytes].zeroize();
            self.held.drain(..processed.bytes);
            self.is_ended |= processed.is_ended;
        }
        if self.held.is_empty() {
            self.held = Vec::new();
        } else if self.held.len() > HELD_BYTES {
            return Err(InvalidMessage::HandshakePayloadTooLarge.into());
        }
        Ok(filled)
    }

    /// What comes after a failure is of no interest, but for its end.
    fn discard(&mut self, socket: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
        let count = socket.read(into)?;
        self.is_drained = count < into.len();
        self.is_ended = count == 0;
        Ok(count)
    }
}

#[cfg(test)]
mod tests;
