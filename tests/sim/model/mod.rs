//! The conversation as the protocol's page tells it, once more and without the engine's code: it is shown every call
//! to the engine and all that came of it, and must be able to explain every frame.
//!
//! Where the page leaves a choice open (when a hash is done, how many frames a turn takes) it follows what it sees; all
//! else it predicts.

mod crowd;
mod debts;
mod frames;
mod people;
mod waiting;

use crate::plan::{Mode, Settings};
use crate::wire::Said;
use crate::witness::{Stored, Told};
use debts::Debts;
use people::People;
use porter::Moment;
use porter::engine::ConnId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

/// What was done to the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause<'a> {
    Connect(SocketAddr, Option<ConnId>),
    Bytes(ConnId, &'a [u8]),
    Turn(ConnId),
    HalfClose(ConnId),
    End(ConnId),
    Reset(ConnId),
    Written(ConnId, usize),
    Time,
    Hashing,
    Completions,
    Line(&'a str),
    Shutdown,
    /// Something for a connection that is no more.
    Late,
}

/// What came of it.
pub(crate) struct Facts {
    pub(crate) now: Moment,
    pub(crate) said: Vec<(ConnId, Vec<Said>)>,
    pub(crate) told: VecDeque<Told>,
    pub(crate) stored: Vec<Stored>,
    pub(crate) console: Vec<String>,
    /// The connection that the call was for has whole frames left, or is held by its own output.
    pub(crate) unserved: bool,
    /// What was drawn from the random source, in order.
    pub(crate) drawn: Vec<[u8; 16]>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) peer: SocketAddr,
    pub(crate) state: State,
    pub(crate) input: Vec<u8>,
    pub(crate) registers: u32,
    pub(crate) wrong: u32,
    pub(crate) login_due: Moment,
    pub(crate) last_frame: Moment,
    /// The peer has closed its sending side; and all that it sent was handed over.
    pub(crate) half_closed: bool,
    pub(crate) ended: bool,
    pub(crate) reset: bool,
    pub(crate) surplus: bool,
    pub(crate) closing: Option<Moment>,
    pub(crate) shut: Option<Moment>,
    bye_expected: bool,
    /// Messages that it must be sent in this call, and bytes of them.
    due: VecDeque<(String, String)>,
    due_bytes: usize,
    said: VecDeque<Said>,
    /// Bytes that wait to be written to it, before this call and now.
    pub(crate) output_before: usize,
    pub(crate) output: usize,
    pub(crate) stalled: Option<Moment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Identifying,
    Registering(String),
    LoggingIn(String),
    Waiting(Waiting),
    Authenticated(u64),
    Closing,
}

/// A password that is being seen to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) name: String,
    pub(crate) password: Vec<u8>,
    pub(crate) since: Moment,
    pub(crate) errand: Errand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Errand {
    /// A registration; with what the store said, once it was asked.
    Register { asked: bool, kept: Option<bool> },
    /// A login; whether the password is right, unless that hangs on what the store will say.
    Login { right: Option<bool> },
}

/// A session, by the serial number that the model gave it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) name: String,
    /// Unknown if its Welcome was dropped on the way.
    pub(crate) token: Option<[u8; 16]>,
    pub(crate) presented: Option<[u8; 16]>,
    pub(crate) conn: Option<ConnId>,
    pub(crate) expires: Moment,
}

/// The model.
pub(crate) struct Model {
    settings: Settings,
    pub(crate) now: Moment,
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    pub(crate) sessions: BTreeMap<u64, Session>,
    pub(crate) people: People,
    debts: Debts,
    tokens: BTreeSet<[u8; 16]>,
    next_session: u64,
    wrote_last: Option<u64>,
    told: VecDeque<Told>,
    /// Who joined (with the session) and who left (or was not the last of the name) in this call.
    changes: Vec<(Told, Option<u64>)>,
    pub(crate) stopping: bool,
    /// The random source has failed at some time.
    pub(crate) dry: bool,
    in_time: bool,
    /// Frames are being followed: a slow consumer's end comes after all that were handled.
    serving: bool,
}

pub(crate) const FLUSH: Duration = Duration::from_secs(5);
const DISCARD: Duration = Duration::from_secs(1);
const STALL: Duration = Duration::from_secs(30);

impl Model {
    pub(crate) fn new(settings: &Settings) -> Model {
        Model {
            settings: settings.clone(),
            now: Moment::START,
            conns: BTreeMap::new(),
            sessions: BTreeMap::new(),
            people: People::default(),
            debts: Debts::new(settings.config.penalty),
            tokens: BTreeSet::new(),
            next_session: 0,
            wrote_last: None,
            told: VecDeque::new(),
            changes: Vec::new(),
            stopping: false,
            dry: false,
            in_time: false,
            serving: false,
        }
    }

    /// The server is no more, and all that it had in memory.
    pub(crate) fn forget_all(&mut self) {
        self.conns.clear();
        self.sessions.clear();
        self.people.forget_requests();
        self.debts = Debts::new(self.settings.config.penalty);
        self.wrote_last = None;
        self.stopping = false;
    }

    /// Explains one call.
    pub(crate) fn explain(&mut self, cause: Cause<'_>, facts: Facts) {
        self.now = facts.now;
        self.told = facts.told;
        self.in_time = matches!(cause, Cause::Time);
        self.changes.clear();
        self.explain_console(&cause, &facts.console);
        self.explain_store(facts.stored);
        if let Cause::Connect(peer, id) = cause {
            self.greet(peer, id);
        }
        for (id, said) in facts.said {
            let conn = self.conns.get_mut(&id).unwrap_or_else(|| panic!("{said:?} to nobody"));
            conn.said.extend(said);
        }
        self.serving = true;
        self.follow(cause, facts.unserved, &facts.drawn);
        self.serving = false;
        self.hear_all();
        self.settle();
        self.hear_all();
        self.check_explained(&cause);
    }

    fn follow(&mut self, cause: Cause<'_>, unserved: bool, drawn: &[[u8; 16]]) {
        match cause {
            Cause::Connect(_, Some(id)) => self.hear_hello(id),
            Cause::Bytes(id, bytes) => {
                let conn = self.conn(id);
                if conn.closing.is_none() {
                    conn.input.extend_from_slice(bytes);
                }
                self.serve(id, unserved);
            }
            Cause::Turn(id) => self.serve(id, unserved),
            Cause::HalfClose(id) => self.half_close(id),
            Cause::End(id) => {
                self.half_close(id);
                self.conn(id).ended = true;
                self.serve(id, unserved);
            }
            Cause::Reset(id) => {
                let conn = self.conn(id);
                conn.reset = true;
                conn.said.clear();
                if conn.closing.is_none() {
                    self.close(id, false);
                }
            }
            Cause::Written(id, count) => self.note_written(id, count),
            Cause::Time => self.expire_sessions(),
            Cause::Hashing | Cause::Completions => self.resolve_all(drawn),
            Cause::Line(line) => self.obey(line),
            Cause::Shutdown => self.shut_down(),
            Cause::Connect(_, None) | Cause::Late => {}
        }
    }

    fn conn(&mut self, id: ConnId) -> &mut Conn {
        self.conns.get_mut(&id).unwrap_or_else(|| panic!("there is no connection {id:?}"))
    }

    fn greet(&mut self, peer: SocketAddr, id: Option<ConnId>) {
        let surplus = self.conns.values().filter(|conn| conn.surplus).count();
        let full = self.conns.len() - surplus >= self.settings.config.max_connections;
        let Some(id) = id else {
            return assert!(
                self.stopping || (full && surplus >= 64),
                "a connection was dropped without a word"
            );
        };
        let conn = Conn {
            peer,
            state: State::Identifying,
            input: Vec::new(),
            registers: 0,
            wrong: 0,
            login_due: self.now + self.settings.config.login_timeout,
            last_frame: self.now,
            half_closed: false,
            ended: false,
            reset: false,
            surplus: full,
            closing: None,
            shut: None,
            bye_expected: false,
            due: VecDeque::new(),
            due_bytes: 0,
            said: VecDeque::new(),
            output_before: 0,
            output: 0,
            stalled: None,
        };
        assert!(self.conns.insert(id, conn).is_none(), "two connections have one name");
    }

    fn hear_hello(&mut self, id: ConnId) {
        let conn = self.conn(id);
        let (peer, surplus) = (conn.peer, conn.surplus);
        match conn.said.pop_front() {
            Some(Said::Hello(name)) if !surplus => self.people.check_last_visitor(peer.ip(), name),
            Some(Said::Error(106, text)) if surplus => {
                check_seconds(&text);
                self.close(id, false);
            }
            said => panic!("a new connection (surplus: {surplus}) hears {said:?}"),
        }
    }

    fn half_close(&mut self, id: ConnId) {
        let conn = self.conn(id);
        conn.half_closed = true;
        if matches!(conn.state, State::Waiting(_)) {
            self.close(id, false);
        }
    }

    fn note_written(&mut self, id: ConnId, count: usize) {
        let now = self.now;
        let conn = self.conn(id);
        if conn.output == 0 {
            conn.stalled = None;
        } else if count > 0 || conn.stalled.is_none() {
            conn.stalled = Some(now);
        }
    }

    /// The engine gave a command for a connection's socket.
    pub(crate) fn obey_command(&mut self, id: ConnId, close: bool, now: Moment) {
        let Some(conn) = self.conns.get_mut(&id) else { panic!("a command for nobody") };
        let since = conn.closing.unwrap_or_else(|| panic!("{id:?} is closed for no reason: {conn:?}"));
        let flushed = conn.output == 0 || since + FLUSH <= now || conn.reset;
        assert!(flushed, "what waited for {id:?} was not given its time");
        if close {
            // The engine's second began in the call before the command, a few nanoseconds earlier.
            let discarded = conn.shut.is_some_and(|shut| shut + DISCARD <= now + Duration::from_micros(1));
            assert!(conn.reset || conn.ended || discarded, "{id:?} was closed before its last word was read");
            self.conns.remove(&id);
        } else {
            conn.shut = Some(now);
        }
    }

    fn check_explained(&mut self, cause: &Cause<'_>) {
        assert!(self.told.is_empty(), "the handler was told {:?}, after {cause:?}", self.told);
        let in_time = self.in_time;
        for (id, conn) in &mut self.conns {
            assert!(
                conn.said.is_empty(),
                "unexplained after {cause:?}: {id:?} was told {:?}\n{conn:?}",
                conn.said
            );
            assert!(conn.due.is_empty(), "after {cause:?} {id:?} was not told {:?}", conn.due);
            assert!(!conn.bye_expected || conn.closing.is_some(), "{id:?} was not told Bye");
            conn.due_bytes = 0;
            if in_time {
                conn.check_deadlines(self.now, &self.settings);
            }
        }
    }

    /// Nothing is ready, and the server would wait: then nobody may have anything left to be done.
    pub(crate) fn check_quiet(&self, hashing: bool, committing: bool) {
        for (id, conn) in &self.conns {
            match &conn.state {
                State::Waiting(waiting) => {
                    assert!(hashing || committing, "{id:?} waits for ever: {waiting:?}");
                }
                State::Closing => {}
                _ if conn.output >= 64 * 1024 => {}
                _ => assert!(
                    !self.has_frame(conn),
                    "a whole frame of {id:?} waits, and nobody knows: {conn:?}"
                ),
            }
        }
    }

    /// At the end of a turn nobody is left that should have been closed.
    pub(crate) fn check_closing(&self, began: Moment) {
        self.conns.values().for_each(|conn| conn.check_closing(began));
    }

    /// Connections that wait for a hash, or for the store.
    pub(crate) fn waiting_count(&self) -> usize {
        self.conns.values().filter(|conn| matches!(conn.state, State::Waiting(_))).count()
    }

    /// Connections that carry no session.
    pub(crate) fn strangers_count(&self) -> usize {
        self.conns.values().filter(|conn| !matches!(conn.state, State::Authenticated(_))).count()
    }

    fn may_be_busy(&self, id: ConnId) -> bool {
        let others = || {
            let waits = |conn: &Conn| matches!(conn.state, State::Waiting(_));
            self.conns.iter().any(|(other, conn)| *other != id && waits(conn))
        };
        let short = self.settings.config.hash_wait < Duration::from_secs(60);
        short && (self.people.rehashes_possible || others())
    }

    fn mode(&self) -> Mode {
        self.settings.mode
    }
}

impl Conn {
    /// Whether it has yet to show who it is.
    pub(crate) fn is_stranger(&self) -> bool {
        !matches!(self.state, State::Authenticated(_) | State::Closing)
    }

    /// At the end of a turn: what was due when it began is done.
    fn check_closing(&self, began: Moment) {
        let Some(since) = self.closing else { return };
        let gone = self.reset || self.ended;
        assert!(self.shut.is_some() || since + FLUSH > began || gone, "not shut: {self:?}");
        assert!(gone || self.shut.is_none_or(|shut| shut + DISCARD > began), "not closed: {self:?}");
    }

    fn check_deadlines(&self, now: Moment, settings: &Settings) {
        let stalled = self.stalled.is_some_and(|since| since + STALL <= now);
        match (&self.closing, &self.state) {
            (Some(_), _) => {}
            (None, State::Waiting(_)) => assert!(!stalled, "not refused as slow: {self:?}"),
            (None, State::Authenticated(_)) => {
                assert!(!stalled, "not refused as slow: {self:?}");
                let idle = settings.config.idle_timeout.is_some_and(|idle| self.last_frame + idle <= now);
                assert!(!idle, "idle for too long: {self:?}");
            }
            (None, _) => {
                assert!(!stalled, "not refused as slow: {self:?}");
                assert!(self.login_due > now, "past the login timeout: {self:?}");
            }
        }
    }
}

/// Throttled and Busy begin with the seconds to wait.
fn check_seconds(text: &str) {
    let seconds = text.split(' ').next().unwrap_or_default();
    assert!(seconds.parse::<u64>().is_ok_and(|seconds| seconds > 0), "no seconds to wait in {text:?}");
}
