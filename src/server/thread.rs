//! A server on a thread of its own, inside another program: beside its main loop, or under a test of what it serves.
//!
//! This module must not know how a server works; whoever spawns one says how it is made.

use super::{Server, ServerError, ServerHandle};
use crate::store::Store;
use std::io;
use std::net::SocketAddr;
use std::panic::resume_unwind;
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};

/// A server that runs on a thread of its own. It stops in order, and is waited for, when this is dropped.
///
/// So a test has a whole service in its own process, with a client at the other end:
///
/// ```
/// use porter::client::Client;
/// use porter::engine::Config;
/// use porter::handler::{Context, Handler, Speaker};
/// use porter::server::{Options, Server, ServerThread};
/// use std::time::Duration;
///
/// struct Shout;
///
/// impl Handler for Shout {
///     fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context) {
///         context.send(from.session, None, &text.to_uppercase());
///     }
/// }
///
/// # let folder = tempfile::tempdir()?;
/// # let data = folder.path().to_owned();
/// // Port 0 is any free one; few rounds of the hash make a test's registrations quick. `data` is a folder of the test's own.
/// let config = Config { hash_rounds: 1_000, ..Config::default() };
/// let options = Options { port: 0, data, config, ..Options::default() };
/// let server = ServerThread::spawn(move || Server::bind(options, Box::new(Shout)))?;
///
/// let mut ann = Client::connect(server.address(), Duration::from_secs(10))?;
/// ann.identify("ann")?;
/// ann.register("open sesame")?;
/// ann.login("open sesame")?;
/// ann.send("hi")?;
/// assert_eq!(ann.receive()?.text, "HI");
/// server.stop()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct ServerThread {
    addresses: Vec<SocketAddr>,
    handle: ServerHandle,
    thread: Option<JoinHandle<Result<(), ServerError>>>,
}

impl ServerThread {
    /// Starts a thread, makes a server there, and has it run. Its handler and store need not be [`Send`]: they are made
    /// there too. Returns once the server listens.
    ///
    /// # Errors
    /// What `make` fails with; [`ServerError::Thread`].
    ///
    /// # Panics
    /// If `make` does.
    pub fn spawn<S: Store>(
        make: impl FnOnce() -> Result<Server<S>, ServerError> + Send + 'static,
    ) -> Result<ServerThread, ServerError> {
        let (sender, started) = mpsc::channel();
        let body = move || {
            let server = make()?;
            let addresses = server.addresses().map_err(ServerError::Thread)?;
            // Whoever spawns it waits for this.
            let _ = sender.send((addresses, server.handle()));
            server.run()
        };
        let thread = Builder::new().name("porter".to_owned()).spawn(body).map_err(ServerError::Thread)?;
        let Ok((addresses, handle)) = started.recv() else {
            let reason = io::Error::other("it ended before the server listened");
            return outcome(thread).and(Err(ServerError::Thread(reason)));
        };
        Ok(ServerThread { addresses, handle, thread: Some(thread) })
    }

    /// The address that the server listens on, or the first of several.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All addresses that the server listens on.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What reaches the server from any thread.
    pub fn handle(&self) -> &ServerHandle {
        &self.handle
    }

    /// Has the server stop in order, and waits until it has.
    ///
    /// # Errors
    /// As [`Server::run`].
    ///
    /// # Panics
    /// If the server has, as by its handler.
    pub fn stop(self) -> Result<(), ServerError> {
        self.handle.stop().map_err(ServerError::Events)?;
        self.join()
    }

    /// Waits until the server ends, by its [handle](ServerThread::handle), a command or a failure.
    ///
    /// # Errors
    /// As [`Server::run`].
    ///
    /// # Panics
    /// If the server has, as by its handler.
    pub fn join(mut self) -> Result<(), ServerError> {
        self.thread.take().map_or(Ok(()), outcome)
    }
}

impl Drop for ServerThread {
    fn drop(&mut self) {
        if let Some(thread) = self.thread.take()
            && self.handle.stop().is_ok()
        {
            // Whoever wants to know what came of it joins it.
            let _ = thread.join();
        }
    }
}

fn outcome(thread: JoinHandle<Result<(), ServerError>>) -> Result<(), ServerError> {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
