//! What is kept under which key.

use crate::auth::{Name, Origin, skeleton};
use std::net::IpAddr;

/// The mark that is made once, at `store init`: without it whatever is there was emptied, or is not porter's.
pub(super) const BIRTH: &str = "porter:birth";
/// How many users there are.
pub(super) const COUNT: &str = "porter:users";
/// What comes before a user's name.
pub(super) const USER: &str = "porter:user:";

pub(super) fn user_key(name: &Name) -> String {
    format!("{USER}{name}")
}

pub(super) fn look_key(name: &Name) -> String {
    format!("porter:look:{}", skeleton(name.as_str()))
}

/// Of those who look alike, all but the one under [`look_key`]: only who was imported can be one.
pub(super) fn alike_key(name: &Name) -> String {
    format!("porter:alike:{}", skeleton(name.as_str()))
}

pub(super) fn visitor_key(address: IpAddr) -> String {
    format!("porter:visitor:{address}")
}

pub(super) fn debt_key(origin: Origin) -> String {
    format!("porter:debt:{origin}")
}
