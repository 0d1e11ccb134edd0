//! The control socket: what a person may type at the console, and more, for programs of this machine.
//!
//! A Unix socket in the data directory, for the server's own user and root. A request is a line of words, an answer is
//! lines of JSON, of which the last has the key `done` or `error`: see below. Connections are bounded and read in shares
//! like any other, and nobody here is waited for.
//!
#![doc = include_str!("control.md")]
//!
//!
//! This module must not know what a command does.

mod connection;
mod place;

use super::places::Places;
use crate::Moment;
use crate::command::Answer;
use crate::engine::Engine;
use crate::limits::CONTROL_CONNECTIONS;
use crate::store::Store;
use connection::ControlConnection;
use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use place::with_short_path;
use rustix::fs::Mode;
use rustix::process::{geteuid, umask};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

pub use place::connect_control;

/// The socket's name in the data directory.
pub const CONTROL_FILE: &str = "control";

/// Tokens from here on are the control socket's and its connections'. Those of whatever listens for clients or
/// serves them are greater, all others smaller.
const FIRST_TOKEN: usize = 1 << 16;
/// What another user is answered.
const FOR_OTHERS: &str = "refused: the control socket is for the server's own user and root";

/// The socket and those who are connected to it.
pub(super) struct Control {
    path: PathBuf,
    listener: UnixListener,
    /// Device and inode of the socket's file.
    identity: (u64, u64),
    connections: Places<ControlConnection>,
}

impl Control {
    /// Makes the socket. Whoever calls this has the directory's lock, so a socket that is there is one that was left.
    ///
    /// # Errors
    /// What the system says, or that something else has the name.
    pub(super) fn bind(directory: &Path, registry: &Registry) -> io::Result<Control> {
        let path = directory.join(CONTROL_FILE);
        let (listener, identity) = listen(directory, &path, registry)?;
        Ok(Control { path, listener, identity, connections: Places::new(FIRST_TOKEN, CONTROL_CONNECTIONS) })
    }

    /// Makes the socket again if its file has gone. Says whether it had.
    ///
    /// # Errors
    /// As for [`bind`](Control::bind).
    pub(super) fn keep(&mut self, registry: &Registry) -> io::Result<bool> {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            return Ok(false);
        }
        let directory = self.path.parent().unwrap_or(Path::new(""));
        (self.listener, self.identity) = listen(directory, &self.path, registry)?;
        self.connections.notice_ready();
        Ok(true)
    }

    /// Whether an event is one of these; it is noted.
    pub(super) fn take_event(&mut self, token: Token) -> bool {
        self.connections.take_event(token, ControlConnection::notice_ready)
    }

    /// Whether nobody is connected, nor about to be.
    #[inline]
    pub(super) fn is_idle(&self) -> bool {
        self.connections.is_idle()
    }

    /// Does a share of what there is to be done.
    pub(super) fn serve<S: Store>(&mut self, engine: &mut Engine<S>, registry: &Registry, now: Moment) {
        let listener = &self.listener;
        let accept = || {
            let (mut stream, peer) = listener.accept()?;
            if !is_allowed(&stream) {
                log::warn!("control connection of another user refused");
                let refusal = Answer::Failed(FOR_OTHERS.to_owned()).to_json();
                // It fits into what a new socket takes at once.
                let _ = writeln!(stream, "{refusal}");
                return Ok(None);
            }
            Ok(Some((stream, peer)))
        };
        self.connections.accept(registry, now, accept, |stream, _| ControlConnection::new(stream, now));
        self.connections.serve(|connection| {
            let goes_on = connection.serve(engine, now);
            if !goes_on {
                connection.leave(engine);
            }
            goes_on
        });
    }

    /// Whether there is more to be done though nothing happens.
    pub(super) fn has_work<S: Store>(&self, engine: &Engine<S>) -> bool {
        self.connections.iter().any(|connection| connection.has_work(engine))
    }

    /// When somebody has been idle for too long, or somebody who waits can be given a place.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let deadlines = self.connections.iter().map(ControlConnection::deadline);
        deadlines.chain(self.connections.next_accept()).min()
    }
}

/// The name goes with the server.
impl Drop for Control {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn listen(directory: &Path, path: &Path, registry: &Registry) -> io::Result<(UnixListener, (u64, u64))> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => std::fs::remove_file(path)?,
        Ok(_) => return Err(io::Error::other("something that is no socket has this name; move it away")),
        Err(_) => {}
    }
    // Nobody else may connect, not even until its mode is changed.
    let before = umask(Mode::from_raw_mode(0o177));
    let bound = with_short_path(directory, |path| UnixListener::bind(path));
    umask(before);
    let mut listener = bound?;
    registry.register(&mut listener, Token(FIRST_TOKEN), Interest::READABLE)?;
    Ok((listener, identity(path)?))
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    std::fs::symlink_metadata(path).map(|found| (found.dev(), found.ino()))
}

/// Whether the peer is the server's own user, or root. Where the system does not say, the socket's mode has kept others
/// out.
fn is_allowed(stream: &UnixStream) -> bool {
    #[cfg(target_os = "linux")]
    {
        let peer = rustix::net::sockopt::socket_peercred(stream);
        peer.is_ok_and(|peer| peer.uid.is_root() || peer.uid == geteuid())
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (stream, geteuid);
        true
    }
}
