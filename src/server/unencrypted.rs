//! What takes the place of encryption in a build without it: every connection is plain TCP, and passes the handshakes.

use super::reload::ReloadLine;
use super::socket::{Socket, Transport};
use super::{ConnId, Server, ServerError};
use crate::Moment;
use crate::store::{OsDisk, Store};
use std::net::IpAddr;

/// Whether a server encrypts: this build cannot.
#[derive(Clone, Debug)]
pub enum Encryption {
    /// Plain TCP.
    Plaintext,
}

/// No connection waits for a handshake.
pub(super) struct Handshakes;

impl Handshakes {
    pub(super) fn new(
        Encryption::Plaintext: &Encryption,
        _: Option<&mut OsDisk>,
        _: &[IpAddr],
    ) -> Result<Handshakes, ServerError> {
        Ok(Handshakes)
    }

    pub(super) fn encrypts(&self) -> bool {
        false
    }

    pub(super) fn transport(&self, _: bool) -> Transport {
        Transport::Plain
    }

    pub(super) fn reload(&mut self, _: &mut Vec<ReloadLine>) {}

    pub(super) fn leave(&mut self, _: ConnId) {}

    pub(super) fn has_next(&self) -> bool {
        false
    }

    #[cfg(feature = "admin")]
    pub(super) fn counts(&self) -> (usize, usize) {
        (0, 0)
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        None
    }
}

impl<S: Store> Server<S> {
    pub(super) fn end_overdue_handshake(&mut self, _: Moment) {}

    pub(super) fn begin_handshake_of_next(&mut self, _: Moment) {}

    pub(super) fn look_at_first_bytes(&mut self, _: ConnId, _: Moment) {}
}

impl Socket {
    pub(super) fn awaits_handshake(&self) -> bool {
        false
    }

    pub(super) fn has_just_opened(&self) -> bool {
        false
    }
}
