//! The real server as a child process.

use super::{CEILING, Folder, Lines, eventually};
use rustix::process::{Pid, Signal, kill_process};
use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// How a server is to be started.
#[derive(Debug)]
pub(crate) struct Setup {
    flags: Vec<String>,
    folder: Rc<Folder>,
    stdin: Stdio,
    stderr: Stdio,
    environment: Vec<(&'static str, String)>,
    wrapper: Option<&'static str>,
}

impl Setup {
    /// On loopback, on any free port, in a new folder, with few rounds so that tests are quick.
    pub(crate) fn new(flags: &[&str]) -> Setup {
        Setup {
            flags: flags.iter().map(|flag| (*flag).to_owned()).collect(),
            folder: Rc::new(Folder::new()),
            stdin: Stdio::piped(),
            stderr: Stdio::piped(),
            environment: Vec::new(),
            wrapper: None,
        }
    }

    pub(crate) fn folder(mut self, folder: Rc<Folder>) -> Setup {
        self.folder = folder;
        self
    }

    pub(crate) fn stdin(mut self, stdin: impl Into<Stdio>) -> Setup {
        self.stdin = stdin.into();
        self
    }

    /// Its stderr is this, and none of its lines is collected.
    pub(crate) fn stderr(mut self, stderr: impl Into<Stdio>) -> Setup {
        self.stderr = stderr.into();
        self
    }

    /// An environment variable of its.
    pub(crate) fn environment(mut self, key: &'static str, value: &str) -> Setup {
        self.environment.push((key, value.to_owned()));
        self
    }

    /// A shell script that ends in `exec "$0" "$@"`.
    pub(crate) fn wrapper(mut self, script: &'static str) -> Setup {
        self.wrapper = Some(script);
        self
    }

    /// All flags: those given, and for the rest what the tests want as default.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut flags = self.flags.clone();
        for (flag, value) in [
            ("--host", "127.0.0.1".to_owned()),
            ("--port", "0".to_owned()),
            ("--hash-rounds", "1000".to_owned()),
            ("--data", self.folder.data().display().to_string()),
            ("--log-file", self.folder.log().display().to_string()),
        ] {
            // What is listed stands in their place.
            let is_listed =
                ["--host", "--port"].contains(&flag) && self.flags.iter().any(|given| given == "--listen");
            if !is_listed && !flags.iter().any(|given| given == flag) {
                flags.extend([flag.to_owned(), value]);
            }
        }
        flags
    }

    fn command(&mut self) -> Command {
        let program = env!("CARGO_BIN_EXE_porter-server");
        let mut command = match self.wrapper {
            None => Command::new(program),
            Some(script) => {
                let mut command = Command::new("sh");
                command.args(["-c", script, program]);
                command
            }
        };
        command.args(self.arguments()).current_dir(self.folder.path());
        command.stdin(std::mem::replace(&mut self.stdin, Stdio::null()));
        for name in SERVICE_MANAGER_VARIABLES {
            command.env_remove(name);
        }
        command.envs(self.environment.drain(..));
        command
    }

    /// Starts it and waits until it listens.
    pub(crate) fn start(mut self) -> Server {
        let mut command = self.command();
        let child = command.stdout(Stdio::piped()).stderr(self.stderr).spawn().unwrap();
        Server::of(child, self.folder)
    }

    /// Runs a server that is expected to end by itself. One that goes on is killed at the ceiling.
    fn run(mut self) -> Output {
        let mut command = self.command();
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let start = Instant::now();
        while child.try_wait().unwrap().is_none() {
            if start.elapsed() > CEILING {
                child.kill().unwrap();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        child.wait_with_output().unwrap()
    }

    /// Runs a server that must refuse to start, with this exit code and one line on stderr, which is returned.
    pub(crate) fn refused(mut self, code: i32) -> String {
        if !self.flags.iter().any(|flag| flag == "--hash-rounds") {
            // So many that nothing is said about their being too few.
            self.flags.extend(["--hash-rounds".to_owned(), "100000".to_owned()]);
        }
        let shown = format!("{self:?}");
        let output = self.run();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{shown}: {said}");
        assert_eq!(said.lines().count(), 1, "{shown}: {said}");
        assert!(output.stdout.is_empty(), "{shown}");
        said
    }
}

/// A running server. Killed when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Lines of its stdout after the first.
    pub(crate) stdout: Lines,
    /// Lines of its stderr.
    pub(crate) stderr: Lines,
    pub(crate) address: SocketAddr,
    pub(crate) folder: Rc<Folder>,
}

impl Server {
    /// A server with these flags and the tests' defaults for all others.
    pub(crate) fn start(flags: &[&str]) -> Server {
        Setup::new(flags).start()
    }

    /// Waits for the first line of a server that was just spawned. It need not have a stderr of its own.
    pub(crate) fn of(mut child: Child, folder: Rc<Folder>) -> Server {
        let (out_sender, mut stdout) = Lines::new();
        let (err_sender, stderr) = Lines::new();
        Lines::collect(child.stdout.take().unwrap(), out_sender, false);
        if let Some(stream) = child.stderr.take() {
            Lines::collect(stream, err_sender, false);
        }
        let first = stdout.wait_for_line(|_| true);
        let address = first.strip_prefix("listening on ").expect("the first line says where it listens");
        let address: SocketAddr = address.parse().expect("and where is an address and a port");
        assert_eq!(first, format!("listening on {address}"));
        Server { stdin: child.stdin.take(), child, stdout, stderr, address, folder }
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Types a line at the console.
    pub(crate) fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("this server's stdin is a pipe");
        stdin.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Ends the console's input.
    pub(crate) fn close_stdin(&mut self) {
        self.stdin = None;
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits for it to end by itself, and returns its exit code; `None` if a signal killed it.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        eventually("the server's end", || self.child.try_wait().unwrap()).code()
    }

    /// Stops it as an administrator does; it must leave with exit code 0.
    pub(crate) fn terminate(mut self) -> Rc<Folder> {
        self.signal(Signal::TERM);
        assert_eq!(self.exit_code(), Some(0));
        Rc::clone(&self.folder)
    }

    /// Kills it as a power failure would.
    pub(crate) fn kill(self) -> Rc<Folder> {
        Rc::clone(&self.folder)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a service manager under which the tests may run has for itself.
pub(crate) const SERVICE_MANAGER_VARIABLES: [&str; 7] = [
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];
