//! The programs as a user and a stranger meet them: the real binaries, real sockets, a module a capability.
//!
//! Written from the protocol and the design, not from the code. Every wait is for an event and has a ceiling; where
//! something must *not* happen, a later event that had to come first shows it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on fails, and says where"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests live outside of the core: they may have threads, and ceilings on their waits"
)]

#[cfg(feature = "admin")]
mod admin;
mod chat;
mod chat_rate;
#[cfg(feature = "client")]
mod client;
mod configuration;
mod console_editing;
mod console_input;
mod contract;
mod conversation;
mod crowds;
#[cfg(target_os = "linux")]
mod dead_path;
mod errors;
mod errors_refusals;
mod first_minutes;
mod guesses;
mod help;
mod kill;
mod library;
mod limits;
mod listening;
#[cfg(feature = "load")]
mod load;
mod log_format;
mod log_on_stderr;
#[cfg(feature = "admin")]
mod metrics;
mod names;
mod operator;
mod output_total;
mod passed_sockets;
mod passwords;
mod pauses;
mod proxies;
mod resume;
mod secrets;
mod service;
mod service_log;
mod service_manager;
#[cfg(feature = "admin")]
mod shared;
mod siege;
mod storage;
mod storage_faults;
mod storage_hands;
mod strangers;
mod support;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "client")]
mod together;
mod who;
