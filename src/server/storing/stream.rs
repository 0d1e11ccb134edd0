//! A socket to a store that is elsewhere, and what lies between it and what the store reads and writes.
//!
//! It serves sockets that wait and sockets that do not. This module must not know what is read and written.

use crate::Moment;
use crate::store::Link;
use crate::transport::{Transport, Transports};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;

/// A socket, and TLS on it if that is wanted. What is wrong with TLS is an error in words for whoever runs the store.
#[derive(Debug)]
pub(super) struct StoreStream<S> {
    socket: S,
    transport: Transport,
}

impl<S: Read + Write> StoreStream<S> {
    pub(super) fn new(socket: S, transport: Transport) -> StoreStream<S> {
        StoreStream { socket, transport }
    }

    pub(super) fn socket(&self) -> &S {
        &self.socket
    }

    /// Whether what is written goes through it: there is no handshake, or it is done.
    pub(super) fn is_open(&self) -> bool {
        self.transport.is_open()
    }

    /// Shakes hands, if that is to be done, on a socket that waits.
    #[cfg(feature = "shared")]
    pub(super) fn shake_hands(&mut self) -> io::Result<()> {
        self.transport.shake_hands(&mut self.socket).map_err(|error| match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                io::Error::other(
                    "it did not complete the TLS handshake in time: if it speaks no TLS at this port, give its tls-port, or write redis:// for rediss://",
                )
            }
            ErrorKind::UnexpectedEof => self.ended(),
            _ => explained(error),
        })
    }

    /// Whether what was written has not all been taken by the system.
    pub(super) fn has_backlog(&self) -> bool {
        self.transport.has_backlog()
    }

    /// Whether, after a read that would block, there is nothing to be read until the socket has more.
    pub(super) fn is_exhausted(&self) -> bool {
        self.transport.is_exhausted()
    }

    /// Why there is nothing more to be read.
    pub(super) fn ended(&self) -> io::Error {
        match self.is_open() {
            true => io::Error::other("it has closed the connection"),
            false => io::Error::new(
                ErrorKind::InvalidData,
                "it has closed the connection in the midst of the TLS handshake",
            ),
        }
    }

    /// A write has failed: if the other side has said why, before it left, that is the reason.
    fn reason(&mut self, error: io::Error) -> io::Error {
        if matches!(self.transport, Transport::Plain) {
            return error;
        }
        let mut text = [0; 1024];
        loop {
            match self.transport.read(&mut self.socket, &mut text) {
                Ok(1..) => {}
                Err(said) if said.kind() == ErrorKind::InvalidData => return explained(said),
                _ => return error,
            }
        }
    }
}

impl<S: Read + Write> Read for StoreStream<S> {
    /// A wait that is cut short because the process was stopped and goes on is begun anew.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.transport.read(&mut self.socket, into) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                outcome => return outcome.map_err(explained),
            }
        }
    }
}

impl<S: Read + Write> Write for StoreStream<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.transport.write(&mut self.socket, bytes) {
            Err(error) if !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                Err(self.reason(error))
            }
            outcome => outcome,
        }
    }

    /// Writes what is held.
    fn flush(&mut self) -> io::Result<()> {
        if self.has_backlog() { self.write(&[]).map(drop) } else { Ok(()) }
    }
}

/// Has a store hear that its connection is lost, or could not be made.
pub(super) fn report(error: &io::Error, link: &mut dyn Link, now: Moment) {
    let reason = error.to_string();
    match error.kind() {
        // It is known what is wrong with what is there, as it is where TLS fails.
        ErrorKind::InvalidData => link.handle_failed(&reason, now),
        _ => link.handle_closed(&reason, now),
    }
}

/// Where a store is tried next: its addresses take turns.
///
/// # Errors
/// If it has none.
pub(super) fn next_place(link: &dyn Link, turn: &mut usize) -> io::Result<SocketAddr> {
    let places = link.addresses();
    let place = places.get(*turn % places.len().max(1)).copied();
    *turn = turn.wrapping_add(1);
    place.ok_or_else(|| io::Error::other("it has no address"))
}

/// What a new connection of a store's begins with.
///
/// # Errors
/// If it is to be encrypted, and nobody has said how: no password goes out in the clear then.
pub(super) fn begun(transports: &Transports, link: &dyn Link) -> io::Result<Transport> {
    match transports {
        Transports::Plain if link.is_encrypted() => {
            Err(io::Error::other("it is to be spoken to through TLS, and whom to trust there is not known"))
        }
        transports => transports.begin(),
    }
}

/// What is wrong with a transport, for whoever runs the store.
#[cfg(feature = "tls")]
fn explained(error: io::Error) -> io::Error {
    use crate::tls::NotTls;
    let Some(inner) = error.get_ref().filter(|_| error.kind() == ErrorKind::InvalidData) else {
        return error;
    };
    let reason = match inner.downcast_ref() {
        _ if inner.is::<NotTls>() => {
            "it speaks no TLS at this port: give its tls-port, or write redis:// for rediss://".to_owned()
        }
        Some(error) => fault(error),
        None => return error,
    };
    io::Error::new(ErrorKind::InvalidData, reason)
}

#[cfg(not(feature = "tls"))]
fn explained(error: io::Error) -> io::Error {
    error
}

/// What is wrong between two sides that speak TLS.
#[cfg(feature = "tls")]
fn fault(error: &rustls::Error) -> String {
    use rustls::CertificateError as Certificate;
    use rustls::{AlertDescription as Alert, Error};
    const VERSION: &str =
        "it does not speak TLS 1.3, and porter nothing else: allow that there (tls-protocols)";
    match error {
        Error::AlertReceived(Alert::CertificateRequired) => {
            "it wants a certificate of porter's (tls-auth-clients): give --store-cert and --store-key"
                .to_owned()
        }
        Error::AlertReceived(Alert::ProtocolVersion | Alert::InsufficientSecurity)
        | Error::PeerIncompatible(_) => VERSION.to_owned(),
        Error::AlertReceived(
            alert @ (Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::AccessDenied
            | Alert::DecryptError),
        ) => format!(
            "it does not take the certificate of --store-cert ({alert:?}): give one that its tls-ca-cert-file vouches for"
        ),
        Error::InvalidCertificate(Certificate::Expired | Certificate::ExpiredContext { .. }) => {
            "its certificate has expired: renew it there".to_owned()
        }
        Error::InvalidCertificate(Certificate::NotValidYet | Certificate::NotValidYetContext { .. }) => {
            "its certificate is not valid yet: look at the clocks, here and where it was made".to_owned()
        }
        Error::InvalidCertificate(Certificate::Other(reason)) => reason.0.to_string(),
        Error::InvalidCertificate(reason) => format!("its certificate does not hold: {reason}"),
        error => format!("TLS fails: {error}"),
    }
}
