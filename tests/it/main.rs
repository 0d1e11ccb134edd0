//! The programs, tried as a user would: each module a capability, all in one binary.

#[cfg(feature = "client")]
mod client;
#[cfg(feature = "load")]
mod load;
