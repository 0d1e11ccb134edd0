//! The registry: connections, the sessions that they carry, and what waits to be done about them.

use super::answers::{Answers, CommandId};
use super::chat_rate::ChatRate;
use super::close_reason::CloseReason;
use super::connection::{Connection, Left};
use super::console::ConsoleQueue;
use super::fan_out::FanOut;
use super::figures::PendingHandshakes;
use super::output::Outputs;
use super::output_total::CutOff;
use super::roll::Roll;
use super::room::{Presence, Saying};
use super::stranger_log::StrangerLog;
use super::strangers::Strangers;
use super::tasks::Task;
use super::timers::Timers;
use super::turns::Turns;
use super::{Config, ConnId, SocketCommand};
use crate::Moment;
use crate::auth::conversation::PendingWork;
use crate::auth::hash_queue::JobId;
use crate::auth::{Name, SessionId, Sessions};
use crate::limits::CONNECTIONS_ROOM_MOST;
use crate::protocol::{Code, Reply};
use crate::slots::Slots;
use std::collections::VecDeque;

/// Connections and sessions, and the lists of what has changed about them.
///
/// Whatever must reach a handler or the hash queue goes through `changes`: nothing here calls them, so a message may
/// end other connections, even its own, in the middle of being delivered.
pub(super) struct Registry {
    pub(super) config: Config,
    pub(super) now: Moment,
    pub(super) connections: Slots<Connection>,
    pub(super) sessions: Sessions,
    pub(super) changes: VecDeque<Change>,
    pub(super) console: ConsoleQueue,
    pub(super) answers: Answers,
    /// Commands that ask for files to be read again.
    pub(super) reloads: Vec<CommandId>,
    pub(super) totals: Totals,
    pub(super) pending_handshakes: PendingHandshakes,
    pub(super) stranger_log: StrangerLog,
    pub(super) outputs: Outputs,
    pub(super) fan_out: FanOut,
    /// Connections that could not be served and now can.
    pub(super) unblocked: Vec<ConnId>,
    pub(super) commands: VecDeque<(ConnId, SocketCommand)>,
    /// Connections that were refused for the room that they take, and are being told so.
    pub(super) over_limit: usize,
    /// Other servers are told of sessions.
    pub(super) is_shared: bool,
    /// And of what is said to all, who then are the same for all of them.
    pub(super) shares_room: bool,
    pub(super) presence: Presence,
    pub(super) sayings: Vec<Saying>,
    pub(super) strangers: Strangers,
    pub(super) roll: Roll,
    pub(super) chat_rate: ChatRate,
    pub(super) turns: Turns,
    pub(super) tasks: VecDeque<Task>,
    /// While those with the most waiting are cut off.
    pub(super) cut_off: Option<CutOff>,
    /// When the handler wants to be called.
    pub(super) handler_timer: Option<Moment>,
    pub(super) timers: Timers,
}

/// What others have to hear of.
#[derive(Debug)]
pub(super) enum Change {
    /// A name has its first session.
    Joined { session: SessionId, name: Name },
    /// A session's connection is lost, which others are to know.
    Lost { session: SessionId },
    /// A session has ended.
    Left { session: SessionId, name: Name, last: bool },
    /// No connection waits for this hash any more.
    Abandoned(JobId),
    /// Nor for the hash that this connection with a session waited for.
    AbandonedBy(ConnId),
    /// A login that waited for its name to be stored is not wanted any more.
    EarlyLoginLeft { conn: ConnId, name: Name },
}

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub(super) connections: u64,
    pub(super) logins: u64,
    pub(super) messages_in: u64,
    pub(super) messages_out: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// By the code's place among all.
    pub(super) refused: [u64; Code::ALL.len()],
    /// Of the logins, those whose password needed no hash.
    pub(super) logins_remembered: u64,
    pub(super) resumed: u64,
    pub(super) sessions_lost: u64,
    /// Of the lost ones, those that a client has come back to.
    pub(super) sessions_resumed: u64,
    pub(super) wrong_passwords: u64,
    pub(super) throttled: u64,
    pub(super) hash_rounds: u64,
    pub(super) handshakes: u64,
    pub(super) handshakes_failed: u64,
    pub(super) log_lines_dropped: u64,
}

impl Registry {
    pub(super) fn new(config: Config) -> Registry {
        let room = config.max_connections.min(CONNECTIONS_ROOM_MOST);
        let chat_rate = ChatRate::new(config.chat_rate);
        Registry {
            config,
            now: Moment::START,
            connections: Slots::with_room(room),
            // As many again may be lost.
            sessions: Sessions::with_room(2 * room),
            changes: VecDeque::new(),
            console: ConsoleQueue::default(),
            answers: Answers::default(),
            reloads: Vec::new(),
            totals: Totals::default(),
            pending_handshakes: PendingHandshakes::default(),
            stranger_log: StrangerLog::new(),
            outputs: Outputs::default(),
            fan_out: FanOut::default(),
            unblocked: Vec::new(),
            commands: VecDeque::new(),
            is_shared: false,
            shares_room: false,
            presence: Presence::default(),
            sayings: Vec::new(),
            over_limit: 0,
            strangers: Strangers::default(),
            roll: Roll::default(),
            chat_rate,
            turns: Turns::default(),
            tasks: VecDeque::new(),
            cut_off: None,
            handler_timer: None,
            timers: Timers::default(),
        }
    }

    /// Whether a connection was given its final reply, or is gone.
    pub(super) fn is_closing(&self, id: ConnId) -> bool {
        self.connections.get(id).is_none_or(Connection::is_closing)
    }

    /// Answers with an error, and closes if the code says so.
    pub(super) fn refuse(&mut self, id: ConnId, code: Code, explanation: &str) {
        if self.is_closing(id) {
            return;
        }
        self.totals.refused[code.index()] += 1;
        self.log_refusal(id, code, explanation);
        let reply = Reply::Error { code: code.number(), explanation };
        if code.closes() {
            self.append(id, &reply);
            self.begin_close(id, CloseReason::Refused(code));
        } else {
            self.send(id, &reply);
        }
    }

    /// Says good bye and closes.
    pub(super) fn bye(&mut self, id: ConnId, reason: &str, why: CloseReason) {
        self.append(id, &Reply::Bye(reason));
        self.begin_close(id, why);
    }

    /// The final reply is there (or there is none): nothing more is handled, what waits is written.
    pub(super) fn begin_close(&mut self, id: ConnId, why: CloseReason) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let could_be_read = connection.may_be_served();
        let Some(left) = connection.close(why, self.now) else { return };
        if !could_be_read {
            // What its socket holds was left there, and is now to be discarded.
            self.unblocked.push(id);
        }
        self.leave(id, left, why);
        self.count_stranger(id);
        self.flushed(id);
        self.arm(id);
    }

    /// If all input was handed in and every whole frame of it is handled and handed out, closes the connection.
    pub(super) fn finish_input(&mut self, id: ConnId) {
        let is_finished = |connection: &Connection| connection.is_finished(&self.config);
        if self.connections.get(id).is_some_and(is_finished) {
            self.begin_close(id, CloseReason::ClosedByPeer);
        }
    }

    /// The connection is of no use any more: closes it without a word.
    pub(super) fn close_at_once(&mut self, id: ConnId, why: CloseReason) {
        let connection = self.connections.get_mut(id);
        if let Some(left) = connection.and_then(|connection| connection.close_at_once(why)) {
            self.leave(id, left, why);
            self.close_socket(id);
        }
    }

    /// If a closing connection has nothing left to write, shuts its sending side.
    pub(super) fn flushed(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get(id) else { return };
        if connection.outbox.is_empty() && !connection.has_transport_backlog() {
            self.shut(id);
        }
    }

    /// Shuts a flushing connection's sending side and waits a moment for the peer to close.
    pub(super) fn shut(&mut self, id: ConnId) {
        let now = self.now;
        match self.connections.get_mut(id).and_then(|connection| connection.shut(now)) {
            Some(SocketCommand::ShutDown) => {
                // Nothing can be written any more: what the peer did not take in time is dropped.
                self.drop_output(id);
                self.commands.push_back((id, SocketCommand::ShutDown));
                self.arm(id);
            }
            Some(SocketCommand::Close) => self.close_socket(id),
            None => {}
        }
    }

    /// Closes a connection whose sending side is shut.
    pub(super) fn finish_close(&mut self, id: ConnId) {
        if self.connections.get_mut(id).is_some_and(Connection::finish) {
            self.close_socket(id);
        }
    }

    fn close_socket(&mut self, id: ConnId) {
        self.count_stranger(id);
        self.commands.push_back((id, SocketCommand::Close));
        self.arm(id);
    }

    /// Forgets a closed connection.
    pub(super) fn remove(&mut self, id: ConnId) {
        self.forget_transport_backlog(id);
        let Some(connection) = self.connections.remove(id) else { return };
        self.timers.forget(id, &connection);
        self.over_limit -= usize::from(connection.is_over_limit());
        if let Some(why) = connection.close_reason() {
            self.log_disconnected(id, &connection, why);
        }
        self.drop_outbox(connection.outbox);
    }

    /// Ends a session, whatever became of its connection.
    pub(super) fn end_session(&mut self, session: SessionId) {
        if let Some((ended, last)) = self.sessions.end(session) {
            self.changes.push_back(Change::Left { session, name: ended.name().clone(), last });
        }
    }

    /// The connection can be served again: it is to be given a turn.
    pub(super) fn wake(&mut self, id: ConnId) {
        self.unblocked.push(id);
        self.arm(id);
    }

    /// Nothing more of a connection is handled until this is done. A client that is not logged in is to give its password
    /// for this name then, or goes on as it was.
    pub(super) fn begin_waiting(&mut self, id: ConnId, login_by: Option<Name>, pending: PendingWork) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.begin_waiting(login_by, pending, self.now);
        }
        self.count_stranger(id);
        self.arm(id);
    }

    /// What a connection has waited for is there; false if it has not waited, or is gone.
    pub(super) fn end_waiting(&mut self, id: ConnId) -> bool {
        let now = self.now;
        let has_waited = self.connections.get_mut(id).is_some_and(|connection| connection.end_waiting(now));
        if has_waited {
            self.count_stranger(id);
            self.wake(id);
        }
        has_waited
    }

    /// Carries out what follows from what a connection leaves behind: a hash is dropped, a session ends or is lost. A session
    /// that another connection has taken over stays as it is.
    fn leave(&mut self, id: ConnId, left: Left, why: CloseReason) {
        match left {
            Left::Nothing => {}
            Left::Hash(job) => self.changes.push_back(Change::Abandoned(job)),
            Left::EarlyLogin(name) => self.changes.push_back(Change::EarlyLoginLeft { conn: id, name }),
            Left::Session { session, was_waiting } => {
                if was_waiting {
                    self.changes.push_back(Change::AbandonedBy(id));
                }
                let carried = self.sessions.session(session).and_then(|session| session.connection());
                if carried != Some(id) {
                    return;
                }
                if why.ends_session() || self.config.resume_window.is_zero() {
                    self.end_session(session);
                } else {
                    self.lose_session(session);
                }
            }
        }
    }

    pub(super) fn lose_session(&mut self, session: SessionId) {
        self.totals.sessions_lost += 1;
        if self.is_shared {
            self.changes.push_back(Change::Lost { session });
        }
        self.sessions.lose(session, self.now + self.config.resume_window);
        if self.sessions.lost_count() > self.config.max_connections
            && let Some((_, oldest)) = self.sessions.first_lost()
        {
            self.end_session(oldest);
        }
    }
}
