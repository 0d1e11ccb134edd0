//! Why a connection ends, and what that means for its session.

use crate::protocol::Code;
use crate::store::EndReason;
use std::fmt;

/// Why a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CloseReason {
    Exit,
    Kicked,
    /// A handler has ended the session.
    Handler,
    Shutdown,
    /// The server stops, and others have the session.
    HandedOver,
    TakenOver,
    /// In another session of the name.
    PasswordChanged,
    /// The account was.
    Disabled,
    /// The account was.
    Removed,
    ClosedByPeer,
    Reset,
    /// The encryption around it did not come about, or failed.
    Tls,
    Refused(Code),
}

/// How connections end whose sessions are ended, and what they are told.
pub(super) fn ended(why: EndReason) -> (CloseReason, &'static str) {
    match why {
        EndReason::Kicked => (CloseReason::Kicked, "kicked by the operator"),
        EndReason::Disabled => (CloseReason::Disabled, "the account was disabled"),
        EndReason::Removed => (CloseReason::Removed, "the account was removed"),
        EndReason::PasswordChanged => (CloseReason::PasswordChanged, "the password was changed"),
    }
}

impl CloseReason {
    /// Whether the session ends with the connection; otherwise it can be resumed.
    pub(super) fn ends_session(self) -> bool {
        match self {
            CloseReason::Exit
            | CloseReason::Kicked
            | CloseReason::Handler
            | CloseReason::Shutdown
            | CloseReason::PasswordChanged
            | CloseReason::Disabled
            | CloseReason::Removed => true,
            CloseReason::HandedOver
            | CloseReason::TakenOver
            | CloseReason::ClosedByPeer
            | CloseReason::Reset
            | CloseReason::Tls => false,
            CloseReason::Refused(code) => code.ends_session(),
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CloseReason::Exit => f.write_str("exit"),
            CloseReason::Kicked => f.write_str("kicked"),
            CloseReason::Handler => f.write_str("ended"),
            CloseReason::Shutdown => f.write_str("shutdown"),
            CloseReason::HandedOver => f.write_str("handed-over"),
            CloseReason::TakenOver => f.write_str("taken-over"),
            CloseReason::PasswordChanged => f.write_str("password-changed"),
            CloseReason::Disabled => f.write_str("disabled"),
            CloseReason::Removed => f.write_str("removed"),
            CloseReason::ClosedByPeer => f.write_str("closed-by-peer"),
            CloseReason::Reset => f.write_str("reset"),
            CloseReason::Tls => f.write_str("tls"),
            CloseReason::Refused(code) => code.fmt(f),
        }
    }
}
