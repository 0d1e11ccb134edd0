//! A server among many users, as a child process, and what its start took.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running server. Killed when dropped.
pub(crate) struct Server {
    child: Child,
    // Kept open, or the server would have nowhere to write to.
    _stdout: BufReader<ChildStdout>,
    _folder: TempDir,
    port: String,
    start_took: Duration,
}

impl Server {
    /// Starts a server in a folder of its own, with the users whose lines `write` writes.
    pub(crate) fn start(
        flags: &[&str],
        write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
    ) -> Server {
        let folder = TempDir::new().unwrap();
        let users = File::create(folder.path().join("users.csv")).unwrap();
        let mut users = BufWriter::new(users);
        users.write_all(b"name,password,registered\n").and_then(|()| write(&mut users)).unwrap();
        // On the disk already, or the sync of the server's start would wait for it.
        users.into_inner().unwrap().sync_all().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_porter-server"));
        command.args(["--host", "127.0.0.1", "--port", "0", "--data"]).arg(folder.path());
        command.arg("--log-file").arg(folder.path().join("log")).args(flags);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let began = Instant::now();
        let mut child = command.spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let start_took = began.elapsed();
        let port = line.trim().strip_prefix("listening on 127.0.0.1:").expect("where it listens").to_owned();
        Server { child, _stdout: stdout, _folder: folder, port, start_took }
    }

    /// From its start until it said where it listens.
    pub(crate) fn start_took(&self) -> Duration {
        self.start_took
    }

    pub(crate) fn port(&self) -> &str {
        &self.port
    }

    pub(crate) fn process(&self) -> String {
        self.child.id().to_string()
    }

    /// Processor time that its only thread has used.
    pub(crate) fn processor(&self) -> Duration {
        let nanoseconds = self.told("schedstat").split(' ').next().and_then(|number| number.parse().ok());
        Duration::from_nanos(nanoseconds.unwrap())
    }

    /// The most megabytes that it has held.
    pub(crate) fn memory_most(&self) -> f64 {
        let told = self.told("status");
        let most = told.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let kibibytes: f64 = most.trim_end_matches("kB").trim().parse().unwrap();
        kibibytes * 1024.0 / 1e6
    }

    fn told(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
