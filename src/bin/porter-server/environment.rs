//! What a service manager leaves in the environment: where it takes notifications.

use porter::server::ServiceManager;
use std::env;
use std::time::Duration;

/// The service manager that has started this process and wants to know how it fares.
///
/// # Errors
/// One line about why it cannot be notified.
pub(crate) fn service_manager() -> Result<Option<ServiceManager>, String> {
    let Some(socket) = env::var_os("NOTIFY_SOCKET").filter(|socket| !socket.is_empty()) else {
        return Ok(None);
    };
    let manager = ServiceManager::new(&socket, watchdog()?);
    manager.map(Some).map_err(|error| format!("NOTIFY_SOCKET {socket:?} cannot be used: {error}"))
}

/// How often it wants a sign of life, if from this process.
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

/// What is no text is as good as nothing: no service manager writes it.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok()
}
