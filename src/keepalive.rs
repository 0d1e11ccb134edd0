//! Finding out that a path is dead: a peer that has lost its power, a network that changed, a router that forgot.
//!
//! Two things of the system's are needed, for one sees only silence, and the other only what was sent and not answered.
//! What a system does not have is left out.

use crate::limits::{KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, PATH_TIMEOUT};
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;

/// Has the system find out that a connection's path is dead. What a listener accepts inherits it.
///
/// # Errors
/// What the system has against it.
pub(crate) fn detect_dead_path<'s>(socket: impl Into<SockRef<'s>>) -> io::Result<()> {
    let socket = socket.into();
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE_IDLE);
    #[cfg(not(any(target_os = "openbsd", target_os = "haiku")))]
    let keepalive = keepalive.with_interval(KEEPALIVE_INTERVAL).with_retries(KEEPALIVE_PROBES);
    socket.set_tcp_keepalive(&keepalive)?;
    set_path_timeout(socket, Some(PATH_TIMEOUT))
}

/// Has the system probe after another time of silence whoever a listener accepts from now on.
///
/// # Errors
/// What the system has against it.
pub(crate) fn set_probe_time<'s>(socket: impl Into<SockRef<'s>>, idle: Duration) -> io::Result<()> {
    socket.into().set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))
}

/// How long what was sent may go unanswered; `None` leaves it to the system, which gives up after some 15 minutes.
///
/// # Errors
/// What the system has against it.
pub(crate) fn set_path_timeout<'s>(
    socket: impl Into<SockRef<'s>>,
    timeout: Option<Duration>,
) -> io::Result<()> {
    let socket = socket.into();
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(timeout)?;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = (socket, timeout);
    Ok(())
}
