//! One connection, as the engine sees it: what state it is in, and how it gets from one to the next.
//!
//! Whatever else must be done about a step (an answer, a line of the log, a session that is lost) is the registry's.

mod closing;
mod login;
mod stall;

pub(super) use closing::Left;

use super::Config;
use super::close_reason::CloseReason;
use super::events::Logged;
use super::output::Listed;
use super::peer::Peer;
use super::strangers::StrangerState;
use super::timers::Timer;
use crate::Moment;
use crate::auth::conversation::Unauthenticated;
use crate::auth::{Origin, SessionId};
use crate::limits::{
    HEADER_BYTES, OUTPUT_HOLDS_INPUT_BYTES, OUTPUT_STALL, SHARE_BYTES, SHARE_FRAMES, STRANGER_FRAME_BYTES,
};
use crate::protocol::{Inbox, Lent, Outbox, Request};

/// A connection's state and what waits in it.
#[derive(Debug)]
pub(super) struct Connection {
    peer: Peer,
    state: ConnectionState,
    inbox: Inbox,
    pub(super) outbox: Outbox,
    pub(super) traffic: Traffic,
    /// Bytes of what was written that have not left what lies between here and the socket; more are counted as
    /// so many as fit.
    transport_backlog_bytes: u16,
    /// Since when none of the waiting output could be written. [`NEVER`](Moment::NEVER): the time for that was up, and the
    /// transport is to try once more, whatever it believes.
    stalled_since: Option<Moment>,
    /// For when its timer is set; never later than it is due.
    pub(super) armed: Moment,
    input: Input,
    pub(super) logged: Logged,
    /// In which lists of connections that have output it is.
    pub(super) listed: Listed,
    /// It was refused for the room that it takes, from the start or later, and is not counted.
    over_limit: bool,
    /// How it is counted among those that are not logged in.
    stranger: Option<StrangerState>,
}

/// With its slot this is nearly half of what an idle connection costs.
const _: () = assert!(size_of::<Connection>() <= 120);

/// How far a connection has come.
#[derive(Debug)]
enum ConnectionState {
    /// Not yet authenticated.
    Unauthenticated(Box<Unauthenticated>),
    /// Carrying a session.
    Authenticated {
        session: SessionId,
        last_frame: Moment,
        /// It has written as much as it may for now.
        is_paused: bool,
        /// Its user's next password is hashed or stored; no further frame is handled meanwhile.
        is_waiting: bool,
        /// In this connection, before it was authenticated too.
        wrong_passwords: u32,
        /// Its number among all that were.
        admitted: u32,
        /// Texts that it wrote, and answers to such, that are still to be handed out.
        posts: u16,
    },
    /// The final reply is there; what still waits is written, then the sending side is shut.
    Flushing { until: Moment, why: CloseReason },
    /// The sending side is shut; the peer is given a moment to read the final reply.
    Discarding { until: Moment, why: CloseReason },
    /// To be closed and forgotten.
    Closed { why: CloseReason },
}

/// How far a peer's sending side is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    Open,
    /// The peer has closed it, though not all that it sent may have been read.
    HalfClosed,
    /// All that the peer sent has been handed in.
    Ended,
}

/// Bytes and messages both ways, for the log.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Traffic {
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) messages_in: u32,
    pub(super) messages_out: u32,
}

/// What a connection can take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadBudget {
    /// Nothing: it waits for a password to be hashed or stored, or for its own output to be read.
    Nothing,
    /// It has frames left from before: give it a turn without new bytes.
    Backlog,
    /// Up to so many bytes.
    Bytes(usize),
}

impl Connection {
    pub(super) fn new(peer: Peer, login_deadline: Moment) -> Connection {
        Connection {
            peer,
            state: ConnectionState::Unauthenticated(Box::new(Unauthenticated::new(login_deadline))),
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            traffic: Traffic::default(),
            transport_backlog_bytes: 0,
            stalled_since: None,
            armed: Moment::NEVER,
            input: Input::Open,
            logged: Logged::default(),
            listed: Listed::default(),
            over_limit: false,
            stranger: None,
        }
    }

    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// The origin that it is put down to.
    pub(super) fn origin(&self) -> Origin {
        Origin::of(self.peer.ip())
    }

    /// The longest frame body it may send now.
    pub(super) fn frame_limit_bytes(&self, config: &Config) -> u32 {
        match self.state {
            ConnectionState::Authenticated { .. } => config.max_frame_bytes,
            _ => config.max_frame_bytes.min(STRANGER_FRAME_BYTES),
        }
    }

    /// Whether its next frame may be handled, and more be read from it.
    pub(super) fn may_be_served(&self) -> bool {
        self.may_handle_frame() && !self.has_posts()
    }

    /// Whether its next frame may be handled, if it is there.
    pub(super) fn may_handle_frame(&self) -> bool {
        let has_room = !self.is_full();
        match &self.state {
            // A stranger who reads no answer is not to fill the memory with them.
            ConnectionState::Unauthenticated(unauthenticated) => has_room && !unauthenticated.is_waiting(),
            ConnectionState::Authenticated { is_paused, is_waiting, posts, .. } => {
                has_room && !is_paused && !is_waiting && usize::from(*posts) < SHARE_FRAMES
            }
            ConnectionState::Flushing { .. }
            | ConnectionState::Discarding { .. }
            | ConnectionState::Closed { .. } => false,
        }
    }

    /// Whether so much waits to be written that it is not read.
    pub(super) fn is_full(&self) -> bool {
        self.outbox.len() >= OUTPUT_HOLDS_INPUT_BYTES
    }

    /// Whether something that it wrote is still to be handed out.
    pub(super) fn has_posts(&self) -> bool {
        matches!(self.state, ConnectionState::Authenticated { posts: 1.., .. })
    }

    /// Notes that it wrote something that is to be handed out; false if that cannot be noted.
    pub(super) fn note_post(&mut self) -> bool {
        match &mut self.state {
            ConnectionState::Authenticated { posts, .. } if *posts < u16::MAX => {
                *posts += 1;
                true
            }
            _ => false,
        }
    }

    /// Its end is posted: no further frame of it is handled, whatever is handed out before.
    pub(super) fn stop_handling(&mut self) {
        if let ConnectionState::Authenticated { posts, .. } = &mut self.state {
            *posts = posts.saturating_add(SHARE_FRAMES as u16);
        }
    }

    /// One of the things that it wrote is handed out; true if it was the last.
    pub(super) fn forget_post(&mut self) -> bool {
        match &mut self.state {
            ConnectionState::Authenticated { posts, .. } => {
                *posts = posts.saturating_sub(1);
                *posts == 0
            }
            _ => false,
        }
    }

    /// The peer has closed its sending side.
    pub(super) fn half_close(&mut self) {
        if self.input == Input::Open {
            self.input = Input::HalfClosed;
        }
    }

    pub(super) fn is_half_closed(&self) -> bool {
        self.input != Input::Open
    }

    /// All that the peer sent has been handed in.
    pub(super) fn end_input(&mut self) {
        self.input = Input::Ended;
    }

    /// Whether all input was handed in, and every whole frame of it is handled and handed out.
    pub(super) fn is_finished(&self, config: &Config) -> bool {
        self.input == Input::Ended
            && !self.is_closing()
            && !self.has_posts()
            && !self.inbox.has_frame(self.frame_limit_bytes(config))
    }

    /// Takes what was kept of its input out, to be served; `None` if nothing more is handled.
    pub(super) fn take_input(&mut self) -> Option<Inbox> {
        (!self.is_closing()).then(|| std::mem::take(&mut self.inbox))
    }

    /// Bytes of its input that are kept.
    pub(super) fn input_len(&self) -> usize {
        self.inbox.len()
    }

    /// Puts what is left of its input back, behind so many frames that were handled.
    pub(super) fn keep_input(&mut self, mut inbox: Inbox, lent: &mut Lent<'_>, frames: usize, now: Moment) {
        if self.is_closing() {
            return;
        }
        if let ConnectionState::Authenticated { last_frame, .. } = &mut self.state
            && frames > 0
        {
            *last_frame = now;
        }
        inbox.keep(lent);
        self.inbox = inbox;
    }

    pub(super) fn read_budget(&self, config: &Config) -> ReadBudget {
        let most = match &self.state {
            ConnectionState::Closed { .. } => return ReadBudget::Nothing,
            ConnectionState::Flushing { .. } | ConnectionState::Discarding { .. } => {
                return ReadBudget::Bytes(SHARE_BYTES);
            }
            // A stranger's bytes may be kept, so no more are taken than its longest frame has.
            ConnectionState::Unauthenticated(_) => HEADER_BYTES + STRANGER_FRAME_BYTES as usize,
            ConnectionState::Authenticated { .. } => SHARE_BYTES,
        };
        if !self.may_be_served() {
            return ReadBudget::Nothing;
        }
        if !self.inbox.is_bare() && self.inbox.has_frame(self.frame_limit_bytes(config)) {
            return ReadBudget::Backlog;
        }
        if self.input == Input::Ended { ReadBudget::Nothing } else { ReadBudget::Bytes(most) }
    }

    /// It is not read for now. False if it has no session.
    pub(super) fn pause(&mut self) -> bool {
        if let ConnectionState::Authenticated { is_paused, .. } = &mut self.state {
            *is_paused = true;
            return true;
        }
        false
    }

    /// It is read again; that it said nothing was not its choice. False if it has no session.
    pub(super) fn end_pause(&mut self, now: Moment) -> bool {
        if let ConnectionState::Authenticated { is_paused, last_frame, .. } = &mut self.state {
            *is_paused = false;
            *last_frame = now;
            return true;
        }
        false
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(
            self.state,
            ConnectionState::Flushing { .. }
                | ConnectionState::Discarding { .. }
                | ConnectionState::Closed { .. }
        )
    }

    /// The session that it carries, and its number among all that were authenticated.
    pub(super) fn admission(&self) -> Option<(SessionId, u32)> {
        match self.state {
            ConnectionState::Authenticated { session, admitted, .. } => Some((session, admitted)),
            _ => None,
        }
    }

    /// The session that it carries.
    pub(super) fn session(&self) -> Option<SessionId> {
        match self.state {
            ConnectionState::Authenticated { session, .. } => Some(session),
            _ => None,
        }
    }

    /// Whether the protocol allows this request in the state that the connection is in.
    #[inline]
    pub(super) fn allows(&self, request: &Request<'_>) -> bool {
        match &self.state {
            ConnectionState::Unauthenticated(unauthenticated) => unauthenticated.allows(request),
            ConnectionState::Authenticated { .. } => {
                let is_with_token = matches!(
                    request,
                    Request::Message { .. } | Request::Who { .. } | Request::ChangePassword { .. }
                );
                is_with_token || *request == Request::Exit
            }
            _ => false,
        }
    }

    /// The state's name in the protocol.
    pub(super) fn state_name(&self) -> &'static str {
        match &self.state {
            ConnectionState::Unauthenticated(unauthenticated) => unauthenticated.state_name(),
            ConnectionState::Authenticated { .. } => "Authenticated",
            _ => "closed",
        }
    }

    /// What is to be done about it next though nothing happens, and when: of its timers the one that is up first.
    pub(super) fn next_timer(&self, config: &Config) -> Option<(Moment, Timer)> {
        let own = match &self.state {
            ConnectionState::Unauthenticated(unauthenticated) if !unauthenticated.is_waiting() => {
                Some((unauthenticated.login_deadline, Timer::Login))
            }
            ConnectionState::Authenticated { last_frame, is_paused: false, is_waiting: false, .. } => {
                config.idle_timeout.map(|timeout| (*last_frame + timeout, Timer::Idle))
            }
            // The server itself keeps it from saying anything.
            ConnectionState::Unauthenticated(_) | ConnectionState::Authenticated { .. } => None,
            ConnectionState::Flushing { until, .. } => return Some((*until, Timer::Flush)),
            ConnectionState::Discarding { until, .. } => return Some((*until, Timer::Discard)),
            ConnectionState::Closed { .. } => return None,
        };
        let stall = self.stalled_since.map(|since| (since + OUTPUT_STALL, Timer::Stall));
        own.into_iter().chain(stall).min_by_key(|(due, _)| *due)
    }
}
