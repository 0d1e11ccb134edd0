//! The commands. Each is as Redis documents it, for the arguments that porter gives it: <https://redis.io/commands>.

use super::data::{Data, Value};
use super::reply::Reply;
use std::collections::{BTreeMap, BTreeSet};

/// Carries out one command.
pub(super) fn run(data: &mut Data, command: &[String]) -> Reply {
    let words: Vec<&str> = command.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["HELLO", "3", ..] => Reply::Map(
            [("server", "redis"), ("version", "7.0.15"), ("role", "master")]
                .map(|(key, value)| (Reply::text(key), Reply::text(value)))
                .into(),
        ),
        ["CONFIG", "GET", "append*", "maxmemory*"] => Reply::Map(
            [("appendonly", "yes"), ("appendfsync", "always")]
                .map(|(key, value)| (Reply::text(key), Reply::text(value)))
                .into(),
        ),
        ["TIME"] => {
            let (seconds, rest) = (data.now() / 1000, data.now() % 1000 * 1000);
            Reply::texts(&[seconds.to_string(), rest.to_string()])
        }
        ["PUBLISH", channel, text] => {
            data.published.push(((*channel).to_owned(), (*text).to_owned()));
            Reply::Number(0)
        }
        ["DEL", keys @ ..] => count(keys.iter().filter(|key| data.remove(key))),
        ["EXISTS", keys @ ..] => count(keys.iter().filter(|key| data.has(key))),
        ["PEXPIRE", key, span] => Reply::Number(i64::from(data.set_life(key, span.parse().unwrap()))),
        ["PTTL", key] => match data.expires_in(key) {
            Some(span) => Reply::Number(i64::try_from(span).unwrap()),
            None => Reply::Number(if data.has(key) { -1 } else { -2 }),
        },
        [name, rest @ ..] if name.starts_with('H') => hash(data, name, rest),
        [name, rest @ ..] if name.starts_with('Z') => sorted(data, name, rest),
        [name, key, rest @ ..] if ["SADD", "SREM", "SCARD", "SMEMBERS"].contains(name) => {
            set(data, name, key, rest)
        }
        other => text(data, other),
    }
}

fn count<T>(all: impl Iterator<Item = T>) -> Reply {
    Reply::Number(i64::try_from(all.count()).unwrap())
}

fn or_null(text: Option<&String>) -> Reply {
    text.cloned().map_or(Reply::Null, Reply::Text)
}

fn text(data: &mut Data, command: &[&str]) -> Reply {
    match command {
        ["GET", key] => or_null(data.text(key)),
        ["MGET", keys @ ..] => Reply::Array(keys.iter().map(|key| or_null(data.text(key))).collect()),
        ["SET", key, value, options @ ..] => {
            if options.contains(&"NX") && data.has(key) {
                return Reply::Null;
            }
            let lives = match options {
                [.., "EX", seconds] => Some(seconds.parse::<u64>().unwrap() * 1000),
                [.., "PX", milliseconds] => Some(milliseconds.parse().unwrap()),
                [] | ["NX"] => None,
                other => panic!("SET with {other:?} is not modelled"),
            };
            data.set(key, Value::Text((*value).to_owned()), lives);
            Reply::done()
        }
        ["INCR", key] => add(data, key, 1),
        ["DECR", key] => add(data, key, -1),
        other => panic!("{other:?} is not modelled"),
    }
}

fn add(data: &mut Data, key: &str, more: i64) -> Reply {
    let number = data.text(key).map_or(0, |text| text.parse().unwrap()) + more;
    data.change(key, Value::Text(String::new()), |value| *value = Value::Text(number.to_string()));
    Reply::Number(number)
}

fn hash(data: &mut Data, name: &str, arguments: &[&str]) -> Reply {
    let (key, rest) = arguments.split_first().unwrap();
    data.change(key, Value::Hash(BTreeMap::new()), |value| {
        let Value::Hash(fields) = value else { panic!("{key} is {value:?}") };
        match (name, rest) {
            ("HGET", [field]) => or_null(fields.get(*field)),
            ("HMGET", wanted) => {
                Reply::Array(wanted.iter().map(|field| or_null(fields.get(*field))).collect())
            }
            ("HKEYS", []) => Reply::texts(fields.keys()),
            ("HSET", pairs) => {
                let owned = |pair: &[&str]| (pair[0].to_owned(), pair[1].to_owned());
                count(
                    pairs
                        .chunks(2)
                        .map(owned)
                        .filter(|(field, value)| fields.insert(field.clone(), value.clone()).is_none()),
                )
            }
            ("HDEL", gone) => count(gone.iter().filter(|field| fields.remove(**field).is_some())),
            ("HINCRBY", [field, more]) => {
                let before = fields.get(*field).map_or(0, |text| text.parse::<i64>().unwrap());
                let number = before + more.parse::<i64>().unwrap();
                fields.insert((*field).to_owned(), number.to_string());
                Reply::Number(number)
            }
            other => panic!("{other:?} is not modelled"),
        }
    })
}

fn set(data: &mut Data, name: &str, key: &str, rest: &[&str]) -> Reply {
    data.change(key, Value::Set(BTreeSet::new()), |value| {
        let Value::Set(members) = value else { panic!("{key} is {value:?}") };
        match name {
            "SADD" => count(rest.iter().filter(|member| members.insert((**member).to_owned()))),
            "SREM" => count(rest.iter().filter(|member| members.remove(**member))),
            "SCARD" => count(members.iter()),
            _ => Reply::texts(members.iter()),
        }
    })
}

fn sorted(data: &mut Data, name: &str, arguments: &[&str]) -> Reply {
    let (key, rest) = arguments.split_first().unwrap();
    data.change(key, Value::Sorted(BTreeMap::new()), |value| {
        let Value::Sorted(members) = value else { panic!("{key} is {value:?}") };
        let mut order: Vec<(i64, &String)> = members.iter().map(|(member, score)| (*score, member)).collect();
        order.sort();
        match (name, rest) {
            // Of this none is ever there.
            ("ZADD", ["XX", "0", ""]) => Reply::Number(0),
            ("ZADD", [score, member]) => {
                let score = score.parse().unwrap();
                Reply::Number(i64::from(members.insert((*member).to_owned(), score).is_none()))
            }
            ("ZREM", gone) => count(gone.iter().filter(|member| members.remove(**member).is_some())),
            ("ZSCORE", [member]) => {
                members.get(*member).map_or(Reply::Null, |score| Reply::Text(score.to_string()))
            }
            ("ZREMRANGEBYSCORE", ["-inf", most]) => {
                let (most, before): (i64, usize) = (most.parse().unwrap(), members.len());
                members.retain(|_, score| *score > most);
                Reply::Number((before - members.len()) as i64)
            }
            ("ZREVRANGE", ["0", last, "WITHSCORES"]) => Reply::Array(
                order
                    .iter()
                    .rev()
                    .take(last.parse::<usize>().unwrap() + 1)
                    .flat_map(|(score, member)| [Reply::text(member), Reply::Text(score.to_string())])
                    .collect(),
            ),
            ("ZRANGE", ["0", "0"]) => Reply::texts(order.first().map(|(_, member)| *member)),
            ("ZRANGE", ["0", "-1"]) => Reply::texts(order.iter().map(|(_, member)| *member)),
            ("ZRANGE", ["0", "-1", "WITHSCORES"]) => Reply::Array(
                order
                    .iter()
                    .flat_map(|(score, member)| [Reply::text(member), Reply::Text(score.to_string())])
                    .collect(),
            ),
            ("ZRANGEBYSCORE", ["-inf", most, "LIMIT", "0", limit]) => {
                let (most, limit): (i64, usize) = (most.parse().unwrap(), limit.parse().unwrap());
                Reply::texts(
                    order
                        .into_iter()
                        .filter(|(score, _)| *score <= most)
                        .map(|(_, member)| member)
                        .take(limit),
                )
            }
            other => panic!("{other:?} is not modelled"),
        }
    })
}
