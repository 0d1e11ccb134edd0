//! Why a client failed, or a run: what it is counted under, and what a person is told.
//!
//! The kinds are `connection_refused`, `connect_timeout`, `connect_failed`, `out_of_ports`, `connection_lost`, `no_answer`,
//! `no_echo`, `no_bye`, `wrong_echo`, `wrong_version`, `unknown_user`, `sent_away`, `unexpected_reply`, `malformed_reply`,
//! `wrong_transport`, `untrusted`, `not_full`, the protocol's names of error codes such as `Busy`, and `unknown_error` for other codes.
//! Those of a whole run that ended before its time are `interrupted`, `server_gone`, `server_silent` and `nobody_left`.

use super::connector::out_of_ports;
use crate::client::ClientError;
use crate::protocol::Code;
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::{fmt, io};

/// What a client is counted under that was refused a connection.
pub(super) const REFUSED: &str = "connection_refused";

/// Why a visit failed, or a run ended before its time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for LoadError {}

/// Visits that failed in the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failures {
    /// How many.
    pub count: u64,
    /// What the first of them met.
    pub reason: String,
}

/// Counts one more failure under its kind.
pub(super) fn count_failure(failures: &mut FailuresByKind, LoadError { kind, reason }: LoadError) {
    failures.entry(kind).or_insert(Failures { count: 0, reason }).count += 1;
}

/// Failures by kind.
pub type FailuresByKind = BTreeMap<Cow<'static, str>, Failures>;

/// What an Error of the server's is counted as.
pub(super) fn refusal(number: u16, explanation: &str) -> LoadError {
    let explanation = explanation.escape_debug();
    match Code::from_number(number) {
        Some(Code::WrongPassword) => {
            let way_out = "somebody else owns this name there, or registration is closed";
            LoadError::new(
                "WrongPassword",
                format!("error {number} WrongPassword: {explanation} ({way_out})"),
            )
        }
        Some(code) => LoadError::new(code.to_string(), format!("error {number} {code}: {explanation}")),
        None => LoadError::new("unknown_error", format!("error {number}: {explanation}")),
    }
}

/// What a frame that is none is counted as.
pub(super) fn garbled(reason: &dyn std::fmt::Display) -> LoadError {
    LoadError::new("malformed_reply", format!("the server does not speak the protocol: {reason}"))
}

/// What a refused connection is counted as.
pub(super) fn refused(error: &io::Error) -> LoadError {
    LoadError::new(REFUSED, format!("no server listens there ({error})"))
}

/// What a server is counted as that speaks otherwise, or is not the one that is wanted.
pub(super) fn refused_transport(error: &ClientError) -> LoadError {
    let kind = if matches!(error, ClientError::Mismatch { .. }) { "wrong_transport" } else { "untrusted" };
    LoadError::new(kind, error.to_string())
}

/// What a connection that broke is counted as.
pub(super) fn lost(error: &io::Error) -> LoadError {
    LoadError::new("connection_lost", format!("the connection was lost: {error}"))
}

/// What a connection that could not even begin is counted as.
pub(super) fn unreachable(server: SocketAddr, error: &io::Error) -> LoadError {
    if out_of_ports(error) {
        let reason =
            format!("ran out of local ports: no address and port here is free to connect from ({error})");
        return LoadError::new("out_of_ports", reason);
    }
    if error.kind() == io::ErrorKind::ConnectionRefused {
        return refused(error);
    }
    LoadError::new("connect_failed", format!("cannot connect to {}: {error}", server))
}

/// What ends a run that has no poll any more.
pub(super) fn no_poll(error: &io::Error) -> LoadError {
    LoadError::new("no_poll", format!("the system's poll failed: {error}"))
}
