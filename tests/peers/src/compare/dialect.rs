//! What the load generator says to each server and hears from it: the one part that knows their protocols.
//!
//! Entering differs; once inside, a message of a fixed size and its echo are, in every one of them, so many bytes of
//! which only the text changes. So the load generator's work a message is the same for all.

/// Bytes of a text.
pub(crate) const TEXT_BYTES: usize = 64;
/// Hexadecimal digits at the beginning of a text, which number it.
const NUMBER_BYTES: usize = 8;
/// The user whom every server knows that knows users.
pub(crate) const NAME: &str = "ann";
/// Her password.
pub(crate) const PASSWORD: &str = "open-sesame";

const TOKEN_BYTES: usize = 16;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// A length and so many bytes; nobody logs in.
    Frames,
    /// porter's.
    Porter,
    /// redis's: AUTH, ECHO, QUIT.
    Resp,
    /// MQTT 3.1.1: CONNECT with a password, SUBSCRIBE to a topic of one's own and PUBLISH to it.
    Mqtt,
}

/// What a server said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Something that changes nothing.
    Aside,
    /// The login was right.
    Admitted([u8; TOKEN_BYTES]),
    /// What had to be said before the first message was taken.
    Prepared,
    /// An echo.
    Echo,
    /// A farewell.
    Bye,
}

/// When a visitor says that it goes.
#[derive(Debug)]
pub(crate) enum Farewell {
    /// Along with its last message.
    Along(&'static [u8]),
    /// Once the last echo is there, because what waits would be dropped.
    After(&'static [u8]),
    /// It closes without a word.
    Close,
}

impl Dialect {
    /// Whether a client has to log in.
    pub(crate) fn has_login(self) -> bool {
        self != Dialect::Frames
    }

    /// Appends what a client says as soon as it is connected, all that does not have to wait for an answer. `client`
    /// is a number that no other has.
    pub(crate) fn log_in(self, name: &str, client: u64, out: &mut Vec<u8>) {
        match self {
            Dialect::Frames => {}
            Dialect::Porter => {
                append_frame(0x01, &[name.as_bytes()], out);
                append_frame(0x03, &[PASSWORD.as_bytes()], out);
            }
            Dialect::Resp => append_command(&["AUTH", name, PASSWORD].map(str::as_bytes), out),
            Dialect::Mqtt => {
                let mut body = b"\x00\x04MQTT\x04\xc2\x00\x00".to_vec();
                for text in [&*format!("client-{client:x}"), name, PASSWORD] {
                    append_text(text, &mut body);
                }
                append_packet(0x10, &body, out);
            }
        }
    }

    /// Appends what must be said once before the first message, and says whether there is such a thing: it is
    /// answered with [`Heard::Prepared`].
    pub(crate) fn prepare(self, client: u64, out: &mut Vec<u8>) -> bool {
        if self == Dialect::Mqtt {
            let mut body = b"\x00\x01".to_vec();
            append_text(&topic(client), &mut body);
            body.push(0);
            append_packet(0x82, &body, out);
        }
        self == Dialect::Mqtt
    }

    /// How a client leaves.
    pub(crate) fn farewell(self) -> Farewell {
        match self {
            Dialect::Frames => Farewell::Close,
            Dialect::Porter => Farewell::Along(b"\x00\x00\x00\x01\x06"),
            Dialect::Resp => Farewell::Along(b"*1\r\n$4\r\nQUIT\r\n"),
            Dialect::Mqtt => Farewell::After(b"\xe0\x00"),
        }
    }

    /// How a client says its messages, and knows their echoes.
    pub(crate) fn messages(self, client: u64, token: &[u8; TOKEN_BYTES]) -> Messages {
        let text = [b'.'; TEXT_BYTES];
        let (mut request, mut echo) = (Vec::new(), Vec::new());
        match self {
            Dialect::Frames => {
                request.extend_from_slice(&(TEXT_BYTES as u32).to_be_bytes());
                request.extend_from_slice(&text);
                echo.clone_from(&request);
            }
            Dialect::Porter => {
                append_frame(0x05, &[token, &text], &mut request);
                append_frame(0x84, &[&[0], &text], &mut echo);
            }
            Dialect::Resp => {
                append_command(&[b"ECHO", &text], &mut request);
                append_bulk(&text, &mut echo);
            }
            Dialect::Mqtt => {
                let mut body = Vec::new();
                append_text(&topic(client), &mut body);
                body.extend_from_slice(&text);
                append_packet(0x30, &body, &mut request);
                echo.clone_from(&request);
            }
        }
        // Two bytes end RESP's strings; in all others the text is last.
        let after = if self == Dialect::Resp { 2 } else { 0 };
        let (asked_at, told_at) = (request.len() - after - TEXT_BYTES, echo.len() - after - TEXT_BYTES);
        Messages { request, asked_at, echo, told_at }
    }

    /// What the bytes begin with, and its length; `None` if it is not all there.
    ///
    /// # Errors
    /// What the server said, if it refused, or that it speaks otherwise.
    pub(crate) fn hear(self, bytes: &[u8]) -> Result<Option<(usize, Heard)>, String> {
        let heard = match self {
            Dialect::Frames => hear_frame(bytes).map(|(length, _)| (length, Heard::Echo)),
            Dialect::Porter => match hear_frame(bytes) {
                Some((length, body)) => Some((length, understand_porter(body)?)),
                None => None,
            },
            Dialect::Resp => hear_resp(bytes)?,
            Dialect::Mqtt => hear_mqtt(bytes)?,
        };
        Ok(heard)
    }
}

/// A client's messages, all of one size.
#[derive(Debug)]
pub(crate) struct Messages {
    request: Vec<u8>,
    asked_at: usize,
    echo: Vec<u8>,
    told_at: usize,
}

impl Messages {
    /// Appends the message of a number.
    pub(crate) fn append(&mut self, number: u32, out: &mut Vec<u8>) {
        write_number(number, &mut self.request[self.asked_at..]);
        out.extend_from_slice(&self.request);
    }

    /// Bytes of an echo.
    pub(crate) fn echo_bytes(&self) -> usize {
        self.echo.len()
    }

    /// Whether these bytes are the echo of the message of a number.
    pub(crate) fn is_echo(&mut self, number: u32, bytes: &[u8]) -> bool {
        write_number(number, &mut self.echo[self.told_at..]);
        self.echo == bytes
    }
}

fn write_number(number: u32, text: &mut [u8]) {
    for (place, digit) in text[..NUMBER_BYTES].iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (28 - 4 * place)) as usize & 15];
    }
}

fn topic(client: u64) -> String {
    format!("echo/{client:x}")
}

fn append_frame(kind: u8, parts: &[&[u8]], out: &mut Vec<u8>) {
    let length = 1 + parts.iter().map(|part| part.len()).sum::<usize>();
    out.extend_from_slice(&(length as u32).to_be_bytes());
    out.push(kind);
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

fn append_command(words: &[&[u8]], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    words.iter().for_each(|word| append_bulk(word, out));
}

fn append_bulk(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("${}\r\n", bytes.len()).as_bytes());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Everything that is said here is shorter than the 128 bytes that would need a longer length.
fn append_packet(kind: u8, body: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&[kind, body.len() as u8]);
    out.extend_from_slice(body);
}

fn append_text(text: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(&(text.len() as u16).to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn hear_frame(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (header, rest) = bytes.split_first_chunk()?;
    let length = u32::from_be_bytes(*header) as usize;
    Some((header.len() + length, rest.get(..length)?))
}

fn understand_porter(body: &[u8]) -> Result<Heard, String> {
    Ok(match body {
        [0x81, ..] | [0x82, 1] => Heard::Aside,
        [0x83, rest @ ..] if rest.len() >= TOKEN_BYTES => {
            let mut token = [0; TOKEN_BYTES];
            token.copy_from_slice(&rest[..TOKEN_BYTES]);
            Heard::Admitted(token)
        }
        [0x84, ..] => Heard::Echo,
        [0x85, ..] => Heard::Bye,
        [0x8f, high, low, text @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            return Err(format!("error {code}: {}", String::from_utf8_lossy(text).escape_debug()));
        }
        other => return Err(unexpected(other)),
    })
}

fn hear_resp(bytes: &[u8]) -> Result<Option<(usize, Heard)>, String> {
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let (line, length) = (&bytes[..end], end + 2);
    let text = String::from_utf8_lossy(line);
    match (line.first(), text.get(1..).and_then(|digits| digits.parse::<usize>().ok())) {
        (Some(b'+'), _) => Ok(Some((length, Heard::Admitted([0; TOKEN_BYTES])))),
        (Some(b'$'), Some(size)) => {
            let whole = length + size + 2;
            Ok((bytes.len() >= whole).then_some((whole, Heard::Echo)))
        }
        _ => Err(unexpected(line)),
    }
}

fn hear_mqtt(bytes: &[u8]) -> Result<Option<(usize, Heard)>, String> {
    let [kind, size @ 0..128, rest @ ..] = bytes else {
        return if bytes.len() < 2 { Ok(None) } else { Err(unexpected(bytes)) };
    };
    let Some(body) = rest.get(..usize::from(*size)) else { return Ok(None) };
    let heard = match (kind >> 4, body) {
        (2, [_, 0]) => Heard::Admitted([0; TOKEN_BYTES]),
        (2, [_, code]) => return Err(format!("CONNACK with code {code}")),
        (9, [_, _, 0..=2]) => Heard::Prepared,
        (3, _) => Heard::Echo,
        _ => return Err(unexpected(bytes)),
    };
    Ok(Some((2 + body.len(), heard)))
}

fn unexpected(bytes: &[u8]) -> String {
    format!("the server said '{}', which was not due", bytes.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_and_its_echo_differ_in_nothing_but_what_their_protocol_adds() {
        let cases: [(Dialect, usize, usize); 4] = [
            (Dialect::Frames, 4 + 64, 4 + 64),
            (Dialect::Porter, 4 + 1 + 16 + 64, 4 + 1 + 1 + 64),
            (Dialect::Resp, 14 + 5 + 64 + 2, 5 + 64 + 2),
            (Dialect::Mqtt, 2 + 8 + 64, 2 + 8 + 64),
        ];
        for (dialect, asked, told) in cases {
            let mut messages = dialect.messages(7, &[9; 16]);
            let mut out = Vec::new();
            messages.append(0x1f, &mut out);
            assert_eq!((out.len(), messages.echo_bytes()), (asked, told), "{dialect:?}");
            assert!(out.windows(9).any(|bytes| bytes == b"0000001f."), "{dialect:?}");
            let mut echo = messages.echo.clone();
            write_number(0x1f, &mut echo[messages.told_at..]);
            assert!(messages.is_echo(0x1f, &echo) && !messages.is_echo(0x20, &echo), "{dialect:?}");
            assert_eq!(dialect.hear(&echo), Ok(Some((told, Heard::Echo))), "{dialect:?}");
            for cut in 0..told {
                assert_eq!(dialect.hear(&echo[..cut]), Ok(None), "{dialect:?} {cut}");
            }
        }
    }

    #[test]
    fn refusals_are_told_and_admissions_understood() {
        assert_eq!(Dialect::Resp.hear(b"+OK\r\n"), Ok(Some((5, Heard::Admitted([0; 16])))));
        assert!(Dialect::Resp.hear(b"-WRONGPASS invalid\r\n").is_err());
        assert_eq!(Dialect::Mqtt.hear(b"\x20\x02\x00\x00"), Ok(Some((4, Heard::Admitted([0; 16])))));
        assert!(Dialect::Mqtt.hear(b"\x20\x02\x00\x05").is_err());
        assert_eq!(Dialect::Mqtt.hear(b"\x90\x03\x00\x01\x00"), Ok(Some((5, Heard::Prepared))));
        let welcome = [b"\x00\x00\x00\x13\x83".as_slice(), &[4; 16], b"hi"].concat();
        assert_eq!(Dialect::Porter.hear(&welcome), Ok(Some((23, Heard::Admitted([4; 16])))));
        assert!(Dialect::Porter.hear(b"\x00\x00\x00\x05\x8f\x00\x69no").is_err());
    }
}
