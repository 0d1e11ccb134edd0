//! Every bound porter keeps, with its unit and its reason.
//!
//! What an operator may set has its default here and its flag in `porter-server`; the rest is fixed. The relations
//! between bounds that the code relies on are asserted when it is compiled.

use std::time::Duration;

/// Bytes of a frame's header: the length of the body, big-endian.
pub const HEADER_BYTES: usize = 4;
/// Bytes of a session token.
pub const TOKEN_BYTES: usize = 16;

/// Default for the longest frame body that a server accepts.
pub const MAX_FRAME_BYTES_DEFAULT: u32 = 65_536;
/// The smallest limit an operator may set: a login with the longest password must fit.
pub const MAX_FRAME_BYTES_LEAST: u32 = 2_048;
/// The largest limit an operator may set.
pub const MAX_FRAME_BYTES_MOST: u32 = 16_777_216;
/// The frame limit before login: nothing legal comes near it, and strangers shall not hold memory.
pub const STRANGER_FRAME_BYTES: u32 = 4_096;
/// What a reply may be longer than the limit on requests, since a text comes back with its sender's name.
pub const REPLY_EXTRA_BYTES: u32 = 64;

/// Bytes of a Names frame's body before its names: the kind, and how many there are.
pub const NAMES_HEAD_BYTES: usize = 5;

/// Characters in a name.
pub const NAME_CHARACTERS: usize = 32;
/// Bytes in a name; it must fit the one-byte length in a message's frame.
pub const NAME_BYTES: usize = 64;
/// Bytes of a name as it was typed: decomposed or wide it takes up to three and a half times what is left of it. What is
/// longer is not even looked at.
pub const NAME_TYPED_BYTES: usize = 4 * NAME_BYTES;
/// Bytes in a password: hashing must not be a way to make the server chew on megabytes.
pub const PASSWORD_BYTES: usize = 1_024;
/// Default for the fewest characters of a new password.
pub const MIN_PASSWORD_CHARACTERS_DEFAULT: u32 = 8;

/// Default PBKDF2 rounds: as dear to an attacker as OWASP's 600 000 rounds of HMAC-SHA-256.
pub const HASH_ROUNDS_DEFAULT: u32 = 3_100_000;
/// The most rounds that a stored hash or `--hash-rounds` may have.
pub const HASH_ROUNDS_MOST: u32 = 100_000_000;
/// Below this the server warns at start.
pub const HASH_ROUNDS_WEAK: u32 = 100_000;
/// Bytes of salt in a stored hash.
pub const SALT_BYTES: usize = 16;
/// Bytes of a stored hash: one output block of HMAC-MD5.
pub const HASH_BYTES: usize = 16;
/// Longest wait for a hash before Busy.
pub const HASH_WAIT_DEFAULT: Duration = Duration::from_secs(30);
/// How long a verified password is recognised without its hash.
pub const LOGIN_CACHE_DEFAULT: Duration = Duration::from_secs(600);
/// Passwords remembered by the login cache; the oldest goes first.
pub const LOGIN_CACHE_ENTRIES: usize = 65_536;

/// Debt that a login puts on its address that was wrong, or was left before its hash was done.
pub const PENALTY_DEFAULT: Duration = Duration::from_secs(5);
/// The most debt an address can have.
pub const DEBT_MOST: Duration = Duration::from_secs(600);
/// Debt above which an address is refused.
pub const DEBT_TOLERATED: Duration = Duration::from_secs(15);
/// Addresses whose debt is remembered; the oldest goes first.
pub const DEBTORS: usize = 65_536;

/// Wrong passwords, and registrations, in one connection.
pub const MAX_ATTEMPTS_DEFAULT: u32 = 3;
/// Texts a second of each session in chat: more than a person types, and than a reader can follow.
pub const CHAT_RATE_DEFAULT: u32 = 20;
/// Texts that a session in chat may write at once after a pause, such as what somebody pastes.
pub const CHAT_BURST: u32 = 100;
/// Connections at once.
pub const MAX_CONNECTIONS_DEFAULT: usize = 10_000;
/// Connections at once that are not logged in; beyond it the address with the most loses its oldest. As many honest
/// clients are not logged in at the same time only when a crowd comes back at once, and they are told when to try again.
pub const MAX_STRANGERS_DEFAULT: usize = 1_000;
/// How long the connections that are not logged in are counted by address after they were half as many as may be: it
/// begins with a look at every connection.
pub const STRANGER_INDEX_KEPT: Duration = Duration::from_secs(60);
/// Connections that room is made for at the start, if so many may come: it costs nothing until they do, and what grows
/// by moving leaves holes in the memory.
pub const CONNECTIONS_ROOM_MOST: usize = 65_536;
/// Connections above a limit that are being told so at once, and are waited for until they have read it. One more is
/// dropped without a word at the connection limit, and closed at once with the word behind it if it is not logged in.
pub const REFUSALS_AT_ONCE: usize = 64;
/// Refusals that leave a connection open, of one connection, that are logged at info; further ones at debug, or a
/// stranger could fill the disk with them.
pub const REFUSALS_LOGGED: u8 = 16;
/// What clients that are not logged in cause is summed up in the log once in so long.
pub const STRANGER_LOG_INTERVAL: Duration = Duration::from_secs(10);
/// Events of one address that are logged in full in that time: enough to see what it does.
pub const STRANGER_EVENTS_LOGGED: u32 = 20;
/// Events of all addresses together that are: with a line of 120 bytes for each, strangers write some 100 MB a day.
pub const STRANGER_EVENTS_LOGGED_IN_ALL: u32 = 100;
/// Wrong passwords of one address that are logged in full in that time, whoever logged in before too: as many as programs
/// that shut out guessers by the log usually wait for, so that one interval is enough.
pub const WRONG_PASSWORDS_LOGGED: u32 = 5;
/// Wrong passwords of all addresses together that are: those of twenty guessers, whom others follow once they are shut
/// out. As many bytes a day again.
pub const WRONG_PASSWORDS_LOGGED_IN_ALL: u32 = 100;
/// Addresses whose events are counted apart.
pub const STRANGER_ORIGINS: usize = 1_024;
/// Descriptors that a program has for itself: console, log, files, signals, where figures are asked for, and some to spare
/// (a server has some twenty of them). What listens for clients, and connections beside theirs, come on top.
pub const DESCRIPTORS_RESERVED: usize = 32;
/// Default for one connection's waiting output.
pub const OUTPUT_LIMIT_BYTES_DEFAULT: usize = 1_048_576;
/// Default for the waiting output of all connections together.
pub const OUTPUT_TOTAL_BYTES_DEFAULT: usize = 268_435_456;
/// Beyond it so many are cut off that a part of this many is free again: each time all connections are looked at, and
/// that is not to happen for every message.
pub const OUTPUT_TOTAL_LOW_DIVISOR: usize = 8;
/// Who is cut off for the sake of all, and has begun to take a frame that is longer than this, is closed without a word:
/// the word can come only behind that frame.
pub const CUT_OFF_HOLDS_BYTES: usize = 128 * 1024;
/// What is counted for output that lies between engine and socket: one record of TLS.
pub const TRANSPORT_HOLDS_BYTES: usize = 17 * 1024;
/// A connection with more output than this waiting is not read, so only others can fill it further.
pub const OUTPUT_HOLDS_INPUT_BYTES: usize = 64 * 1024;

/// Bytes taken from one connection in one turn.
pub const SHARE_BYTES: usize = 64 * 1024;
/// Bytes taken from all connections in one turn, as long as each gets its least share: a crowd of writers must not make
/// a turn, which is what everybody else waits for, as long as the crowd is large.
pub const SHARE_TURN_BYTES: usize = 512 * 1024;
/// The least share of one connection, however many others have something to be read.
pub const SHARE_LEAST_BYTES: usize = 8 * 1024;
/// Bytes written to one connection at a time, about: what is left then is written behind what is for others.
pub const SHARE_WRITTEN_BYTES: usize = 256 * 1024;
/// And in so many calls: each gathers a bounded number of pieces, which may be as short as a word.
pub const SHARE_WRITES: usize = 16;
/// Frames handled for one connection in one turn.
pub const SHARE_FRAMES: usize = 64;
/// Bytes of texts for many that are gathered into one chunk: what each reader gets one reference to.
pub const FAN_OUT_CHUNK_BYTES: usize = 64 * 1024;
/// And so many texts at most: each of their writers is looked for among all of them.
pub const FAN_OUT_CHUNK_TEXTS: usize = 256;
/// With more bytes than this to be handed out to many, no further text for many is handled; with twice as many, no frame at
/// all, since who comes and goes is told to all as well.
pub const FAN_OUT_QUEUE_BYTES: usize = 1_048_576;
/// How long a server that stops goes on handing out what is on its way to many; what is left then is dropped, so that
/// everybody is told Bye in time.
pub const STOP_TEXTS: Duration = Duration::from_secs(2);
/// Sessions that end, or are listed, between two looks at the clock when many are to: a kick, Bye to all, a list of all.
pub const SHARE_TASK: usize = 64;
/// Connections that are looked at between two looks at the clock to find those by whom most is freed, when too much waits
/// for all together; if there are no more, that is all done at once.
pub const SHARE_CUT_OFF_LOOKS: usize = 256;
/// And so many of them are cut off between two looks at the clock.
pub const SHARE_CUT_OFFS: usize = 32;
/// Deadlines that are seen to in one turn, and windows of lost sessions that end.
pub const SHARE_DUE: usize = 64;
/// Connections accepted in one turn; as many sockets at least are closed in it.
pub const SHARE_ACCEPTS: usize = 10;
/// Sockets closed at a time: when a crowd leaves at once, nobody waits until the last of it is seen off.
pub const SHARE_CLOSES: usize = 32;

/// From accept until authenticated.
pub const LOGIN_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);
/// A turn that begins this late was held up: the process was stopped, or it waited for a slow disk.
pub const PAUSE_LEAST: Duration = Duration::from_millis(100);
/// After a pause deadlines are put off for as long as it may have been, and at most for this: whoever was in the middle of something
/// has a round trip to go on with it.
pub const PAUSE_GRACE_MOST: Duration = Duration::from_secs(2);
/// And at most for this as long as something is left to be read: enough to accept a full backlog and to read from all.
pub const PAUSE_HOLD_MOST: Duration = Duration::from_secs(5);
/// Pauses that may follow one another so: a disk that is slow in every turn must not put deadlines off for ever.
pub const PAUSE_RENEWALS_MOST: u32 = 3;
/// Addresses that one server listens on: each is asked in every turn whether somebody waits.
pub const LISTENERS: usize = 64;
/// Bytes of a PROXY header: what fits the smallest segment that every path carries, as its specification has it.
pub const PROXY_HEADER_BYTES: usize = 536;
/// Connections from proxies that wait for their header at once; beyond it the proxy with the most loses its oldest. A proxy
/// sends the header as soon as it has connected, so that more than a turn's worth wait only if one does not.
pub const PROXY_HEADERS: usize = 1_024;
/// So many may wait though all connections are there: each is looked at, and told Busy if it is a client's.
pub const PROXY_HEADERS_LEAST: usize = 16;
/// TLS handshakes under way at once: each costs CPU time and memory, and more than these wait without either.
pub const HANDSHAKES_AT_ONCE: usize = 32;
/// While others wait, a handshake may take so long: a few silent peers must not keep all others out.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(2);
/// The same for the oldest of an address that has several under way, while one waits whose address has none: time for
/// the answer of an honest peer at the other end of the world, and little enough that nobody waits for 2 s.
pub const HANDSHAKE_TIME_CONTESTED: Duration = Duration::from_millis(500);
/// Bytes of a ClientHello, its records' headers included. A handshake begins only when all of it is there, and until
/// then it lies in the system's buffer: today's are 250 to 2 000 bytes long, with post-quantum keys and all.
pub const CLIENT_HELLO_BYTES: usize = 16 * 1024;
/// How long a session waits for its lost client.
pub const RESUME_WINDOW_DEFAULT: Duration = Duration::from_secs(60);
/// Waiting output of which nothing could be written for this long, nor when that is tried once more: a slow consumer.
pub const OUTPUT_STALL: Duration = Duration::from_secs(30);
/// A connection on which nothing comes is probed after this long, so that a dead path is found: a peer that lost its
/// power, a network that changed, a router that forgot.
pub const KEEPALIVE_IDLE: Duration = Duration::from_secs(15);
/// A server probes some of its clients earlier, down to this, so that a crowd that fell silent together is not probed
/// together. Linux keeps time by the quarter of a second up to 16 s, and by two seconds beyond: all that is due in such a
/// step is due at once.
pub const KEEPALIVE_IDLE_LEAST: Duration = Duration::from_secs(8);
/// From one probe to the next.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Probes without an answer after which the path is dead.
pub const KEEPALIVE_PROBES: u32 = 3;
/// What was sent and is not acknowledged for this long has a dead path, which keepalive does not see
/// (`TCP_USER_TIMEOUT`).
///
/// Linux (since 5.11) counts from the first probe of a shut window too, though the peer answers each: it takes one that
/// reads nothing for one that is gone, and resets. So the server lifts this while output waits that the socket does not
/// take, and [`OUTPUT_STALL`] decides: a slow consumer is told 108, whenever its window was shut, and a dead path is
/// given up as soon. What is left to the system is who reads nothing while all that is sent to it fits the system's
/// buffers; its session can be resumed. A client lifts it when it has sent much, see [`UNREAD_BYTES`].
pub const PATH_TIMEOUT: Duration = Duration::from_secs(30);
/// By then a dead path is found, by whichever of the above.
pub const PATH_FOUND_DEAD: Duration = Duration::from_secs(40);
/// A client that has sent more than this lately may find the server's window shut for long: a server reads nothing of
/// who writes too fast, which is no dead path. Less than any usual system's buffer, which it fits unread.
pub const UNREAD_BYTES: u64 = 32 * 1024;
/// What of that the slowest server has read a second later.
pub const UNREAD_DRAIN_BYTES_PER_SECOND: u64 = 100;
/// When the server stops listening: those who are accepted who have connected by then, as many as Linux lets wait.
pub const ACCEPTS_LAST: usize = 4_096;
/// When the server closes: for what is still to be written.
pub const CLOSE_FLUSH: Duration = Duration::from_secs(5);
/// When the server closes: for the peer to close too, its input being discarded.
pub const CLOSE_DISCARD: Duration = Duration::from_secs(1);

/// Addresses whose last visitor is remembered.
pub const ADDRESSES: usize = 65_536;
/// Records that `addresses.csv` has before it is compacted, so that a small file is not rewritten all the time.
pub const ADDRESS_RECORDS_LEAST: u64 = 16;
/// From one compaction of `addresses.csv` to the next: it syncs, and users who take turns at one address fill the file
/// with old records hundreds of times a second.
pub const ADDRESS_COMPACTION_PAUSE: Duration = Duration::from_secs(1);
/// Before a failed write of `addresses.csv` is tried again.
pub const ADDRESS_RETRY: Duration = Duration::from_secs(1);
/// After a sync that took t the next waits this many t: syncs take at most a fifth of the time from others.
pub const SYNC_PAUSE_FACTOR: u32 = 4;
/// How long after a user could not be stored it is looked whether one can be again, and from one look to the next: whom
/// monitoring keeps newcomers from would else never find out that its disk has room again. A look costs two syncs.
pub const STORE_LOOK: Duration = Duration::from_secs(1);
/// How long a shared store may take to answer: whoever waits for it is told Busy within half a second.
pub const STORE_REPLY: Duration = Duration::from_millis(400);
/// How long a connection to it may take to be made.
pub const STORE_CONNECT: Duration = Duration::from_secs(1);
/// The shortest pause between two tries to connect to it.
pub const STORE_RETRY_LEAST: Duration = Duration::from_millis(50);
/// The longest: after an outage all is right again within seconds.
pub const STORE_RETRY_MOST: Duration = Duration::from_secs(1);
/// The longest reply of it: the names of a hundred thousand users who are online.
pub const STORE_REPLY_BYTES: usize = 16 * 1024 * 1024;
/// How often a server says of each of its sessions that it is still there.
pub const LEASE_RENEWAL: Duration = Duration::from_secs(20);
/// Of how many it says so in one command: a store does nothing else meanwhile.
pub const SHARE_RENEWALS: usize = 200;
/// How long it keeps who was seen at an address, as the file of the other store does.
pub const STORE_VISIT: Duration = Duration::from_secs(90 * 86_400);
/// Bytes of log lines that wait for a file or pipe that does not take them.
pub const LOG_BUFFER_BYTES: usize = 64 * 1024;
/// Bytes of console output that wait for the terminal or pipe.
pub const CONSOLE_BUFFER_BYTES: usize = 256 * 1024;
/// Rows of a list that are made at a time.
pub const SHARE_LISTED: usize = 64;
/// Visits that are looked at at a time for a list of users.
pub const SHARE_VISITS: usize = 4_096;
/// Users that are imported at once: what is held in memory until all of them are there.
pub const IMPORT_USERS: usize = 1_000_000;
/// Users that a list at the console shows; whoever wants more of them wants a file.
pub const CONSOLE_USERS: usize = 1_000;
/// Names that are offered to complete one that is typed at the console: more than a person reads.
pub const CONSOLE_COMPLETIONS: usize = 100;
/// Stored users that are looked through for them, those who came last: a turn has time for so many, some millisecond.
pub const CONSOLE_COMPLETIONS_LOOKS: usize = 100_000;
/// Connections to the control socket at once.
pub const CONTROL_CONNECTIONS: usize = 16;
/// How long one of them that asks for nothing keeps its place when another wants one.
pub const CONTROL_SILENCE: Duration = Duration::from_secs(1);
/// Bytes of a line from a control connection: a text that all clients may read, and some to spare.
pub const CONTROL_LINE_BYTES: usize = CONSOLE_LINE_BYTES;
/// Bytes of answers that wait for a control connection, above which a list is not continued.
pub const CONTROL_OUTPUT_BYTES: usize = 64 * 1024;
/// How long a control connection may be idle, or take nothing of what is said to it.
pub const CONTROL_IDLE: Duration = Duration::from_secs(60);
/// Connections that ask for metrics at once; one more waits until one of them is done, or gives its place away.
pub const METRICS_CONNECTIONS: usize = 16;
/// Bytes of a request for metrics: what a browser or a proxy says with it has room.
pub const METRICS_REQUEST_BYTES: usize = 8 * 1024;
/// How long a request for metrics may take, from accept until its answer is taken.
pub const METRICS_TIME: Duration = Duration::from_secs(5);
/// How long a connection keeps its place that has not sent its request, or has its answer, while others wait for one: who
/// monitors sends all of it at once, and a crowd that is silent is gone before a scrape has timed out.
pub const METRICS_SILENCE: Duration = Duration::from_millis(100);
/// How long one does that does not take its answer: it is a few packets.
pub const METRICS_STALL: Duration = Duration::from_secs(1);
/// How often a service manager that has no watchdog is told how the server fares, if that has changed.
pub const SERVICE_STATUS_EVERY: Duration = Duration::from_secs(10);
/// The shortest time between two watchdog pings: a watchdog that wants more of them must not have the loop do nothing else.
pub const SERVICE_PING_LEAST: Duration = Duration::from_millis(10);
/// Notices that wait for a service manager that takes none; of more, the first are dropped.
pub const SERVICE_NOTICES: usize = 8;
/// How soon it is tried again.
pub const SERVICE_RETRY: Duration = Duration::from_millis(100);
/// Bytes of a line typed at the console.
pub const CONSOLE_LINE_BYTES: usize = 64 * 1024;

/// How long the client waits for an address of a host before it tries the next beside it (RFC 8305, section 8).
pub const CONNECT_ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// Addresses of a host that are tried.
pub const CONNECT_ATTEMPTS: usize = 16;
/// How long the client tries to connect to a host.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a line that the client takes as a password from a file: far more than a password may have.
pub const PASSWORD_LINE_BYTES: usize = 16 * 1024;
/// Bytes of the client's typed lines that wait for the server; above it the client stops reading its input.
pub const TYPED_WAITING_BYTES: usize = 64 * 1024;
/// Bytes of one line of the client's input: no server takes more, with the kind and the token before it.
pub const TYPED_LINE_BYTES: usize = MAX_FRAME_BYTES_MOST as usize - TOKEN_BYTES - 1;
/// The first pause before the client connects again is at most this; each further one may be twice as long.
pub const RECONNECT_FIRST: Duration = Duration::from_millis(250);
/// No pause of the client's own choice is longer.
pub const RECONNECT_MOST: Duration = Duration::from_secs(30);
/// A server that says when to come back is believed up to this.
pub const RECONNECT_ASKED_MOST: Duration = Duration::from_secs(3_600);

/// The client without a terminal gives up when it could not get back to its session for this long: a script is not to
/// wait for a server that stays away.
pub const RECONNECT_GIVE_UP: Duration = Duration::from_secs(300);
/// How long the client waits for its host to be found, for its addresses, and for the TLS handshake, all in all.
pub const OPENING_WAIT: Duration = Duration::from_secs(30);
/// How long a server may take for an answer that needs no hash, or take nothing of what waits: far more than a network
/// that works needs.
pub const ANSWER_WAIT: Duration = Duration::from_secs(15);
/// How long a server may take for an answer that needs a hash: `--hash-wait` by default, then the hash itself, which
/// beside other work has a ninth of the time (some 6 s), and five times that for a slow or busy machine.
pub const HASH_ANSWER_WAIT: Duration = Duration::from_secs(60);
/// How long the client supposes a text to wait at a server that may be a chat and slows its writers down.
pub const CHAT_PACE: Duration = Duration::from_millis(1_000 / CHAT_RATE_DEFAULT as u64);
/// Texts that the client remembers until it knows whether the server sends them back.
pub const RECEIPTS: usize = 100_000;
/// How long a client that was told to end waits for Bye, so that its Exit is not lost with the connection.
pub const LEAVE_WAIT: Duration = Duration::from_secs(2);
/// How long a program that ends waits for whoever reads its stderr.
pub const LAST_WORDS_WAIT: Duration = Duration::from_secs(2);
/// How long the client reads on to count what was not sent.
pub const COUNT_WAIT: Duration = Duration::from_secs(1);
/// Bytes that wait for whoever reads the client's output; above it nothing more is taken from the server.
pub const SHOWN_WAITING_BYTES: usize = 64 * 1024;
/// Lines that the line editor remembers.
pub const HISTORY_LINES: usize = 1_000;
/// Bytes of them.
pub const HISTORY_BYTES: usize = 1024 * 1024;

/// The least `--output-limit` for a frame limit: two of the longest replies with their headers.
pub const fn output_limit_least_bytes(max_frame_bytes: u32) -> usize {
    2 * (max_frame_bytes as usize + 70)
}

const _: () = assert!(NAME_BYTES <= u8::MAX as usize);
const _: () = assert!(MAX_FRAME_BYTES_LEAST as usize > NAMES_HEAD_BYTES);
const _: () = assert!(STRANGER_FRAME_BYTES as usize > PASSWORD_BYTES + 1);
const _: () = assert!(STRANGER_ORIGINS > WRONG_PASSWORDS_LOGGED_IN_ALL as usize);
const _: () = assert!(MAX_FRAME_BYTES_LEAST as usize > PASSWORD_BYTES + 1);
const _: () = assert!(REPLY_EXTRA_BYTES as usize + HEADER_BYTES <= 70);
const _: () = assert!(output_limit_least_bytes(MAX_FRAME_BYTES_DEFAULT) <= OUTPUT_LIMIT_BYTES_DEFAULT);
const _: () = assert!(OUTPUT_LIMIT_BYTES_DEFAULT <= OUTPUT_TOTAL_BYTES_DEFAULT);
const _: () = assert!(OUTPUT_HOLDS_INPUT_BYTES <= OUTPUT_LIMIT_BYTES_DEFAULT);
const _: () = assert!(SHARE_LEAST_BYTES > HEADER_BYTES + STRANGER_FRAME_BYTES as usize);
const _: () = assert!(SHARE_ACCEPTS <= SHARE_CLOSES);
const _: () = assert!(HANDSHAKE_TIME_CONTESTED.as_millis() < HANDSHAKE_TIME.as_millis());
const _: () = assert!(CLIENT_HELLO_BYTES <= SHARE_BYTES);
const _: () = assert!(PATH_FOUND_DEAD.as_secs() >= PATH_TIMEOUT.as_secs());
const _: () = assert!(
    PATH_FOUND_DEAD.as_secs()
        >= KEEPALIVE_IDLE.as_secs() + KEEPALIVE_INTERVAL.as_secs() * KEEPALIVE_PROBES as u64
);
const _: () = assert!(
    PATH_FOUND_DEAD.as_secs() >= OUTPUT_STALL.as_secs() + CLOSE_FLUSH.as_secs() + CLOSE_DISCARD.as_secs()
);
const _: () = assert!(DEBT_TOLERATED.as_secs() < DEBT_MOST.as_secs());
