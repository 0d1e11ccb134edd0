//! One connection, as the engine sees it.

use super::Config;
use super::close_reason::CloseReason;
use super::events::Announced;
use super::peer::Peer;
use super::strangers::StrangerState;
use super::timers::Timer;
use super::transport::Written;
use crate::Moment;
use crate::auth::SessionId;
use crate::auth::conversation::Unauthenticated;
use crate::limits::{
    HEADER_BYTES, OUTPUT_HOLDS_INPUT_BYTES, OUTPUT_STALL, SHARE_BYTES, SHARE_FRAMES, STRANGER_FRAME_BYTES,
};
use crate::protocol::{Inbox, Outbox, Request};

/// A connection's state and what waits in it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) peer: Peer,
    pub(super) state: ConnectionState,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    pub(super) traffic: Traffic,
    /// What was written last has not yet left what lies between here and the socket.
    pub(super) transport_backlog: bool,
    /// Since when none of the waiting output could be written.
    pub(super) stalled_since: Option<Moment>,
    /// For when its timer is set; never later than it is due.
    pub(super) armed: Moment,
    pub(super) input: Input,
    /// Refusals that left it open and were logged at info.
    pub(super) refusals_logged: u8,
    /// In which lists of connections that have output it is.
    pub(super) listed: Listed,
    /// It was refused for the room that it takes, from the start or later, and is not counted.
    pub(super) over_limit: bool,
    pub(super) announced: Announced,
    /// How it stands among those that are not logged in.
    pub(super) stranger: Option<StrangerState>,
}

/// With its slot this is nearly half of what an idle connection costs.
const _: () = assert!(size_of::<Connection>() <= 120);

/// How far a connection has come.
#[derive(Debug)]
pub(super) enum ConnectionState {
    /// Not yet authenticated.
    Unauthenticated(Box<Unauthenticated>),
    /// Carrying a session.
    Authenticated {
        session: SessionId,
        last_frame: Moment,
        /// It has written as much as it may for now.
        is_paused: bool,
        /// Its user's next password is being seen to; no further frame is handled meanwhile.
        is_waiting: bool,
        /// In this connection, before it was authenticated too.
        wrong_passwords: u32,
        /// Its number among all that were.
        admitted: u32,
        /// Texts that it wrote, and answers to such, that are still to be handed out.
        posts: u16,
    },
    /// The deciding word is said; what still waits is written, then the sending side is shut.
    Flushing { until: Moment, why: CloseReason },
    /// The sending side is shut; the peer is given a moment to read the last word.
    Discarding { until: Moment, why: CloseReason },
    /// To be closed and forgotten.
    Closed { why: CloseReason },
}

/// In which lists of connections that have output one is, in a byte: of those that are written before others, and of
/// those whose output is for many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Listed {
    #[default]
    Nowhere,
    First,
    Behind,
    Both,
}

impl Listed {
    fn of(first: bool, behind: bool) -> Listed {
        match (first, behind) {
            (false, false) => Listed::Nowhere,
            (true, false) => Listed::First,
            (false, true) => Listed::Behind,
            (true, true) => Listed::Both,
        }
    }

    fn is_first(self) -> bool {
        matches!(self, Listed::First | Listed::Both)
    }

    fn is_behind(self) -> bool {
        matches!(self, Listed::Behind | Listed::Both)
    }

    /// Whether it was not among the first; now it is.
    pub(super) fn join_first(&mut self) -> bool {
        let was = self.is_first();
        *self = Listed::of(true, self.is_behind());
        !was
    }

    pub(super) fn leave_first(&mut self) {
        *self = Listed::of(false, self.is_behind());
    }

    pub(super) fn leave_behind(&mut self) {
        *self = Listed::of(self.is_first(), false);
    }
}

/// How far a peer's sending side is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Input {
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
    /// Nothing: it waits for a password to be seen to, or for its own output to be read.
    Nothing,
    /// It has frames left from before: give it a turn without new bytes.
    Backlog,
    /// Up to so many bytes.
    Bytes(usize),
}

impl Connection {
    pub(super) fn new(peer: Peer, state: ConnectionState) -> Connection {
        Connection {
            peer,
            state,
            inbox: Inbox::default(),
            outbox: Outbox::default(),
            traffic: Traffic::default(),
            transport_backlog: false,
            stalled_since: None,
            armed: Moment::NEVER,
            input: Input::Open,
            refusals_logged: 0,
            listed: Listed::default(),
            over_limit: false,
            announced: Announced::No,
            stranger: None,
        }
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
        self.is_heard() && !self.has_posts()
    }

    /// Whether its next frame may be handled, if it is there.
    pub(super) fn is_heard(&self) -> bool {
        let is_heard = self.outbox.len() < OUTPUT_HOLDS_INPUT_BYTES;
        match &self.state {
            // A stranger who reads no answer is not to fill the memory with them.
            ConnectionState::Unauthenticated(unauthenticated) => is_heard && !unauthenticated.is_waiting(),
            ConnectionState::Authenticated { is_paused, is_waiting, posts, .. } => {
                is_heard && !is_paused && !is_waiting && usize::from(*posts) < SHARE_FRAMES
            }
            ConnectionState::Flushing { .. }
            | ConnectionState::Discarding { .. }
            | ConnectionState::Closed { .. } => false,
        }
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

    /// Keeps since when none of the output that waits, here or in the transport, could be written.
    pub(super) fn note_stall(&mut self, written: &Written, held_is_news: bool, now: Moment) {
        if self.outbox.is_empty() && !written.has_backlog {
            self.stalled_since = None;
        } else if held_is_news
            || (!self.outbox.is_empty()
                && written.is_blocked
                && (written.bytes > 0 || self.stalled_since.is_none()))
        {
            self.stalled_since = Some(now);
        }
    }

    /// Whether it is about to be written.
    pub(super) fn is_listed(&self) -> bool {
        self.listed != Listed::Nowhere
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

    /// Whether a password of its is being seen to.
    pub(super) fn is_waiting(&self) -> bool {
        match &self.state {
            ConnectionState::Unauthenticated(unauthenticated) => unauthenticated.is_waiting(),
            ConnectionState::Authenticated { is_waiting, .. } => *is_waiting,
            _ => false,
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        matches!(
            self.state,
            ConnectionState::Flushing { .. }
                | ConnectionState::Discarding { .. }
                | ConnectionState::Closed { .. }
        )
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
