//! One connection of the load generator: it enters, it asks, it checks what comes back, it may leave.
//!
//! This module must not know how many there are, nor when they are to speak.

use crate::dialect::{Dialect, Farewell, Heard, Messages};
use mio::event::Event;
use mio::net::TcpStream;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::Instant;

/// What a client comes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// To have messages echoed.
    Talk,
    /// To log in and leave.
    LogIn,
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Entering,
    /// It has logged in, and something more comes before its first message.
    Preparing,
    Inside,
    Leaving,
}

/// What an event brought.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct News {
    /// The login was right, or there was nothing to log in to.
    pub(crate) admitted: bool,
    /// Messages can be sent from now on.
    pub(crate) ready: bool,
    /// Echoes that came.
    pub(crate) echoes: u32,
    /// The server has closed, as it was to.
    pub(crate) closed: bool,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) stream: TcpStream,
    dialect: Dialect,
    errand: Errand,
    client: u64,
    stage: Stage,
    messages: Option<Messages>,
    asked: u32,
    echoed: u32,
    /// The beginning of a reply whose rest is to come.
    partial: Vec<u8>,
    /// What the socket did not take, or what is said once it is connected.
    unsent: Vec<u8>,
    /// When each message whose echo is to come was due, where somebody wants to know.
    pub(crate) due: VecDeque<Instant>,
}

impl Link {
    /// Begins to connect.
    ///
    /// # Errors
    /// If it cannot.
    pub(crate) fn begin(
        dialect: Dialect,
        address: SocketAddr,
        client: u64,
        name: &str,
        errand: Errand,
    ) -> Result<Link, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("cannot connect: {error}"))?;
        // A message that waits for another's acknowledgement would measure the system.
        let _ = stream.set_nodelay(true);
        let mut unsent = Vec::new();
        dialect.log_in(name, client, &mut unsent);
        Ok(Link {
            stream,
            dialect,
            errand,
            client,
            stage: Stage::Entering,
            messages: None,
            asked: 0,
            echoed: 0,
            partial: Vec::new(),
            unsent,
            due: VecDeque::new(),
        })
    }

    /// Messages whose echo is to come.
    pub(crate) fn waits_for(&self) -> u32 {
        self.asked - self.echoed
    }

    /// Sends the next messages, with one call.
    ///
    /// # Errors
    /// If the connection is lost.
    pub(crate) fn ask(&mut self, count: u32, out: &mut Vec<u8>) -> Result<(), String> {
        let Some(messages) = &mut self.messages else { return Ok(()) };
        out.clear();
        for _ in 0..count {
            messages.append(self.asked, out);
            self.asked = self.asked.wrapping_add(1);
        }
        let sent = if self.unsent.is_empty() { write_some(&self.stream, out)? } else { 0 };
        self.unsent.extend_from_slice(&out[sent..]);
        Ok(())
    }

    /// Reads and writes as far as goes without a wait.
    ///
    /// # Errors
    /// If the server refused, said what was not due, or closed too early.
    pub(crate) fn handle_event(&mut self, event: &Event, buffer: &mut [u8]) -> Result<News, String> {
        let mut news = News::default();
        self.flush()?;
        if self.stage == Stage::Entering && !self.dialect.has_login() && event.is_writable() {
            self.admit([0; 16], &mut news)?;
        }
        while event.is_readable() || event.is_read_closed() {
            let count = match self.stream.read(buffer) {
                Ok(0) if self.stage == Stage::Leaving => {
                    news.closed = true;
                    break;
                }
                Ok(0) => return Err("the server closed a connection".to_owned()),
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(format!("a connection was lost: {error}")),
            };
            self.hear(&buffer[..count], &mut news)?;
            if count < buffer.len() && !event.is_read_closed() {
                break;
            }
        }
        Ok(news)
    }

    fn hear(&mut self, bytes: &[u8], news: &mut News) -> Result<(), String> {
        if self.partial.is_empty() {
            let used = self.take(bytes, news)?;
            self.partial.extend_from_slice(&bytes[used..]);
        } else {
            let mut joined = std::mem::take(&mut self.partial);
            joined.extend_from_slice(bytes);
            let used = self.take(&joined, news)?;
            joined.drain(..used);
            self.partial = joined;
        }
        Ok(())
    }

    /// Takes whole replies, and says how many bytes they had.
    fn take(&mut self, bytes: &[u8], news: &mut News) -> Result<usize, String> {
        let mut used = 0;
        while self.stage != Stage::Inside {
            let Some((length, heard)) = self.dialect.hear(&bytes[used..])? else { return Ok(used) };
            used += length;
            match (self.stage, heard) {
                (_, Heard::Aside) | (Stage::Leaving, _) => {}
                (Stage::Entering, Heard::Admitted(token)) => self.admit(token, news)?,
                (Stage::Preparing, Heard::Prepared) => {
                    self.stage = Stage::Inside;
                    news.ready = true;
                }
                (stage, heard) => return Err(format!("{heard:?} came while {stage:?}")),
            }
        }
        let Some(messages) = &mut self.messages else { return Ok(used) };
        for echo in bytes[used..].chunks_exact(messages.echo_bytes()) {
            if self.echoed == self.asked || !messages.is_echo(self.echoed, echo) {
                let shown = echo.escape_ascii();
                return Err(format!("'{shown}' is not the echo of message {}", self.echoed));
            }
            self.echoed = self.echoed.wrapping_add(1);
            news.echoes += 1;
            used += echo.len();
        }
        Ok(used)
    }

    fn admit(&mut self, token: [u8; 16], news: &mut News) -> Result<(), String> {
        news.admitted = true;
        if self.errand == Errand::Talk {
            self.messages = Some(self.dialect.messages(self.client, &token));
            let prepares = self.dialect.prepare(self.client, &mut self.unsent);
            self.stage = if prepares { Stage::Preparing } else { Stage::Inside };
            news.ready = !prepares;
        } else {
            if let Farewell::Along(words) | Farewell::After(words) = self.dialect.farewell() {
                self.unsent.extend_from_slice(words);
            }
            self.stage = Stage::Leaving;
        }
        self.flush()
    }

    /// Sends what waits; before it is connected a socket takes nothing.
    pub(crate) fn flush(&mut self) -> Result<(), String> {
        if !self.unsent.is_empty() {
            let sent = write_some(&self.stream, &self.unsent)?;
            self.unsent.drain(..sent);
        }
        Ok(())
    }
}

/// How many bytes a socket takes now.
fn write_some(mut stream: &TcpStream, bytes: &[u8]) -> Result<usize, String> {
    match stream.write(bytes) {
        Ok(count) => Ok(count),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => Ok(0),
        Err(error) => Err(format!("a connection was lost: {error}")),
    }
}
