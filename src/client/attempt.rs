//! A connection that is being made.
//!
//! Finding a host, connecting and the TLS handshake wait in calls that cannot be given up, for as long as the system and
//! the server like. They are made on a thread of their own, so that what is typed is still shown and signals are obeyed.
//! This module must not know what is said afterwards.

use super::protection::{Connected, Protection};
use super::{ClientError, Connection};
use crate::limits::CONNECT_TIMEOUT;
use std::io::{self, PipeReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

/// A connection that is being made on a thread of its own; ready to be read from (as a descriptor) when it is done.
pub struct ConnectAttempt {
    outcome: Receiver<Result<Connected, ClientError>>,
    /// Ready when the outcome is there.
    done: PipeReader,
}

impl ConnectAttempt {
    /// Begins to connect.
    ///
    /// # Errors
    /// What the system gives.
    pub fn begin(host: &str, port: u16, protection: &Protection) -> io::Result<ConnectAttempt> {
        let (host, protection) = (host.to_owned(), protection.clone());
        let (done, is_done) = io::pipe()?;
        let (sender, outcome) = channel();
        thread::Builder::new().name("connect".to_owned()).spawn(move || {
            // If it took too long nobody waits for it any more.
            let _ = sender.send(protection.connect(&host, port, CONNECT_TIMEOUT));
            drop(is_done);
        })?;
        Ok(ConnectAttempt { outcome, done })
    }

    /// What came of it, and what the person should be warned of.
    ///
    /// # Errors
    /// [`ClientError`], such as that no address answers or the server is not trusted.
    pub fn outcome(&self) -> Result<(Connection, Option<String>), ClientError> {
        let (socket, transport, warning) = self.outcome.recv().unwrap_or(Err(ClientError::Closed))?;
        Ok((Connection::over(socket, transport)?, warning))
    }
}

impl AsFd for ConnectAttempt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }
}
