//! Whatever stdin is, the server serves; and what it asks for on a terminal.

use crate::support::{Folder, Lines, Said, Server, Setup, Visitor, cpu_time, stdin_is_non_blocking};
use pty_process::blocking::{Command, Pts, Pty, open};
use rustix::fs::fcntl_getfl;
use std::fs::File;
use std::io::{Read, Write};
use std::process::Stdio;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const HASH: &str = "$pbkdf2-md5$i=1$AAECAwQFBgcICQoLDA0ODw$EBESExQVFhcYGRobHB0eHw";

/// Serves a client, and uses next to no CPU time over a time in which it has nothing to do: until a
/// stranger is timed out after two seconds.
fn serves_and_rests(server: &Server) {
    let mut ann = Visitor::logged_in(server, "ann");
    ann.expect_echo("hi");
    let mut stranger = Visitor::arrive(server);
    let before = cpu_time(server.pid());
    stranger.expect_last_error(107);
    let used = cpu_time(server.pid()) - before;
    assert!(used < Duration::from_millis(200), "{used:?} of CPU time for nothing");
    ann.expect_echo("still there");
}

fn setup() -> Setup {
    Setup::new(&["--login-timeout", "2"])
}

/// Row 10 and 11: `/dev/null`.
#[test]
fn dev_null() {
    serves_and_rests(&setup().stdin(Stdio::null()).start());
}

/// Row 10: stdin closed.
#[test]
fn closed() {
    serves_and_rests(&setup().wrapper(r#"exec "$0" "$@" <&-"#).start());
}

/// Row 10: a file, empty or not; its end is not the server's.
#[test]
fn a_file() {
    for content in ["", "/help\n", "no line end"] {
        let folder = Rc::new(Folder::new());
        let path = folder.path().join("input");
        std::fs::write(&path, content).unwrap();
        serves_and_rests(&setup().folder(folder).stdin(File::open(path).unwrap()).start());
    }
}

/// What stands in a file is done, however much it is, up to a last line without an end; nobody waits for it meanwhile.
#[test]
fn a_file_of_commands() {
    const LINES: usize = 20_000;
    let folder = Rc::new(Folder::with_users(&[("ann", HASH), ("bob", HASH)]));
    let path = folder.path().join("commands.txt");
    let rest = format!("{}\n{}/users enable bob\n/users list", "x".repeat(70_000), "\n".repeat(LINES));
    std::fs::write(&path, format!("/users disable ann\r\n/users disable bob\n{rest}")).unwrap();
    let mut server = setup().folder(folder).stdin(File::open(&path).unwrap()).start();
    server.stdout.wait_for_line(|line| line.starts_with("ann is disabled"));
    server.stdout.wait_for_line(|line| line == "bob is enabled");
    server.stdout.wait_for_line(|line| line.starts_with("bob") && line.contains("registered"));
    server.folder.log_line(&["console line dropped"]);
    server.folder.log_line(&["console not read any more", "ended"]);
    let mut cem = Visitor::logged_in(&server, "cem");
    cem.expect_echo("hi");
    let folder = server.terminate();

    let stopping = folder.path().join("stop.txt");
    std::fs::write(&stopping, format!("{}/stop\n", "/help\n".repeat(100))).unwrap();
    let mut server = setup().folder(folder).stdin(File::open(stopping).unwrap()).start();
    assert_eq!(server.exit_code(), Some(0));
}

/// Row 11: a pipe that ends, at once, later, or within a line.
#[test]
fn a_pipe_that_ends() {
    let mut server = setup().start();
    server.close_stdin();
    serves_and_rests(&server);

    let mut server = setup().start();
    serves_and_rests(&server);
    server.type_line("/help");
    server.stdout.wait_for_line(|line| line.contains("/who"));
    server.close_stdin();
    serves_and_rests(&server);
}

/// A pipe whose writer says nothing.
#[test]
fn a_quiet_pipe() {
    let server = setup().start();
    serves_and_rests(&server);
    assert!(!stdin_is_non_blocking(server.pid()));
}

/// A server on a terminal of its own: its stdin and stderr.
pub(crate) struct Terminal {
    pub(crate) keyboard: Arc<Pty>,
    pub(crate) slave: Pts,
    pub(crate) screen: Lines,
}

impl Terminal {
    pub(crate) fn new() -> Terminal {
        let (pty, slave) = open().unwrap();
        let keyboard = Arc::new(pty);
        let (sender, screen) = Lines::new();
        Lines::collect(Screen(Arc::clone(&keyboard)), sender, true);
        Terminal { keyboard, slave, screen }
    }

    /// Spawns a server that keeps only its stdout to itself.
    fn spawn(&self, arguments: &[String]) -> std::process::Child {
        let command = Command::new(env!("CARGO_BIN_EXE_porter-server"));
        command.args(arguments).stdout(Stdio::piped()).spawn_borrowed(&self.slave).unwrap()
    }

    pub(crate) fn type_line(&self, line: &str) {
        (&*self.keyboard).write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Waits until the screen shows a text; what it showed until then is forgotten.
    fn wait_for(&mut self, text: &str) {
        self.screen.lines_until(|line| line.contains(text));
    }
}

struct Screen(Arc<Pty>);

impl Read for Screen {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

/// Row 10 and 12: a terminal; the flags of the open file that it shares with a shell stay as they were.
#[test]
fn a_terminal() {
    let terminal = Terminal::new();
    let before = fcntl_getfl(&terminal.slave).unwrap();
    let folder = Rc::new(Folder::new());
    let arguments = setup().folder(Rc::clone(&folder)).arguments();
    let mut server = Server::of(terminal.spawn(&arguments), folder);
    serves_and_rests(&server);
    terminal.type_line("/help");
    server.stdout.wait_for_line(|line| line.contains("/kick"));
    assert!(!stdin_is_non_blocking(server.pid()));
    assert_eq!(fcntl_getfl(&terminal.slave).unwrap(), before);
    terminal.type_line("/quit");
    assert_eq!(server.exit_code(), Some(0));
    assert_eq!(fcntl_getfl(&terminal.slave).unwrap(), before);
}

/// Row 10 at a terminal: the operator answers there. End of input (Ctrl-D) does not stop the server.
#[test]
fn an_operator_at_a_terminal() {
    let terminal = Terminal::new();
    let folder = Rc::new(Folder::new());
    let arguments = Setup::new(&["--mode", "operator"]).folder(Rc::clone(&folder)).arguments();
    let mut server = Server::of(terminal.spawn(&arguments), folder);
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.message("hi");
    server.stdout.wait_for_line(|line| line == "ann: hi");
    terminal.type_line("good evening");
    ann.expect(Said::message("", "good evening"));
    (&*terminal.keyboard).write_all(b"\x04").unwrap();
    ann.message("still there?");
    server.stdout.wait_for_line(|line| line == "ann: still there?");
}

/// Row 13: a server in the background of a shell's terminal is not stopped by what is typed there for others; brought
/// to the foreground, it hears its console again.
#[test]
fn in_the_background() {
    let terminal = Terminal::new();
    let folder = Rc::new(Folder::new());
    let arguments = Setup::new(&["--mode", "operator"]).folder(Rc::clone(&folder)).arguments();
    let script = r#"set -m; "$0" "$@" & read line; echo "heard $line"; fg"#;
    let command = Command::new("bash").args(["-c", script, env!("CARGO_BIN_EXE_porter-server")]);
    let child = command.args(arguments).stdout(Stdio::piped()).spawn_borrowed(&terminal.slave).unwrap();
    let mut server = Server::of(child, folder);
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.message("anybody there?");
    terminal.type_line("typed for the shell");
    server.stdout.wait_for_line(|line| line == "heard typed for the shell");
    ann.message("hello?");
    server.stdout.wait_for_line(|line| line == "ann: hello?");
    // The shell brings it to the foreground, before or after this is typed.
    terminal.type_line("now I am");
    ann.expect(Said::message("", "now I am"));
    terminal.type_line("/quit");
    ann.expect_bye();
    assert_eq!(server.exit_code(), Some(0));
}

/// The flags without host and port, which are asked for then.
fn unasked(folder: &Rc<Folder>) -> Vec<String> {
    let mut arguments = Setup::new(&[]).folder(Rc::clone(folder)).arguments();
    for flag in ["--host", "--port"] {
        let at = arguments.iter().position(|argument| argument == flag).unwrap();
        arguments.drain(at..at + 2);
    }
    arguments
}

/// Row 4: on a terminal host and port are asked for; empty input takes the default, a bad value is refused with a
/// reason and asked for again.
#[test]
fn host_and_port_are_asked_for() {
    let mut terminal = Terminal::new();
    let folder = Rc::new(Folder::new());
    let child = terminal.spawn(&unasked(&folder));
    terminal.wait_for("127.0.0.1");
    terminal.type_line("not an address");
    terminal.wait_for("not an address");
    terminal.wait_for("127.0.0.1");
    terminal.type_line("");
    for bad in ["65536", "-1", "ninety", "9090 9091"] {
        terminal.wait_for("9090");
        terminal.type_line(bad);
        // Its echo, so that the next wait is for the next question.
        terminal.wait_for(bad);
    }
    terminal.wait_for("9090");
    terminal.type_line("0");
    let server = Server::of(child, folder);
    assert!(server.address.ip().is_loopback());
    Visitor::logged_in(&server, "ann").expect_echo("hi");
}

/// Row 4: the port's default is 9090, or the next free one.
#[test]
fn the_default_port() {
    let mut terminal = Terminal::new();
    let folder = Rc::new(Folder::new());
    let child = terminal.spawn(&unasked(&folder));
    terminal.wait_for("127.0.0.1");
    terminal.type_line("127.0.0.1");
    terminal.wait_for("9090");
    terminal.type_line("");
    let server = Server::of(child, folder);
    assert!((9090..=9190).contains(&server.address.port()), "{}", server.address);
}

/// What is given by a flag is not asked for; without a terminal nothing is.
#[test]
fn nothing_is_asked_without_need() {
    let mut terminal = Terminal::new();
    let folder = Rc::new(Folder::new());
    let mut arguments = unasked(&folder);
    arguments.extend(["--host".to_owned(), "127.0.0.1".to_owned()]);
    let child = terminal.spawn(&arguments);
    terminal.wait_for("9090");
    terminal.type_line("0");
    Visitor::arrive(&Server::of(child, folder));

    let folder = Rc::new(Folder::new());
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_porter-server"));
    command.args(unasked(&folder)).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let server = Server::of(command.spawn().unwrap(), folder);
    assert!((9090..=9190).contains(&server.address.port()), "{}", server.address);
}
