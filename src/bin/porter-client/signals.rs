//! Signals, as events of the loop that waits for the input and the server.
//!
//! This module must not know what is done about them.

use porter::editor::is_ignored;
use rustix::io::read;
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH};
use signal_hook::{flag, low_level};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const LEAVING: [i32; 4] = [SIGINT, SIGTERM, SIGHUP, SIGQUIT];
const OTHERS: [i32; 3] = [SIGTSTP, SIGCONT, SIGWINCH];

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// To end, by this signal.
    Leave(i32),
    /// To stop until the shell continues the program.
    Stop,
    /// Nothing but to look at the terminal again: the program was continued, or the window has another size.
    Refresh,
}

pub(crate) struct Signals {
    wake: UnixStream,
    came: Vec<(i32, Arc<AtomicBool>)>,
    is_leaving: Arc<AtomicBool>,
}

impl Signals {
    /// Begins to watch. Signals that were ignored when this process started (`nohup`) stay ignored.
    ///
    /// # Errors
    /// What the system gives.
    pub(crate) fn new() -> io::Result<Signals> {
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        let (mut came, is_leaving) = (Vec::new(), Arc::new(AtomicBool::new(false)));
        for signal in LEAVING.into_iter().chain(OTHERS).filter(|signal| !is_ignored(*signal)) {
            if LEAVING.contains(&signal) {
                // A second one ends the program at once, whatever it is doing.
                flag::register_conditional_default(signal, Arc::clone(&is_leaving))?;
            }
            let flag = Arc::new(AtomicBool::new(false));
            flag::register(signal, Arc::clone(&flag))?;
            low_level::pipe::register(signal, waker.try_clone()?)?;
            came.push((signal, flag));
        }
        Ok(Signals { wake, came, is_leaving })
    }

    /// What came since this was last asked.
    pub(crate) fn take(&mut self) -> Vec<Asked> {
        while read(&self.wake, &mut [0; 64]).is_ok_and(|count| count > 0) {}
        let came = self.came.iter().filter(|(_, flag)| flag.swap(false, Ordering::SeqCst));
        let asked = |signal| match signal {
            SIGTSTP => Asked::Stop,
            SIGCONT | SIGWINCH => Asked::Refresh,
            signal => Asked::Leave(signal),
        };
        came.map(|(signal, _)| asked(*signal)).collect()
    }

    /// From now on a signal to end ends the process at once.
    pub(crate) fn begin_leaving(&self) {
        self.is_leaving.store(true, Ordering::SeqCst);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}
