//! How a connection comes to a session, and how it waits for the server meanwhile.

use super::{Connection, ConnectionState};
use crate::Moment;
use crate::auth::conversation::{LoginState, PendingWork, Unauthenticated};
use crate::auth::{Name, SessionId};
use crate::engine::strangers::StrangerState;

impl Connection {
    /// How far its client is on the way to a session.
    pub(in crate::engine) fn unauthenticated(&mut self) -> Option<&mut Unauthenticated> {
        match &mut self.state {
            ConnectionState::Unauthenticated(unauthenticated) => Some(unauthenticated),
            _ => None,
        }
    }

    pub(in crate::engine) fn is_unauthenticated(&self) -> bool {
        matches!(self.state, ConnectionState::Unauthenticated(_))
    }

    /// It carries this session from now on, and was `admitted` as so many before it.
    pub(in crate::engine) fn authenticate(&mut self, session: SessionId, admitted: u32, now: Moment) {
        let wrong_passwords =
            self.unauthenticated().map_or(0, |unauthenticated| unauthenticated.wrong_passwords);
        self.state = ConnectionState::Authenticated {
            session,
            last_frame: now,
            is_paused: false,
            is_waiting: false,
            wrong_passwords,
            admitted,
            posts: 0,
        };
    }

    /// Counts a wrong password, and says the how many-th in this connection that was.
    pub(in crate::engine) fn count_wrong_password(&mut self) -> Option<u32> {
        let wrong_passwords = match &mut self.state {
            ConnectionState::Unauthenticated(unauthenticated) => &mut unauthenticated.wrong_passwords,
            ConnectionState::Authenticated { wrong_passwords, .. } => wrong_passwords,
            _ => return None,
        };
        *wrong_passwords += 1;
        Some(*wrong_passwords)
    }

    /// Whether it waits for a hash or for the store.
    pub(in crate::engine) fn is_waiting(&self) -> bool {
        match &self.state {
            ConnectionState::Unauthenticated(unauthenticated) => unauthenticated.is_waiting(),
            ConnectionState::Authenticated { is_waiting, .. } => *is_waiting,
            _ => false,
        }
    }

    /// The server works for it from now on. If it is not logged in it is to give its password for this name afterwards, or
    /// goes on as it was.
    pub(in crate::engine) fn begin_waiting(
        &mut self,
        login_by: Option<Name>,
        pending: PendingWork,
        now: Moment,
    ) {
        match &mut self.state {
            ConnectionState::Unauthenticated(unauthenticated) => {
                if let Some(name) = login_by {
                    unauthenticated.login = LoginState::LoggingIn { name, fetched: None };
                }
                unauthenticated.begin_waiting(pending, now);
            }
            ConnectionState::Authenticated { is_waiting, .. } => *is_waiting = true,
            _ => {}
        }
    }

    /// What it has waited for is there: that took none of its own time. False if it has not waited.
    pub(in crate::engine) fn end_waiting(&mut self, now: Moment) -> bool {
        let was_waiting = self.is_waiting();
        match &mut self.state {
            ConnectionState::Unauthenticated(unauthenticated) => unauthenticated.end_waiting(now),
            ConnectionState::Authenticated { is_waiting, last_frame, .. } if was_waiting => {
                *is_waiting = false;
                *last_frame = now;
            }
            _ => {}
        }
        was_waiting
    }

    /// It is none of those that the limits are about any more. False if it was none before.
    pub(in crate::engine) fn leave_count(&mut self) -> bool {
        !std::mem::replace(&mut self.over_limit, true)
    }

    pub(in crate::engine) fn is_over_limit(&self) -> bool {
        self.over_limit
    }

    /// How it is counted among those that are not logged in.
    pub(in crate::engine) fn stranger(&self) -> Option<StrangerState> {
        self.stranger
    }

    /// Counts it as its state is now, and says how it was and how it is counted.
    pub(in crate::engine) fn count_stranger(&mut self) -> (Option<StrangerState>, Option<StrangerState>) {
        let state = match &self.state {
            _ if self.over_limit => None,
            ConnectionState::Unauthenticated(unauthenticated) if unauthenticated.is_waiting() => {
                Some(StrangerState::Waiting)
            }
            ConnectionState::Unauthenticated(_) => Some(StrangerState::Idle),
            ConnectionState::Flushing { .. } | ConnectionState::Discarding { .. } => {
                self.stranger.map(|_| StrangerState::Closing)
            }
            ConnectionState::Authenticated { .. } | ConnectionState::Closed { .. } => None,
        };
        (std::mem::replace(&mut self.stranger, state), state)
    }
}
