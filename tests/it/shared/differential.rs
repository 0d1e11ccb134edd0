//! The simulated world's model of Redis beside a real `redis-server`: the same scripts and commands in both, and after each
//! the same reply, the same words on the channels and the same keys.

use crate::support::Redis;
use model::{Redis as Model, Reply, Value};
use redis_protocol::resp3::decode::complete::decode;
use redis_protocol::resp3::types::OwnedFrame;
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;

#[path = "../../sim/shared/redis/mod.rs"]
mod model;

/// A script as servers send it.
macro_rules! script {
    ($($file:literal),+) => {
        concat!($(include_str!(concat!("../../../src/store/shared/scripts/", $file))),+)
    };
}

const REGISTER: &str = script!("clock.lua", "birth.lua", "register.lua");
const REHASH: &str = script!("clock.lua", "birth.lua", "rehash.lua");
const ALTER: &str = script!("clock.lua", "birth.lua", "alter.lua");
const IMPORT: &str = script!("clock.lua", "birth.lua", "import.lua");
const OPEN: &str = script!("clock.lua", "birth.lua", "directory.lua", "open.lua");
const RESUME: &str = script!("clock.lua", "birth.lua", "directory.lua", "resume.lua");
const CONFIRM: &str = script!("clock.lua", "birth.lua", "directory.lua", "confirm.lua");
const KEEP: &str = script!("clock.lua", "birth.lua", "directory.lua", "keep.lua");
const END: &str = script!("clock.lua", "birth.lua", "directory.lua", "end.lua");
const END_ALL: &str = script!("clock.lua", "birth.lua", "directory.lua", "end_all.lua");
const REAP: &str = script!("clock.lua", "birth.lua", "directory.lua", "reap.lua");
const WHO: &str = script!("clock.lua", "birth.lua", "directory.lua", "who.lua");
const RECOUNT: &str = script!("clock.lua", "birth.lua", "directory.lua", "recount.lua");
const PRESENT: &str = script!("clock.lua", "birth.lua", "directory.lua", "present.lua");
const CHARGE: &str = script!("clock.lua", "charge.lua");
const FORGIVE: &str = script!("forgive.lua");
const DEBTS: &str = script!("clock.lua", "debts.lua");

/// Those that begin alike look alike.
const NAMES: [&str; 5] = ["ann", "amy", "abe", "bob", "carol"];
const PASSWORDS: [&str; 2] = ["$one$", "$other$"];
const OWNERS: [&str; 2] = ["here", "there"];
const DEBTORS: [(&str, &str); 2] =
    [("porter:debt:192.0.2.1", "192.0.2.1"), ("porter:debt:2001:db8::/64", "2001:db8::/64")];
const IDS: [&str; 5] = ["s1", "s2", "s3", "s4", "s5"];
const TOKENS: [&str; 7] = ["", "t1", "t2", "t3", "t4", "t5", "t6"];
/// Milliseconds, of which no test sees the end; one is over at once.
const LEASES: [&str; 3] = ["90000000", "80000000", "-1000"];

/// Numbers from a seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// A connection to the real one.
struct Wire {
    stream: TcpStream,
    input: Vec<u8>,
    pushed: Vec<(String, String)>,
}

impl Wire {
    fn connect(redis: &Redis) -> Wire {
        let url = redis.url();
        let stream = TcpStream::connect(url.strip_prefix("redis://").unwrap()).unwrap();
        let mut wire = Wire { stream, input: Vec::new(), pushed: Vec::new() };
        wire.ask(&["HELLO".to_owned(), "3".to_owned()]);
        wire
    }

    fn send(&mut self, command: &[String]) {
        let mut bytes = format!("*{}\r\n", command.len());
        command.iter().for_each(|word| bytes += &format!("${}\r\n{word}\r\n", word.len()));
        self.stream.write_all(bytes.as_bytes()).unwrap();
    }

    fn ask(&mut self, command: &[String]) -> Reply {
        self.send(command);
        self.read()
    }

    /// The next reply. What was pushed before it is put by.
    fn read(&mut self) -> Reply {
        loop {
            if let Some((frame, length)) = decode(&self.input).unwrap() {
                self.input.drain(..length);
                match reply(frame) {
                    Reply::Push(said) => {
                        if let [Reply::Text(kind), Reply::Text(channel), Reply::Text(text)] = said.as_slice()
                            && kind == "message"
                        {
                            self.pushed.push((channel.clone(), text.clone()));
                        }
                    }
                    reply => return reply,
                }
                continue;
            }
            let mut buffer = [0; 4096];
            let count = self.stream.read(&mut buffer).unwrap();
            assert!(count > 0, "redis-server has gone");
            self.input.extend_from_slice(&buffer[..count]);
        }
    }

    /// A command with the milliseconds right before and after it.
    fn ask_at(&mut self, command: &[String]) -> (u64, Reply, u64) {
        let time = ["TIME".to_owned()];
        self.send(&["MULTI".to_owned()]);
        [&time[..], command, &time[..]].into_iter().for_each(|command| self.send(command));
        self.send(&["EXEC".to_owned()]);
        (0..4).for_each(|_| drop(self.read()));
        match self.read() {
            Reply::Array(replies) => match replies.as_slice() {
                [before, reply, after] => (milliseconds(before), reply.clone(), milliseconds(after)),
                other => panic!("{other:?}"),
            },
            other => panic!("{other:?}"),
        }
    }
}

fn milliseconds(time: &Reply) -> u64 {
    match time {
        Reply::Array(parts) => {
            let number = |part: &Reply| text(part).parse::<u64>().unwrap();
            number(&parts[0]) * 1000 + number(&parts[1]) / 1000
        }
        other => panic!("{other:?}"),
    }
}

fn text(reply: &Reply) -> &str {
    match reply {
        Reply::Text(text) | Reply::Status(text) => text,
        other => panic!("{other:?} is no text"),
    }
}

fn reply(frame: OwnedFrame) -> Reply {
    let texts = |data: Vec<u8>| String::from_utf8(data).unwrap();
    match frame {
        OwnedFrame::Null => Reply::Null,
        OwnedFrame::SimpleString { data, .. } => Reply::Status(texts(data)),
        OwnedFrame::BlobString { data, .. } => Reply::Text(texts(data)),
        OwnedFrame::SimpleError { data, .. } => Reply::Error(data),
        OwnedFrame::Number { data, .. } => Reply::Number(data),
        OwnedFrame::Array { data, .. } => Reply::Array(data.into_iter().map(reply).collect()),
        OwnedFrame::Push { data, .. } => Reply::Push(data.into_iter().map(reply).collect()),
        // HELLO's.
        OwnedFrame::Map { .. } => Reply::Map(Vec::new()),
        other => panic!("{other:?}"),
    }
}

/// The two, and by how much their clocks may differ, in milliseconds.
struct Pair {
    real: Wire,
    listener: Wire,
    model: Model,
    slack: u64,
}

impl Pair {
    fn new(redis: &Redis) -> Pair {
        let mut listener = Wire::connect(redis);
        listener.ask(&["PING".to_owned()]);
        let channels = [
            "porter:room",
            "porter:server:here",
            "porter:server:there",
            "porter:server:!",
            "porter:server:-",
        ];
        listener.send(
            &[&["SUBSCRIBE"][..], &channels].concat().into_iter().map(str::to_owned).collect::<Vec<_>>(),
        );
        Pair { real: Wire::connect(redis), listener, model: Model::new(), slack: 0 }
    }

    fn run(&mut self, command: &[String]) {
        let (before, real, after) = self.real.ask_at(command);
        self.slack += after - before + 1;
        self.model.set_time(before);
        let model = self.model.run(command);
        let shown = || command.iter().filter(|word| word.len() < 100).collect::<Vec<_>>();
        assert!(
            self.is_alike(&real, &model),
            "{:?}: {real:?} by redis-server, {model:?} by the model",
            shown()
        );
        // Whoever has answered has heard all that was published before.
        self.listener.ask(&["PING".to_owned()]);
        let (mut real, mut model) = (std::mem::take(&mut self.listener.pushed), self.model.take_published());
        // The order of a set's members is the store's.
        real.sort();
        model.sort();
        assert_eq!(real, model, "{:?}: what was published", shown());
        self.compare_keys();
    }

    fn compare_keys(&mut self) {
        let found = self.real.ask(&["KEYS", "porter:*"].map(str::to_owned));
        let Reply::Array(found) = found else { panic!("{found:?}") };
        let real: BTreeSet<String> = found.iter().map(|key| text(key).to_owned()).collect();
        let data = self.model.data();
        let model: BTreeSet<String> = data.keys("").into_iter().map(str::to_owned).collect();
        assert_eq!(real, model, "keys");
        for key in &real {
            // By a script, which sees flat lists.
            let (read, kept) = match data.get(key).unwrap() {
                Value::Text(text) => ("'GET', KEYS[1]", Reply::Text(text.clone())),
                Value::Hash(fields) => {
                    let flat = fields.iter().flat_map(|(field, value)| [field, value]);
                    ("'HGETALL', KEYS[1]", Reply::texts(flat))
                }
                Value::Set(members) => ("'SMEMBERS', KEYS[1]", Reply::texts(members)),
                Value::Sorted(members) => {
                    let scores: Vec<(&String, String)> =
                        members.iter().map(|(member, score)| (member, score.to_string())).collect();
                    let flat = scores.iter().flat_map(|(member, score)| [*member, score]);
                    ("'ZRANGE', KEYS[1], 0, -1, 'WITHSCORES'", Reply::texts(flat))
                }
            };
            let read = format!("return redis.call({read})");
            let real = self.real.ask(&["EVAL", &read, "1", key].map(str::to_owned));
            // Two scores of one millisecond may be of two on the other side: each is compared with that of the same member.
            let is_of_pairs = matches!(data.get(key), Some(Value::Hash(_) | Value::Sorted(_)));
            let real = if is_of_pairs { sorted_pairs(&real) } else { real };
            assert!(self.is_alike(&real, &kept), "{key}: {real:?} in redis-server, {kept:?} in the model");
            let real = self.real.ask(&["PTTL", key].map(str::to_owned));
            let kept = data.expires_in(key).map_or(-1, |span| i64::try_from(span).unwrap());
            assert!(self.is_alike(&real, &Reply::Number(kept)), "{key} lives {real:?}, {kept} in the model");
        }
    }

    /// Whether two replies are the same, but for the clock and the order of what has none.
    fn is_alike(&self, real: &Reply, model: &Reply) -> bool {
        let is_near = |real: i64, model: i64| {
            real == model || (real > 1000 && model > 1000 && real.abs_diff(model) <= self.slack + 1000)
        };
        match (real, model) {
            (Reply::Number(real), Reply::Number(model)) => is_near(*real, *model),
            (Reply::Text(real), Reply::Text(model)) => {
                real == model || real.parse().ok().zip(model.parse().ok()).is_some_and(|(a, b)| is_near(a, b))
            }
            (Reply::Array(real), Reply::Array(model)) => {
                let is_same =
                    real.len() == model.len() && real.iter().zip(model).all(|(a, b)| self.is_alike(a, b));
                let sorted = |list: &[Reply]| {
                    let mut list = list.to_vec();
                    list.sort();
                    list
                };
                is_same || sorted(real) == sorted(model)
            }
            _ => real == model,
        }
    }
}

/// A hash's fields, or a sorted set's members, by their names.
fn sorted_pairs(flat: &Reply) -> Reply {
    let Reply::Array(flat) = flat else { panic!("{flat:?}") };
    let mut pairs: Vec<&[Reply]> = flat.chunks(2).collect();
    pairs.sort();
    Reply::Array(pairs.concat())
}

fn eval(script: &str, keys: &[&str], arguments: &[&str]) -> Vec<String> {
    let count = keys.len().to_string();
    [&["EVAL", script, &count], keys, arguments].concat().into_iter().map(str::to_owned).collect()
}

/// A script that compares the birth, mostly with the right one, and may come too late.
fn guarded(random: &mut Random, script: &str, keys: &[&str], arguments: &[&str]) -> Vec<String> {
    let birth = if random.one_in(40) { "another" } else { "a birth" };
    let until = if random.one_in(20) { "1000" } else { "" };
    eval(script, &[&["porter:birth"], keys].concat(), &[&[birth], arguments, &[until]].concat())
}

fn something(random: &mut Random) -> Vec<String> {
    let (name, password, other) = (random.pick(&NAMES), random.pick(&PASSWORDS), random.pick(&PASSWORDS));
    let (id, owner, lease) = (random.pick(&IDS), random.pick(&OWNERS), random.pick(&LEASES));
    let (token, previous) = (random.pick(&TOKENS[1..]), random.pick(&TOKENS));
    let (user, look) = (format!("porter:user:{name}"), format!("porter:look:{}", &name[..1]));
    let alike = format!("porter:alike:{}", &name[..1]);
    let keys = [user.as_str(), look.as_str(), "porter:users", alike.as_str()];
    match random.below(18) {
        0 | 1 => guarded(random, REGISTER, &keys[..3], &[password, name]),
        2 => {
            let replaced = random.pick(&["", other]);
            guarded(random, REHASH, &keys[..1], &[password, replaced])
        }
        3 => {
            let state = random.pick(&["active", "disabled", "removed"]);
            guarded(random, ALTER, &keys, &[name, state])
        }
        4 => guarded(random, IMPORT, &keys, &[name, &format!("{password} 7 active")]),
        5..8 => guarded(random, OPEN, &keys[..1], &[password, id, name, owner, token, lease, "peer"]),
        8 | 9 => guarded(
            random,
            RESUME,
            &[],
            &[token, if previous.is_empty() { "t9" } else { previous }, owner, lease, "peer"],
        ),
        10 => guarded(random, CONFIRM, &[], &[id, owner]),
        11 | 12 => {
            let generation = (1 + random.below(4)).to_string();
            let (is_new, attached) = (random.pick(&["", "new"]), random.pick(&["0", "1"]));
            let one = [id, name, token, previous, &generation, lease, is_new, attached, "peer"];
            let other = random.pick(&IDS);
            let two = [other, name, token, "", "1", lease, "", "1", "peer"];
            let arguments = if random.one_in(2) {
                [&[owner], &one[..]].concat()
            } else {
                [&[owner], &one[..], &two[..]].concat()
            };
            guarded(random, KEEP, &[], &arguments)
        }
        13 => guarded(random, END, &[], &[id, owner]),
        14 => {
            let became = random.pick(&["", "removed", "disabled", PASSWORDS[0]]);
            guarded(random, END_ALL, &[], &[name, owner, "kicked", became])
        }
        15 => guarded(random, about_nobody(id), &[], &[owner]),
        16 => {
            let more = random.pick(&["0", "5000", "90000000"]);
            let (key, origin) = random.pick(&DEBTORS);
            eval(CHARGE, &[key], &[more, "80000000", origin])
        }
        _ => other_command(random, name),
    }
}

/// A script that is about nobody.
fn about_nobody(id: &str) -> &'static str {
    match id {
        "s1" => REAP,
        "s2" => RECOUNT,
        "s3" => PRESENT,
        _ => WHO,
    }
}

fn other_command(random: &mut Random, name: &str) -> Vec<String> {
    let visitor = "porter:visitor:192.0.2.1";
    let words: &[&str] = match random.below(7) {
        0 => &["MGET", "porter:birth", "porter:user:ann", "porter:look:a", "porter:users"],
        1 => &["GET", visitor],
        2 => &["SET", visitor, name, "EX", "7776000"],
        3 => &["PTTL", "porter:debt:192.0.2.1"],
        4 => return eval(DEBTS, &[], &["10"]),
        // Somebody's hand.
        5 => &["DEL", "porter:attached"],
        _ => {
            let (key, origin) = random.pick(&DEBTORS);
            return eval(FORGIVE, &[key], &[random.pick(&OWNERS), origin]);
        }
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn the_model_does_what_redis_does() {
    let Some(redis) = Redis::bare("no") else { return };
    let number = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let (seed, steps) = (number("PORTER_SEED").unwrap_or(1), number("PORTER_STEPS").unwrap_or(500));
    let mut random = Random(seed);
    let mut pair = Pair::new(&redis);
    pair.run(&["SET", "porter:birth", "a birth", "NX"].map(str::to_owned));
    for _ in 0..steps {
        pair.run(&something(&mut random));
    }
}
