//! Who may speak: names, passwords, tokens, sessions, and what guards them.
//!
//! A visitor is in one state (`conversation`); a password becomes a [stored hash](PasswordHash) by a `derivation` that
//! advances in portions, beside others in `lanes` if they wait, its turn given by a fair queue (`hash_queue`); a password
//! that was verified lately is recognised by the `login_cache`; a name that nobody has costs what somebody's does, by
//! `decoys`; an [origin](Origin) that guesses is [throttled](Throttle).
//!
//! What names and passwords may have, and which spellings are one, say the profiles of RFC 8265; which names look alike
//! their `skeleton` tells, and `letters` for a million of them.
//!
//! This module must not know about sockets, files, the clock or a source of randomness: time and random bytes are
//! handed in.
//!
//! # What MD5 means here
//!
#![doc = include_str!("md5.md")]

mod address;
pub(crate) mod conversation;
pub(crate) mod decoys;
mod derivation;
pub(crate) mod hash_queue;
mod lane_costs;
mod lanes;
mod letters;
pub(crate) mod login_cache;
mod name;
mod online;
mod password;
mod sessions;
mod skeleton;
mod throttle;
mod token;

pub use address::is_meant_for_one;
pub use derivation::{hash_password, hash_passwords};
pub use lane_costs::LaneCosts;
pub use lanes::{LANE_WIDTHS, exercise_lanes};
pub(crate) use letters::Letters;
pub use name::{BadName, Name, addressed};
pub use online::Online;
pub use password::{BadPasswordHash, Password, PasswordHash, WeakPassword};
pub use sessions::{Session, SessionId, Sessions};
pub(crate) use skeleton::skeleton;
pub use throttle::{Origin, Throttle};
pub use token::Token;
