//! RESP3 as Redis 7 has it, as far as porter and a store speak it: <https://redis.io/docs/latest/develop/reference/protocol-spec>.

use super::redis::Reply;
use std::io::Write;

/// Appends a reply as it is sent.
pub(super) fn encode(reply: &Reply, output: &mut Vec<u8>) {
    let mut line = |text: std::fmt::Arguments<'_>| write!(output, "{text}\r\n").unwrap();
    match reply {
        Reply::Null => line(format_args!("_")),
        Reply::Status(text) => line(format_args!("+{text}")),
        Reply::Error(text) => line(format_args!("-{text}")),
        Reply::Number(number) => line(format_args!(":{number}")),
        Reply::Text(text) => line(format_args!("${}\r\n{text}", text.len())),
        Reply::Array(members) => {
            line(format_args!("*{}", members.len()));
            members.iter().for_each(|member| encode(member, output));
        }
        Reply::Push(members) => {
            line(format_args!(">{}", members.len()));
            members.iter().for_each(|member| encode(member, output));
        }
        Reply::Map(entries) => {
            line(format_args!("%{}", entries.len()));
            for (key, value) in entries {
                encode(key, output);
                encode(value, output);
            }
        }
    }
}

/// Takes the first command, if it is there whole.
pub(super) fn take_command(input: &mut Vec<u8>) -> Option<Vec<String>> {
    let mut rest = input.as_slice();
    let count = number_after(&mut rest, b'*')?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let length = number_after(&mut rest, b'$')?;
        let word = rest.get(..length)?;
        rest = rest.get(length + 2..)?;
        words.push(String::from_utf8(word.to_vec()).unwrap());
    }
    let used = input.len() - rest.len();
    input.drain(..used);
    Some(words)
}

fn number_after(rest: &mut &[u8], sign: u8) -> Option<usize> {
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    assert_eq!(rest[0], sign, "a command is an array of strings");
    let number = std::str::from_utf8(&rest[1..end]).unwrap().parse().unwrap();
    *rest = &rest[end + 2..];
    Some(number)
}
