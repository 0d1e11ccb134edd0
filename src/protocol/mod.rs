//! What the bytes mean: the porter wire protocol, version 1.
//!
//! The [specification](#the-specification) stands below: enough to write another client, as
//! [the one in Python](#a-client-in-python) is. [`Request`] and [`Reply`] list the kinds of frames, [`Code`] the errors.
//!
//! The server speaks first, with Hello. Then, for a user who is known:
//!
//! ```
//! use porter::protocol::{Reply, Request, Wanted};
//! # let token = [7; 16];
//! let conversation: &[&[u8]] = &[
//!     b"\x00\x00\x00\x02\x81\x01",          // S: Hello, version 1, nobody known at this address
//!     b"\x00\x00\x00\x04\x01ann",           // C: Identify
//!     b"\x00\x00\x00\x02\x82\x01",          // S: PasswordWanted, Login
//!     b"\x00\x00\x00\x0c\x03open sesame",   // C: Login
//! ];
//! let body = |frame: &'static [u8]| &frame[4..];
//! assert_eq!(Reply::decode(body(conversation[0])), Ok(Reply::Hello { version: 1, last_name: "" }));
//! assert_eq!(Request::decode(body(conversation[1])), Ok(Request::Identify(b"ann")));
//! assert_eq!(Reply::decode(body(conversation[2])), Ok(Reply::PasswordWanted(Wanted::Login)));
//! assert_eq!(Request::decode(body(conversation[3])), Ok(Request::Login(b"open sesame")));
//!
//! let mut sent = Vec::new();
//! Reply::Welcome { token: &token, greeting: "Hello, ann" }.encode(&mut sent);
//! assert_eq!(sent[..5], *b"\x00\x00\x00\x1b\x83");
//! ```
//!
//! Once logged in, a client sends Message, and may ask Who is online and ChangePassword; each carries the session's
//! token.
//!
//! ```
//! # use porter::protocol::{Reply, Request};
//! # let token = *b"sixteen bytes...";
//! let mut sent = Vec::new();
//! Request::Who { token: &token }.encode(&mut sent);
//! assert_eq!(sent, b"\x00\x00\x00\x11\x08sixteen bytes...");
//! // How many names are online (u32), then as many of them as fit the frame limit, each ended by a line feed, in the
//! // order of their bytes.
//! let names = b"\x87\x00\x00\x00\x02ann\nbob\n";
//! assert_eq!(Reply::decode(names), Ok(Reply::Names { online: 2, names: "ann\nbob\n" }));
//!
//! // The old password behind its length (u16), then the new one.
//! sent.clear();
//! Request::ChangePassword { token: &token, old: b"open sesame", new: b"close sesame" }.encode(&mut sent);
//! assert_eq!(sent, b"\x00\x00\x00\x2a\x07sixteen bytes...\x00\x0bopen sesameclose sesame");
//! assert_eq!(Reply::decode(b"\x86"), Ok(Reply::PasswordChanged));
//! ```
//!
//! A server reads with an [`Inbox`] and writes with an [`Outbox`], neither of which ever blocks; a program that may
//! block has [`FrameRead`] and [`FrameWrite`] on any stream.
//!
//! This module must not know who speaks, what is allowed when, or that sockets exist.
//!
//! # The specification
//!
#![doc = include_str!("protocol.md")]
//!
//! # A client in Python
//!
//! Python 3 and its standard library: `python3 tests/examples/client.py 9090 ann 'open sesame'`.
//!
//! ```python
#![doc = include_str!("../../tests/examples/client.py")]
//! ```

mod code;
mod frame;
mod inbox;
mod message;
mod outbox;
mod shared_frames;
mod stream;

pub use code::Code;
pub use frame::{BadLength, body_length};
pub use inbox::{Inbox, Lent};
pub use message::{Malformed, Reply, Request, VERSION, Wanted};
pub use outbox::{Outbox, Spare, Unsent};
pub use shared_frames::{Meter, SharedFrames};
pub use stream::{FrameRead, FrameWrite};
