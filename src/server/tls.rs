//! TLS between one socket and the engine.
//!
//! The handshake begins when its turn in the [queue](super::handshake_queue) has come, and everything is driven by
//! readiness, as with a plain socket. This module must not know what is carried.

use super::socket::{Outcome, Reading, SLICES, Socket, Transport};
use crate::engine::Unsent;
use crate::limits::{SHARE_WRITES, SHARE_WRITTEN_BYTES};
use crate::tls::{Channel, GOODBYE, NotTls, RECORD_BYTES};
use rustls::ServerConfig;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::sync::Arc;

/// What is logged of peers that do not speak TLS.
pub(super) const NOT_TLS: &str = "what came is not TLS; plain TCP needs a server with --plaintext";

/// The TLS of one connection.
pub(super) struct Tls {
    /// None until the handshake is begun.
    channel: Option<Box<Channel>>,
    /// It was only accepted to be told that there is no room.
    pub(super) is_refused: bool,
    /// The handshake is done, and that has not been told yet.
    is_new: bool,
    /// The sending side is to be shut when what is held is written.
    is_finishing: bool,
    /// Why TLS failed, while text from before is still handed on.
    fault: Option<String>,
}

impl Tls {
    pub(super) fn new(is_refused: bool) -> Tls {
        Tls { channel: None, is_refused, is_new: true, is_finishing: false, fault: None }
    }

    pub(super) fn is_open(&self) -> bool {
        self.channel.as_ref().is_some_and(|channel| !channel.is_handshaking())
    }

    pub(super) fn backlog_bytes(&self) -> usize {
        self.channel.as_ref().map_or(0, |channel| channel.backlog_bytes())
    }
}

impl Transport {
    fn tls(&mut self) -> Option<&mut Tls> {
        match self {
            Transport::Plain => None,
            Transport::Tls(tls) => Some(tls),
        }
    }

    /// Whether what comes is for a channel. One that closes before its handshake has begun discards what comes as it is.
    pub(super) fn has_channel(&self) -> bool {
        matches!(self, Transport::Tls(tls) if tls.channel.is_some())
    }
}

impl Socket {
    /// Whether it has yet to begin its handshake, and may: not with its sending side shut.
    pub(super) fn awaits_handshake(&self) -> bool {
        matches!(&self.transport, Transport::Tls(tls) if tls.channel.is_none() && !tls.is_finishing)
    }

    /// Whether the handshake is done since the last call. Then another may begin.
    pub(super) fn has_just_opened(&mut self) -> bool {
        match &mut self.transport {
            Transport::Tls(tls) if tls.is_open() => std::mem::replace(&mut tls.is_new, false),
            _ => false,
        }
    }

    /// Begins the handshake.
    ///
    /// # Errors
    /// What `rustls` has against it.
    pub(super) fn begin_handshake(&mut self, config: &Arc<ServerConfig>) -> Result<(), String> {
        if let Transport::Tls(tls) = &mut self.transport {
            let channel = Channel::server(Arc::clone(config)).map_err(|error| error.to_string())?;
            tls.channel = Some(Box::new(channel));
        }
        Ok(())
    }

    /// Looks at what came without taking it, and says how much it is.
    ///
    /// # Errors
    /// If the connection is broken.
    pub(super) fn peek(&self, buffer: &mut [u8]) -> Result<usize, ()> {
        loop {
            match self.stream.peek(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(0),
                outcome => return outcome.map_err(drop),
            }
        }
    }

    pub(super) fn read_tls(&mut self, buffer: &mut [u8]) -> Outcome {
        let Some(Tls { channel: Some(channel), fault, .. }) = self.transport.tls() else {
            return Outcome::Nothing;
        };
        if let Some(reason) = fault.take() {
            return Outcome::Fault(reason);
        }
        // Text of the last time may be left, and its socket was empty then. If more has come meanwhile the event that told of
        // it is used up, so that only the socket itself can say that it is empty now.
        channel.expect_more();
        let mut filled = 0;
        let end = loop {
            match channel.read(&mut self.stream, &mut buffer[filled..]) {
                Ok(0) => {
                    // It comes again at the next read if there is text before it; then there is nothing more to wait for.
                    if filled == 0 {
                        self.reading = Reading::Nothing;
                    }
                    break Outcome::End;
                }
                Ok(count) => {
                    filled += count;
                    let is_exhausted = channel.is_exhausted();
                    if filled == buffer.len() || is_exhausted {
                        self.reading.note_read(!is_exhausted);
                        break Outcome::Nothing;
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => {
                        // Behind text the next read finds this again, and nothing else tells that no end is to come.
                        if filled > 0 {
                            self.reading.note_read(!channel.is_exhausted());
                        } else if channel.is_exhausted() {
                            self.reading = Reading::Nothing;
                        }
                        break Outcome::Nothing;
                    }
                    ErrorKind::InvalidData => break Outcome::Fault(reason(&error)),
                    _ => break Outcome::Broken,
                },
            }
        };
        // What the handshake has to say is written while reading.
        if channel.has_backlog() {
            self.writing.note_written(false);
        }
        match end {
            end if filled == 0 => end,
            Outcome::Fault(reason) => {
                *fault = Some(reason);
                Outcome::Bytes(filled)
            }
            // What broke the connection comes again at the next read, as the end does.
            _ => Outcome::Bytes(filled),
        }
    }

    pub(super) fn write_tls(&mut self, output: Unsent<'_>) -> Outcome {
        let Some(Tls { channel: Some(channel), is_finishing, .. }) = self.transport.tls() else {
            return Outcome::Nothing;
        };
        let mut portions = output.portions();
        let mut taken = 0;
        for _ in 0..=SHARE_WRITES {
            let is_over = taken == output.len() || taken >= SHARE_WRITTEN_BYTES || channel.is_handshaking();
            let outcome = if is_over {
                channel.flush(&mut self.stream).map(|()| 0)
            } else if let Some(text) = output.whole() {
                channel.write(&mut self.stream, &text[taken..])
            } else {
                let mut places = [IoSlice::new(&[]); SLICES];
                let (filled, _) = portions.fill(RECORD_BYTES, &mut places);
                write_record(channel, &mut self.stream, &places[..filled])
            };
            match outcome {
                Ok(0) => break,
                Ok(count) => taken += count,
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::WouldBlock => break,
                    _ => return Outcome::Broken,
                },
            }
        }
        self.writing.note_written(!channel.has_backlog());
        if *is_finishing && !channel.has_backlog() {
            self.shut_down_plain();
        }
        if taken == 0 { Outcome::Nothing } else { Outcome::Bytes(taken) }
    }

    /// Says `close_notify`, then shuts the sending side, at once or when all is written.
    pub(super) fn shut_down_tls(&mut self) {
        if let Transport::Tls(tls) = &mut self.transport {
            tls.is_finishing = true;
        }
        if !self.say_goodbye_tls() {
            self.shut_down_plain();
        }
    }

    /// Says `close_notify`; true if it, or something before it, is held.
    pub(super) fn say_goodbye_tls(&mut self) -> bool {
        match self.transport.tls() {
            None => false,
            Some(Tls { channel: Some(channel), .. }) => {
                channel.finish();
                // A peer that is gone hears nothing.
                let _ = channel.flush(&mut self.stream);
                if channel.has_backlog() {
                    self.writing.note_written(false);
                }
                channel.has_backlog()
            }
            Some(Tls { channel: None, .. }) => {
                // Nothing was written before, so these few bytes have room.
                let _ = self.stream.write(&GOODBYE);
                false
            }
        }
    }
}

/// Takes all of a record's text, or none of it.
fn write_record(channel: &mut Channel, socket: &mut impl Write, text: &[IoSlice<'_>]) -> io::Result<usize> {
    loop {
        match channel.write_slices(socket, text) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// What is logged of a failure.
fn reason(error: &io::Error) -> String {
    match error.get_ref() {
        Some(inner) if inner.is::<NotTls>() => NOT_TLS.to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::ConnId;
    use crate::tls::tests::{client, server};
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    /// A server's socket and its peer, done with the handshake.
    fn pair() -> (Socket, Channel, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut peer_stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        peer_stream.set_nonblocking(true).unwrap();
        let mut tls = Tls::new(false);
        tls.channel = Some(Box::new(server()));
        let conn = ConnId::unpack(1 << 32).unwrap();
        let stream = mio::net::TcpStream::from_std(stream);
        let mut socket = Socket::new(conn, stream, Transport::Tls(Box::new(tls)));
        let mut peer = client();
        while peer.is_handshaking() || !socket.is_open() {
            peer.flush(&mut peer_stream).unwrap();
            let heard = peer.read(&mut peer_stream, &mut [0]);
            assert!(heard.is_err_and(|error| error.kind() == ErrorKind::WouldBlock));
            socket.notice_readable();
            assert_eq!(read_all(&mut socket), (Vec::new(), 0));
        }
        (socket, peer, peer_stream)
    }

    /// Reads for as long as there may be something, as the server does between two events, and counts the ends.
    fn read_all(socket: &mut Socket) -> (Vec<u8>, usize) {
        let (mut heard, mut ends, mut buffer) = (Vec::new(), 0, [0; 4096]);
        while socket.is_readable() && ends < 3 {
            match socket.read(&mut buffer) {
                Outcome::Bytes(count) => heard.extend_from_slice(&buffer[..count]),
                Outcome::End => ends += 1,
                _ => {}
            }
        }
        (heard, ends)
    }

    /// Waits until what was sent is there, and notes the event.
    fn await_bytes(socket: &mut Socket) {
        use rustix::event::{PollFd, PollFlags, poll};
        poll(&mut [PollFd::new(&socket.stream, PollFlags::IN)], None).unwrap();
        socket.notice_readable();
    }

    /// The story: of a record that was read from the socket whole, a share took a part. More came, and an event told of
    /// it. The next share took the rest of the record, believed the socket to be as empty as it had been, and nobody
    /// ever read it again.
    #[test]
    fn what_comes_while_text_is_left_is_not_forgotten() {
        let (mut socket, mut peer, mut peer_stream) = pair();
        peer.write(&mut peer_stream, b"first words").unwrap();
        await_bytes(&mut socket);
        assert!(matches!(socket.read(&mut [0; 5]), Outcome::Bytes(5)));
        peer.write(&mut peer_stream, b", last words").unwrap();
        await_bytes(&mut socket);
        assert_eq!(read_all(&mut socket), (b" words, last words".to_vec(), 0));
    }

    /// A socket that nothing can be written to is read until it has nothing: that no end follows must be found by reading,
    /// since no event tells it.
    #[test]
    fn who_is_broken_for_writing_is_read_once_more_behind_text() {
        let (mut socket, mut peer, mut peer_stream) = pair();
        peer.write(&mut peer_stream, b"last words").unwrap();
        await_bytes(&mut socket);
        assert!(matches!(socket.read(&mut [0; 5]), Outcome::Bytes(5)));
        assert!(socket.notice_write_closed());
        assert!(matches!(socket.read(&mut [0; 64]), Outcome::Bytes(5)));
        assert!(socket.is_readable());
        assert!(matches!(socket.read(&mut [0; 64]), Outcome::Nothing));
        assert!(!socket.is_readable());
    }

    /// The story: with nothing said at the shutdown, a peer heard of the end only a second later, when the socket was closed.
    #[test]
    fn a_shutdown_is_said_within_tls_and_below_it() {
        use std::io::Read;
        let (mut socket, mut peer, mut peer_stream) = pair();
        socket.shut_down();
        peer_stream.set_nonblocking(false).unwrap();
        peer_stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        assert_eq!(peer.read(&mut peer_stream, &mut [0; 64]).unwrap(), 0);
        assert!(!peer.is_handshaking());
        assert_eq!(peer_stream.read(&mut [0]).unwrap(), 0);
    }

    /// The story: a peer said `close_notify` in one packet with its last words, left the socket open, and waited for the
    /// answer and the end for ever. And one that had ended so while its answers waited was asked for more all the time.
    #[test]
    fn the_end_is_told_once_though_it_comes_with_the_last_words() {
        let (mut socket, mut peer, mut peer_stream) = pair();
        let mut packet = Vec::new();
        peer.write(&mut packet, b"last words").unwrap();
        peer.finish();
        peer.flush(&mut packet).unwrap();
        peer_stream.write_all(&packet).unwrap();
        await_bytes(&mut socket);
        assert_eq!(read_all(&mut socket), (b"last words".to_vec(), 1));
    }
}
