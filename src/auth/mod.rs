//! Who may speak: names, passwords, tokens, and what guards them.
//!
//! This module must not know about frames' bytes, sockets, files or the clock: time and randomness are handed in.

mod name;
mod password;
mod token;
pub use name::{BadName, Name, addressed};
pub use password::{BadPasswordHash, Password, PasswordHash, WeakPassword};
pub use token::Token;
