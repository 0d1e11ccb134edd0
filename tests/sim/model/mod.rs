//! The conversation as the protocol's page tells it, once more and without the engine's code: it is shown every call
//! to the engine and all that came of it, and must be able to explain every frame.
//!
//! Where the page leaves a choice open (when a hash is done, how many frames a turn takes) it follows what it sees; all
//! else it predicts.

mod conn;
mod crowd;
mod frames;
mod passwords;
mod rate;
mod room;
mod throttle;
pub(crate) mod users;
mod waiting;

use crate::plan::{Mode, Settings};
use crate::recorder::{Stored, Told};
use crate::wire::Said;
use conn::{Charge, Conn, PendingWork, State, Waiting};
use porter::Moment;
use porter::engine::{ConnId, Written};
use porter::limits::SHARE_DUE;
use rate::Bucket;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use throttle::ThrottleModel;
use users::Users;

/// What was done to the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause<'a> {
    Connect(SocketAddr, Option<ConnId>),
    Bytes(ConnId, &'a [u8]),
    Turn(ConnId),
    HalfClose(ConnId),
    End(ConnId),
    WriteClosed(ConnId),
    Reset(ConnId),
    NeverOpened(ConnId),
    Failed(ConnId),
    /// And whether something has left what lies between socket and engine.
    Written(ConnId, Written, bool),
    Time,
    FanOut,
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
    /// Memory that the engine's output took before.
    pub(crate) held_before: usize,
    /// Sessions that there are now.
    pub(crate) sessions: usize,
    /// Hashes that wait or are under way.
    pub(crate) hash_jobs: usize,
    /// Texts are still to be handed out.
    pub(crate) fanning_out: bool,
    /// Connections that are closing.
    pub(crate) closing: BTreeSet<ConnId>,
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
    bucket: Bucket,
}

/// The model.
pub(crate) struct Model {
    settings: Settings,
    pub(crate) now: Moment,
    pub(crate) conns: BTreeMap<ConnId, Conn>,
    pub(crate) sessions: BTreeMap<u64, Session>,
    pub(crate) users: Users,
    throttle: ThrottleModel,
    tokens: BTreeSet<[u8; 16]>,
    next_session: u64,
    wrote_last: Option<u64>,
    told: VecDeque<Told>,
    /// Who joined (with the session) and who left (or was not the last of the name) in this call.
    changes: Vec<(Told, Option<u64>)>,
    /// Names whose password was changed in this call, each with the session in which it was.
    ended_by_change: Vec<(String, u64)>,
    pub(crate) stopping: bool,
    /// The random source has failed at some time.
    pub(crate) dry: bool,
    in_time: bool,
    /// Something was written, or tried to be.
    is_written: bool,
    /// In this turn somebody came while a limit was reached.
    was_at_limit: bool,
    /// The connection that the call was for.
    called: Option<ConnId>,
    held_before: usize,
    /// Texts are still to be handed out, or were before this call.
    fanning_out: bool,
    closing_now: BTreeSet<ConnId>,
    /// In this call the connection that it was for has written to all.
    has_posted: bool,
    sessions_now: usize,
    /// What waited at most for each that was cut off in this call for the sake of all.
    cut_off: Vec<usize>,
    /// Hashes are being done.
    hashing: bool,
    /// Registrations that were answered in this call when their client was gone: each name and password, and whether it was
    /// stored. They may have been a twin's.
    answered_nobody: Vec<(String, Vec<u8>, bool)>,
    /// Logins that waited for the store's answer, which has come in this call.
    decided: Vec<ConnId>,
    /// The one connection for which a hash waits or is under way.
    lone: Option<ConnId>,
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
            users: Users::default(),
            throttle: ThrottleModel::new(settings.config.penalty),
            tokens: BTreeSet::new(),
            next_session: 0,
            wrote_last: None,
            told: VecDeque::new(),
            changes: Vec::new(),
            ended_by_change: Vec::new(),
            stopping: false,
            dry: false,
            in_time: false,
            is_written: false,
            was_at_limit: false,
            called: None,
            held_before: 0,
            fanning_out: false,
            closing_now: BTreeSet::new(),
            has_posted: false,
            sessions_now: 0,
            cut_off: Vec::new(),
            hashing: false,
            answered_nobody: Vec::new(),
            decided: Vec::new(),
            lone: None,
            serving: false,
        }
    }

    /// The server is no more, and all that it had in memory.
    pub(crate) fn forget_all(&mut self) {
        self.conns.clear();
        self.sessions.clear();
        self.users.forget_requests();
        self.throttle = ThrottleModel::new(self.settings.config.penalty);
        self.wrote_last = None;
        self.stopping = false;
        self.lone = None;
    }

    /// What each address is said to owe is what it owes.
    pub(crate) fn check_throttle(&self, owed: impl Fn(IpAddr) -> Duration) {
        let mut addresses: Vec<IpAddr> = self.conns.values().map(|conn| conn.peer.ip()).collect();
        addresses.sort();
        addresses.dedup();
        addresses.into_iter().for_each(|address| self.throttle.check(address, self.now, owed(address)));
    }

    /// Explains one call.
    pub(crate) fn explain(&mut self, cause: Cause<'_>, facts: Facts) {
        self.now = facts.now;
        self.told = facts.told;
        self.in_time = matches!(cause, Cause::Time);
        self.is_written = matches!(cause, Cause::Written(..));
        self.called = match cause {
            Cause::Bytes(id, _) | Cause::Turn(id) | Cause::End(id) => Some(id),
            _ => None,
        };
        self.fanning_out |= facts.fanning_out;
        self.closing_now = facts.closing;
        (self.held_before, self.sessions_now) = (facts.held_before, facts.sessions);
        self.hashing = matches!(cause, Cause::Hashing);
        self.changes.clear();
        self.cut_off.clear();
        self.answered_nobody.clear();
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
        self.finish_all();
        self.close_all_unheard();
        self.settle();
        self.hear_all();
        self.note_lone_login(facts.hash_jobs);
        self.fanning_out = facts.fanning_out;
        if self.stopping && !self.fanning_out {
            self.sessions.clear();
        }
        self.check_explained(&cause);
    }

    fn follow(&mut self, cause: Cause<'_>, unserved: bool, drawn: &[[u8; 16]]) {
        match cause {
            Cause::Connect(_, Some(id)) => self.let_in(id),
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
            Cause::WriteClosed(id) => self.close_writing(id),
            Cause::Reset(id) | Cause::NeverOpened(id) => self.reset(id),
            Cause::Failed(id) => {
                self.forget_written(id);
                self.conn(id).failed = true;
                if self.conns[&id].closing.is_none() {
                    self.close(id, false);
                }
            }
            Cause::Written(id, written, has_moved) => self.note_written(id, written, has_moved),
            Cause::Time => {
                self.end_pauses();
                self.expire_sessions();
            }
            Cause::Hashing | Cause::Completions => {
                self.end_changed();
                self.judge_decided();
                self.resolve_all(drawn);
            }
            Cause::Line(line) => self.obey(line),
            Cause::Shutdown => self.shut_down(),
            Cause::Connect(_, None) | Cause::Late | Cause::FanOut => {}
        }
    }

    fn conn(&mut self, id: ConnId) -> &mut Conn {
        self.conns.get_mut(&id).unwrap_or_else(|| panic!("there is no connection {id:?}"))
    }

    fn greet(&mut self, peer: SocketAddr, id: Option<ConnId>) {
        let Some(id) = id else {
            let over_limit = self.conns.values().filter(|conn| conn.over_limit).count();
            return assert!(self.stopping || over_limit >= 64, "a connection was dropped without a word");
        };
        let login_due = self.now + self.settings.config.login_timeout;
        let conn = Conn::new(peer, self.now, login_due);
        assert!(self.conns.insert(id, conn).is_none(), "two connections have one name");
    }

    fn half_close(&mut self, id: ConnId) {
        let conn = self.conn(id);
        conn.half_closed = true;
        if matches!(conn.state, State::Waiting(_)) {
            self.close(id, false);
        }
    }

    fn reset(&mut self, id: ConnId) {
        let conn = self.conn(id);
        conn.reset = true;
        conn.said.clear();
        if conn.closing.is_none() {
            self.close(id, false);
        }
    }

    /// Nothing reaches the peer any more. What it had sent still counts, unless it waits for an answer.
    fn close_writing(&mut self, id: ConnId) {
        let conn = self.conn(id);
        if conn.closing.is_some() || matches!(conn.state, State::Waiting(_)) {
            return self.reset(id);
        }
        conn.half_closed = true;
        self.forget_written(id);
    }

    fn forget_written(&mut self, id: ConnId) {
        let conn = self.conn(id);
        (conn.backlog, conn.stalled) = (false, None);
    }

    /// Keeps since when none of what waits, here or on its way to the socket, could be written.
    fn note_written(&mut self, id: ConnId, written: Written, has_moved: bool) {
        let now = self.now;
        let conn = self.conn(id);
        conn.backlog = written.backlog_bytes > 0;
        if conn.output == 0 && !conn.backlog {
            conn.stalled = None;
        } else if has_moved || (conn.stalled.is_none() && written.is_blocked) {
            conn.stalled = Some(now);
        }
    }

    /// The engine gave a command for a connection's socket.
    pub(crate) fn obey_command(&mut self, id: ConnId, close: bool, now: Moment) {
        let Some(conn) = self.conns.get(&id) else { panic!("a command for nobody") };
        let since = conn.closing.unwrap_or_else(|| panic!("{id:?} is closed for no reason: {conn:?}"));
        let is_written = conn.output == 0 && (!conn.backlog || conn.failed);
        let made_room = self.may_have_made_room(conn);
        let is_flushed = is_written || since + FLUSH <= now || conn.reset || made_room || conn.cut_short;
        if !is_flushed {
            assert!(close && conn.output == 0, "what waited for {id:?} was not given its time");
            // All that waited was its transport's, and too much of all.
            self.cut_short(id, self.held_before);
        }
        let conn = self.conn(id);
        if close {
            // The engine's second began in the call before the command, a few nanoseconds earlier.
            let discarded = conn.shut.is_some_and(|shut| shut + DISCARD <= now + Duration::from_micros(1));
            let gone = conn.reset || made_room || conn.cut_short;
            assert!(gone || conn.ended || discarded, "{id:?} was closed before its last word was read");
            self.conns.remove(&id);
        } else {
            conn.shut = Some(now);
        }
    }

    fn check_explained(&mut self, cause: &Cause<'_>) {
        assert!(self.told.is_empty(), "the handler was told {:?}, after {cause:?}", self.told);
        self.check_room();
        let open = self.conns.values().filter(|conn| conn.closing.is_none());
        // What they had before the call: the rest of it may have added to those who stayed.
        let longest = open.map(|conn| conn.output_before).max().unwrap_or_default();
        let shortest_cut = self.cut_off.iter().min().copied().unwrap_or(usize::MAX);
        assert!(shortest_cut >= longest, "cut off with {shortest_cut} bytes, while one has {longest}");
        let in_time = self.in_time;
        for (id, conn) in &mut self.conns {
            conn.due.retain(|due| self.fanning_out || !due.optional);
            assert!(
                conn.said.is_empty(),
                "unexplained after {cause:?}: {id:?} was told {:?}\n{conn:?}",
                conn.said
            );
            assert!(
                self.fanning_out || conn.owed(None).is_none(),
                "after {cause:?} {id:?} was not told {:?}",
                conn.due
            );
            let stops = self.stopping && self.fanning_out;
            assert!(stops || !conn.bye_expected || conn.closing.is_some(), "{id:?} was not told Bye");
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
                _ if conn.output >= 64 * 1024 || conn.paused_until.is_some() => {}
                _ => assert!(
                    !self.has_frame(conn),
                    "a whole frame of {id:?} waits, and nobody knows: {conn:?}"
                ),
            }
        }
    }

    /// At the end of a turn that began with so many connections nobody is left that should have been closed.
    pub(crate) fn check_closing(&mut self, began: Moment, connections: usize) {
        self.was_at_limit = false;
        // What is due for more than these is the next turn's.
        if connections <= SHARE_DUE {
            self.conns.values().for_each(|conn| conn.check_closing(began));
        }
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
        short && (self.users.rehashes_possible || others())
    }

    fn mode(&self) -> Mode {
        self.settings.mode
    }
}

/// Throttled and Busy begin with the seconds to wait.
fn check_seconds(text: &str) {
    let seconds = text.split(' ').next().unwrap_or_default();
    assert!(seconds.parse::<u64>().is_ok_and(|seconds| seconds > 0), "no seconds to wait in {text:?}");
}
