//! The three programs together: what each row of the design's first table promises, as a user would try it.

use crate::support::{Lines, PASSWORD, Server, eventually};
use std::io::Write;
use std::process::{Child, ChildStdin, Command, Stdio};

/// `porter-client` at a pipe.
struct Person {
    child: Child,
    typing: Option<ChildStdin>,
    stdout: Lines,
    stderr: Lines,
}

impl Person {
    fn arrive(server: &Server, name: &str) -> Person {
        let mut child = Command::new(env!("CARGO_BIN_EXE_porter-client"))
            .args(["--verbose", "--host", "127.0.0.1"])
            .args(["--port", &server.address.port().to_string(), "--name", name])
            .env("PORTER_PASSWORD", PASSWORD)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (out, stdout) = Lines::new();
        Lines::collect(child.stdout.take().unwrap(), out, false);
        let (err, stderr) = Lines::new();
        Lines::collect(child.stderr.take().unwrap(), err, false);
        let mut person = Person { typing: child.stdin.take(), child, stdout, stderr };
        person.stderr.wait_for_line(|line| line.starts_with("Hello"));
        person
    }

    fn types(&mut self, line: &str) {
        writeln!(self.typing.as_ref().unwrap(), "{line}").unwrap();
    }

    fn reads(&mut self, line: &str) {
        self.stdout.wait_for_line(|read| read == line);
    }

    fn leaves(mut self) {
        self.types("exit");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Rows 1, 2, 5, 7 and 9: a message comes back, its length is shown, `exit` ends it and the log says so.
#[test]
fn echo() {
    let server = Server::start(&[]);
    let mut ann = Person::arrive(&server, "ann");
    ann.types("naïve");
    ann.reads("server: naïve");
    ann.stderr.wait_for_line(|line| line.contains('6') && line.contains("bytes"));
    ann.leaves();
    server.folder.log_line(&["disconnected", "exit"]);
}

/// Row 10: the person at the console and the client write to each other, in turn; when the client goes the server
/// waits for the next.
#[test]
fn a_conversation_with_the_operator() {
    let mut server = Server::start(&["--mode", "operator"]);
    for name in ["ann", "bob"] {
        let mut visitor = Person::arrive(&server, name);
        for n in 0..3 {
            visitor.types(&format!("question {n}"));
            server.stdout.wait_for_line(|line| line == format!("{name}: question {n}"));
            server.type_line(&format!("answer {n}"));
            visitor.reads(&format!("server: answer {n}"));
        }
        visitor.leaves();
    }
}

/// Row 11: everyone reads what the others write, `@name text` goes to one, and the console takes part.
#[test]
fn a_chat_of_many() {
    let mut server = Server::start(&["--mode", "chat"]);
    let mut ann = Person::arrive(&server, "ann");
    let mut bob = Person::arrive(&server, "bob");
    ann.reads("server: bob joined");
    let mut carol = Person::arrive(&server, "carol");
    bob.reads("server: carol joined");
    ann.types("hi all");
    bob.reads("ann: hi all");
    carol.reads("ann: hi all");
    bob.types("@ann psst");
    ann.reads("bob: @ann psst");
    server.type_line("closing time");
    for person in [&mut ann, &mut bob, &mut carol] {
        person.reads("server: closing time");
    }
    bob.leaves();
    ann.reads("server: bob left");
}

/// Resume: the network goes and comes back (the server is stopped, so that its port is silent, then ends the
/// connections), and the client goes on by itself.
#[test]
fn a_client_whose_connection_breaks_resumes_by_itself() {
    let server = Server::start(&["--idle-timeout", "1"]);
    let mut ann = Person::arrive(&server, "ann");
    // Idle for longer than the server allows, it is told 107 and comes back with its token.
    ann.stderr.wait_for_line(|line| line.contains("resumed"));
    ann.types("still me");
    ann.reads("server: still me");
    assert_eq!(server.folder.log_lines(&["logged in"], 1).len(), 1, "no second login");
    ann.leaves();
}

/// Many clients one after another, without a failure.
#[cfg(feature = "load")]
#[test]
fn load() {
    let server = Server::start(&[]);
    let output = Command::new(env!("CARGO_BIN_EXE_porter-load"))
        .args(["--port", &server.address.port().to_string(), "--clients", "1500", "--users", "3", "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((report["clients"].as_u64(), report["failed"].as_u64()), (Some(1500), Some(0)));
    eventually("the last to leave", || {
        (server.folder.log_text().matches("disconnected").count() >= 1500).then_some(())
    });
}
