//! A small server that does as the test says.

use porter::load;
use porter::protocol::{FrameRead, Reply, Request, Wanted};
use std::collections::HashSet;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// How the small server treats a visitor.
#[derive(Clone, Copy)]
pub(super) enum Manner {
    Echo,
    WrongEcho,
    Silence,
    Busy,
    HangsUp,
    /// Answers one byte at a time.
    Dribbles,
    /// Accepts, and says nothing.
    Mute,
    HangsUpAtOnce,
    Garbage,
    /// From the first Resume on it says nothing more to anybody.
    FreezesAtResume,
    /// At the first Resume all connections and the listener are closed.
    DiesAtResume,
    /// No session outlives its connection.
    ForgetsSessions,
    /// A Resume is never answered.
    HashesForever,
    /// From the second visit on it does not answer Exit.
    NoBye,
    /// From the second visit on it does not close after Bye.
    NoClose,
}

#[derive(Default)]
pub(super) struct Small {
    pub(super) known: Mutex<HashSet<Vec<u8>>>,
    here: AtomicUsize,
    /// The most visitors at once.
    pub(super) most: AtomicUsize,
    resumes: AtomicUsize,
    visits: AtomicUsize,
    streams: Mutex<Vec<TcpStream>>,
}

/// Serves on a thread of its own; the manner goes by the visit's number.
pub(super) fn serve(listener: TcpListener, manner: fn(u64) -> Manner) -> Arc<Small> {
    let small = Arc::new(Small::default());
    let shared = Arc::clone(&small);
    thread::spawn(move || {
        for (number, stream) in (0..).zip(listener.incoming()) {
            if matches!(manner(number), Manner::DiesAtResume) && shared.has_resumes() {
                drop(listener);
                shared
                    .streams
                    .lock()
                    .unwrap()
                    .drain(..)
                    .for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
                return;
            }
            let small = Arc::clone(&shared);
            small.most.fetch_max(small.here.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::spawn(move || {
                let stream = stream.unwrap();
                // A visitor that has gone is the tester's business, and its report's.
                let _ = small.receive(&stream, manner(number));
                small.here.fetch_sub(1, Ordering::SeqCst);
                let _ = stream.shutdown(Shutdown::Both);
            });
        }
    });
    small
}

impl Small {
    pub(super) fn receive(&self, stream: &TcpStream, manner: Manner) -> io::Result<()> {
        self.receive_after(stream, manner, |_| {})
    }

    /// Whether anybody has tried to resume.
    pub(super) fn has_resumes(&self) -> bool {
        self.resumes.load(Ordering::SeqCst) > 0
    }

    /// Reads until the end, and says nothing.
    fn ignore(&self, mut stream: &TcpStream) -> io::Result<()> {
        io::copy(&mut stream, &mut io::sink()).map(drop)
    }

    /// Does something first when a message comes, by its number.
    pub(super) fn receive_after(
        &self,
        mut stream: &TcpStream,
        manner: Manner,
        first: impl Fn(u64),
    ) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let visit = self.visits.fetch_add(1, Ordering::SeqCst);
        if matches!(manner, Manner::DiesAtResume) {
            self.streams.lock().unwrap().push(stream.try_clone()?);
        }
        let frozen = matches!(manner, Manner::FreezesAtResume) && self.has_resumes();
        match manner {
            Manner::HangsUpAtOnce => Ok(()),
            Manner::Mute => self.ignore(stream),
            Manner::Garbage => stream.write_all(&[0, 0, 0, 5, 99, 1, 2, 3, 4]),
            _ if frozen => self.ignore(stream),
            _ => self.converse(stream, manner, visit, first),
        }
    }

    fn converse(
        &self,
        mut stream: &TcpStream,
        manner: Manner,
        visit: usize,
        first: impl Fn(u64),
    ) -> io::Result<()> {
        let mut messages = 0;
        let say = |reply: Reply<'_>| {
            let mut bytes = Vec::new();
            reply.encode(&mut bytes);
            let portion = if matches!(manner, Manner::Dribbles) { 1 } else { bytes.len() };
            bytes.chunks(portion).try_for_each(|portion| (&mut &*stream).write_all(portion))
        };
        if matches!(manner, Manner::Busy) {
            return say(Reply::Error { code: 106, explanation: "7 s, then try again" });
        }
        say(Reply::Hello { version: 1, last_name: "" })?;
        let token = [9; 16];
        let mut name = Vec::new();
        while let Some(body) = stream.read_frame(70_000)? {
            match Request::decode(&body).unwrap() {
                Request::Identify(given) => {
                    name = given.to_vec();
                    let known = self.known.lock().unwrap().contains(&name);
                    say(Reply::PasswordWanted(if known { Wanted::Login } else { Wanted::Register }))?;
                }
                Request::Register(password) => {
                    assert_eq!(password, load::PASSWORD.as_bytes());
                    self.known.lock().unwrap().insert(name.clone());
                    say(Reply::PasswordWanted(Wanted::Login))?;
                }
                Request::Login(password) => {
                    assert_eq!(password, load::PASSWORD.as_bytes());
                    assert!(self.known.lock().unwrap().contains(&name));
                    if matches!(manner, Manner::HangsUp) {
                        return Ok(());
                    }
                    say(Reply::Welcome { token: &token, greeting: "Hello" })?;
                }
                Request::Message { token: presented, text } => {
                    assert_eq!(*presented, token);
                    first(messages);
                    messages += 1;
                    let text = std::str::from_utf8(text).unwrap();
                    match manner {
                        Manner::Silence => {}
                        Manner::WrongEcho => say(Reply::Message { sender: "", text: &text[1..] })?,
                        _ => say(Reply::Message { sender: "", text })?,
                    }
                }
                Request::Exit if visit > 0 && matches!(manner, Manner::NoBye) => {}
                Request::Exit if visit > 0 && matches!(manner, Manner::NoClose) => say(Reply::Bye("bye"))?,
                Request::Exit => return say(Reply::Bye("bye")),
                Request::Resume(_) if matches!(manner, Manner::ForgetsSessions) => {
                    return say(Reply::Error { code: 6, explanation: "no session has this token" });
                }
                Request::Resume(_) => {
                    assert!(matches!(
                        manner,
                        Manner::FreezesAtResume | Manner::DiesAtResume | Manner::HashesForever
                    ));
                    self.resumes.fetch_add(1, Ordering::SeqCst);
                    return self.ignore(stream);
                }
                other => panic!("no client of the load has a use for {other:?}"),
            }
        }
        Ok(())
    }
}

pub(super) fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}
