//! What a person sees who starts the server at a terminal; and that a pipe sees none of it.

use crate::console_input::Terminal;
use crate::support::{Folder, Server, Setup, Visitor, eventually};
use pty_process::blocking::Command;
use rustix::process::Signal;
use std::net::{SocketAddr, TcpListener};
use std::process::Child;
use std::rc::Rc;

/// A server whose three streams are one terminal. Killed when dropped.
struct Started {
    terminal: Terminal,
    child: Child,
    address: SocketAddr,
    _folder: Rc<Folder>,
}

impl Started {
    fn new(flags: &[&str]) -> Started {
        let mut terminal = Terminal::new();
        let folder = Rc::new(Folder::new());
        let arguments = Setup::new(flags).folder(Rc::clone(&folder)).arguments();
        let mut command = Command::new(env!("CARGO_BIN_EXE_porter-server")).args(arguments);
        let child = command.spawn_borrowed(&terminal.slave).unwrap();
        let line = terminal.screen.wait_for_line(|line| line.starts_with("listening on "));
        let address = line["listening on ".len()..].parse().unwrap();
        Started { terminal, child, address, _folder: folder }
    }

    fn sees(&mut self, text: &str) -> String {
        self.terminal.screen.wait_for_line(|line| line.contains(text))
    }

    fn presses(&self, key: u8) {
        std::io::Write::write_all(&mut &*self.terminal.keyboard, &[key]).unwrap();
    }

    fn exit_code(&mut self) -> Option<i32> {
        eventually("the server ends", || self.child.try_wait().unwrap()).code()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The mode and /help are named at the start, and each mode has a line of its own.
#[test]
fn the_start_names_the_mode_and_help() {
    for mode in ["echo", "operator", "chat"] {
        let mut server = Started::new(&["--mode", mode]);
        let line = server.sees(&format!("{mode} mode: "));
        assert!(line.contains("/help"), "{line}");
    }
}

/// The person at the terminal sees who comes and goes in operator mode.
#[test]
fn an_operator_sees_who_comes_and_goes() {
    let mut server = Started::new(&["--mode", "operator"]);
    let mut ann = Visitor::logged_in_at(server.address, "ann");
    server.sees("(ann joined)");
    let mut elsewhere = Visitor::logged_in_at(server.address, "ann");
    elsewhere.exit();
    elsewhere.expect_bye();
    let mut bob = Visitor::logged_in_at(server.address, "bob");
    server.sees("(bob joined)");
    bob.exit();
    bob.expect_bye();
    server.sees("(bob left)");
    ann.exit();
    ann.expect_bye();
    server.sees("(ann left)");
    let rest = server.terminal.screen.lines_so_far();
    assert!(!rest.iter().any(|line| line.contains("ann")), "a name comes and goes once: {rest:#?}");
}

/// Ctrl-D ends the commands, not the server, and says so; Ctrl-C is answered, and stops it in order.
#[test]
fn the_keys_that_end_something_say_what() {
    let mut server = Started::new(&[]);
    server.presses(4);
    server.sees("no more commands");
    let mut ann = Visitor::logged_in_at(server.address, "ann");
    ann.expect_echo("still here");
    server.presses(3);
    let line = server.sees("stopping");
    assert!(line.starts_with("stopping"), "a line of its own: {line}");
    ann.expect_bye();
    assert_eq!(server.exit_code(), Some(0));
}

/// A busy port is said, and the first line of stdout is still where it listens.
#[test]
fn a_busy_port_is_said() {
    // A port whose successor may be taken too: whichever is next is named.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    if port == u16::MAX {
        return;
    }
    let mut server = Server::start(&["--port", &port.to_string()]);
    let said = format!("porter-server: {port} is in use, listening on {}", server.address.port());
    server.stderr.wait_for_line(|line| line == said);
    server.folder.log_line(&["WARN", &format!("{port} is in use")]);
}

/// In a pipe there is nothing but what was always there.
#[test]
fn a_pipe_sees_what_it_always_saw() {
    let mut server = Server::start(&["--mode", "operator"]);
    let mut ann = Visitor::logged_in(&server, "ann");
    ann.message("hi");
    ann.exit();
    ann.expect_bye();
    server.close_stdin();
    server.signal(Signal::INT);
    assert_eq!(server.exit_code(), Some(0));
    let lines = server.stdout.wait_for_end();
    assert_eq!(lines, ["ann: hi", "ann has gone; the next to write will be answered"]);
}
