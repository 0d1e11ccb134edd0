//! Streams that are slow, that nobody reads, or that others have made non-blocking: nothing is lost, nothing is stuck.

use super::fake::{NAME, PASSWORD, Program, Server, TOKEN, file_with};
use crate::support::Terminal;
use porter::protocol::{FrameRead, Reply, Request};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::read;
use std::fs::File;
use std::io::{self, BufReader, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;

fn make_non_blocking(end: impl AsFd) {
    let flags = fcntl_getfl(&end).unwrap();
    fcntl_setfl(&end, flags | OFlags::NONBLOCK).unwrap();
}

/// A pipe of which the client's end is non-blocking.
fn pipe(client_reads: bool) -> (PipeReader, PipeWriter) {
    let (reader, writer) = io::pipe().unwrap();
    if client_reads {
        make_non_blocking(&reader)
    } else {
        make_non_blocking(&writer)
    }
    (reader, writer)
}

fn echo(server: &Server) {
    let mut visitor = server.logged_in();
    let mut requests = BufReader::new(visitor.stream.try_clone().unwrap());
    loop {
        let body = requests.read_frame(65_536).unwrap().unwrap();
        match Request::decode(&body).unwrap() {
            Request::Message { text, .. } => visitor.say("", std::str::from_utf8(text).unwrap()),
            Request::Who { .. } => visitor.tell(Reply::Names { online: 1, names: "ann\n" }),
            _ => return visitor.tell(Reply::Bye("bye")),
        }
    }
}

/// 288 of 2 000 lines arrived where the output was non-blocking and its reader slow.
#[test]
fn non_blocking_streams_lose_nothing() {
    let lines: Vec<String> = (0..3_000).map(|number| format!("{number} {}", "x".repeat(90))).collect();
    let server = Server::start();
    let (stdin, mut typing) = pipe(true);
    let (reading, stdout) = pipe(false);
    let (notices, stderr) = pipe(false);
    let mut client = Program::with(&server, |command| {
        command.args(["--verbose", "--name", NAME]).env("PORTER_PASSWORD", PASSWORD);
        command.stdin(stdin).stdout(stdout).stderr(stderr);
    });
    thread::scope(|scope| {
        scope.spawn(|| echo(&server));
        scope.spawn(|| {
            for line in &lines {
                writeln!(typing, "{line}").unwrap();
            }
            drop(typing);
        });
        // Nobody reads before the pipes are full.
        let notices = scope.spawn(|| io::read_to_string(notices).unwrap());
        let got = read_slowly(reading);
        let expected: String = lines.iter().map(|line| format!("server: {line}\n")).collect();
        assert!(got == expected, "{} of {} bytes", got.len(), expected.len());
        assert!(notices.join().unwrap().contains("goodbye: bye\n"));
    });
    assert_eq!(client.ends().code, Some(0));
}

/// By few bytes at a time.
fn read_slowly(reader: PipeReader) -> String {
    let (mut got, mut portion) = (Vec::new(), [0; 700]);
    loop {
        match read(&reader, &mut portion).unwrap() {
            0 => return String::from_utf8(got).unwrap(),
            count => got.extend_from_slice(&portion[..count]),
        }
    }
}

/// Much more was told than a pipe holds, and the client hung.
#[test]
fn a_stderr_that_nobody_reads_holds_nothing_up() {
    let folder = tempfile::tempdir().unwrap();
    let input: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    let input = file_with(folder.path(), "input", input.as_bytes());
    let server = Server::start();
    let (unread, stderr) = io::pipe().unwrap();
    let output = folder.path().join("output");
    let mut client = Program::with(&server, |command| {
        command.args(["--verbose", "--name", NAME]).env("PORTER_PASSWORD", PASSWORD).stderr(stderr);
        command.stdin(File::open(&input).unwrap()).stdout(File::create(&output).unwrap());
    });
    echo(&server);
    assert_eq!(client.ends().code, Some(0));
    assert_eq!(std::fs::read_to_string(output).unwrap().lines().count(), 20_000);

    // Nor does the reason of a failure, which comes last.
    let mut client = Program::with(&server, |command| {
        let stderr = client_end_of_full_pipe();
        command.args(["--name", NAME]).env("PORTER_PASSWORD", PASSWORD).stderr(stderr.1);
        std::mem::forget(stderr.0);
    });
    server.visitor().refuse(106, "7 seconds: full");
    assert_eq!(client.ends().code, Some(1));
    drop(unread);
}

/// A pipe that takes nothing, and would hold up whoever writes.
fn client_end_of_full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = io::pipe().unwrap();
    make_non_blocking(&writer);
    while writer.write(&[0; 4096]).is_ok() {}
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags - OFlags::NONBLOCK).unwrap();
    (reader, writer)
}

#[test]
fn what_closes_early_ends_quietly() {
    let server = Server::start();
    let mut client = Program::start(&server);
    let mut visitor = server.logged_in();
    client.types("one\ntwo\n");
    visitor.expect_text(&TOKEN, "one");
    visitor.expect_text(&TOKEN, "two");
    client.stdout_closes();
    visitor.say("", "one");
    visitor.see_off();
    let end = client.ends();
    assert!(!end.stderr.contains("porter-client"), "{}", end.stderr);

    for flag in ["--help", "--version"] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let program = Command::new(env!("CARGO_BIN_EXE_porter-client")).arg(flag).stdout(writer).output();
        let output = program.unwrap();
        assert_eq!((output.status.code(), output.stderr.len()), (Some(0), 0));
    }
}

/// The last replies too: what a full disk did not take is lost, and exit code 0 would say that it is not.
#[test]
fn a_stdout_that_takes_nothing_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let input = file_with(folder.path(), "input", b"hello\n");
    let server = Server::start();
    let mut client = Program::with(&server, |command| {
        command.args(["--name", NAME]).env("PORTER_PASSWORD", PASSWORD);
        command.stdin(File::open(&input).unwrap()).stdout(File::create("/dev/full").unwrap());
    });
    let mut visitor = server.logged_in();
    visitor.expect_text(&TOKEN, "hello");
    visitor.expect_exit_of_script(&TOKEN);
    let mut last = Vec::new();
    Reply::Message { sender: "", text: "hello" }.encode(&mut last);
    Reply::Bye("bye").encode(&mut last);
    visitor.stream.write_all(&last).unwrap();
    let end = client.ends();
    assert_eq!(end.code, Some(1));
    assert!(end.stderr.contains("cannot write to stdout: "), "{}", end.stderr);
}

/// Somebody else's program has left the terminal non-blocking.
#[test]
fn a_non_blocking_terminal_is_asked_and_typed_at_as_any_other() {
    let server = Server::start();
    let script = "import os, sys
for stream in range(3): os.set_blocking(stream, False)
os.execv(sys.argv[1], sys.argv[1:])";
    let program = env!("CARGO_BIN_EXE_porter-client");
    let command =
        pty_process::blocking::Command::new("python3").args(["-c", script, program, "--name", NAME]);
    let mut person = Terminal::of(command);
    person.answer("Host [127.0.0.1]: ", "");
    person.answer("Port [9090]: ", &server.port());
    let mut visitor = person.log_in(&server);
    person.await_text("> ");
    person.types("hi\r");
    visitor.expect_text(&TOKEN, "hi");
    let long = "x".repeat(60_000);
    visitor.say("bob", &long);
    person.await_text(&format!("bob: {long}"));
    person.types("exit\r");
    visitor.see_off();
    assert_eq!(person.ends(), Some(0));
}

/// A stdout that takes nothing holds up the server's words, and nothing else: a signal still ends the client.
#[test]
fn a_stuck_stdout_does_not_hold_up_a_signal() {
    let server = Server::start();
    let (reader, stdout) = io::pipe().unwrap();
    let mut client = Program::with(&server, |command| {
        command.args(["--verbose", "--name", NAME]).env("PORTER_PASSWORD", PASSWORD);
        command.stdout(stdout).stderr(Stdio::piped());
    });
    let mut visitor = server.logged_in();
    for _ in 0..8 {
        visitor.say("bob", &"x".repeat(60_000));
    }
    client.await_notice("received 60000 bytes\nreceived 60000 bytes\n");
    rustix::process::kill_process(client.pid(), rustix::process::Signal::TERM).unwrap();
    visitor.see_off();
    assert_eq!(client.signal(), Some(15));
    let mut shown = String::new();
    { reader }.read_to_string(&mut shown).unwrap();
    assert!(shown.starts_with("bob: xxx"));
}
