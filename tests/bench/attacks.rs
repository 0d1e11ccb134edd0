//! The scenarios: who besieges a server, how, and what came of it. All of them are bounded in number and in time.

use crate::crowd::has_ended;
use crate::handshakes;
use crate::host::{Guest, HOME, Host, error_code, frame, reset};
use crate::rooms;
use crate::strangers::{self, Words};
use porter::limits::{
    HANDSHAKES_AT_ONCE, HEADER_BYTES, LOGIN_TIMEOUT_DEFAULT, MAX_FRAME_BYTES_DEFAULT,
    OUTPUT_LIMIT_BYTES_DEFAULT, STRANGER_FRAME_BYTES,
};
use porter::protocol::{FrameRead, Reply};
use porter::tls::RECORD_BYTES;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// One kind of siege.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    /// The server's flags; all others have their defaults.
    pub(crate) flags: &'static [&'static str],
    /// Whether an probe client is there; without one the server's own work is what is measured.
    pub(crate) has_probe: bool,
    /// Beside the probe client's p99 and the memory.
    pub(crate) target: Option<Target>,
    /// What the server's limits let the attackers make it hold, in bytes.
    pub(crate) holds_bytes: usize,
    /// What is there before the siege, at rest too; gives the siege itself.
    pub(crate) prepare: fn(&Host) -> Attack,
}

/// What is to be reached.
pub(crate) enum Target {
    /// The server's share of a core is below this.
    Cpu(f64),
    /// What is waited for is there within this time.
    Within(Duration),
}

/// A siege until a moment; it may look after that what has become of it.
pub(crate) type Attack = Box<dyn FnOnce(&Host, Instant) -> Outcome + Send>;

/// What came of a siege.
pub(crate) struct Outcome {
    pub(crate) told: String,
    /// The longest of what it waited for, if that is what it is about.
    pub(crate) took: Option<Duration>,
}

impl From<String> for Outcome {
    fn from(told: String) -> Outcome {
        Outcome { told, took: None }
    }
}

/// What a stranger may make a server hold.
const STRANGER_BYTES: usize = HEADER_BYTES + STRANGER_FRAME_BYTES as usize;
/// What one who is in may: its waiting output, and a frame that is not yet whole.
const MEMBER_BYTES: usize = OUTPUT_LIMIT_BYTES_DEFAULT + HEADER_BYTES + MAX_FRAME_BYTES_DEFAULT as usize;
/// What a handshake may.
const HANDSHAKE_BYTES: usize = 64 * 1024;
/// What one who has shaken hands may: a record each way, and the frame in it.
const TLS_BYTES: usize = 2 * RECORD_BYTES + STRANGER_BYTES;

/// What a login may take whoever besieges the server.
const LOGIN_MOST: Duration = Duration::from_secs(2);

/// What a reader of a room may have waiting while its turn to be written comes: references, and what they are kept in.
const READER_BYTES: usize = 2 * 1024;
/// A chat of many, all of one address, in which all may write as often as they do; lost sessions stay for a minute, not at
/// all, or for a second.
const ROOM: [&str; 10] = room("60");
const ROOM_WITHOUT_WINDOW: [&str; 10] = room("0");
const ROOM_WITH_WINDOW: [&str; 10] = room("1");

const fn room(window: &str) -> [&str; 10] {
    let words = ["--mode", "chat", "--chat-rate", "0", "--max-connections", "12000"];
    let [mode, chat, rate, any, connections, most] = words;
    [mode, chat, rate, any, connections, most, "--hash-rounds", "1", "--resume-window", window]
}

/// Every row of the table.
pub(crate) const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "idle: 2 000 in, nobody speaks",
        flags: &[],
        has_probe: false,
        target: Some(Target::Cpu(0.001)),
        holds_bytes: 0,
        prepare: idle,
    },
    Scenario {
        name: "slowloris: 1 000 strangers, a byte a second each",
        flags: &["--login-timeout", "2"],
        has_probe: true,
        target: None,
        holds_bytes: 1000 * STRANGER_BYTES,
        prepare: |_| Box::new(|host, until| strangers(host, until, 1000, true)),
    },
    Scenario {
        name: "silent crowd: 2 000 strangers",
        flags: &["--login-timeout", "2"],
        has_probe: true,
        target: None,
        holds_bytes: 2000 * STRANGER_BYTES,
        prepare: |_| Box::new(|host, until| strangers(host, until, 2000, false)),
    },
    Scenario {
        name: "non-readers: 50 who only write",
        flags: &[],
        has_probe: true,
        target: None,
        holds_bytes: 50 * MEMBER_BYTES,
        prepare: non_readers,
    },
    Scenario {
        name: "one flooder, as fast as it can",
        flags: &[],
        has_probe: true,
        target: None,
        holds_bytes: MEMBER_BYTES,
        prepare: flooder,
    },
    Scenario {
        name: "connection limit: 200 in, others knock",
        flags: &["--max-connections", "200", "--login-timeout", "600"],
        has_probe: true,
        target: None,
        holds_bytes: 64 * STRANGER_BYTES,
        prepare: connection_limit,
    },
    Scenario {
        name: "out of descriptors, 200 wait",
        flags: &[],
        has_probe: true,
        target: Some(Target::Cpu(0.05)),
        holds_bytes: 8 * STRANGER_BYTES,
        prepare: |_| Box::new(out_of_descriptors),
    },
    Scenario {
        name: "log on a full disk, at debug, 500 visits a second",
        flags: &["--log-file", "/dev/full", "--log-level", "debug"],
        has_probe: true,
        target: None,
        holds_bytes: STRANGER_BYTES,
        prepare: |_| Box::new(visits),
    },
    Scenario {
        name: "500 TLS handshakes at once, again and again",
        flags: &["--tls"],
        has_probe: true,
        target: Some(Target::Within(LOGIN_TIMEOUT_DEFAULT)),
        holds_bytes: HANDSHAKES_AT_ONCE * HANDSHAKE_BYTES + handshakes::CROWD * TLS_BYTES,
        prepare: |_| Box::new(handshakes::handshakes),
    },
    Scenario {
        name: "600 of one address that say nothing and come back",
        flags: &["--login-timeout", "1"],
        has_probe: true,
        target: Some(Target::Within(LOGIN_MOST)),
        holds_bytes: 600 * STRANGER_BYTES,
        prepare: |host| strangers::crowd(host, Words::Nothing),
    },
    Scenario {
        name: "600 of one address for 300 places, half a frame each",
        flags: &["--max-strangers", "300"],
        has_probe: true,
        target: Some(Target::Within(LOGIN_MOST)),
        holds_bytes: 600 * STRANGER_BYTES,
        prepare: |host| strangers::crowd(host, Words::HalfAHello),
    },
    Scenario {
        name: "600 of one address that say nothing and come back, TLS",
        flags: &["--tls", "--login-timeout", "1"],
        has_probe: true,
        target: Some(Target::Within(LOGIN_MOST)),
        holds_bytes: 600 * STRANGER_BYTES,
        prepare: |host| strangers::crowd(host, Words::Nothing),
    },
    Scenario {
        name: "600 of one address that send a byte and come back, TLS",
        flags: &["--tls", "--login-timeout", "1"],
        has_probe: true,
        target: Some(Target::Within(LOGIN_MOST)),
        holds_bytes: 600 * STRANGER_BYTES,
        prepare: |host| strangers::crowd(host, Words::OneByte),
    },
    Scenario {
        name: "600 of one address for 300 places, half a ClientHello each",
        flags: &["--tls", "--max-strangers", "300"],
        has_probe: true,
        target: Some(Target::Within(LOGIN_MOST)),
        holds_bytes: 600 * STRANGER_BYTES,
        prepare: |host| strangers::crowd(host, Words::HalfAHello),
    },
    Scenario {
        name: "600 of one address that begin a handshake and come back",
        flags: &["--tls", "--login-timeout", "1"],
        has_probe: true,
        target: Some(Target::Within(LOGIN_MOST)),
        holds_bytes: HANDSHAKES_AT_ONCE * HANDSHAKE_BYTES + 600 * STRANGER_BYTES,
        prepare: |host| strangers::crowd(host, Words::WholeHello),
    },
    Scenario {
        name: "guessing from one address, 20 at once",
        flags: &[],
        has_probe: true,
        target: None,
        holds_bytes: 20 * STRANGER_BYTES,
        prepare: |_| Box::new(|host, until| guessing(host, until, 1, 20)),
    },
    Scenario {
        name: "guessing from 50 addresses, 2 at once from each",
        flags: &[],
        has_probe: true,
        target: None,
        holds_bytes: 100 * STRANGER_BYTES,
        prepare: |_| Box::new(|host, until| guessing(host, until, 50, 2)),
    },
    Scenario {
        name: "logins from 800 addresses, again and again",
        flags: &["--max-strangers", "2000"],
        has_probe: true,
        target: None,
        holds_bytes: 800 * STRANGER_BYTES,
        prepare: |_| Box::new(logins_from_everywhere),
    },
    Scenario {
        name: "hash storm: clients leave while hashed, no penalty",
        flags: &["--penalty", "0"],
        has_probe: true,
        target: None,
        holds_bytes: 4 * STRANGER_BYTES,
        prepare: |_| Box::new(hash_storm),
    },
    Scenario {
        name: "reconnect storm: 2 000 lose their connections, again and again",
        flags: &[],
        has_probe: true,
        target: Some(Target::Within(Duration::from_secs(2))),
        holds_bytes: 2000 * STRANGER_BYTES,
        prepare: reconnect_storm,
    },
    Scenario {
        name: "room of 10 000, a text always under way",
        flags: &ROOM,
        has_probe: true,
        target: Some(Target::Within(Duration::from_secs(10))),
        holds_bytes: rooms::READERS * READER_BYTES,
        prepare: |host| rooms::texts_under_way(host, 1),
    },
    Scenario {
        name: "room of 10 000, 16 texts always under way",
        flags: &ROOM,
        has_probe: true,
        target: Some(Target::Within(Duration::from_secs(10))),
        holds_bytes: rooms::READERS * READER_BYTES,
        prepare: |host| rooms::texts_under_way(host, 16),
    },
    Scenario {
        name: "half of a room of 10 000 goes, no resume window",
        flags: &ROOM_WITHOUT_WINDOW,
        has_probe: true,
        target: Some(Target::Within(Duration::from_secs(10))),
        holds_bytes: rooms::STAY * READER_BYTES,
        prepare: rooms::half_leaves,
    },
    Scenario {
        name: "half of a room of 10 000 goes, windows end together",
        flags: &ROOM_WITH_WINDOW,
        has_probe: true,
        target: Some(Target::Within(Duration::from_secs(10))),
        holds_bytes: rooms::STAY * READER_BYTES,
        prepare: rooms::half_leaves,
    },
    Scenario {
        name: "kick of a name with 9 900 sessions",
        flags: &ROOM,
        has_probe: true,
        target: Some(Target::Within(Duration::from_secs(10))),
        holds_bytes: rooms::READERS * READER_BYTES,
        prepare: rooms::kick,
    },
];

fn pause(milliseconds: u64) {
    std::thread::sleep(Duration::from_millis(milliseconds));
}

/// Friends of the house: the first login is hashed, the others are recognised.
fn friends(host: &Host, count: usize) -> Vec<Guest> {
    (0..count).map(|_| Host::log_in(host.connect(), "bob")).collect()
}

fn idle(host: &Host) -> Attack {
    let crowd = friends(host, 2000);
    Box::new(move |_, until| {
        std::thread::sleep(until.saturating_duration_since(Instant::now()));
        format!("{} sessions open", crowd.len()).into()
    })
}

/// Strangers who never get anywhere. Each that is sent away comes again.
fn strangers(host: &Host, until: Instant, count: usize, drips: bool) -> Outcome {
    let arrive = || {
        let stream = host.connect();
        stream.set_nonblocking(true).unwrap();
        (stream, Instant::now())
    };
    let mut crowd: Vec<_> = (0..count).map(|_| arrive()).collect();
    let (mut gone, mut longest, mut tick) = (0, Duration::ZERO, 0);
    while Instant::now() < until {
        for (n, (stream, since)) in crowd.iter_mut().enumerate() {
            // A name that is never finished: the length of the longest frame, and then letters.
            let age = since.elapsed().as_secs() as usize;
            if drips && n % 10 == tick % 10 {
                let _ = stream.write(&[[0, 0, 0x10, 0, 0x01, b'a'][age.min(5)]]);
            }
            if has_ended(stream) {
                gone += 1;
                longest = longest.max(since.elapsed());
                (*stream, *since) = arrive();
            }
        }
        tick += 1;
        pause(100);
    }
    format!("{gone} sent away, each within {:.1} s", longest.as_secs_f64()).into()
}

fn non_readers(host: &Host) -> Attack {
    let mut crowd: Vec<_> = (0..50)
        .map(|_| {
            let guest = Host::log_in(host.connect_from(HOME, Some(65_536)), "bob");
            guest.stream.set_nonblocking(true).unwrap();
            let bytes = frame(0x05, &[&guest.token[..], &[b'x'; 30_000]].concat());
            (guest.stream, bytes, 0)
        })
        .collect();
    Box::new(move |_, until| {
        while Instant::now() < until {
            for (stream, bytes, sent) in &mut crowd {
                while let Ok(count) = stream.write(&bytes[*sent % bytes.len()..]) {
                    *sent += count;
                }
            }
            pause(20);
        }
        let taken: usize = crowd.iter().map(|(_, _, sent)| sent).sum();
        format!("{} KiB of each taken, then no more", taken / 50 / 1024).into()
    })
}

fn flooder(host: &Host) -> Attack {
    let mut guest = Host::log_in(host.connect(), "bob");
    Box::new(move |_, until| {
        let began = Instant::now();
        let message = frame(0x05, &guest.token);
        let flood = message.repeat(2000);
        let mut source = guest.stream.try_clone().unwrap();
        let bytes = std::thread::scope(|scope| {
            scope.spawn(move || {
                while Instant::now() < until {
                    source.write_all(&flood).unwrap();
                }
                source.shutdown(Shutdown::Write).unwrap();
            });
            let (mut buffer, mut bytes) = (vec![0; 65_536], 0);
            while let Ok(count @ 1..) = guest.stream.read(&mut buffer) {
                bytes += count;
            }
            bytes
        });
        // An echo of nothing is header, kind and the length of no name.
        let pace = (bytes / 6) as f64 / began.elapsed().as_secs_f64();
        format!("{pace:.0} echoes a second for the flooder").into()
    })
}

fn connection_limit(host: &Host) -> Attack {
    let crowd: Vec<_> = (0..199).map(|_| host.connect()).collect();
    Box::new(move |host, until| {
        let (mut refused, mut others) = (0, 0);
        while Instant::now() < until {
            match error_code(&mut host.connect()) {
                Some(106) => refused += 1,
                _ => others += 1,
            }
            pause(1);
        }
        drop(crowd);
        format!("{refused} told Busy, {others} not").into()
    })
}

fn out_of_descriptors(host: &Host, until: Instant) -> Outcome {
    host.limit_descriptors(Some(8));
    let mut waiting: Vec<_> = (0..200).map(|_| host.connect()).collect();
    std::thread::sleep(until.saturating_duration_since(Instant::now()));
    host.limit_descriptors(None);
    let greeted = waiting.iter_mut().filter(|stream| {
        let mut stream: &TcpStream = stream;
        matches!(stream.read_frame(u32::MAX), Ok(Some(body)) if matches!(Reply::decode(&body), Ok(Reply::Hello { .. })))
    });
    format!("{} of 200 greeted when there was room again", greeted.count()).into()
}

fn visits(host: &Host, until: Instant) -> Outcome {
    let mut visits = 0;
    while Instant::now() < until {
        let mut stream = host.connect();
        stream.write_all(&frame(0x06, &[])).unwrap();
        while let Ok(Some(_)) = stream.read_frame(u32::MAX) {}
        visits += 1;
        pause(2);
    }
    format!("{visits} visits came and went").into()
}

/// A guess, and the code of its answer, if one comes before `until`.
fn guess(host: &Host, source: Ipv4Addr, until: Instant) -> Option<u16> {
    let mut stream = host.connect_from(source, None);
    let patience = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    stream.set_read_timeout(Some(patience)).unwrap();
    stream.write_all(&[frame(0x01, b"bob"), frame(0x03, b"wrong password")].concat()).unwrap();
    error_code(&mut stream)
}

/// Some guessers at each address, who ask again as soon as there is an answer, each a hundred times a second at most.
fn guessing(host: &Host, until: Instant, addresses: u8, each: u8) -> Outcome {
    let mut answers = BTreeMap::new();
    std::thread::scope(|scope| {
        let guessers: Vec<_> = (0..each)
            .flat_map(|_| 1..=addresses)
            .map(|n| {
                scope.spawn(move || {
                    let mut codes = Vec::new();
                    while Instant::now() < until {
                        codes.push(guess(host, Ipv4Addr::new(127, 0, 3, n), until));
                        pause(10);
                    }
                    codes
                })
            })
            .collect();
        for code in guessers.into_iter().flat_map(|guesser| guesser.join().unwrap()) {
            *answers.entry(code).or_insert(0) += 1;
        }
    });
    let of = |code| answers.get(&code).copied().unwrap_or(0);
    let (hashed, throttled, busy, unanswered) = (of(Some(4)), of(Some(105)), of(Some(106)), of(None));
    format!("{hashed} hashed, {throttled} throttled, {busy} told Busy, {unanswered} still waited").into()
}

/// One login from each of many addresses. Those that are answered or have waited long enough make way for the next, so
/// that there is always somebody who is new to the queue.
fn logins_from_everywhere(host: &Host, until: Instant) -> Outcome {
    const ADDRESSES: usize = 800;
    let mut crowd: Vec<Option<TcpStream>> = (0..ADDRESSES).map(|_| None).collect();
    let mut logins = 0;
    while Instant::now() < until {
        for (n, place) in crowd.iter_mut().enumerate() {
            let source = Ipv4Addr::new(127, 0, 5 + (n / 200) as u8, 1 + (n % 200) as u8);
            place.take().into_iter().for_each(reset);
            let mut stream = host.connect_from(source, None);
            stream.write_all(&[frame(0x01, b"bob"), frame(0x03, b"wrong password")].concat()).unwrap();
            *place = Some(stream);
            logins += 1;
            if n % 20 == 0 {
                pause(5);
                if Instant::now() >= until {
                    break;
                }
            }
        }
    }
    crowd.into_iter().flatten().for_each(reset);
    format!("{logins} logins").into()
}

/// Four who send a wrong password and leave a moment after its hash has been asked for.
fn hash_storm(host: &Host, until: Instant) -> Outcome {
    let left = std::thread::scope(|scope| {
        let leavers: Vec<_> = (1..=4)
            .map(|n| {
                scope.spawn(move || {
                    let mut left = 0;
                    while Instant::now() < until {
                        let mut stream = host.connect_from(Ipv4Addr::new(127, 0, 4, n), None);
                        let words = [frame(0x01, b"bob"), frame(0x03, b"wrong password")].concat();
                        stream.write_all(&words).unwrap();
                        // Hello and PasswordWanted: the login is next.
                        stream.read_frame(u32::MAX).unwrap();
                        stream.read_frame(u32::MAX).unwrap();
                        pause(5);
                        reset(stream);
                        left += 1;
                    }
                    left
                })
            })
            .collect();
        leavers.into_iter().map(|leaver| leaver.join().unwrap()).sum::<u32>()
    });
    // What is left of the storm, once the last resets have arrived.
    pause(200);
    let [before, _] = host.cpu();
    pause(500);
    let after = (host.cpu()[0] - before).as_secs_f64() / 0.5;
    format!("{left} left; then {:.2} % of a core", after * 100.0).into()
}

fn reconnect_storm(host: &Host) -> Attack {
    let mut crowd = friends(host, 2000);
    host.settle();
    let logins = host.logged("logged in");
    Box::new(move |host, until| {
        let (mut rounds, mut slowest) = (0, Duration::ZERO);
        while rounds == 0 || Instant::now() < until {
            let tokens: Vec<_> = crowd
                .drain(..)
                .map(|guest| {
                    reset(guest.stream);
                    guest.token
                })
                .collect();
            let began = Instant::now();
            crowd.extend(tokens.into_iter().map(|token| {
                let mut stream = host.connect();
                stream.write_all(&frame(0x04, &token)).unwrap();
                Guest { stream, token }
            }));
            for guest in &mut crowd {
                guest.token = welcome(&mut guest.stream);
            }
            slowest = slowest.max(began.elapsed());
            rounds += 1;
        }
        host.settle();
        // Only who resumes is in without a login, and only a login can have a hash.
        let told = format!(
            "{rounds} times all 2 000 back, in {:.2} s at most: {} logins, {} resumes",
            slowest.as_secs_f64(),
            host.logged("logged in") - logins,
            host.logged("resumed")
        );
        Outcome { told, took: Some(slowest) }
    })
}

/// The token of the Welcome that follows Hello.
fn welcome(stream: &mut TcpStream) -> [u8; 16] {
    stream.read_frame(u32::MAX).unwrap();
    let body = stream.read_frame(u32::MAX).unwrap().expect("a resume is answered");
    match Reply::decode(&body) {
        Ok(Reply::Welcome { token, .. }) => *token,
        other => panic!("no Welcome: {:?}", other.map(|reply| reply.name())),
    }
}
