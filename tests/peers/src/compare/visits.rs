//! Visits, one after another: connect, log in, one message, leave. Blocking calls, as a client's library makes them.

use crate::dialect::{Dialect, Farewell, Heard, NAME};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The longest wait for a reply.
const PATIENCE: Duration = Duration::from_secs(15);
const READ_BYTES: usize = 4_096;

/// Whoever visits.
#[derive(Debug)]
pub(crate) struct Visitor {
    dialect: Dialect,
    address: SocketAddr,
    /// Whether the answer to the login is awaited before anything else is sent.
    awaits_login: bool,
    visits: u64,
    out: Vec<u8>,
}

impl Visitor {
    pub(crate) fn new(dialect: Dialect, address: SocketAddr, awaits_login: bool) -> Visitor {
        Visitor { dialect, address, awaits_login, visits: 0, out: Vec::new() }
    }

    /// Visits again and again for a while, and says how many visits there were.
    ///
    /// # Errors
    /// If a visit fails.
    pub(crate) fn visit_for(&mut self, span: Duration) -> Result<u64, String> {
        let (began, before) = (Instant::now(), self.visits);
        while began.elapsed() < span {
            self.visit()?;
        }
        Ok(self.visits - before)
    }

    /// One visit. What needs no answer goes along with what comes before it.
    ///
    /// # Errors
    /// If a reply is not the one that is due, or does not come.
    fn visit(&mut self) -> Result<(), String> {
        let lost = |error: std::io::Error| format!("a visit failed: {error}");
        self.visits += 1;
        let stream = TcpStream::connect(self.address).map_err(lost)?;
        stream.set_nodelay(true).and_then(|()| stream.set_read_timeout(Some(PATIENCE))).map_err(lost)?;
        let mut ear = Ear { stream: &stream, dialect: self.dialect, heard: [0; READ_BYTES], from: 0, to: 0 };
        let mut token = [0; 16];
        self.out.clear();
        self.dialect.log_in(NAME, self.visits, &mut self.out);
        if self.awaits_login && self.dialect.has_login() {
            (&stream).write_all(&self.out).map_err(lost)?;
            self.out.clear();
            token = ear.admission()?;
        }
        self.dialect.prepare(self.visits, &mut self.out);
        let mut messages = self.dialect.messages(self.visits, &token);
        messages.append(0, &mut self.out);
        let farewell = self.dialect.farewell();
        if let Farewell::Along(words) = farewell {
            self.out.extend_from_slice(words);
        }
        (&stream).write_all(&self.out).map_err(lost)?;
        let echo = ear.echo()?;
        if !messages.is_echo(0, echo) {
            return Err(format!("'{}' is not the echo of the message", echo.escape_ascii()));
        }
        if let Farewell::After(words) = farewell {
            (&stream).write_all(words).map_err(lost)?;
        }
        if matches!(farewell, Farewell::Close) { Ok(()) } else { ear.end() }
    }
}

/// Whoever listens to a server.
struct Ear<'a> {
    stream: &'a TcpStream,
    dialect: Dialect,
    heard: [u8; READ_BYTES],
    /// What was read and not yet taken.
    from: usize,
    to: usize,
}

impl Ear<'_> {
    fn admission(&mut self) -> Result<[u8; 16], String> {
        loop {
            if let (_, Heard::Admitted(token)) = self.next()? {
                return Ok(token);
            }
        }
    }

    fn echo(&mut self) -> Result<&[u8], String> {
        loop {
            if let (length, Heard::Echo) = self.next()? {
                return Ok(&self.heard[self.from - length..self.from]);
            }
        }
    }

    /// Waits for the server's close, whatever it says before.
    fn end(&mut self) -> Result<(), String> {
        loop {
            match self.stream.read(&mut self.heard) {
                Ok(0) => return Ok(()),
                // Who closes with something unread resets; that it ended is what counts.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(format!("the server does not close: {error}")),
            }
        }
    }

    /// The next reply, and its length; it ends at `from`.
    fn next(&mut self) -> Result<(usize, Heard), String> {
        loop {
            if let Some((length, heard)) = self.dialect.hear(&self.heard[self.from..self.to])? {
                self.from += length;
                return Ok((length, heard));
            }
            if self.from == self.to {
                (self.from, self.to) = (0, 0);
            }
            match self.stream.read(&mut self.heard[self.to..]) {
                Ok(0) => return Err("the server closed a connection".to_owned()),
                Ok(count) => self.to += count,
                Err(error) => return Err(format!("no reply: {error}")),
            }
        }
    }
}
