//! A server inside another program: a handler with state, a timer, things from elsewhere, and an end from another thread.

use porter::auth::SessionId;
use porter::client::{Client, ClientError};
use porter::engine::Config;
use porter::handler::{Context, Echo, Handler, Speaker};
use porter::protocol::Code;
use porter::server::{Options, Server, ServerError, ServerThread};
use porter::store::{DiskStore, OsDisk};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::time::Duration;
use tempfile::TempDir;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Does what its clients ask, and sends what comes from elsewhere to whoever wrote last.
struct Obliging {
    outside: Receiver<String>,
    last: Option<SessionId>,
    ended: Sender<String>,
}

impl Handler for Obliging {
    fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context) {
        self.last = Some(from.session);
        match text {
            "where" => {
                let peer = context.peer(from.session).map_or("nowhere".to_owned(), |peer| peer.to_string());
                context.send(from.session, None, &peer);
            }
            "later" => {
                context.set_timer(Duration::from_secs(3_600));
                context.set_timer(Duration::from_millis(20));
            }
            "end" => context.end(from.session, "it was asked for"),
            "refuse" => context.refuse(from.session, Code::BadAddress, "there is no such command"),
            "panic" => panic!("as the test wants it"),
            _ => {
                context.send(from.session, None, text);
            }
        }
    }

    fn timer(&mut self, context: &mut dyn Context) {
        if let Some(last) = self.last {
            context.send(last, None, "it is time");
        }
    }

    fn woken(&mut self, context: &mut dyn Context) {
        for text in self.outside.try_iter() {
            if let Some(last) = self.last {
                context.send(last, None, &text);
            }
        }
    }

    fn left(&mut self, who: Speaker<'_>, _: bool, _: &mut dyn Context) {
        self.last = self.last.filter(|last| *last != who.session);
        self.ended.send(who.name.to_string()).unwrap();
    }
}

struct Running {
    server: ServerThread,
    outside: Sender<String>,
    ended: Receiver<String>,
    data: TempDir,
}

fn options(data: &TempDir) -> Options {
    let config = Config { hash_rounds: 1_000, ..Config::default() };
    Options { port: 0, data: data.path().into(), config, ..Options::default() }
}

fn running() -> Running {
    let data = tempfile::tempdir().unwrap();
    let options = options(&data);
    let (outside, from_outside) = mpsc::channel();
    let (tell_end, ended) = mpsc::channel();
    let make = move || {
        let handler = Obliging { outside: from_outside, last: None, ended: tell_end };
        Server::bind(options, Box::new(handler))
    };
    Running { server: ServerThread::spawn(make).unwrap(), outside, ended, data }
}

fn logged_in(running: &Running) -> Client {
    let mut client = Client::connect(running.server.address(), TIMEOUT).unwrap();
    client.set_timeout(Some(TIMEOUT)).unwrap();
    client.identify("ann").unwrap();
    client.register("open sesame").unwrap();
    client.login("open sesame").unwrap();
    client
}

fn said(client: &mut Client, text: &str) -> String {
    client.send(text).unwrap();
    client.receive().unwrap().text
}

#[test]
fn a_handler_has_addresses_a_timer_and_a_way_to_end_a_session() {
    let running = running();
    let mut client = logged_in(&running);
    assert!(said(&mut client, "where").starts_with("127.0.0.1:"));
    assert_eq!(said(&mut client, "later"), "it is time");
    client.send("end").unwrap();
    let end = client.receive();
    assert!(matches!(&end, Err(ClientError::Bye(reason)) if reason == "it was asked for"), "{end:?}");
    assert_eq!(running.ended.recv_timeout(TIMEOUT).unwrap(), "ann", "the session cannot be resumed");
    running.server.stop().unwrap();
}

#[test]
fn another_thread_sends_and_stops() {
    let running = running();
    let mut client = logged_in(&running);
    assert_eq!(said(&mut client, "hello"), "hello");
    for text in ["one", "two"] {
        running.outside.send(text.to_owned()).unwrap();
    }
    running.server.handle().wake().unwrap();
    assert_eq!([client.receive().unwrap().text, client.receive().unwrap().text], ["one", "two"]);
    running.server.handle().stop().unwrap();
    let end = client.receive();
    assert!(matches!(&end, Err(ClientError::Bye(reason)) if reason == "the server stops"), "{end:?}");
    running.server.join().unwrap();
}

#[test]
fn an_error_of_the_application_s_own_leaves_everything_open() {
    let running = running();
    let mut client = logged_in(&running);
    client.send("refuse").unwrap();
    // It belongs to the message, and is not taken for the answer to what was asked later.
    assert_eq!(client.who().unwrap().names, ["ann"]);
    let error = client.receive().unwrap_err();
    assert_eq!(error.to_string(), "the server refused: there is no such command (BadAddress, code 8)");
    assert_eq!(said(&mut client, "hello"), "hello");
}

#[test]
fn who_drops_a_server_s_thread_has_waited_for_its_end() {
    let Running { server, data, ended, .. } = running();
    let address = server.address();
    assert_eq!(server.addresses(), [address]);
    let second = options(&data);
    let start = |options| ServerThread::spawn(move || Server::bind(options, Box::new(Echo)));
    // What fails at the start is known at once.
    assert!(matches!(start(second.clone()), Err(ServerError::Store(_))), "the folder is the first one's");
    drop(server);
    assert_eq!(ended.try_recv(), Err(TryRecvError::Disconnected), "the handler is gone by now");
    let strict = Options { port: address.port(), strict_port: true, ..second };
    start(strict).unwrap().stop().unwrap();
}

#[test]
fn a_panic_on_a_server_s_thread_is_that_of_who_waits_for_it() {
    let running = running();
    let mut client = logged_in(&running);
    client.send("panic").unwrap();
    let panicked = |ended: std::thread::Result<()>| {
        let message = ended.unwrap_err();
        *message.downcast_ref::<&str>().unwrap()
    };
    let server = running.server;
    let joined = catch_unwind(AssertUnwindSafe(|| server.join().unwrap()));
    assert_eq!(panicked(joined), "as the test wants it");
    let made = catch_unwind(|| drop(ServerThread::spawn::<DiskStore<OsDisk>>(|| panic!("in the making"))));
    assert_eq!(panicked(made), "in the making");
}
