//! What is asked of everybody at once: an end of a name's sessions, a list of who is here, Bye to all. Of ten thousand
//! that is too much for one turn, so each has a share of it; what a few take is done in the first.

use super::ConnId;
use super::connection::CloseReason;
use super::registry::Registry;
use crate::auth::{Name, Session, SessionId};
use crate::limits::SHARE_TASK;
use std::collections::BTreeSet;

/// Something that is under way.
#[derive(Debug)]
pub(super) enum Task {
    /// An end of some sessions of a name, of which the person at the console may be told.
    End {
        sessions: Vec<SessionId>,
        done: usize,
        reason: &'static str,
        why: CloseReason,
        kicked: Option<Name>,
    },
    /// The lines so far, in order; and the session that is looked at next.
    Who { lines: BTreeSet<(String, SessionId)>, next: usize },
    /// Bye to all, then an end of the sessions that have no connection.
    Stop { connections: Vec<ConnId>, sessions: Vec<SessionId> },
}

impl Registry {
    /// Ends every session that a name has now, and says so at the console.
    pub(super) fn kick(&mut self, name: Name) {
        let sessions = self.sessions.of(&name).collect();
        let (reason, why) = ("kicked by the operator", CloseReason::Kicked);
        self.begin_task(Task::End { sessions, done: 0, reason, why, kicked: Some(name) });
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
        self.begin_task(Task::End { sessions, done: 0, reason, why, kicked: None });
    }

    /// Lists who is here.
    pub(super) fn list_who_is_here(&mut self) {
        self.begin_task(Task::Who { lines: BTreeSet::new(), next: 0 });
    }

    /// Says Bye to all.
    pub(super) fn stop(&mut self) {
        let connections = self.connections.iter().map(|(id, _)| id).collect();
        let sessions = self.sessions.iter().map(|(session, _)| session).collect();
        self.begin_task(Task::Stop { connections, sessions });
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

    /// What is on its way to all reaches them before Bye.
    fn is_due(&self, task: &Task) -> bool {
        self.fan_out.is_empty() || !matches!(task, Task::Stop { .. })
    }

    /// Whether the task is done by now.
    fn does_share(&mut self, task: &mut Task) -> bool {
        match task {
            Task::End { sessions, done, reason, why, kicked } => {
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
                if let Some(name) = kicked {
                    self.console.push(match sessions.len() {
                        0 => format!("not kicked: {name} is not here"),
                        1 => format!("kicked {name}"),
                        count => format!("kicked {name}, {count} sessions"),
                    });
                }
                true
            }
            Task::Who { lines, next } if *next < self.sessions.used() => {
                let end = self.sessions.used().min(*next + SHARE_TASK);
                let sessions = (*next..end).filter_map(|index| self.sessions.at_index(index));
                lines.extend(sessions.map(|(id, session)| (self.line_of(session), id)));
                *next = end;
                self.does_last_share_of(lines, *next)
            }
            Task::Who { lines, next } => self.does_last_share_of(lines, *next),
            Task::Stop { connections, sessions } => {
                for _ in 0..SHARE_TASK {
                    if let Some(id) = connections.pop() {
                        self.bye(id, "the server stops", CloseReason::Shutdown);
                    } else if let Some(session) = sessions.pop() {
                        self.end_session(session);
                    }
                }
                connections.is_empty() && sessions.is_empty()
            }
        }
    }

    /// Shows the list, if all sessions were looked at; whether that is done.
    fn does_last_share_of(&mut self, lines: &mut BTreeSet<(String, SessionId)>, looked: usize) -> bool {
        if looked < self.sessions.used() {
            return false;
        }
        for _ in 0..SHARE_TASK {
            let Some((line, _)) = lines.pop_first() else { break };
            self.console.push(line);
        }
        if !lines.is_empty() {
            return false;
        }
        let lost = self.sessions.lost_count();
        let online = self.sessions.len() - lost;
        let strangers = self.connections.len().saturating_sub(online);
        self.console.push(format!("{online} online, {lost} lost, {strangers} not logged in"));
        true
    }

    fn line_of(&self, session: &Session) -> String {
        let connection = session.connection().and_then(|conn| self.connections.get(conn));
        match connection {
            Some(connection) => format!("{}  {}", session.name(), connection.peer),
            None => {
                let left = session.expires().since(self.now).as_secs();
                format!("{}  connection lost, can be resumed for {left} s", session.name())
            }
        }
    }
}
