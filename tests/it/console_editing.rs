//! The line that an operator edits at the server's terminal, what arrives above it, and the terminal afterwards.

use crate::support::Terminal;
use crate::support::{Folder, Said, Setup, Visitor, cpu_time, eventually, is_stopped, limit};
use porter::handler::{Context, Handler, Speaker};
use porter::server::{Options, Server};
use pty_process::blocking::{Command, open};
use rustix::process::{Pid, Resource, Signal, kill_process};
use rustix::termios::{LocalModes, OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::rc::Rc;
use std::time::Duration;

const SERVER: &str = env!("CARGO_BIN_EXE_porter-server");

/// A server whose three streams are one terminal, and the person at it.
struct Operator {
    person: Terminal,
    address: SocketAddr,
    folder: Rc<Folder>,
}

impl Operator {
    /// A server in operator mode, with the row to type in.
    fn new() -> Operator {
        let command = Command::new(SERVER).env("TERM", "xterm");
        let mut operator = Operator::started(&["--mode", "operator"], command);
        operator.person.await_text("\r\x1b[K> ");
        assert!(!operator.person.is_as_before(), "keys are read one by one");
        operator
    }

    /// A server that listens, started by this command, which its arguments are behind.
    fn started(flags: &[&str], command: Command) -> Operator {
        let folder = Rc::new(Folder::new());
        let arguments = Setup::new(flags).folder(Rc::clone(&folder)).arguments();
        let mut person = Terminal::of(command.args(arguments));
        let address = address(&mut person);
        Operator { person, address, folder }
    }

    /// The same from a shell that has job control and does this with it.
    fn in_shell(script: &str) -> Operator {
        let script = format!("set -m; {script}");
        let command = Command::new("bash").args(["-c", &script, SERVER]).env("TERM", "xterm");
        Operator::started(&["--mode", "operator"], command)
    }

    /// Logged in, and the operator has seen it.
    fn visitor(&mut self, name: &str) -> Visitor {
        let visitor = Visitor::logged_in_at(self.address, name);
        self.person.await_text(&format!("({name} joined)\r\n"));
        visitor
    }

    /// The process of the server, which a shell may have started.
    fn server(&self) -> Pid {
        let number = self.folder.read("lock");
        Pid::from_raw(number.trim().parse().unwrap()).unwrap()
    }
}

/// Where it listens, as the terminal shows.
fn address(person: &mut Terminal) -> SocketAddr {
    person.await_text("listening on ");
    person.await_text("\r\n");
    let (_, rest) = person.shown.split_once("listening on ").unwrap();
    rest.lines().next().unwrap().parse().unwrap()
}

#[test]
fn what_arrives_is_shown_above_what_is_typed() {
    let mut operator = Operator::new();
    let mut ann = operator.visitor("ann");
    operator.person.types("good eve");
    operator.person.await_text("good eve");
    ann.message("is anybo\x1b[2J\x1b]0;x\x07dy there?");
    operator
        .person
        .await_text("\r\x1b[Kann: is anybo\\u{1b}[2J\\u{1b}]0;x\\u{7}dy there?\r\n\r\x1b[K> good eve");
    operator.person.types("ning\r");
    ann.expect(Said::message("", "good evening"));
    // The line stays, and the row below it is empty.
    operator.person.await_text("ning\r\n\r\x1b[K> ");
    operator.person.types("/who\r");
    operator.person.await_text("/who\r\nann  127.0.0.1:");
    operator.person.await_text("not logged in\r\n\r\x1b[K> ");
    operator.person.types("/stop\r");
    ann.expect_bye();
    assert_eq!(operator.person.ends(), Some(0));
    assert!(operator.person.is_as_before());
}

/// The log may go to the same terminal, and otherwise what is wrong with it is said there.
#[test]
fn what_is_logged_is_shown_above_what_is_typed() {
    let command = Command::new(SERVER).env("TERM", "xterm");
    let mut operator = Operator::started(&["--log-file", "-"], command);
    operator.person.types("half a li");
    operator.person.await_text("half a li");
    let mut ann = Visitor::logged_in_at(operator.address, "ann");
    operator.person.await_text(" logged in ");
    operator.person.await_text("\r\n\r\x1b[K> half a li");
    operator.person.types("\x15/stop\r");
    ann.expect_bye();
    assert_eq!(operator.person.ends(), Some(0));
    for line in operator.person.shown.lines().filter(|line| line.contains(" INFO ")) {
        let shown = line.rsplit("\r\x1b[K").next().unwrap();
        assert!(!shown.contains("> "), "{line:?}");
    }

    let mut operator = Operator::new();
    operator.person.types("half a li");
    operator.person.await_text("half a li");
    let log = operator.folder.log();
    std::fs::rename(&log, log.with_extension("before")).unwrap();
    std::fs::create_dir(&log).unwrap();
    kill_process(operator.server(), Signal::HUP).unwrap();
    operator.person.await_text("\r\x1b[Kporter-server: the log file ");
    operator.person.await_text("the service goes on without\r\n\r\x1b[K> half a li");
    std::fs::remove_dir(&log).unwrap();
    kill_process(operator.server(), Signal::HUP).unwrap();
    operator.person.await_text("\r\x1b[Kporter-server: the log file ");
    operator.person.await_text("can be written again\r\n\r\x1b[K> half a li");
    operator.person.types("\x15/stop\r");
    assert_eq!(operator.person.ends(), Some(0));
}

/// What is said on another terminal tears nothing here, and nothing is drawn anew for it.
#[test]
fn what_is_said_on_another_terminal_leaves_the_row_alone() {
    let (mut elsewhere, pts) = open().unwrap();
    let device = pts.as_fd().try_clone_to_owned().unwrap();
    let command = Command::new(SERVER).env("TERM", "xterm").stderr(device);
    let mut operator = Operator::started(&["--log-file", "-"], command);
    operator.person.await_text("\r\x1b[K> ");
    operator.person.types("half a li");
    operator.person.await_text("half a li");
    for name in ["ann", "bob", "cem"] {
        drop(Visitor::logged_in_at(operator.address, name));
    }
    let mut said = String::new();
    while said.matches(" disconnected ").count() < 3 {
        let mut portion = [0; 4096];
        let count = elsewhere.read(&mut portion).unwrap();
        said.push_str(&String::from_utf8_lossy(&portion[..count]));
    }
    operator.person.types("\x15/stop\r");
    assert_eq!(operator.person.ends(), Some(0));
    assert_eq!(operator.person.shown.matches("half a li").count(), 1, "{:?}", operator.person.shown);
}

#[test]
fn keys_edit_and_tab_completes_commands_and_names() {
    let mut operator = Operator::new();
    let mut visitors = ["ann", "anna", "bob"].map(|name| operator.visitor(name));
    operator.person.types("@bob helo\x1b[Dl\r");
    visitors[2].expect(Said::message("", "hello"));
    operator.person.types("\x1b[A, na\u{ef}ve \u{674e}\x7f\u{1f469}e\u{301}\x1b[D\x1b[D-\r");
    visitors[2].expect(Said::message("", "hello, na\u{ef}ve -\u{1f469}e\u{301}"));
    operator.person.types("/kick b\tb\x7f\r");
    visitors[2].expect_bye();
    operator.person.await_text("(bob left)");
    // Two begin so: as far as both go on alike, then both are shown.
    operator.person.types("@a\t\t");
    operator.person.await_text("\r\x1b[K@ann   @anna \r\n\r\x1b[K> @ann");
    operator.person.types("a\tgood evening\r");
    visitors[1].expect(Said::message("", "good evening"));
    operator.person.types("/use\tdisable an\t\t\r");
    operator.person.await_text("/users disable ann  /users disable anna\r\n");
    visitors[0].expect_bye();
    // About accounts it knows those who are not here, too.
    operator.person.types("/users enable ann\t\t");
    operator.person.await_text("/users enable ann  /users enable anna\r\n");
    operator.person.types("\r");
    operator.person.await_text("ann is enabled\r\n");
    operator.person.types("/users remove b\t\r");
    operator.person.await_text("bob is removed\r\n");
    operator.person.types("/st\t\t");
    operator.person.await_text("/stats  /stop\r\n\r\x1b[K> /st");
    operator.person.types("o\t\r");
    visitors[1].expect_bye();
    assert_eq!(operator.person.ends(), Some(0));
}

/// Whatever ends the server leaves the terminal as it was. At a panic see below.
#[test]
fn every_end_gives_the_terminal_back() {
    for (end, code, signal) in [("/stop\r", Some(0), None), ("\x03", Some(0), None), ("\x1c", None, Some(3))]
    {
        let mut operator = Operator::new();
        limit(operator.person.pid(), Resource::Core, Some(0));
        operator.person.types("half a li");
        operator.person.await_text("half a li");
        operator.person.types(&format!("\x15{end}"));
        let ended = (operator.person.ends(), operator.person.child.wait().unwrap().signal());
        assert_eq!(ended, (code, signal), "{end:?}");
        assert!(operator.person.is_as_before(), "{end:?}");
    }
    let mut operator = Operator::new();
    kill_process(operator.person.pid(), Signal::TERM).unwrap();
    operator.person.await_text("\r\x1b[Kstopping");
    assert_eq!(operator.person.ends(), Some(0));
    assert!(operator.person.is_as_before());
    // A start that fails behind the console.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    if cfg!(feature = "admin") {
        let setup = Setup::new(&["--metrics", &address]);
        let mut person = Terminal::of(Command::new(SERVER).args(setup.arguments()));
        person.await_text("--metrics");
        assert_eq!(person.ends(), Some(1));
        assert!(person.is_as_before());
    }
}

/// The first signal gives the terminal back, since the second has no time for that.
#[test]
fn a_second_signal_leaves_no_raw_terminal() {
    let mut operator = Operator::new();
    // Reads nothing and does not go: the stop takes some time.
    let ann = operator.visitor("ann");
    operator.person.types("\x03");
    operator.person.await_text("\r\x1b[Kstopping: ");
    eventually("the terminal is given back", || operator.person.is_as_before().then_some(()));
    operator.person.types("\x03");
    assert_eq!(operator.person.ends(), Some(130));
    assert!(operator.person.is_as_before());
    drop(ann);
}

/// Ctrl-D says that commands end, and the terminal is one that the shell's user knows.
#[test]
fn the_end_of_the_input_ends_the_editing_and_nothing_else() {
    let mut operator = Operator::new();
    operator.person.types("x\x7f\x04");
    operator.person.await_text("\r\x1b[Kthe input has ended: no more commands");
    eventually("the terminal is given back", || operator.person.is_as_before().then_some(()));
    let mut ann = operator.visitor("ann");
    ann.message("still there?");
    operator.person.await_text("ann: still there?\r\n");
    operator.person.types("\x03");
    ann.expect_bye();
    assert_eq!(operator.person.ends(), Some(0));
}

/// Its handler fails as it should never do.
struct Panicking;

impl Handler for Panicking {
    fn message(&mut self, _: Speaker<'_>, _: &str, _: &mut dyn Context) {
        panic!("as the test wants it");
    }
}

/// No program of porter's panics when it is asked to: the test itself is one, at a terminal.
#[test]
fn a_panic_gives_the_terminal_back() {
    const TEST: &str = "console_editing::a_panic_gives_the_terminal_back";
    if std::env::var_os("PORTER_TEST_PANICS").is_some() {
        let data = Folder::new();
        let config = porter::engine::Config { hash_rounds: 1_000, ..Default::default() };
        let options = Options { port: 0, data: data.data(), config, ..Options::default() };
        let mut server = Server::bind(options, Box::new(Panicking)).unwrap();
        server.attach_console();
        println!("listening on {}", server.addresses().unwrap()[0]);
        server.run().unwrap();
    }
    let command = Command::new(std::env::current_exe().unwrap());
    let command = command.args(["--exact", TEST, "--nocapture", "--test-threads=1"]);
    let mut person = Terminal::of(command.env("TERM", "xterm").env("PORTER_TEST_PANICS", "1"));
    let address = address(&mut person);
    person.await_text("\r\x1b[K> ");
    assert!(!person.is_as_before());
    Visitor::logged_in_at(address, "ann").message("now");
    person.await_text("as the test wants it");
    assert_eq!(person.ends(), Some(101));
    assert!(person.is_as_before());
}

/// Ctrl-Z: the shell has its terminal as it knows it, and gets it back so; then the row is there again.
#[test]
fn a_server_that_is_stopped_gives_the_terminal_back_and_goes_on_where_it_was() {
    let mut operator =
        Operator::in_shell(r#""$0" "$@"; echo "stopped by $?"; read line; echo "heard $line"; fg; exit $?"#);
    let mut ann = operator.visitor("ann");
    operator.person.types("good eve");
    operator.person.await_text("good eve");
    operator.person.types("\x1a");
    operator.person.await_text("\r\x1b[K");
    operator.person.await_text("stopped by ");
    assert!(is_stopped(operator.server()));
    assert!(operator.person.is_as_before());
    ann.message("hello?");
    operator.person.types("for the shell\r");
    operator.person.await_text("heard for the shell");
    operator.person.await_text("\r\x1b[K> good eve");
    operator.person.await_text("ann: hello?\r\n\r\x1b[K> good eve");
    assert!(!operator.person.is_as_before());
    operator.person.types("ning\r");
    ann.expect(Said::message("", "good evening"));
    operator.person.types("/stop\r");
    ann.expect_bye();
    assert_eq!(operator.person.ends(), Some(0));
    assert!(operator.person.is_as_before());
}

/// Stopped by somebody else, with or without being asked first.
#[test]
fn a_server_that_is_continued_has_its_row_again() {
    let mut operator = Operator::new();
    let pid = operator.person.pid();
    operator.person.types("half a li");
    operator.person.await_text("half a li");
    for stop in [Signal::TSTP, Signal::STOP] {
        kill_process(pid, stop).unwrap();
        eventually("the server is stopped", || is_stopped(pid).then_some(()));
        assert_eq!(operator.person.is_as_before(), stop == Signal::TSTP);
        // As a shell leaves it that knows nothing better.
        let mut modes = tcgetattr(&operator.person.pty).unwrap();
        modes.local_modes |= LocalModes::ECHO | LocalModes::ICANON;
        tcsetattr(&operator.person.pty, OptionalActions::Now, &modes).unwrap();
        kill_process(pid, Signal::CONT).unwrap();
        operator.person.await_text("> half a li");
        eventually("keys are read one by one again", || (!operator.person.is_as_before()).then_some(()));
    }
    // The key does nothing to the first process of a terminal: nobody could continue it.
    operator.person.types("\x1a\x15/stop\r");
    assert_eq!(operator.person.ends(), Some(0));
    assert!(operator.person.is_as_before());
}

/// Continued in the background, or started there, the server leaves the terminal alone and serves; brought to the
/// foreground it has its row again.
#[test]
fn in_the_background_the_terminal_is_somebody_elses() {
    for script in [
        r#""$0" "$@" & read line; echo "heard $line"; fg; exit $?"#,
        r#""$0" "$@"; bg; read line; echo "heard $line"; fg; exit $?"#,
    ] {
        let mut operator = Operator::in_shell(script);
        if script.contains("bg") {
            operator.person.await_text("\r\x1b[K> ");
            operator.person.types("\x1a");
            operator.person.await_text("&");
        }
        let mut ann = operator.visitor("ann");
        // Who writes to it in the background is stopped, from now on, unless it looks before.
        let mut modes = tcgetattr(&operator.person.pty).unwrap();
        assert!(modes.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
        modes.local_modes |= LocalModes::TOSTOP;
        tcsetattr(&operator.person.pty, OptionalActions::Now, &modes).unwrap();
        ann.message("hello?");
        let mut bob = Visitor::logged_in_at(operator.address, "bob");
        assert!(!is_stopped(operator.server()));
        let before = cpu_time(operator.server());
        operator.person.types("for the shell\n");
        operator.person.await_text("heard for the shell");
        // Nothing tells the server that the terminal is its own again but what is typed there.
        operator.person.types("@bob now I am\r");
        bob.expect(Said::message("", "now I am"));
        operator.person.await_text("ann: hello?\r\n");
        operator.person.await_text("\r\x1b[K> ");
        assert!(cpu_time(operator.server()) - before < Duration::from_secs(1), "it spins");
        // That may have been the line above, which stays on the screen and was read before the keys were taken.
        eventually("keys are read one by one", || (!operator.person.is_as_before()).then_some(()));
        operator.person.types("/stop\r");
        ann.expect_bye();
        assert_eq!(operator.person.ends(), Some(0));
    }
}

/// A terminal that takes nothing holds up nobody, and costs no more than what is dropped; what is typed is still done.
#[test]
fn a_frozen_terminal_holds_up_nobody() {
    let mut operator = Operator::new();
    let mut ann = operator.visitor("ann");
    operator.person.types("good eve");
    operator.person.await_text("good eve");
    let text = "x".repeat(60_000);
    for _ in 0..20 {
        ann.message(&text);
    }
    let mut bob = Visitor::logged_in_at(operator.address, "bob");
    bob.who();
    assert!(matches!(bob.next(), Said::Names(..)));
    operator.person.types("ning\r@bob and you\r");
    bob.expect(Said::message("", "and you"));
    ann.expect(Said::message("", "good evening"));
    let before = cpu_time(operator.server());
    operator.person.types("half a li");
    operator.person.await_text("lines were not shown");
    operator.person.await_text("> half a li");
    assert!(cpu_time(operator.server()) - before < Duration::from_secs(2), "it spins");
    operator.person.types("\x15/stop\r");
    assert_eq!(operator.person.ends(), Some(0));
}

/// A terminal that edits lines itself cuts them at 4 095 bytes without a word.
#[test]
fn long_lines_and_pastes_arrive_whole() {
    const PASTED: usize = 10_000;
    let mut operator = Operator::new();
    let mut ann = operator.visitor("ann");
    let long = "0123456789".repeat(3_000);
    let pasted: String = (0..PASTED).map(|number| format!("pasted line {number}\r")).collect();
    let keys = format!("@ann {long}\r{}\r@ann first\r{pasted}/stop\r", "x".repeat(70_000));
    ann.message("write to me");
    let mut typist = File::from(rustix::io::dup(&operator.person.pty).unwrap());
    let typing = std::thread::spawn(move || typist.write_all(keys.as_bytes()).unwrap());
    let reading = std::thread::spawn(move || {
        ann.expect(Said::message("", &long));
        ann.expect(Said::message("", "first"));
        for number in 0..PASTED {
            ann.expect(Said::message("", &format!("pasted line {number}")));
        }
        ann.expect_bye();
    });
    operator.person.await_text("not taken: a line has at most 65536 bytes\r\n");
    assert_eq!(operator.person.ends(), Some(0));
    typing.join().unwrap();
    reading.join().unwrap();
    operator.folder.log_line(&["WARN", "console line dropped"]);
}

/// Wide characters and all, the row fits the window, and follows its size.
#[test]
fn the_row_follows_the_window() {
    let mut operator = Operator::new();
    let resize = |operator: &Operator, ws_col| {
        let size = Winsize { ws_row: 25, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&operator.person.pty, size).unwrap();
    };
    resize(&operator, 30);
    operator.person.types(&"\u{674e}".repeat(60));
    operator.person.await_text(&"\u{674e}".repeat(13));
    resize(&operator, 11);
    operator.person.await_text("\r\x1b[K\r\x1b[K> \u{674e}\u{674e}\u{674e}\u{674e}");
    resize(&operator, 0);
    operator.person.await_text(&format!("\r\x1b[K\r\x1b[K> {}", "\u{674e}".repeat(38)));
    operator.person.types("\x15/stop\r");
    assert_eq!(operator.person.ends(), Some(0));
}

/// What can draw nothing but letters is left to edit its lines itself.
#[test]
fn a_dumb_terminal_is_as_it_always_was() {
    let command = Command::new(SERVER).env("TERM", "dumb");
    let mut operator = Operator::started(&["--mode", "operator"], command);
    let mut ann = operator.visitor("ann");
    assert!(operator.person.is_as_before());
    ann.message("hello?");
    operator.person.await_text("ann: hello?\r\n");
    operator.person.types("good evening\n");
    ann.expect(Said::message("", "good evening"));
    operator.person.types("\x03");
    operator.person.await_text("^C\r\nstopping: ");
    assert_eq!(operator.person.ends(), Some(0));
    assert!(!operator.person.shown.contains('\x1b'), "{}", operator.person.shown);
}

/// A terminal that is hung up takes the console with it, and nothing else.
#[test]
fn a_terminal_that_is_hung_up_ends_nothing_and_costs_nothing() {
    let folder = Rc::new(Folder::new());
    let arguments = Setup::new(&["--login-timeout", "1"]).folder(Rc::clone(&folder)).arguments();
    let (mut pty, pts) = open().unwrap();
    let command = Command::new(SERVER).args(arguments);
    let mut child = command.env("TERM", "xterm").spawn(pts).unwrap();
    let mut shown = String::new();
    while !shown.ends_with("> ") {
        let mut portion = [0; 1_000];
        let count = pty.read(&mut portion).unwrap();
        shown.push_str(&String::from_utf8_lossy(&portion[..count]));
    }
    pty.write_all(b"half a li").unwrap();
    let (_, rest) = shown.split_once("listening on ").unwrap();
    let address = rest.lines().next().unwrap().parse().unwrap();
    let mut ann = Visitor::logged_in_at(address, "ann");
    drop(pty);
    folder.log_line(&["console not read any more"]);
    let pid = Pid::from_child(&child);
    let before = cpu_time(pid);
    // A second in which it has nothing to do.
    Visitor::of(std::net::TcpStream::connect(address).unwrap()).greeted().expect_last_error(107);
    let used = cpu_time(pid) - before;
    assert!(used < Duration::from_millis(200), "{used:?} of CPU time for nothing");
    ann.expect_echo("still there");
    kill_process(pid, Signal::TERM).unwrap();
    ann.expect_bye();
    assert_eq!(eventually("the server ends", || child.try_wait().unwrap()).code(), Some(0));
}
