//! porter: a small TCP server that recognises who knocks, checks their password, hands out a session token, and
//! carries messages.
//!
//! [`protocol`] says what the bytes mean, [`auth`] who may speak, [`store`] what outlives a restart. [`limits`] has
//! every bound with its reason, and [`cli`] what the programs share at their command lines. [`client`] is the other end;
//! `load` (with the feature of that name) plays a crowd of clients and measures what they see.

pub mod auth;
pub mod cli;
pub mod client;
pub mod engine;
pub mod handler;
pub mod limits;
#[cfg(feature = "load")]
pub mod load;
mod moment;
pub mod protocol;
pub mod server;
mod slots;
pub mod store;
mod text;

pub use moment::Moment;
pub use slots::Key;
