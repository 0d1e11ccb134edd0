//! The programs, tried as a user would: each module a capability, all in one binary.

mod client;
mod load;
