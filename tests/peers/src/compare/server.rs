//! A running server: started pinned to its processor, watched through `/proc`, killed when it is dropped.

use crate::dialect::Dialect;
use crate::machine::Machine;
use rustix::param::clock_ticks_per_second;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest wait for a server to listen.
const START: Duration = Duration::from_secs(20);
/// Between two looks at whether it does.
const LOOK: Duration = Duration::from_millis(2);
/// Where its stderr goes, in its folder.
const LAST_WORDS: &str = "stderr";

/// A server's process.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    /// Kept open, or the server would have nowhere to write to.
    _stdout: Option<BufReader<ChildStdout>>,
    folder: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) dialect: Dialect,
    /// Whether it has a thread for each connection, whose time is told only when it is added up.
    threads_come_and_go: bool,
}

/// A port that nobody listens on.
///
/// # Errors
/// If there is none.
pub(crate) fn free_port() -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    listener.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

impl Server {
    /// Starts a server and waits for its first line, `listening on ADDR:PORT`.
    ///
    /// # Errors
    /// If it does not start, or does not listen.
    pub(crate) fn announced(
        mut command: Command,
        folder: TempDir,
        dialect: Dialect,
        machine: &Machine,
    ) -> Result<Server, String> {
        command.stdout(Stdio::piped());
        let mut child = spawn(&mut command, folder.path(), machine)?;
        let mut stdout = child.stdout.take().map(BufReader::new);
        let mut line = String::new();
        let read = stdout.as_mut().map_or(Ok(0), |stdout| stdout.read_line(&mut line));
        let address = line.trim().strip_prefix("listening on ").and_then(|address| address.parse().ok());
        let server =
            |address| Server { child, _stdout: stdout, folder, address, dialect, threads_come_and_go: false };
        match (read, address) {
            (Ok(_), Some(address)) => Ok(server(address)),
            // Made and dropped, so that it is killed.
            _ => Err(server(SocketAddr::from(([0; 4], 0))).failure(&command)),
        }
    }

    /// Starts a server that says nothing, and waits until it listens.
    ///
    /// # Errors
    /// If it does not start, or does not listen.
    pub(crate) fn silent(
        mut command: Command,
        folder: TempDir,
        port: u16,
        dialect: Dialect,
        machine: &Machine,
    ) -> Result<Server, String> {
        command.stdout(Stdio::null());
        let child = spawn(&mut command, folder.path(), machine)?;
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let mut server =
            Server { child, _stdout: None, folder, address, dialect, threads_come_and_go: false };
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > START || !matches!(server.child.try_wait(), Ok(None)) {
                return Err(server.failure(&command));
            }
            sleep(LOOK);
        }
        Ok(server)
    }

    /// Has the time of threads that have ended counted, too, to a tick of 10 ms.
    pub(crate) fn with_threads_that_end(mut self) -> Server {
        self.threads_come_and_go = true;
        self
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Processor time that it has used, once it rests: the system brings a running thread's account up to date only
    /// now and then.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn processor(&self) -> Result<Duration, String> {
        let mut stat = self.told("stat")?;
        for _ in 0..1_000 {
            if !after_name(&stat).starts_with('R') {
                break;
            }
            stat = self.told("stat")?;
        }
        if self.threads_come_and_go {
            let ticks = processor_ticks(&stat).ok_or("its processor time is not told")?;
            return Ok(Duration::from_secs_f64(ticks as f64 / clock_ticks_per_second().max(1) as f64));
        }
        self.schedule(0)
    }

    /// How long its threads were ready to run and had no processor: with a thread for each connection they wait for one
    /// another, which tells nothing.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn waiting(&self) -> Result<Duration, String> {
        if self.threads_come_and_go { Ok(Duration::ZERO) } else { self.schedule(1) }
    }

    /// A field of `schedstat`, summed over its threads.
    fn schedule(&self, field: usize) -> Result<Duration, String> {
        let folder = format!("/proc/{}/task", self.pid());
        let mut sum = Duration::ZERO;
        for entry in fs::read_dir(&folder).map_err(|error| format!("{folder}: {error}"))? {
            let path = entry.map_err(|error| format!("{folder}: {error}"))?.path().join("schedstat");
            let time = schedule_field(&path, field);
            sum += time.ok_or_else(|| format!("{}: it tells no times", path.display()))?;
        }
        Ok(sum)
    }

    /// Bytes of memory that it holds.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn memory(&self) -> Result<u64, String> {
        // The first is exact; the second may be some pages behind, and is there for everybody.
        let rollup = self.told("smaps_rollup").and_then(|text| memory_bytes(&text, "Rss:"));
        rollup.or_else(|_| memory_bytes(&self.told("status")?, "VmRSS:"))
    }

    /// The most bytes of memory that it has held.
    ///
    /// # Errors
    /// If the system does not tell.
    pub(crate) fn memory_most(&self) -> Result<u64, String> {
        memory_bytes(&self.told("status")?, "VmHWM:")
    }

    fn told(&self, file: &str) -> Result<String, String> {
        let path = format!("/proc/{}/{file}", self.pid());
        fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))
    }

    /// Why it did not start: its last words, if there are any.
    fn failure(mut self, command: &Command) -> String {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let words = fs::read_to_string(self.folder.path().join(LAST_WORDS)).unwrap_or_default();
        let program = Path::new(command.get_program()).display();
        format!("{program} did not start: {}", words.trim().lines().last().unwrap_or("it says nothing"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(command: &mut Command, folder: &Path, machine: &Machine) -> Result<Child, String> {
    let log = fs::File::create(folder.join(LAST_WORDS)).map_err(|error| error.to_string())?;
    command.stdin(Stdio::null()).stderr(log).current_dir(folder);
    let spawned = machine.on_the_servers_processor(|| command.spawn());
    spawned.map_err(|error| format!("{}: {error}", Path::new(command.get_program()).display()))
}

/// A thread's time on a processor (field 0) or waiting for one (field 1).
pub(crate) fn schedule_field(path: &Path, field: usize) -> Option<Duration> {
    let told = fs::read_to_string(path).ok()?;
    told.split_whitespace().nth(field)?.parse().ok().map(Duration::from_nanos)
}

/// The fields after the second, which is a name in brackets that may have anything in it.
fn after_name(stat: &str) -> &str {
    stat.rsplit_once(") ").map_or("", |(_, fields)| fields)
}

/// User and system ticks: the 14th and 15th field.
fn processor_ticks(stat: &str) -> Option<u64> {
    let mut fields = after_name(stat).split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    Some(ticks()? + ticks()?)
}

fn memory_bytes(text: &str, name: &str) -> Result<u64, String> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = rest.and_then(|rest| rest.split_ascii_whitespace().next()?.parse::<u64>().ok());
    kibibytes.map(|count| count * 1_024).ok_or_else(|| format!("the system does not tell {name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_whatever_the_program_is_called() {
        let stat = "17 (a) (b c) S 1 2 3 4 5 6 7 8 9 10 300 45 6 7 20 0 1 0 99";
        assert_eq!(processor_ticks(stat), Some(345));
        assert_eq!(processor_ticks("17 (a) S 1 2"), None);
        assert_eq!(memory_bytes("Name: x\nVmRSS:\t   12 kB\nVmHWM: 9 kB", "VmHWM:"), Ok(9_216));
    }
}
