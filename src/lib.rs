//! porter: a small TCP server that recognises who connects, checks their password, hands out a session token, and
//! carries messages between them and the people or programs behind it.
//!
//! A server whose messages do what you want is a [handler](handler::Handler) and a [`Server`](server::Server):
//!
//! ```no_run
//! use porter::handler::{Handler, Context, Speaker};
//! use porter::server::{Options, Server, ServerError};
//!
//! struct Shout;
//!
//! impl Handler for Shout {
//!     fn message(&mut self, from: Speaker<'_>, text: &str, context: &mut dyn Context) {
//!         context.send(from.session, None, &text.to_uppercase());
//!     }
//! }
//!
//! let server = Server::bind(Options::default(), Box::new(Shout))?;
//! server.run()?;
//! # Ok::<(), ServerError>(())
//! ```
//!
//! A test has such a service in its own process by a [`ServerThread`](server::ServerThread). `tests/examples` has a handler
//! with state and a timer, and a [store](store::Store) of a program's own. A program that talks to a porter begins at
//! [`client`].
//!
//! # Features
//!
//! With `default-features = false` this is what a handler and a server need, and plain TCP. `tls` adds encryption; `programs`
//! command lines, a line editor and the server's log, for `porter-server`; `client` and `load` what their programs need beside that.
//! The library logs through the `log` crate, wherever the program has it go: an event's fields stand in its text, and are its
//! record's key-values too.
//!
//! Passwords are hashed at a rate that does not depend much on how the library is compiled: a program that is built
//! without optimisation needs two to three times as long for a first login as one that is.
//!
//! # The map
//!
//! | module | is about | must not know |
//! |---|---|---|
//! | [`limits`] | every bound, its unit and its reason | anything else |
//! | [`cli`] | what the programs share at their command lines | what the programs do |
//! | [`editor`] | a line that a person types at a terminal (feature `programs`) | who reads the line, sockets |
//! | [`tls`] | what all ends share of encryption, and how a server is known | sockets, frames, which server is meant |
//! | [`proxy_header`] | for whom a proxy has connected | sockets, whose header is believed |
//! | [`http`] | what a monitoring system asks for | sockets, what the figures are |
//! | [`protocol`] | what the bytes mean | who speaks, what is allowed when, that sockets exist |
//! | [`auth`] | who may speak: names, passwords, tokens, sessions | sockets, files, the clock, randomness |
//! | [`handler`] | what a message does: echo, operator, chat, or yours | connections, frames, time |
//! | [`store`] | what outlives a restart: users and visitors | connections, tokens, frames |
//! | [`command`] | what may be asked of a running porter, and what is answered | who carries it out |
//! | [`engine`] | the whole porter without a socket | mio, files, threads, the clock |
//! | [`server`] | the shell around it: one thread, one mio poll loop | what bytes mean |
//! | [`client`] | the client's end of a connection: blocking calls, or parts for an event loop | what a server does with what it is told |
//! | [`chart`] | pictures of measurements (feature `load`) | what was measured |
//! | [`load`] | virtual clients of a server, and what they measure | how the server is made |
//!
//! Dependencies point up this table only; `tests/tidy.rs` fails if one does not. Small modules that several of these use (the
//! clock, slots, escaping of text) have no row.
//!
//! **How data flows.** The server reads bytes from a socket and hands them to the engine with the time. The engine cuts
//! them into frames, judges each by the state of its connection, and answers by itself, or asks the store, or hashes a
//! password a share at a time, or, once the client has logged in, gives the text to the handler. What is to be sent lies
//! in the connection's output, which the server writes at once to whom it has just read, and at the end of the turn (one pass
//! of the poll loop) to all others. A text for many is handed out to their outputs in shares over turns, in
//! `engine/fan_out.rs`. Nothing flows the other way: the engine calls nobody but store and handler, and has its time and
//! its random bytes handed in.
//!
//! **Where somebody is stopped, or has to wait.** A slow consumer is cut off in `engine/slow_consumer.rs`, and in
//! `engine/output_total.rs` when the output of all connections together takes too much memory. A wrong password is charged to
//! the address that it came from in `engine/password_hashes.rs`; `auth/throttle.rs` keeps what each address owes. A connection
//! says in `engine/connection.rs` when it is too late for what (`next_timer`), and `engine/timers.rs` finds those for whom it
//! is. Who writes too many messages is paused in `engine/chat_rate.rs`. A TLS handshake waits in `server/handshake_queue.rs`.
//! A torn tail, which a crash leaves at the end of a file, is cut off in `store/torn_tail.rs`.
//!
//! # A conversation
//!
//! So a whole conversation needs no socket. Ann is new, registers, logs in, and hears her own words:
//!
//! ```
//! use porter::Moment;
//! use porter::engine::{Config, ConnId, Engine, Written};
//! use porter::handler::Echo;
//! use porter::protocol::{FrameRead, Reply, Request, Wanted};
//! # use porter::auth::{Name, PasswordHash};
//! # use porter::engine::{Entropy, EntropyError};
//! # use porter::store::{Completion, Lookup, Store, Ticket};
//! # use std::collections::{HashMap, VecDeque};
//! # use std::net::IpAddr;
//! # /// Users for as long as the program runs.
//! # #[derive(Default)]
//! # struct Memory {
//! #     users: HashMap<Name, PasswordHash>,
//! #     /// In the order in which they came: a user keeps its number.
//! #     names: Vec<Name>,
//! #     stored: VecDeque<Ticket>,
//! # }
//! # impl Store for Memory {
//! #     fn find(&self, name: &Name) -> Lookup {
//! #         self.users.get(name).map_or(Lookup::Unknown, |hash| Lookup::Known(hash.clone()))
//! #     }
//! #     fn user_count(&self) -> usize {
//! #         self.users.len()
//! #     }
//! #     fn rounds(&self, number: usize) -> Option<u32> {
//! #         self.names.get(number).and_then(|name| self.users.get(name)).map(|hash| hash.rounds)
//! #     }
//! #     fn register(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
//! #         if self.users.insert(name.clone(), password).is_none() {
//! #             self.names.push(name);
//! #         }
//! #         self.stored.push_back(ticket);
//! #     }
//! #     fn rehash(&mut self, ticket: Ticket, name: Name, password: PasswordHash) {
//! #         self.register(ticket, name, password);
//! #     }
//! #     fn poll_completion(&mut self) -> Option<Completion> {
//! #         self.stored.pop_front().map(|ticket| Completion { ticket, outcome: Ok(()) })
//! #     }
//! #     fn last_visitor(&self, _: IpAddr) -> Option<Name> {
//! #         None
//! #     }
//! #     fn note_visitor(&mut self, _: IpAddr, _: &Name) {}
//! # }
//! # struct Sevens;
//! # impl Entropy for Sevens {
//! #     fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EntropyError> {
//! #         bytes.fill(7);
//! #         Ok(())
//! #     }
//! # }
//! let now = Moment::START;
//! // What the server does with its sockets, done by hand: a request in, the body of the reply out.
//! let send = |porter: &mut Engine<Memory>, conn: ConnId, request: Request| {
//!     let mut bytes = Vec::new();
//!     request.encode(&mut bytes);
//!     porter.handle_bytes(conn, &mut bytes, now);
//! };
//! let receive = |porter: &mut Engine<Memory>, conn: ConnId| {
//!     let bytes = porter.output(conn).to_vec();
//!     porter.handle_writable(conn, now, |_| Written::bytes(bytes.len()));
//!     bytes.as_slice().read_frame(4_096)?.ok_or("there is no reply")
//! #     .map_err(Box::<dyn std::error::Error>::from)
//! };
//!
//! let config = Config { hash_rounds: 1_000, ..Config::default() };
//! let mut porter = Engine::new(config, Memory::default(), Box::new(Echo), Box::new(Sevens))?;
//!
//! let ann = porter.handle_connect("192.0.2.1:50000".parse()?, now).ok_or("there is no room")?;
//! assert_eq!(Reply::decode(&receive(&mut porter, ann)?)?, Reply::Hello { version: 1, last_name: "" });
//!
//! send(&mut porter, ann, Request::Identify(b"ann"));
//! assert_eq!(Reply::decode(&receive(&mut porter, ann)?)?, Reply::PasswordWanted(Wanted::Register));
//!
//! send(&mut porter, ann, Request::Register(b"open sesame"));
//! while porter.is_hashing() {
//!     porter.handle_hashing(250, now); // as many rounds as a turn has time for
//! }
//! porter.handle_completions(now); // the store has answered: ann is stored
//! assert_eq!(Reply::decode(&receive(&mut porter, ann)?)?, Reply::PasswordWanted(Wanted::Login));
//!
//! send(&mut porter, ann, Request::Login(b"open sesame"));
//! let welcome = receive(&mut porter, ann)?;
//! let Reply::Welcome { token, greeting: "Hello, ann" } = Reply::decode(&welcome)? else { panic!("not welcome") };
//!
//! send(&mut porter, ann, Request::Message { token, text: b"hi" });
//! assert_eq!(Reply::decode(&receive(&mut porter, ann)?)?, Reply::Message { sender: "", text: "hi" });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

/// The docs of [`engine`] include `engine/driver.rs` as an example, so it names this crate as another program would.
#[cfg(any(test, feature = "fuzz"))]
extern crate self as porter;

#[macro_use]
mod log_event;

pub mod auth;
#[cfg(feature = "load")]
pub mod chart;
#[cfg(feature = "programs")]
pub mod cli;
pub mod client;
mod clock;
pub mod command;
#[cfg(feature = "programs")]
pub mod editor;
pub mod engine;
mod foreground;
#[cfg(any(test, feature = "fuzz"))]
pub mod fuzz;
pub mod handler;
#[cfg(any(feature = "admin", feature = "fuzz"))]
pub mod http;
mod keepalive;
pub mod limits;
#[cfg(feature = "load")]
pub mod load;
mod moment;
pub mod protocol;
pub mod proxy_header;
pub mod server;
mod slots;
pub mod store;
pub mod text;
#[cfg(feature = "tls")]
pub mod tls;
mod transport;
#[cfg(any(feature = "programs", feature = "tls"))]
mod whole_file;

pub use clock::Clock;
pub use moment::Moment;
pub use slots::Key;
