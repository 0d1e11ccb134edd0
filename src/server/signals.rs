//! Signals, as events of the same poll.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::flag;
use signal_hook_mio::v1_0::Signals as Source;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SignalAction {
    /// SIGINT, SIGTERM: stop, in order.
    Stop,
    /// SIGHUP: open the log anew, and read files again that others may have changed.
    Reload,
}

/// The signals that the server listens to.
pub(super) struct Signals {
    source: Source,
    stopping: Arc<AtomicBool>,
}

impl Signals {
    /// # Errors
    /// What the system says.
    pub(super) fn new() -> io::Result<Signals> {
        let stopping = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Once an orderly stop is under way, a second signal ends the process at once, whatever it is doing.
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stopping))?;
        }
        // A file that meets the limit on file sizes is an error of that write, not the end of the server.
        flag::register(SIGXFSZ, Arc::default())?;
        Ok(Signals { source: Source::new([SIGINT, SIGTERM, SIGHUP])?, stopping })
    }

    pub(super) fn source(&mut self) -> &mut Source {
        &mut self.source
    }

    /// What has been asked for since the last call.
    pub(super) fn actions(&mut self) -> Vec<SignalAction> {
        let action = |signal| if signal == SIGHUP { SignalAction::Reload } else { SignalAction::Stop };
        self.source.pending().map(action).collect()
    }

    /// From now on a signal to stop ends the process at once.
    pub(super) fn begin_stopping(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}
