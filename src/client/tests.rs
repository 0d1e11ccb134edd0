//! The blocking client against scripted servers.

use super::*;
use crate::protocol::VERSION;
use std::io::{self, Cursor};
use std::net::TcpListener;
use std::thread;

/// Sends its whole script at once and keeps what it receives.
#[derive(Debug)]
struct Scripted {
    script: Cursor<Vec<u8>>,
    told: Vec<u8>,
}

impl Read for Scripted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.script.read(into)
    }
}

impl Write for Scripted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.told.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const HELLO: Reply<'_> = Reply::Hello { version: VERSION, last_name: "bob" };
const WELCOME: Reply<'_> = Reply::Welcome { token: &[7; 16], greeting: "Hello, ann" };

fn met(replies: &[Reply<'_>]) -> Result<Client<Scripted>, ClientError> {
    let mut script = Vec::new();
    replies.iter().for_each(|reply| reply.encode(&mut script));
    Client::over(Scripted { script: Cursor::new(script), told: Vec::new() })
}

fn error(code: Code) -> Reply<'static> {
    Reply::Error { code: code.number(), explanation: "7 s" }
}

#[test]
fn a_conversation_from_hello_to_bye_says_what_the_protocol_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let turns: [(Reply<'_>, Request<'_>); 6] = [
        (HELLO, Request::Identify(b"ann")),
        (Reply::PasswordWanted(Wanted::Register), Request::Register(b"open sesame")),
        (Reply::PasswordWanted(Wanted::Login), Request::Login(b"open sesame")),
        (WELCOME, Request::Message { token: &[7; 16], text: b"hi" }),
        (Reply::Message { sender: "", text: "hi" }, Request::Exit),
        (Reply::Bye("see you"), Request::Exit),
    ];
    thread::scope(|scope| {
        scope.spawn(|| {
            let (mut stream, _) = listener.accept().unwrap();
            for (reply, request) in turns {
                let mut frame = Vec::new();
                reply.encode(&mut frame);
                stream.write_all(&frame).unwrap();
                if let Some(body) = stream.read_frame(1024).unwrap() {
                    assert!(Request::decode(&body) == Ok(request), "{request:?}");
                }
            }
        });
        let mut client = Client::connect(address, Duration::from_secs(30)).unwrap();
        assert_eq!(client.last_name(), "bob");
        assert_eq!(client.identify("ann").unwrap(), Wanted::Register);
        client.register("open sesame").unwrap();
        assert_eq!(client.login("open sesame").unwrap(), "Hello, ann");
        client.send("hi").unwrap();
        assert_eq!(client.receive().unwrap(), Message { sender: String::new(), text: "hi".into() });
        assert_eq!(client.exit().unwrap(), "see you");
    });
}

#[test]
fn a_resumed_session_has_the_new_token() {
    let mut client = met(&[HELLO, WELCOME]).unwrap();
    client.resume(&Token::new([3; 16])).unwrap();
    client.send("hi").unwrap();
    let mut told = Vec::new();
    Request::Resume(&[3; 16]).encode(&mut told);
    Request::Message { token: &[7; 16], text: b"hi" }.encode(&mut told);
    assert_eq!(client.stream.get_ref().told, told);
    assert!(client.token().unwrap().matches(&[7; 16]));
}

#[test]
fn refusals_are_told_apart() {
    assert!(matches!(met(&[error(Code::Busy)]).unwrap_err().retry_after_seconds(), Some(7)));
    let mut client = met(&[HELLO, error(Code::BadName), error(Code::WrongPassword)]).unwrap();
    assert_eq!(client.identify("a b").unwrap_err().code(), Some(Code::BadName));
    assert_eq!(client.login("wrong").unwrap_err().code(), Some(Code::WrongPassword));
    assert!(matches!(client.send("hi"), Err(ClientError::NotLoggedIn)));
    assert!(matches!(client.login("x"), Err(ClientError::Closed)));
}

#[test]
fn after_a_taken_name_the_next_answer_is_the_next_requests() {
    let login = Reply::PasswordWanted(Wanted::Login);
    let mut client = met(&[HELLO, error(Code::NameTaken), login, WELCOME]).unwrap();
    assert_eq!(client.register("open sesame").unwrap_err().code(), Some(Code::NameTaken));
    assert_eq!(client.login("theirs").unwrap(), "Hello, ann");
}

#[test]
fn what_is_no_porter_server_is_said_to_be_none() {
    let later = Reply::Hello { version: 2, last_name: "" };
    assert!(matches!(met(&[later]), Err(ClientError::Violation(_))));
    assert!(matches!(met(&[WELCOME]), Err(ClientError::Violation(_))));
    assert!(matches!(met(&[]), Err(ClientError::Closed)));
    let over = |script: &[u8]| {
        Client::over(Scripted { script: Cursor::new(script.to_vec()), told: Vec::new() }).unwrap_err()
    };
    assert!(matches!(over(b"HTTP/1.1 400 Bad Request"), ClientError::Violation(_)));
    assert!(matches!(over(b"\0\0\0\x01\x7f"), ClientError::Violation(_)));
    assert!(matches!(over(b"\0\0\0\x09\x81"), ClientError::Closed));
}

#[test]
fn the_end_skips_what_was_under_way() {
    let late = Reply::Message { sender: "bob", text: "wait" };
    let mut client = met(&[HELLO, WELCOME, late, error(Code::NoSuchRecipient), Reply::Bye("bye")]).unwrap();
    client.login("open sesame").unwrap();
    assert_eq!(client.exit().unwrap(), "bye");
    let mut client = met(&[HELLO, WELCOME, Reply::Bye("kicked")]).unwrap();
    client.login("open sesame").unwrap();
    assert!(matches!(client.receive(), Err(ClientError::Bye(reason)) if reason == "kicked"));
}

#[test]
fn texts_that_come_before_another_answer_are_kept() {
    let text = |text| Reply::Message { sender: "bob", text };
    let script = [
        HELLO,
        WELCOME,
        text("one"),
        error(Code::BadAddress),
        Reply::Names { online: 9, names: "ann\nbob\n" },
        text("two"),
        Reply::PasswordChanged,
        error(Code::WrongPassword),
        text("three"),
        Reply::Bye("bye"),
    ];
    let mut client = met(&script).unwrap();
    assert!(matches!(client.who(), Err(ClientError::NotLoggedIn)));
    assert!(matches!(client.change_password("old", "new"), Err(ClientError::NotLoggedIn)));
    client.login("open sesame").unwrap();
    let online = OnlineNames { count: 9, names: vec!["ann".to_owned(), "bob".to_owned()] };
    assert_eq!(client.who().unwrap(), online);
    client.change_password("open sesame", "close sesame").unwrap();
    let refused = client.change_password("open sesame", "close sesame").unwrap_err();
    assert_eq!(refused.code(), Some(Code::WrongPassword));
    assert_eq!(client.receive().unwrap().text, "one");
    assert_eq!(client.receive().unwrap_err().code(), Some(Code::BadAddress));
    assert_eq!(client.receive().unwrap().text, "two");
    assert_eq!(client.receive().unwrap().text, "three");
    assert!(matches!(client.who(), Err(ClientError::Bye(_))));
}
