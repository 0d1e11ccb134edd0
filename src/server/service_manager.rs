//! Notifications to a service manager such as systemd: the server listens, reloads, stops, how it fares, and that its loop
//! is not stuck.
//!
//! The protocol is that of sd_notify(3): datagrams of assignments. Sending never blocks the loop: what is not taken at once
//! is tried again a little later, and what cannot be sent is dropped.
//!
//! This module must not know where the socket's name comes from.

use super::Server;
use super::reload::ReloadLine;
use crate::Clock;
use crate::Moment;
use crate::limits::{SERVICE_NOTICES, SERVICE_PING_LEAST, SERVICE_RETRY, SERVICE_STATUS_EVERY};
use crate::store::Store;
use log::Level;
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A service manager, and what is to be sent to it.
#[derive(Debug)]
pub struct ServiceManager {
    socket: UnixDatagram,
    address: SocketAddr,
    /// How often it is sent that the loop goes round, if it asks for that, and how the server fares, if that has changed.
    ping_every: Duration,
    is_watching: bool,
    /// The status that was sent last.
    status: String,
    /// Whether some part of the last reload failed.
    has_failed_to_reload: bool,
    /// What it has not taken yet.
    unsent: VecDeque<(ServiceState, String)>,
    /// When something is to be sent, or tried again.
    due: Moment,
    next_ping: Moment,
    /// The last send failed, and the log says so.
    is_unreachable: bool,
}

/// What a service manager wants to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServiceState {
    /// The server listens, or is done with reading everything anew.
    Ready,
    /// It begins to read everything anew.
    Reloading,
    /// It begins to stop.
    Stopping,
    /// Its loop goes round.
    Ping,
}

impl ServiceManager {
    /// A service manager that takes datagrams at this socket: a path, or after `@` a name without a file, on Linux. With a
    /// watchdog it wants a sign within that time, again and again, that the server is not stuck.
    ///
    /// # Errors
    /// What the system says, or that it is no such name.
    pub fn new(socket: &OsStr, watchdog: Option<Duration>) -> io::Result<ServiceManager> {
        let address = match socket.as_bytes() {
            [b'@', name @ ..] => without_file(name)?,
            [b'/', ..] => SocketAddr::from_pathname(socket)?,
            _ => return Err(io::Error::other("it is neither a path nor a name that begins with @")),
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let ping_every = watchdog.map_or(SERVICE_STATUS_EVERY, |within| (within / 2).max(SERVICE_PING_LEAST));
        Ok(ServiceManager {
            socket,
            address,
            ping_every,
            is_watching: watchdog.is_some(),
            status: String::new(),
            has_failed_to_reload: false,
            unsent: VecDeque::new(),
            due: Moment::NEVER,
            next_ping: Moment::NEVER,
            is_unreachable: false,
        })
    }

    /// When something is to be sent though nothing happens.
    #[inline]
    pub(super) fn due(&self) -> Moment {
        self.due
    }

    /// Sends this, as far as it is taken now.
    fn notify(&mut self, state: ServiceState, summary: &str, clock: &Clock) {
        let failed = if self.has_failed_to_reload { "the last reload failed, see the log; " } else { "" };
        let status = format!("STATUS={failed}{summary}");
        let text = match state {
            ServiceState::Ready => {
                self.next_ping = self.next_ping.min(clock.now() + self.ping_every);
                format!("READY=1\n{status}")
            }
            ServiceState::Reloading => {
                format!("RELOADING=1\nMONOTONIC_USEC={}", clock.system_time(clock.now()) / 1_000)
            }
            ServiceState::Stopping => format!("STOPPING=1\n{status}"),
            ServiceState::Ping => self.ping(&status, clock.now()),
        };
        if state != ServiceState::Reloading {
            self.status = status;
        }
        if !text.is_empty() {
            self.unsent.push_back((state, text));
        }
        // The last ones say how it is.
        while self.unsent.len() > SERVICE_NOTICES {
            self.unsent.pop_front();
        }
        self.send(clock);
    }

    /// That the loop goes round, if that is asked for, and how the server fares, if that has changed.
    fn ping(&mut self, status: &str, now: Moment) -> String {
        self.next_ping = now + self.ping_every;
        let unsent = self.unsent.len();
        // A later one says all that those before it did.
        self.unsent.retain(|(state, _)| *state != ServiceState::Ping);
        let is_new = status != self.status || self.unsent.len() < unsent;
        match (self.is_watching, is_new) {
            (true, true) => format!("WATCHDOG=1\n{status}"),
            (true, false) => "WATCHDOG=1".to_owned(),
            (false, true) => status.to_owned(),
            (false, false) => String::new(),
        }
    }

    fn send(&mut self, clock: &Clock) {
        while let Some((_, text)) = self.unsent.front() {
            match self.socket.send_to_addr(text.as_bytes(), &self.address) {
                Ok(_) => self.is_unreachable = false,
                Err(error) if is_full(&error) => {
                    self.due = self.next_ping.min(clock.now() + SERVICE_RETRY);
                    return;
                }
                Err(error) => {
                    if !self.is_unreachable {
                        log_event!(Level::Warn, "service manager not reached", reason = ?error);
                    }
                    self.is_unreachable = true;
                    // Whoever listens there next knows of none.
                    self.status.clear();
                }
            }
            self.unsent.pop_front();
        }
        self.due = self.next_ping;
    }
}

impl<S: Store> Server<S> {
    /// From now on this service manager is sent how the server fares.
    pub fn attach_service_manager(&mut self, manager: ServiceManager) {
        self.service_manager = Some(manager);
    }

    /// Sends this to the service manager, if there is one.
    pub(super) fn notify(&mut self, state: ServiceState) {
        if let Some(manager) = &mut self.service_manager {
            manager.notify(state, &self.engine.summary(self.clock.now()), &self.clock);
        }
    }

    /// Says that a reload is over, and whether all of it was done.
    pub(super) fn notify_reloaded(&mut self, lines: &[ReloadLine]) {
        if let Some(manager) = &mut self.service_manager {
            manager.has_failed_to_reload = lines.iter().any(|line| line.level == Level::Error);
        }
        self.notify(ServiceState::Ready);
    }

    /// Sends what is due.
    #[inline]
    pub(super) fn notify_if_due(&mut self, now: Moment) {
        if self.service_manager.as_ref().is_some_and(|manager| manager.due <= now) {
            self.notify(ServiceState::Ping);
        }
    }
}

/// Whether it has yet to take what it was told before.
fn is_full(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error())
}

#[cfg(target_os = "linux")]
fn without_file(name: &[u8]) -> io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn without_file(_: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::other("sockets without a file are there on Linux only"))
}
