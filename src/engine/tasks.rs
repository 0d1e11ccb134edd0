//! What is asked of everybody at once: an end of a name's sessions, a list of who is here, Bye to all. Of ten thousand
//! that is too much for one turn, so each has a share of it; what a few take is done in the first.

use super::ConnId;
use super::answers::{ALONE, CommandId};
use super::arrival::COME_BACK;
use super::close_reason::{CloseReason, ended};
use super::connection::Connection;
use super::login::seconds_first;
use super::registry::Registry;
use crate::Moment;
use crate::auth::{Name, Session, SessionId};
use crate::command::Answer;
use crate::limits::{SHARE_TASK, STOP_TEXTS};
use crate::protocol::Code;
use crate::store::{EndReason, RemoteSession};
use std::collections::BTreeMap;

/// What is said of sessions that could not be asked about.
const LATER: &str = "those at other servers end as soon as the shared store takes that";

/// Something that is under way.
#[derive(Debug)]
pub(super) enum Task {
    /// An end of some sessions of a name, and who is to hear of it.
    End {
        sessions: Vec<SessionId>,
        done: usize,
        reason: &'static str,
        why: CloseReason,
        report: Report,
        /// At other servers, if they could be asked.
        elsewhere: Option<usize>,
    },
    /// Those who are here so far, in order; the session that is looked at next; and how many others have, online and lost.
    Who { command: CommandId, present: Present, next: usize, elsewhere: (usize, usize), is_alone: bool },
    /// The final reply to all, then an end of the sessions that have no connection; until when it waits for what is on its
    /// way to many.
    Stop { connections: Vec<ConnId>, sessions: Vec<SessionId>, texts_until: Moment },
}

/// Sessions in the order of their names, and of those of one name in any that is always the same.
type Present = BTreeMap<(Name, usize), Answer>;

/// What is said when sessions have ended.
#[derive(Debug)]
pub(super) enum Report {
    None,
    Kick(CommandId, Name),
    /// What was done to the account.
    Account(CommandId, String),
}

impl Registry {
    /// Ends every session that a name has now, and then says so; other servers have ended so many.
    pub(super) fn end_sessions(
        &mut self,
        name: &Name,
        why: EndReason,
        elsewhere: Option<usize>,
        report: Report,
    ) {
        let sessions = self.sessions.of(name).collect();
        let (why, reason) = ended(why);
        self.begin_task(Task::End { sessions, done: 0, reason, why, report, elsewhere });
    }

    /// Ends every session that a name has now, but for one.
    pub(super) fn end_other_sessions(
        &mut self,
        name: &Name,
        but: SessionId,
        reason: &'static str,
        why: CloseReason,
    ) {
        let sessions = self.sessions.of(name).filter(|id| *id != but).collect();
        self.begin_task(Task::End {
            sessions,
            done: 0,
            reason,
            why,
            report: Report::None,
            elsewhere: Some(0),
        });
    }

    /// Lists who is here, and at other servers.
    pub(super) fn list_who_is_here(&mut self, command: CommandId, elsewhere: Option<Vec<RemoteSession>>) {
        let is_alone = elsewhere.is_none();
        let elsewhere = elsewhere.unwrap_or_default();
        let count = elsewhere.len();
        let lost = elsewhere.iter().filter(|session| session.peer.is_none()).count();
        // Behind those of this server, which are numbered by their places.
        let present = elsewhere.into_iter().enumerate().map(|(number, session)| {
            let RemoteSession { name, peer, resumable } = session;
            ((name.clone(), usize::MAX - number), Answer::Present { name, peer, resumable })
        });
        let present = present.collect();
        self.begin_task(Task::Who { command, present, next: 0, elsewhere: (count - lost, lost), is_alone });
    }

    /// Says Bye to all.
    pub(super) fn stop(&mut self) {
        let connections = self.connections.iter().map(|(id, _)| id).collect();
        // Others wait for those that are lost already.
        let ended = self.sessions.iter().filter(|_| !self.is_shared);
        let sessions = ended.map(|(session, _)| session).collect();
        self.begin_task(Task::Stop { connections, sessions, texts_until: self.now + STOP_TEXTS });
    }

    /// Does a share of the oldest task; says how much that was, in looks at a connection.
    pub(super) fn go_on_with_tasks(&mut self) -> usize {
        let Some(mut task) = self.tasks.pop_front() else { return 0 };
        if !self.is_due(&task) {
            self.tasks.push_front(task);
            return 0;
        }
        if !self.does_share(&mut task) {
            self.tasks.push_front(task);
        }
        SHARE_TASK
    }

    fn begin_task(&mut self, mut task: Task) {
        // Whose session is to end waits for no list.
        let is_next = self.tasks.is_empty() || matches!(task, Task::End { .. });
        if !(is_next && self.is_due(&task) && self.does_share(&mut task)) {
            self.tasks.push_back(task);
        }
    }

    /// What is on its way to all reaches them before Bye, as far as it does in time.
    fn is_due(&mut self, task: &Task) -> bool {
        let Task::Stop { texts_until, .. } = task else { return true };
        if !self.fan_out.is_empty() && *texts_until <= self.now {
            self.drop_posts();
        }
        self.fan_out.is_empty()
    }

    /// Whether the task is done by now.
    fn does_share(&mut self, task: &mut Task) -> bool {
        match task {
            Task::End { sessions, done, reason, why, report, elsewhere } => {
                let end = sessions.len().min(*done + SHARE_TASK);
                for session in &sessions[*done..end] {
                    match self.sessions.session(*session).and_then(Session::connection) {
                        Some(conn) => self.bye(conn, reason, *why),
                        None => self.end_session(*session),
                    }
                }
                *done = end;
                if end < sessions.len() {
                    return false;
                }
                self.report_end(report, sessions.len(), *elsewhere);
                true
            }
            Task::Who { command, present, next, elsewhere, is_alone } if *next < self.sessions.used() => {
                let end = self.sessions.used().min(*next + SHARE_TASK);
                let session = |index| self.sessions.at_index(index).map(|(_, session)| (index, session));
                let sessions = (*next..end).filter_map(session);
                present.extend(
                    sessions.map(|(n, session)| ((session.name().clone(), n), self.presence_of(session))),
                );
                *next = end;
                self.does_last_share_of(*command, present, *next, *elsewhere, *is_alone)
            }
            Task::Who { command, present, next, elsewhere, is_alone } => {
                self.does_last_share_of(*command, present, *next, *elsewhere, *is_alone)
            }
            Task::Stop { connections, sessions, .. } => {
                for _ in 0..SHARE_TASK {
                    if let Some(id) = connections.pop() {
                        self.send_away(id);
                    } else if let Some(session) = sessions.pop() {
                        self.end_session(session);
                    }
                }
                connections.is_empty() && sessions.is_empty()
            }
        }
    }

    /// The final reply of a server that stops. Others go on with its sessions; who has none yet may come back to them at once.
    fn send_away(&mut self, id: ConnId) {
        let is_unauthenticated = self.connections.get(id).is_some_and(Connection::is_unauthenticated);
        if !self.is_shared {
            self.bye(id, "the server stops", CloseReason::Shutdown);
        } else if is_unauthenticated {
            self.refuse(id, Code::Busy, &seconds_first(COME_BACK, "and then again: this server stops"));
        } else {
            self.begin_close(id, CloseReason::HandedOver);
        }
    }

    /// Shows the list, if all sessions were looked at; whether that is done.
    fn does_last_share_of(
        &mut self,
        command: CommandId,
        present: &mut Present,
        looked: usize,
        (online_elsewhere, lost_elsewhere): (usize, usize),
        is_alone: bool,
    ) -> bool {
        if looked < self.sessions.used() {
            return false;
        }
        for _ in 0..SHARE_TASK {
            let Some((_, answer)) = present.pop_first() else { break };
            self.answers.push(command, answer);
        }
        if !present.is_empty() {
            return false;
        }
        let lost = self.sessions.lost_count();
        let online = self.sessions.len() - lost;
        let strangers = self.connections.len().saturating_sub(online);
        let (online, lost) = (online + online_elsewhere, lost + lost_elsewhere);
        self.answers.push(command, Answer::Presence { online, lost, strangers });
        match is_alone {
            true => self.answers.failed(command, ALONE),
            false => self.answers.done(command, ""),
        }
        true
    }

    /// Says how many sessions have ended here, and elsewhere if that is known.
    fn report_end(&mut self, report: &Report, here: usize, elsewhere: Option<usize>) {
        let count = here + elsewhere.unwrap_or(0);
        let sessions = match count {
            1 => "1 session".to_owned(),
            count => format!("{count} sessions"),
        };
        match (report, elsewhere) {
            (Report::None, _) => {}
            (Report::Kick(command, name), Some(_)) => match count {
                0 => self.answers.failed(*command, format!("not kicked: {name} is not here")),
                1 => self.answers.done(*command, format!("kicked {name}")),
                _ => self.answers.done(*command, format!("kicked {name}, {sessions}")),
            },
            (Report::Kick(command, name), None) => {
                self.answers.failed(*command, format!("kicked {name} here, {sessions}; {LATER}"));
            }
            (Report::Account(command, done), Some(_)) => self.answers.done(
                *command,
                match count {
                    0 => done.clone(),
                    1 => format!("{done}; {sessions} has ended"),
                    _ => format!("{done}; {sessions} have ended"),
                },
            ),
            (Report::Account(command, done), None) => {
                self.answers.done(*command, format!("{done}; {sessions} ended here; {LATER}"));
            }
        }
    }

    fn presence_of(&self, session: &Session) -> Answer {
        let connection = session.connection().and_then(|conn| self.connections.get(conn));
        Answer::Present {
            name: session.name().clone(),
            peer: connection.map(|connection| connection.peer().into()),
            resumable: session.expires().since(self.now),
        }
    }
}
