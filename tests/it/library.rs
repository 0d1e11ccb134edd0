//! A server inside another program: a handler with state, a timer, things from elsewhere, and an end from another thread.

use porter::auth::SessionId;
use porter::client::{Client, ClientError};
use porter::engine::Config;
use porter::handler::{Context, Handler, Speaker};
use porter::server::{Options, Server, ServerError, ServerHandle};
use std::net::SocketAddr;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
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
    address: SocketAddr,
    handle: ServerHandle,
    outside: Sender<String>,
    ended: Receiver<String>,
    server: JoinHandle<Result<(), ServerError>>,
    _data: TempDir,
}

fn running() -> Running {
    let data = tempfile::tempdir().unwrap();
    let config = Config { hash_rounds: 1_000, ..Config::default() };
    let options = Options { port: 0, data: data.path().into(), config, ..Options::default() };
    let (outside, from_outside) = mpsc::channel();
    let (tell_end, ended) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let server = thread::spawn(move || {
        let handler = Obliging { outside: from_outside, last: None, ended: tell_end };
        let server = Server::bind(options, Box::new(handler))?;
        tell.send((server.address().unwrap(), server.handle())).unwrap();
        server.run()
    });
    let (address, handle) = told.recv_timeout(TIMEOUT).unwrap();
    Running { address, handle, outside, ended, server, _data: data }
}

fn logged_in(running: &Running) -> Client {
    let mut client = Client::connect(running.address, TIMEOUT).unwrap();
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
    running.handle.stop().unwrap();
    running.server.join().unwrap().unwrap();
}

#[test]
fn another_thread_sends_and_stops() {
    let running = running();
    let mut client = logged_in(&running);
    assert_eq!(said(&mut client, "hello"), "hello");
    for text in ["one", "two"] {
        running.outside.send(text.to_owned()).unwrap();
    }
    running.handle.wake().unwrap();
    assert_eq!([client.receive().unwrap().text, client.receive().unwrap().text], ["one", "two"]);
    running.handle.stop().unwrap();
    let end = client.receive();
    assert!(matches!(&end, Err(ClientError::Bye(reason)) if reason == "the server stops"), "{end:?}");
    running.server.join().unwrap().unwrap();
}
