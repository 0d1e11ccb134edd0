//! The part of a turn in which handshakes begin, and the certificate that they show.

use super::certificate::{CertificateFileError, CertificateFiles, Identity};
use super::handshake_queue::HandshakeQueue;
use super::reload::ReloadLine;
use super::socket::{Reading, Transport};
use super::sockets::socket_of;
use super::stderr::warn_stderr;
use super::tls::{NOT_TLS, Tls};
use super::{ConnId, Server};
use crate::Moment;
use crate::engine::TransportEvent;
use crate::limits::CLIENT_HELLO_BYTES;
use crate::log_event::log_with_fields;
use crate::store::{OsDisk, Store};
use crate::tls::{Fingerprint, FirstBytes};
use log::Level;
use log::kv::Value;
use std::net::IpAddr;

/// What a certificate with a weakness is logged as.
const WEAK: &str = "certificate is weak";

/// Whether a server encrypts, and with which certificate.
#[derive(Clone, Debug)]
pub enum Encryption {
    /// Plain TCP.
    Plaintext,
    /// TLS with a self-signed certificate in the data directory, made at the first start.
    OwnCertificate,
    /// TLS with the operator's certificate.
    Certificate(CertificateFiles),
}

/// Where connections wait for their handshakes; without encryption they pass.
pub(super) struct Handshakes {
    shown: Option<(CertificateFiles, Identity)>,
    queue: HandshakeQueue,
}

impl Handshakes {
    /// # Errors
    /// If the certificate cannot be read or made.
    pub(super) fn new(
        encryption: &Encryption,
        disk: Option<&mut OsDisk>,
        hosts: &[IpAddr],
    ) -> Result<Handshakes, CertificateFileError> {
        let files = match (encryption, disk) {
            (Encryption::Plaintext, _) => None,
            (Encryption::OwnCertificate, Some(disk)) => Some(CertificateFiles::own(disk, hosts)?),
            (Encryption::OwnCertificate, None) => {
                return Err(CertificateFileError::NoDirectory);
            }
            (Encryption::Certificate(files), _) => Some(files.clone()),
        };
        let shown = files.map(|files| files.read().map(|identity| (files, identity))).transpose()?;
        for weakness in shown.iter().flat_map(|(files, _)| files.weaknesses()) {
            let fields = [("event", Value::from(WEAK)), ("note", Value::from(&*weakness))];
            log_with_fields(Level::Warn, &weakness, &fields);
            warn_stderr(&format!("warning: {weakness}"));
        }
        Ok(Handshakes { shown, queue: HandshakeQueue::default() })
    }

    /// Whether connections are encrypted.
    pub(super) fn encrypts(&self) -> bool {
        self.shown.is_some()
    }

    /// What a new connection begins with.
    pub(super) fn transport(&self, is_refused: bool) -> Transport {
        match &self.shown {
            Some(_) => Transport::Tls(Box::new(Tls::new(is_refused))),
            None => Transport::Plain,
        }
    }

    /// Reads the certificate anew, and says what came of it. If that fails the old one stays.
    pub(super) fn reload(&mut self, lines: &mut Vec<ReloadLine>) {
        let Some((files, identity)) = &mut self.shown else { return };
        match files.read() {
            Ok(new) => {
                *identity = new;
                let fingerprint = identity.fingerprint;
                let line = ReloadLine::new(Level::Info, "certificate reloaded")
                    .saying(format!("certificate reloaded fingerprint={fingerprint}"));
                lines.push(line.with("fingerprint", fingerprint));
                lines.extend(files.weaknesses().into_iter().map(|weakness| {
                    ReloadLine::new(Level::Warn, WEAK).with("note", &weakness).saying(weakness)
                }));
            }
            Err(error) => {
                let reason = error.to_string();
                let line = ReloadLine::new(Level::Error, "certificate not reloaded").with("reason", &reason);
                let text = format!("certificate not reloaded reason={reason:?}; the old one stays");
                lines.push(line.saying(text));
            }
        }
    }

    pub(super) fn leave(&mut self, conn: ConnId) {
        self.queue.leave(conn);
    }

    pub(super) fn has_next(&self) -> bool {
        self.queue.has_next()
    }

    /// How many connections wait for a handshake, and how many are in the midst of it.
    #[cfg(feature = "admin")]
    pub(super) fn counts(&self) -> (usize, usize) {
        self.queue.counts()
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.queue.next_deadline()
    }
}

impl<S: Store> Server<S> {
    /// The fingerprint of the certificate that clients are shown; `None` for plain TCP.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.handshakes.shown.as_ref().map(|(_, identity)| identity.fingerprint)
    }

    /// Ends one handshake that has had its time while others wait.
    pub(super) fn end_overdue_handshake(&mut self, now: Moment) {
        if let Some(conn) = self.handshakes.queue.overdue(now) {
            self.handshakes.leave(conn);
            self.engine.handle_transport(
                conn,
                TransportEvent::Failed("the handshake took too long while others waited"),
                now,
            );
        }
    }

    /// Lets one handshake begin. Its first message is there whole and is answered in this turn's reading: the step that
    /// costs, so one in a turn.
    pub(super) fn begin_handshake_of_next(&mut self, now: Moment) {
        let Some((_, identity)) = &self.handshakes.shown else { return };
        let Some(conn) = self.handshakes.queue.begin_next(now) else { return };
        let Some(socket) = socket_of(&mut self.sockets, conn) else { return self.handshakes.leave(conn) };
        if let Err(reason) = socket.begin_handshake(&identity.config) {
            return self.engine.handle_transport(conn, TransportEvent::Failed(&reason), now);
        }
        self.give_turn_behind(conn);
    }

    /// A connection waits for its handshake to begin, and is not to be read. It is given a turn when it begins.
    pub(super) fn look_at_first_bytes(&mut self, conn: ConnId, now: Moment) {
        let Some(socket) = socket_of(&mut self.sockets, conn) else { return };
        if socket.reading == Reading::End {
            // Who sends nothing more will not complete a handshake.
            self.engine.handle_transport(conn, TransportEvent::NeverOpened, now);
        } else if !self.handshakes.queue.has(conn) {
            // What came is only looked at. It stays in the system's buffer, which is bounded and there anyway; each
            // further byte makes a new event though nothing is taken.
            match socket.peek(&mut self.buffer[..CLIENT_HELLO_BYTES]) {
                Ok(count) => self.judge_first_bytes(conn, count, now),
                Err(()) => self.engine.handle_transport(conn, TransportEvent::Reset, now),
            }
        }
    }

    /// The first bytes lie at the beginning of the buffer.
    fn judge_first_bytes(&mut self, conn: ConnId, count: usize, now: Moment) {
        match FirstBytes::of(&self.buffer[..count]) {
            FirstBytes::Incomplete => {}
            FirstBytes::ClientHello => {
                if let Some(origin) = self.engine.origin(conn) {
                    self.handshakes.queue.push(conn, origin);
                }
            }
            FirstBytes::Alert => self.engine.handle_transport(conn, TransportEvent::NeverOpened, now),
            FirstBytes::NotTls => self.engine.handle_transport(conn, TransportEvent::Failed(NOT_TLS), now),
            FirstBytes::Refused(reason) => {
                self.engine.handle_transport(conn, TransportEvent::Failed(reason), now)
            }
        }
    }
}
