//! Who is here: connections, the sessions they carry, and what waits to be done about them.

use super::answers::{Answers, CommandId};
use super::close_reason::CloseReason;
use super::connection::{Connection, ConnectionState, Input};
use super::console::ConsoleQueue;
use super::cut_off::CutOff;
use super::fan_out::FanOut;
use super::figures::PendingHandshakes;
use super::output::Outputs;
use super::roll::Roll;
use super::room::{Presence, Saying};
use super::stranger_log::StrangerLog;
use super::strangers::{StrangerState, Strangers};
use super::tasks::Task;
use super::timers::Timers;
use super::turns::Turns;
use super::write_rate::WriteRate;
use super::{Config, ConnId, SocketCommand};
use crate::Moment;
use crate::auth::conversation::{LoginState, PendingWork};
use crate::auth::hash_queue::JobId;
use crate::auth::{Name, SessionId, Sessions};
use crate::limits::{CLOSE_DISCARD, CLOSE_FLUSH, CONNECTIONS_ROOM_MOST};
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
    pub(super) write_rate: WriteRate,
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
    /// Nobody waits for this hash any more.
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
        let write_rate = WriteRate::new(config.chat_rate);
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
            write_rate,
            turns: Turns::default(),
            tasks: VecDeque::new(),
            cut_off: None,
            handler_timer: None,
            timers: Timers::default(),
        }
    }

    /// Whether a connection's last word is said, or it is gone.
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

    /// The deciding word is said (or there is none): nothing more is handled, what waits is written.
    pub(super) fn begin_close(&mut self, id: ConnId, why: CloseReason) {
        if self.is_closing(id) {
            return;
        }
        self.leave_state(id, why);
        let until = self.now + CLOSE_FLUSH;
        if let Some(connection) = self.connections.get_mut(id) {
            if !connection.may_be_served() {
                // What its socket holds was left there, and is now to be discarded.
                self.unblocked.push(id);
            }
            connection.inbox.clear();
            connection.state = ConnectionState::Flushing { until, why };
            if connection.stranger.is_some() {
                self.note_stranger(id, Some(StrangerState::Closing));
            }
        }
        self.flushed(id);
        self.arm(id);
    }

    /// If all input was handed in and every whole frame of it is handled and handed out, the connection has served its purpose.
    pub(super) fn finish_input(&mut self, id: ConnId) {
        let has_ended =
            |connection: &&Connection| connection.input == Input::Ended && !connection.is_closing();
        let Some(connection) = self.connections.get(id).filter(has_ended) else { return };
        let limit_bytes = connection.frame_limit_bytes(&self.config);
        if !connection.has_posts() && !connection.inbox.has_frame(limit_bytes) {
            self.begin_close(id, CloseReason::ClosedByPeer);
        }
    }

    /// The connection is of no use any more: closes it without a word.
    pub(super) fn close_at_once(&mut self, id: ConnId, why: CloseReason) {
        let Some(connection) = self.connections.get(id) else { return };
        let why = match connection.state {
            ConnectionState::Closed { .. } => return,
            // What decided its end stands, whatever became of the last word.
            ConnectionState::Flushing { why, .. } | ConnectionState::Discarding { why, .. } => why,
            _ => why,
        };
        self.leave_state(id, why);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.inbox.clear();
            connection.state = ConnectionState::Closed { why };
            self.note_stranger(id, None);
            self.commands.push_back((id, SocketCommand::Close));
        }
        self.arm(id);
    }

    /// If a closing connection has nothing left to write, shuts its sending side.
    pub(super) fn flushed(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get(id) else { return };
        if connection.outbox.is_empty() && !connection.transport_backlog {
            self.shut(id);
        }
    }

    /// Shuts a flushing connection's sending side and waits a moment for the peer to close.
    pub(super) fn shut(&mut self, id: ConnId) {
        let until = self.now + CLOSE_DISCARD;
        let Some(connection) = self.connections.get_mut(id) else { return };
        let ConnectionState::Flushing { why, .. } = connection.state else { return };
        if connection.input == Input::Ended {
            self.close_at_once(id, why);
            return;
        }
        connection.state = ConnectionState::Discarding { until, why };
        // Nothing can be written any more: what the peer did not take in time is dropped.
        self.drop_output(id);
        self.commands.push_back((id, SocketCommand::ShutDown));
        self.arm(id);
    }

    /// Closes a connection of which nothing is wanted but its end.
    pub(super) fn finish_close(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get(id)
            && let ConnectionState::Discarding { why, .. } = connection.state
        {
            self.close_at_once(id, why);
        }
    }

    /// Forgets a closed connection.
    pub(super) fn remove(&mut self, id: ConnId) {
        self.note_transport_backlog(id, false);
        let Some(connection) = self.connections.remove(id) else { return };
        self.timers.forget(id, &connection);
        self.over_limit -= usize::from(connection.over_limit);
        if let ConnectionState::Closed { why } = connection.state {
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

    /// What a connection leaves behind when it stops being served: a session that ends or is lost, a hash that nobody
    /// waits for. A session that another connection has taken over stays as it is.
    fn leave_state(&mut self, id: ConnId, why: CloseReason) {
        match self.connections.get(id).map(|connection| &connection.state) {
            Some(ConnectionState::Unauthenticated(unauthenticated)) => {
                if let LoginState::Waiting(waiting) = &unauthenticated.login {
                    match (waiting.pending, waiting.then.user()) {
                        (PendingWork::Hash(job), _) => self.changes.push_back(Change::Abandoned(job)),
                        (PendingWork::Store, Some(name)) => {
                            self.changes.push_back(Change::EarlyLoginLeft { conn: id, name: name.clone() });
                        }
                        // An answer that nobody waits for is dropped when it comes.
                        (PendingWork::Fetch | PendingWork::Store, _) => {}
                    }
                }
            }
            Some(&ConnectionState::Authenticated { session, is_waiting, .. }) => {
                if is_waiting {
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
            _ => {}
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
