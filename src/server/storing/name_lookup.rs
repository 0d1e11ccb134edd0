//! Names that are looked up while the server serves: on a thread of their own, since that may block for as long as it likes.
//!
//! This module must not know what the addresses are for.

use crate::server::ServerHandle;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

/// What a look-up comes to: addresses, at least one, or one line about why there are none.
pub(super) type Found = Result<Vec<SocketAddr>, String>;

/// Finds the addresses of a host, and may block.
type LookUp = Arc<dyn Fn(&str, u16) -> Found + Send + Sync>;

/// The addresses that a host has, as the system knows it. It may block.
///
/// # Errors
/// One line, if it has none.
pub(super) fn look_up(host: &str, port: u16) -> Found {
    let found = (host, port).to_socket_addrs();
    let found: Vec<SocketAddr> =
        found.map_err(|error| format!("{host:?} is no address and no name of one: {error}"))?.collect();
    if found.is_empty() { Err(format!("{host:?} has no address")) } else { Ok(found) }
}

/// Looks one name up at a time, and begins a turn of the server when that is done.
pub(super) struct NameLookup {
    handle: ServerHandle,
    look_up: LookUp,
    /// Where what is found will be, if a look-up is under way.
    pending: Option<Receiver<Found>>,
}

impl NameLookup {
    /// As the system looks names up.
    pub(super) fn new(handle: ServerHandle) -> NameLookup {
        NameLookup::by(handle, Arc::new(look_up))
    }

    pub(super) fn by(handle: ServerHandle, look_up: LookUp) -> NameLookup {
        NameLookup { handle, look_up, pending: None }
    }

    /// Begins a look-up, unless one is under way: one that never ends keeps all others from beginning, and no more than one
    /// thread. An address is no name, and is left alone.
    pub(super) fn begin(&mut self, host: &str, port: u16) {
        if self.pending.is_some() || host.parse::<std::net::IpAddr>().is_ok() {
            return;
        }
        let (sender, receiver) = channel();
        let (host, look_up, handle) = (host.to_owned(), Arc::clone(&self.look_up), self.handle.clone());
        let begun = thread::Builder::new().name("look-up".to_owned()).spawn(move || {
            // With the server gone nobody wants it.
            let _ = sender.send(look_up(&host, port)).map(|()| handle.begin_turn());
        });
        // A system without a thread to spare may have one the next time.
        self.pending = begun.is_ok().then_some(receiver);
    }

    /// What the look-up that was under way has found, once.
    pub(super) fn poll(&mut self) -> Option<Found> {
        match self.pending.as_ref()?.try_recv() {
            Ok(found) => {
                self.pending = None;
                Some(found)
            }
            Err(TryRecvError::Empty) => None,
            // Its thread has failed.
            Err(TryRecvError::Disconnected) => {
                self.pending = None;
                None
            }
        }
    }
}

impl fmt::Debug for NameLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NameLookup").field("is_pending", &self.pending.is_some()).finish_non_exhaustive()
    }
}
