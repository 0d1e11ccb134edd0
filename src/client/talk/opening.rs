//! A connection that is being made.
//!
//! Finding a host, connecting and the TLS handshake wait in calls that cannot be given up, for as long as the system and
//! the server like. They are made on a thread of their own, so that what is typed is still shown and signals are obeyed.
//! This module must not know what is said afterwards.

use super::connection::Connection;
use crate::client::ClientError;
use crate::client::protection::{Connected, Protection};
use crate::limits::CONNECT_TIMEOUT;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

pub(super) struct Opening {
    outcome: Receiver<Result<Connected, ClientError>>,
    /// Ready when the outcome is there.
    done: PipeReader,
}

impl Opening {
    /// Begins to connect.
    ///
    /// # Errors
    /// What the system gives.
    pub(super) fn begin(host: &str, port: u16, protection: &Protection) -> io::Result<Opening> {
        let (host, protection) = (host.to_owned(), protection.clone());
        let (done, is_done) = io::pipe()?;
        let (sender, outcome) = channel();
        thread::Builder::new().name("connect".to_owned()).spawn(move || {
            // If it took too long nobody waits for it any more.
            let _ = sender.send(protection.connect(&host, port, CONNECT_TIMEOUT));
            drop(is_done);
        })?;
        Ok(Opening { outcome, done })
    }

    /// What came of it, and what the person should be warned of.
    ///
    /// # Errors
    /// Those of [`Protection::connect`].
    pub(super) fn outcome(&self) -> Result<(Connection, Option<String>), ClientError> {
        let (socket, carrier, warning) = self.outcome.recv().unwrap_or(Err(ClientError::Closed))?;
        Ok((Connection::over(socket, carrier)?, warning))
    }
}

impl AsFd for Opening {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }
}
