//! The part of a turn in which handshakes begin, and the certificate that they show.

use super::certificate::{CertificateFiles, Identity};
use super::door::Places;
use super::socket::Transport;
use super::sockets::socket_of;
use super::tls::{Phase, Tls};
use super::{ConnId, Server, logfile};
use crate::Moment;
use crate::store::OsDisk;
use crate::tls::Fingerprint;
use std::net::IpAddr;

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
pub(super) struct Door {
    shown: Option<(CertificateFiles, Identity)>,
    places: Places,
    /// In this turn a first message was seen to: the step that costs.
    has_answered: bool,
}

impl Door {
    /// # Errors
    /// One line about a certificate that cannot be read or made.
    pub(super) fn new(encryption: &Encryption, disk: &mut OsDisk, host: IpAddr) -> Result<Door, String> {
        let files = match encryption {
            Encryption::Plaintext => None,
            Encryption::OwnCertificate => Some(CertificateFiles::own(disk, host)?),
            Encryption::Certificate(files) => Some(files.clone()),
        };
        if let Some(weakness) = files.as_ref().and_then(CertificateFiles::weakness) {
            log::warn!("{weakness}");
            logfile::complain(&format!("warning: {weakness}"));
        }
        let shown = files.map(|files| files.read().map(|identity| (files, identity))).transpose()?;
        Ok(Door { shown, places: Places::default(), has_answered: false })
    }

    /// What a new connection begins with.
    pub(super) fn transport(&self, is_refused: bool) -> Transport {
        match &self.shown {
            Some(_) => Transport::Tls(Box::new(Tls::new(is_refused))),
            None => Transport::Plain,
        }
    }

    /// Reads the certificate anew. If that fails the old one stays.
    pub(super) fn reload(&mut self) {
        let Some((files, identity)) = &mut self.shown else { return };
        match files.read() {
            Ok(new) => {
                *identity = new;
                log::info!("certificate reloaded fingerprint={}", identity.fingerprint);
                if let Some(weakness) = files.weakness() {
                    log::warn!("{weakness}");
                }
            }
            Err(reason) => log::error!("certificate not reloaded reason={reason:?}; the old one stays"),
        }
    }

    pub(super) fn leave(&mut self, conn: ConnId) {
        self.places.leave(conn);
    }

    pub(super) fn has_next(&self) -> bool {
        self.places.has_next()
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.places.next_deadline()
    }
}

impl Server {
    /// The fingerprint of the certificate that clients are shown; `None` for plain TCP.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.door.shown.as_ref().map(|(_, identity)| identity.fingerprint)
    }

    /// Lets one handshake begin, after the oldest has lost its place if it had it for too long.
    pub(super) fn admit(&mut self, now: Moment) {
        self.door.has_answered = false;
        if let Some(conn) = self.door.places.overdue(now) {
            self.door.leave(conn);
            self.engine.handle_fault(conn, "the handshake took too long while others waited", now);
        }
        let Some((_, identity)) = &self.door.shown else { return };
        let Some(conn) = self.door.places.admit(now) else { return };
        let Some(socket) = socket_of(&mut self.sockets, conn) else { return self.door.leave(conn) };
        if let Err(reason) = socket.begin_handshake(&identity.config) {
            return self.engine.handle_fault(conn, &reason, now);
        }
        self.give_turn(conn);
    }

    /// Whether a connection may be read now. If not, says whether it is to have another turn soon: one that waits for a
    /// place is told when there is one.
    pub(super) fn hold_at_door(&mut self, conn: ConnId, now: Moment) -> Option<bool> {
        let socket = socket_of(&mut self.sockets, conn)?;
        match socket.phase() {
            Phase::Waiting if socket.is_finishing() => None,
            Phase::Waiting if socket.ending => {
                // Who sends nothing more will not complete a handshake.
                self.engine.handle_gone(conn, now);
                Some(false)
            }
            Phase::Waiting => {
                self.door.places.wait(conn);
                Some(false)
            }
            Phase::Unanswered if std::mem::replace(&mut self.door.has_answered, true) => Some(true),
            _ => None,
        }
    }

    /// If a connection's handshake is done now, gives its place to another, and says Hello.
    pub(super) fn welcome(&mut self, conn: ConnId, now: Moment) {
        if socket_of(&mut self.sockets, conn).is_some_and(|socket| socket.has_just_opened()) {
            self.door.leave(conn);
            self.write_one(conn, now);
        }
    }
}
