//! A server that says what a test wants, and the real client as a process. Nothing here waits for ever, and nothing
//! depends on time but a ceiling after which a test has failed.

use crate::support::{CEILING, await_input};
use porter::protocol::{FrameRead, Reply, Request, VERSION, Wanted};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;
use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdin, Command, Stdio};

pub(super) const NAME: &str = "ann";
pub(super) const PASSWORD: &str = "open sesame 93";
pub(super) const TOKEN: [u8; 16] = *b"first-token-7a1b";

pub(super) struct Server {
    listener: TcpListener,
}

impl Server {
    pub(super) fn start() -> Server {
        Server { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    pub(super) fn port(&self) -> String {
        self.listener.local_addr().unwrap().port().to_string()
    }

    /// The next client to connect, not yet greeted.
    pub(super) fn visitor(&self) -> Visitor {
        await_input(&self.listener);
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_read_timeout(Some(CEILING)).unwrap();
        stream.set_write_timeout(Some(CEILING)).unwrap();
        Visitor { stream }
    }

    /// The next client to connect, greeted.
    pub(super) fn greeted(&self, last_name: &str) -> Visitor {
        let mut visitor = self.visitor();
        visitor.tell(Reply::Hello { version: VERSION, last_name });
        visitor
    }

    /// The next client to connect, logged in with the usual name, password and token.
    pub(super) fn logged_in(&self) -> Visitor {
        let mut visitor = self.greeted("");
        visitor.log_in(&TOKEN);
        visitor
    }

    /// The next client to connect, which presents this token.
    pub(super) fn returning(&self, token: &[u8; 16]) -> Visitor {
        let mut visitor = self.greeted("");
        visitor.expect(Request::Resume(token));
        visitor
    }
}

pub(super) struct Visitor {
    pub(super) stream: TcpStream,
}

impl Visitor {
    pub(super) fn tell(&mut self, reply: Reply<'_>) {
        let mut frame = Vec::new();
        reply.encode(&mut frame);
        self.stream.write_all(&frame).unwrap();
    }

    pub(super) fn say(&mut self, sender: &str, text: &str) {
        self.tell(Reply::Message { sender, text });
    }

    pub(super) fn refuse(&mut self, code: u16, explanation: &str) {
        self.tell(Reply::Error { code, explanation });
    }

    pub(super) fn welcome(&mut self, token: &[u8; 16]) {
        self.tell(Reply::Welcome { token, greeting: "Hello, ann" });
    }

    pub(super) fn expect(&mut self, due: Request<'_>) {
        let body =
            self.stream.read_frame(1 << 24).unwrap().unwrap_or_else(|| panic!("closed before {due:?}"));
        let request = Request::decode(&body).unwrap();
        assert!(request == due, "{request:?} where {due:?} was due, or other contents");
    }

    pub(super) fn expect_text(&mut self, token: &[u8; 16], text: &str) {
        self.expect(Request::Message { token, text: text.as_bytes() });
    }

    pub(super) fn log_in(&mut self, token: &[u8; 16]) {
        self.expect(Request::Identify(NAME.as_bytes()));
        self.tell(Reply::PasswordWanted(Wanted::Login));
        self.expect(Request::Login(PASSWORD.as_bytes()));
        self.welcome(token);
    }

    /// Small buffers between, so that what is not read soon waits at the client.
    pub(super) fn narrow(&self) {
        let socket = socket2::SockRef::from(&self.stream);
        socket.set_send_buffer_size(64 * 1024).unwrap();
        socket.set_recv_buffer_size(64 * 1024).unwrap();
        socket.set_tcp_nodelay(true).unwrap();
    }

    /// Waits for the question that a script puts before its Exit, answers it, and waits for Exit.
    pub(super) fn expect_exit_of_script(&mut self, token: &[u8; 16]) {
        self.expect(Request::Who { token });
        self.tell(Reply::Names { online: 1, names: "ann\n" });
        self.expect(Request::Exit);
    }

    /// Waits for Exit, of a script or a person, and says goodbye.
    pub(super) fn see_off(mut self) {
        let body = self.stream.read_frame(1 << 24).unwrap().expect("closed before Exit");
        match Request::decode(&body).unwrap() {
            Request::Who { .. } => {
                self.tell(Reply::Names { online: 1, names: "ann\n" });
                self.expect(Request::Exit);
            }
            request => assert!(request == Request::Exit, "{request:?} where Exit was due"),
        }
        self.tell(Reply::Bye("see you"));
    }
}

/// How the client ended.
pub(super) struct Outcome {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

/// The real client with pipes.
pub(super) struct Program {
    child: Child,
    stdin: Option<ChildStdin>,
    stderr: Option<ChildStderr>,
    heard: String,
}

impl Program {
    /// As the usual name with the usual password, from the environment.
    pub(super) fn start(server: &Server) -> Program {
        Program::with(server, |command| {
            command.args(["--verbose", "--name", NAME]).env("PORTER_PASSWORD", PASSWORD);
        })
    }

    pub(super) fn with(server: &Server, prepare: impl FnOnce(&mut Command)) -> Program {
        Program::at(&server.port(), prepare)
    }

    pub(super) fn at(port: &str, prepare: impl FnOnce(&mut Command)) -> Program {
        Program::of(|command| {
            command.args(["--host", "127.0.0.1", "--port", port]);
            prepare(command);
        })
    }

    pub(super) fn of(prepare: impl FnOnce(&mut Command)) -> Program {
        // In a session of its own there is no terminal, whoever runs the tests.
        let mut command = Command::new("setsid");
        command.arg(env!("CARGO_BIN_EXE_porter-client")).env_remove("PORTER_PASSWORD");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        prepare(&mut command);
        let mut child = command.spawn().unwrap();
        let (stdin, stderr) = (child.stdin.take(), child.stderr.take());
        Program { child, stdin, stderr, heard: String::new() }
    }

    pub(super) fn types(&mut self, text: &str) {
        self.stdin.as_mut().unwrap().write_all(text.as_bytes()).unwrap();
    }

    pub(super) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// What it ended by, once nothing more comes.
    pub(super) fn signal(&mut self) -> Option<i32> {
        while self.hear() {}
        self.child.wait().unwrap().signal()
    }

    /// Ends the input.
    pub(super) fn falls_silent(&mut self) {
        self.stdin = None;
    }

    /// Nobody reads the replies any more.
    /// Nobody reads what the client prints any more. A program that is being started beside this one has a copy of the
    /// reading end until it runs: that is waited for.
    pub(super) fn stdout_closes(&mut self) {
        let writer = File::options().write(true).open(format!("/proc/{}/fd/1", self.child.id())).unwrap();
        self.child.stdout = None;
        let ceiling = Timespec::try_from(CEILING).unwrap();
        let mut ports = [PollFd::new(&writer, PollFlags::empty())];
        assert_eq!(poll(&mut ports, Some(&ceiling)), Ok(1), "somebody still reads the client's stdout");
    }

    /// Waits until stderr has said this, once more than before.
    pub(super) fn await_notice(&mut self, marker: &str) {
        let from = self.heard.len();
        while !self.heard[from..].contains(marker) {
            assert!(self.hear(), "the client ended without saying {marker:?}: {}", self.heard);
        }
    }

    fn hear(&mut self) -> bool {
        let Some(stderr) = &mut self.stderr else { return false };
        await_input(&*stderr);
        let mut portion = [0; 4096];
        let count = stderr.read(&mut portion).unwrap();
        self.heard.push_str(std::str::from_utf8(&portion[..count]).unwrap());
        count > 0
    }

    /// Waits for the end, leaving the input as it is.
    pub(super) fn ends(&mut self) -> Outcome {
        while self.hear() {}
        let mut stdout = String::new();
        if let Some(mut pipe) = self.child.stdout.take() {
            pipe.read_to_string(&mut stdout).unwrap();
        }
        let code = self.child.wait().unwrap().code();
        Outcome { code, stdout, stderr: std::mem::take(&mut self.heard) }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn file_with(folder: &Path, name: &str, contents: &[u8]) -> std::path::PathBuf {
    let path = folder.join(name);
    File::create(&path).unwrap().write_all(contents).unwrap();
    path
}
