//! Why a client failed, or a run: what it is counted under, and the reason for a person.
//!
//! The kinds are `connection_refused`, `connect_timeout`, `connect_failed`, `out_of_ports`, `connection_lost`, `no_answer`,
//! `no_echo`, `no_bye`, `wrong_echo`, `wrong_version`, `unknown_user`, `sent_away`, `unexpected_reply`, `malformed_reply`,
//! `wrong_transport`, `untrusted`, `not_full`, the protocol's names of error codes such as `Busy`, and `unknown_error` for other codes.
//! Those of a whole run that ended before its time are `interrupted`, `server_gone`, `server_silent` and `nobody_left`.

use crate::client::ClientError;
use crate::protocol::Code;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::{fmt, io};
use thiserror::Error;

/// What a client is counted under that was refused a connection.
pub(super) const REFUSED: &str = "connection_refused";
/// What a client is counted under for which no local port was free.
pub(super) const OUT_OF_PORTS: &str = "out_of_ports";

/// Why a visit failed, or a run ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Error)]
#[error("{reason}")]
pub struct LoadError {
    /// What it is counted under: a word, or the protocol's name of an error code.
    pub kind: Cow<'static, str>,
    /// For a person: what happened and the way out, on one line.
    pub reason: String,
}

impl LoadError {
    /// An error of a kind.
    pub fn new(kind: impl Into<Cow<'static, str>>, reason: impl Into<String>) -> LoadError {
        LoadError { kind: kind.into(), reason: reason.into() }
    }

    pub(super) fn sent_away(reason: &str) -> LoadError {
        LoadError::new("sent_away", format!("the server said Bye: {}", reason.escape_debug()))
    }
}

/// Visits that failed in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// How many.
    pub count: u64,
    /// What the first of them met.
    pub reason: String,
}

/// Failures by kind.
pub type FailuresByKind = BTreeMap<Cow<'static, str>, Failures>;

/// Counts so many more failures as one kind.
pub(super) fn count_failures(
    failures: &mut FailuresByKind,
    count: u64,
    LoadError { kind, reason }: LoadError,
) {
    failures.entry(kind).or_insert(Failures { count: 0, reason }).count += count;
}

pub(super) fn first_failure(failures: &FailuresByKind) -> Option<LoadError> {
    failures.iter().next().map(|(kind, Failures { reason, .. })| LoadError::new(kind.clone(), reason.clone()))
}

pub(super) fn refusal(number: u16, explanation: &str) -> LoadError {
    let explanation = explanation.escape_debug();
    let (kind, way_out) = match Code::from_number(number) {
        Some(code @ Code::WrongPassword) => {
            (code.to_string(), " (somebody else owns this name there, or registration is closed)")
        }
        Some(code) => (code.to_string(), ""),
        None => return LoadError::new("unknown_error", format!("error {number}: {explanation}")),
    };
    let reason = format!("error {number} {kind}: {explanation}{way_out}");
    LoadError::new(kind, reason)
}

pub(super) fn garbled(reason: &dyn fmt::Display) -> LoadError {
    LoadError::new("malformed_reply", format!("the server does not speak the protocol: {reason}"))
}

/// A server that speaks otherwise, or is not the one that is wanted.
pub(super) fn refused_transport(error: &ClientError) -> LoadError {
    let kind = match error {
        ClientError::Io(_) | ClientError::Closed => "connect_failed",
        ClientError::Mismatch { .. } => "wrong_transport",
        _ => "untrusted",
    };
    LoadError::new(kind, error.to_string())
}

pub(super) fn lost(error: &io::Error) -> LoadError {
    LoadError::new("connection_lost", format!("the connection was lost: {error}"))
}

pub(super) fn no_poll(error: &io::Error) -> LoadError {
    LoadError::new("no_poll", format!("the system's poll failed: {error}"))
}
