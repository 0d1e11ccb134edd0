//! A server whose costs are measured, as a child process: started on a CPU of its own, watched through `/proc`, killed
//! when it is dropped. The comparison with peers starts its servers here, too.

use porter::load::Process;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// The longest wait for a server to listen.
const START: Duration = Duration::from_secs(20);
/// Between two looks at whether it does.
const LOOK: Duration = Duration::from_millis(2);

/// A running server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) child: Child,
    address: SocketAddr,
}

/// What a server writes: kept open, or it would have nowhere to write to.
pub(crate) type Stdout = Option<BufReader<ChildStdout>>;

impl Server {
    /// Starts a server on these CPUs, or wherever this program may run, and waits until it listens: for its first line,
    /// `listening on ADDR:PORT`, or, if it is known, for its `port` on the loopback.
    ///
    /// # Errors
    /// If it does not start, or does not listen.
    pub(crate) fn start(
        command: &mut Command,
        port: Option<u16>,
        cpus: Option<&CpuSet>,
    ) -> Result<(Server, Stdout), String> {
        let failed = |program: &Command, reason: &dyn std::fmt::Display| {
            format!("{} did not start: {reason}", program.get_program().display())
        };
        command.stdout(if port.is_none() { Stdio::piped() } else { Stdio::null() });
        let child = on(cpus, || command.spawn()).map_err(|error| failed(command, &error))?;
        let address = SocketAddr::from(([127, 0, 0, 1], port.unwrap_or_default()));
        // From here on it is killed if it comes to nothing.
        let mut server = Server { child, address };
        let mut stdout = server.child.stdout.take().map(BufReader::new);
        match &mut stdout {
            None => server.await_port().map_err(|reason| failed(command, &reason))?,
            Some(stdout) => {
                let mut line = String::new();
                stdout.read_line(&mut line).map_err(|error| failed(command, &error))?;
                let address = line.trim().strip_prefix("listening on ").and_then(|rest| rest.parse().ok());
                server.address =
                    address.ok_or_else(|| failed(command, &"it does not say where it listens"))?;
            }
        }
        Ok((server, stdout))
    }

    fn await_port(&mut self) -> Result<(), &'static str> {
        let began = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if began.elapsed() > START || !matches!(self.child.try_wait(), Ok(None)) {
                return Err("it does not listen");
            }
            sleep(LOOK);
        }
        Ok(())
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its CPU time and memory.
    pub(crate) fn process(&self) -> Process {
        Process(self.pid())
    }

    /// The most bytes of memory that it has held.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn memory_most(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/status", self.pid());
        let told = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let most = told.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kibibytes = most.and_then(|most| most.trim_end_matches("kB").trim().parse::<u64>().ok());
        kibibytes.map(|kibibytes| kibibytes * 1_024).ok_or_else(|| format!("{path}: it tells no VmHWM"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Gives a CPU for servers, and leaves this program the others, if there are several.
pub(crate) fn divided() -> Option<CpuSet> {
    let mut others = sched_getaffinity(None).ok().filter(|allowed| allowed.count() > 1)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| others.is_set(*cpu))?;
    let mut server = CpuSet::new();
    server.set(last);
    others.unset(last);
    // They were allowed a moment ago; if they are no longer, the system chooses, and figures are noisier.
    let _ = sched_setaffinity(None, &others);
    Some(server)
}

/// Does something that starts a process, which then stays on these CPUs.
fn on<T>(cpus: Option<&CpuSet>, start: impl FnOnce() -> T) -> T {
    let usual = sched_getaffinity(None);
    if let Some(cpus) = cpus {
        // If they are not allowed any more, the system chooses, and figures are noisier.
        let _ = sched_setaffinity(None, cpus);
    }
    let started = start();
    if let (Some(_), Ok(usual)) = (cpus, usual) {
        let _ = sched_setaffinity(None, &usual);
    }
    started
}
