//! What a service manager leaves in the environment: where it takes notifications, and sockets that listen already.

use crate::flags::Flags;
use listenfd::ListenFd;
use log::Level;
use porter::cli::{Failure, Given, Setting, Source};
use porter::limits::LISTENERS;
use porter::log_event;
use porter::server::ServiceManager;
use std::env;
use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::Duration;

/// The first file descriptor that is passed: SD_LISTEN_FDS_START.
const FIRST_FD: usize = 3;
/// What a socket is passed for, by the name that the service manager gives to it.
const CLIENTS: &str = "porter";
const METRICS: &str = "metrics";

/// Sockets that were passed, by what they are for.
#[derive(Default)]
pub(crate) struct Passed {
    pub(crate) clients: Vec<Arc<TcpListener>>,
    pub(crate) metrics: Option<TcpListener>,
}

impl Passed {
    /// What was given and is not used, since there are sockets in its place.
    pub(crate) fn unused(&self, given: &Given<Flags>) -> Vec<String> {
        let is_unused = |setting: &&Setting| match setting.key.as_str() {
            "host" | "port" | "listen" => !self.clients.is_empty(),
            "metrics" => self.metrics.is_some(),
            _ => false,
        };
        let given = given.settings.iter().filter(|setting| setting.source != Source::Default);
        let shown = |setting: &Setting| {
            format!("{} = {}", setting.key, setting.value.as_deref().unwrap_or("not set"))
        };
        given.filter(is_unused).map(shown).collect()
    }

    /// Has the log say what is used, and what in its place is not.
    pub(crate) fn log(&self, unused: &[String]) {
        let clients = self.clients.iter().map(|socket| (socket.as_ref(), "clients"));
        for (socket, purpose) in clients.chain(self.metrics.iter().map(|socket| (socket, "metrics"))) {
            let address = socket.local_addr().map_or(String::new(), |address| address.to_string());
            let fd = socket.as_raw_fd();
            log_event!(Level::Info, "passed socket used", fd = #fd, purpose = %purpose, addr = %address);
        }
        for setting in unused {
            log_event!(Level::Warn, "setting not used", setting = ?setting; "a socket was passed in its place");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Purpose {
    Clients,
    Metrics,
}

/// The service manager that has started this process and wants to know how it fares.
///
/// # Errors
/// One line about why it cannot be notified.
pub(crate) fn service_manager() -> Result<Option<ServiceManager>, String> {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return Ok(None);
    };
    let watchdog = watchdog().unwrap_or_else(|reason| {
        log_event!(Level::Warn, "no watchdog", reason = ?reason);
        None
    });
    let manager = ServiceManager::new(&socket, watchdog);
    manager.map(Some).map_err(|error| format!("NOTIFY_SOCKET {socket:?} cannot be used: {error}"))
}

/// Within what time it wants watchdog pings, if from this process.
fn watchdog() -> Result<Option<Duration>, String> {
    let Some(microseconds) = variable("WATCHDOG_USEC") else { return Ok(None) };
    if variable("WATCHDOG_PID").is_some_and(|pid| pid != std::process::id().to_string()) {
        return Ok(None);
    }
    match microseconds.parse() {
        Ok(microseconds) => Ok(Some(Duration::from_micros(microseconds)).filter(|span| !span.is_zero())),
        Err(_) => Err(format!("WATCHDOG_USEC {microseconds:?} is no number of microseconds")),
    }
}

/// The sockets that were passed to this process.
///
/// # Errors
/// [`Failure`], with the one that cannot be used.
pub(crate) fn passed() -> Result<Passed, Failure> {
    let mut passed = Passed::default();
    // Sockets that were passed to the process that started this one are not for this one.
    if variable("LISTEN_PID").is_none_or(|pid| pid != std::process::id().to_string()) {
        return Ok(passed);
    }
    let Some(count) = variable("LISTEN_FDS") else { return Ok(passed) };
    let count = count.parse().ok().filter(|count| *count <= LISTENERS + 1).ok_or_else(|| {
        Failure::usage(format_args!("LISTEN_FDS {count:?} is not a number up to {}", LISTENERS + 1))
    })?;
    let names = variable("LISTEN_FDNAMES");
    let purposes = purposes(count, names.as_deref()).map_err(Failure::usage)?;
    let mut sockets = ListenFd::from_env();
    for (index, purpose) in purposes.into_iter().enumerate() {
        let socket = sockets.take_tcp_listener(index).map_err(|error| {
            Failure::usage(format_args!(
                "{error}, but was passed by LISTEN_FDS; pass TCP sockets that listen"
            ))
        })?;
        let Some(socket) = socket else { continue };
        match purpose {
            Purpose::Clients => passed.clients.push(Arc::new(socket)),
            Purpose::Metrics => passed.metrics = Some(socket),
        }
    }
    if passed.clients.len() > LISTENERS {
        return Err(Failure::usage(format_args!("at most {LISTENERS} sockets can be passed for clients")));
    }
    Ok(passed)
}

/// What each is for: by its name, or clients if there is no other and no name says otherwise.
fn purposes(count: usize, names: Option<&str>) -> Result<Vec<Purpose>, String> {
    let names: Vec<&str> = match names {
        Some(names) if count > 0 => names.split(':').collect(),
        _ => vec![""; count],
    };
    if names.len() != count {
        return Err(format!("LISTEN_FDNAMES has {} names for the {count} of LISTEN_FDS", names.len()));
    }
    let purposes = names.iter().zip(FIRST_FD..).map(|(name, fd)| match *name {
        METRICS if cfg!(feature = "admin") => Ok(Purpose::Metrics),
        METRICS => Err(format!(
            "file descriptor {fd} was passed for metrics, which this porter-server was built without"
        )),
        _ if *name == CLIENTS || count == 1 => Ok(Purpose::Clients),
        _ => Err(format!(
            "file descriptor {fd} was passed by the name {name:?}, one of {count}; name them {CLIENTS:?}, for clients, \
             or {METRICS:?} (FileDescriptorName= in the socket unit)"
        )),
    });
    let purposes = purposes.collect::<Result<Vec<_>, _>>()?;
    let is_metrics = |purpose: &Purpose| *purpose == Purpose::Metrics;
    if let Some(second) = (0..count).filter(|index| is_metrics(&purposes[*index])).nth(1) {
        return Err(format!(
            "file descriptor {} is a second one named {METRICS:?}; pass one",
            FIRST_FD + second
        ));
    }
    Ok(purposes)
}

/// What is no text is as good as nothing: no service manager writes it.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::Purpose::{Clients, Metrics};
    use super::*;

    #[test]
    fn sockets_are_for_what_their_names_say() {
        for (count, names, expected) in [
            (0, None, &[][..]),
            (0, Some(""), &[]),
            (1, None, &[Clients]),
            (1, Some(""), &[Clients]),
            (1, Some("unknown"), &[Clients]),
            (1, Some("porter.socket"), &[Clients]),
            (1, Some("porter"), &[Clients]),
            (3, Some("porter:metrics:porter"), &[Clients, Metrics, Clients]),
        ] {
            let is_built = cfg!(feature = "admin") || !expected.contains(&Metrics);
            let purposes = purposes(count, names);
            assert_eq!(purposes.as_deref().ok(), is_built.then_some(expected), "{count} {names:?}");
        }
    }

    #[test]
    fn names_that_leave_a_doubt_are_refused_with_the_way_out() {
        for (count, names, said) in [
            (2, None, "descriptor 3"),
            (2, Some("porter:"), "descriptor 4"),
            (2, Some("porter:web"), "\"metrics\""),
            (2, Some("porter"), "LISTEN_FDNAMES has 1"),
            (2, Some("a:b:c"), "LISTEN_FDNAMES has 3"),
            (
                3,
                Some("metrics:porter:metrics"),
                if cfg!(feature = "admin") { "descriptor 5" } else { "descriptor 3" },
            ),
        ] {
            let reason = purposes(count, names).err().unwrap_or_default();
            assert!(reason.contains(said) && !reason.contains('\n'), "{count} {names:?} {reason}");
        }
    }
}
