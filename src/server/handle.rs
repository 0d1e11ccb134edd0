//! What other threads, and a handler's other sources, have of a running server.
//!
//! This module must not know what is done about it.

use mio::{Registry, Token, Waker};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Reaches a running server from any thread.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    waker: Waker,
    is_stop_asked: AtomicBool,
    is_wake_asked: AtomicBool,
}

impl ServerHandle {
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<ServerHandle> {
        let waker = Waker::new(registry, token)?;
        let shared =
            Shared { waker, is_stop_asked: AtomicBool::default(), is_wake_asked: AtomicBool::default() };
        Ok(ServerHandle { shared: Arc::new(shared) })
    }

    /// Has the server stop in order, as SIGTERM does: Bye to all, and what waits is written. It does not wait for that.
    ///
    /// # Errors
    /// If the system does not let the server be woken.
    pub fn stop(&self) -> io::Result<()> {
        self.shared.is_stop_asked.store(true, Ordering::Release);
        self.shared.waker.wake()
    }

    /// Has the server call its handler's [`woken`](crate::handler::Handler::woken), once for any number of calls of this
    /// that come before it.
    ///
    /// # Errors
    /// If the system does not let the server be woken.
    pub fn wake(&self) -> io::Result<()> {
        self.shared.is_wake_asked.store(true, Ordering::Release);
        self.shared.waker.wake()
    }

    /// Has the server begin a turn, of which its handler learns nothing.
    ///
    /// # Errors
    /// If the system does not let the server be woken.
    pub(super) fn begin_turn(&self) -> io::Result<()> {
        self.shared.waker.wake()
    }

    /// Whether its handler is to be woken, which it is then.
    pub(super) fn take_wake(&self) -> bool {
        self.shared.is_wake_asked.swap(false, Ordering::AcqRel)
    }

    pub(super) fn is_stop_asked(&self) -> bool {
        self.shared.is_stop_asked.load(Ordering::Acquire)
    }
}
