//! Clients: what each of them was told, and what it may not be told.

use super::server::{Pipe, RESUME_WINDOW};
use crate::wire::{Said, frame, take_reply};
use porter::Moment;
use porter::engine::ConnId;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

// Kinds of frames.
const IDENTIFY: u8 = 1;
const REGISTER: u8 = 2;
const LOGIN: u8 = 3;
pub(super) const RESUME: u8 = 4;
const MESSAGE: u8 = 5;
const EXIT: u8 = 6;
// Codes of errors.
const NAME_TAKEN: u16 = 3;
const WRONG_PASSWORD: u16 = 4;
const NO_SUCH_SESSION: u16 = 6;
const NO_SUCH_RECIPIENT: u16 = 7;
const BUSY: u16 = 106;
const TIMED_OUT: u16 = 107;
/// The longest that anybody waits for an answer.
const ANSWER: Duration = Duration::from_secs(1);

/// What a connection waits to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Awaits {
    Hello,
    Wanted,
    Registered,
    Welcome,
    Resumed,
    Bye,
    Nothing,
}

/// One connection of a client.
pub(super) struct Conn {
    pub(super) server: usize,
    pub(super) id: ConnId,
    pub(super) pipe: Rc<RefCell<Pipe>>,
    pub(super) awaits: Awaits,
    /// Since when.
    pub(super) since: Moment,
    /// It is to resume the session, not to log in.
    resumes: bool,
    /// Who joined last, and who left, of those it was told about.
    pub(super) here: BTreeMap<String, bool>,
    /// Texts that it was told: whose, of which of their connections, and the number.
    pub(super) heard: BTreeSet<(usize, usize, usize)>,
    newest: BTreeMap<(usize, usize), usize>,
}

/// What a client has of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) token: [u8; 16],
    /// Its connection is gone since then.
    pub(super) lost: Option<Moment>,
    /// The server that gave the token and has not told the store of it, as far as is known.
    pub(super) untold: Option<usize>,
    /// Somebody may have ended it: it has a right to be there, and none to be found.
    pub(super) may_be_over: bool,
    /// A mark of it, once others have come with its token.
    pub(super) line: Option<usize>,
}

pub(super) struct Client {
    pub(super) number: usize,
    pub(super) name: &'static str,
    pub(super) password: String,
    pub(super) conn: Option<Conn>,
    /// Those that were taken over by another of its connections.
    pub(super) before: Vec<Conn>,
    pub(super) session: Option<Session>,
    /// The token of a session that it is about to leave, and the server that it has told so.
    leaving: Option<([u8; 16], usize)>,
    /// The same when that server has said Bye.
    pub(super) left: Option<([u8; 16], usize)>,
    /// Its password was acknowledged to be the name's.
    pub(super) is_registered: bool,
    pub(super) connections: usize,
    pub(super) texts: usize,
    /// It does not connect again before then. Two servers may carry out two resumes of one session in another order than they
    /// were sent in, as long as anybody would wait for the first; then the last token is not the one that its client has.
    pub(super) waits: Moment,
}

impl Client {
    pub(super) fn new(number: usize, name: &'static str) -> Client {
        Client {
            number,
            name,
            password: format!("password of {number}"),
            conn: None,
            before: Vec::new(),
            session: None,
            leaving: None,
            left: None,
            is_registered: false,
            connections: 0,
            texts: 0,
            waits: Moment::START,
        }
    }

    /// It has connected to a server.
    pub(super) fn begin(
        &mut self,
        server: usize,
        id: ConnId,
        pipe: Rc<RefCell<Pipe>>,
        resumes: bool,
        now: Moment,
    ) {
        self.connections += 1;
        if let Some(before) = self.conn.take() {
            self.before.push(before);
        }
        self.conn = Some(Conn {
            server,
            id,
            pipe,
            awaits: Awaits::Hello,
            since: now,
            resumes,
            here: BTreeMap::new(),
            heard: BTreeSet::new(),
            newest: BTreeMap::new(),
        });
    }

    pub(super) fn is_in(&self) -> bool {
        self.conn.as_ref().is_some_and(|conn| conn.awaits == Awaits::Nothing)
    }

    /// A text that others can tell from all others.
    pub(super) fn say(&mut self, to: Option<&str>) -> (usize, usize, usize) {
        self.texts += 1;
        let said = (self.number, self.connections, self.texts);
        let text = format!("{} {} {}", said.0, said.1, said.2);
        let text = to.map_or(text.clone(), |to| format!("@{to} {text}"));
        if let (Some(conn), Some(session)) = (&mut self.conn, self.session) {
            let bytes = frame(MESSAGE, &[&session.token, text.as_bytes()]);
            conn.pipe.borrow_mut().send(&bytes);
        }
        said
    }

    pub(super) fn exit(&mut self, now: Moment) {
        let Some(conn) = &mut self.conn else { return };
        conn.pipe.borrow_mut().send(&frame(EXIT, &[]));
        (conn.awaits, conn.since) = (Awaits::Bye, now);
        self.leaving = self.session.take().map(|session| (session.token, conn.server));
    }

    /// It leaves the connection, and whatever it was about to do.
    fn give_up(&mut self, now: Moment) {
        if let Some(conn) = self.lose(now) {
            conn.pipe.borrow_mut().end();
            self.before.push(conn);
        }
    }

    /// Its connection is gone, by itself or by the network.
    pub(super) fn lose(&mut self, now: Moment) -> Option<Conn> {
        let conn = self.conn.take()?;
        if conn.awaits == Awaits::Resumed {
            self.waits = now + ANSWER;
        }
        if let Some(session) = &mut self.session {
            session.lost.get_or_insert(now);
        }
        Some(conn)
    }

    /// It tries what it has left: nobody has that any more.
    pub(super) fn try_what_is_left(&mut self) {
        let lost = Session { token: [0; 16], lost: None, untold: None, may_be_over: true, line: None };
        self.session = self.left.take().map(|(token, _)| Session { token, ..lost });
    }

    /// Takes what it was told. Says whether that was anything.
    pub(super) fn hear(&mut self, now: Moment) -> bool {
        let mut is_understood = false;
        while let Some(said) = self.next_reply() {
            is_understood = true;
            self.take(said, now);
        }
        let is_over = |conn: &Conn| conn.pipe.borrow().is_shut || conn.pipe.borrow().is_closed;
        if self.conn.as_ref().is_some_and(is_over) {
            self.give_up(now);
            is_understood = true;
        }
        self.before.iter().filter(|conn| is_over(conn)).for_each(|conn| conn.pipe.borrow_mut().end());
        self.before.retain(|conn| !conn.pipe.borrow().is_closed);
        is_understood
    }

    fn next_reply(&mut self) -> Option<Said> {
        take_reply(&mut self.conn.as_mut()?.pipe.borrow_mut().to_client)
    }

    fn take(&mut self, said: Said, now: Moment) {
        let Some(conn) = &mut self.conn else { return };
        let awaited = conn.awaits;
        let mut next = |awaits: Awaits, bytes: Vec<u8>| {
            (conn.awaits, conn.since) = (awaits, now);
            conn.pipe.borrow_mut().send(&bytes);
        };
        match (awaited, said) {
            (Awaits::Hello, Said::Hello(_)) => match self.session.filter(|_| conn.resumes) {
                Some(session) => next(Awaits::Resumed, frame(RESUME, &[&session.token])),
                None => next(Awaits::Wanted, frame(IDENTIFY, &[self.name.as_bytes()])),
            },
            (Awaits::Wanted, Said::Wanted(0)) => {
                assert!(!self.is_registered, "{}: who was registered is not known any more", self.name);
                next(Awaits::Registered, frame(REGISTER, &[self.password.as_bytes()]));
            }
            (Awaits::Wanted, Said::Wanted(_)) => {
                next(Awaits::Welcome, frame(LOGIN, &[self.password.as_bytes()]))
            }
            (Awaits::Registered, Said::Wanted(_)) => {
                self.is_registered = true;
                next(Awaits::Welcome, frame(LOGIN, &[self.password.as_bytes()]));
            }
            (Awaits::Welcome, Said::Welcome(token, _)) => {
                (conn.awaits, conn.since) = (Awaits::Nothing, now);
                self.is_registered = true;
                self.session =
                    Some(Session { token, lost: None, untold: None, may_be_over: false, line: None });
            }
            (Awaits::Resumed, Said::Welcome(token, _)) => {
                (conn.awaits, conn.since) = (Awaits::Nothing, now);
                let session = self.session.as_mut().unwrap();
                (session.token, session.lost, session.untold) = (token, None, Some(conn.server));
            }
            (Awaits::Resumed, Said::Error(NO_SUCH_SESSION, _)) => {
                next(Awaits::Wanted, frame(IDENTIFY, &[self.name.as_bytes()]));
                self.is_told_that_it_is_over(now);
            }
            (Awaits::Nothing, Said::Error(NO_SUCH_RECIPIENT, _)) => {}
            // Another time.
            (_, Said::Error(BUSY | TIMED_OUT, _)) => self.give_up(now),
            (awaited, Said::Error(code @ (NAME_TAKEN | WRONG_PASSWORD), text)) => {
                assert!(
                    !self.is_registered,
                    "{} was told {text} where {awaited:?} was due: {code}",
                    self.name
                );
                self.give_up(now);
            }
            (_, Said::Message(sender, text)) => conn.take_text(self.name, &sender, &text),
            (_, Said::Bye) => self.end(),
            (awaited, said) => panic!("{} was told {said:?} where {awaited:?} was due", self.name),
        }
    }

    /// Somebody has ended the session, or it goes on elsewhere.
    fn end(&mut self) {
        let Some(conn) = &self.conn else { return };
        if conn.awaits == Awaits::Bye {
            self.left = self.leaving.take();
        } else if let Some(session) = &self.session {
            assert!(session.may_be_over, "{} was told Bye, and nobody has done anything to it", self.name);
        }
        self.session = None;
    }

    fn is_told_that_it_is_over(&mut self, now: Moment) {
        // Of those that were to be taken over none is of any use any more.
        self.before.iter().for_each(|conn| conn.pipe.borrow_mut().tear());
        let Some(session) = self.session.take() else { return };
        let is_late = session.lost.is_some_and(|lost| lost + RESUME_WINDOW <= now);
        assert!(
            is_late || session.may_be_over || session.untold.is_some(),
            "{}: NoSuchSession, {session:?}, {:?} after it was lost",
            self.name,
            session.lost.map(|lost| now.since(lost))
        );
    }

    /// Nobody waits for long, whatever has gone.
    pub(super) fn check_patience(&self, now: Moment) {
        let Some(conn) = &self.conn else { return };
        let waits = now.since(conn.since);
        assert!(
            conn.awaits == Awaits::Nothing || waits <= ANSWER,
            "{} waits for {:?} of server {} for {waits:?}",
            self.name,
            conn.awaits,
            conn.server
        );
    }
}

impl Conn {
    fn take_text(&mut self, name: &str, sender: &str, text: &str) {
        if sender.is_empty() {
            let Some((who, what)) = text.split_once(' ') else { return };
            let is_here = match what {
                "joined" => true,
                "left" => false,
                _ => return,
            };
            let was = self.here.insert(who.to_owned(), is_here);
            assert!(was != Some(is_here), "{name} was told twice that {who} {what}");
            return;
        }
        let text = text.rsplit_once('@').map_or(text, |(_, rest)| rest.split_once(' ').unwrap().1);
        let numbers: Vec<usize> = text.split(' ').map(|number| number.parse().unwrap()).collect();
        let [who, connection, number] = numbers[..] else { panic!("{name} was told {text:?}") };
        assert!(self.heard.insert((who, connection, number)), "{name} was told {text:?} twice");
        let newest = self.newest.insert((who, connection), number);
        assert!(newest < Some(number), "{name} was told {text:?} after {newest:?}");
    }
}
