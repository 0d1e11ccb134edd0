//! What a load says to a server and how it knows the answers: the one thing that differs from protocol to protocol.
//!
//! This module must not know sockets or the clock, nor how many clients there are.

use super::LoadError;

/// A protocol in which a server can be loaded: how a client logs in, what one request is, how its answer is recognised.
///
/// A client first says what [`connected`](Dialect::connected) appends. Until it is inside, each message that comes goes to
/// [`handle_answer`](Dialect::handle_answer). Then it sends requests, whose answers must be equal to those of its
/// [`Exchange`], in order; what is not goes to [`handle_other`](Dialect::handle_other). At last it leaves by the
/// [`Farewell`].
pub trait Dialect {
    /// What a client knows of its login, from one connection to the next.
    type Login: Default;

    /// The user that the client of a number is.
    fn name(&self, number: u64) -> String;

    /// How many bytes the first message among these has; `None` if it is not all there.
    ///
    /// # Errors
    /// If these bytes are not the protocol.
    fn message_bytes(&self, bytes: &[u8]) -> Result<Option<usize>, LoadError>;

    /// The connection is there: appends what is said without waiting for anything.
    fn connected(&self, login: &mut Self::Login, user: &User<'_>, out: &mut Vec<u8>) -> LoginStep;

    /// A message came before the client is inside; appends what follows.
    ///
    /// # Errors
    /// If the server refuses, or speaks otherwise.
    fn handle_answer(
        &self,
        login: &mut Self::Login,
        user: &User<'_>,
        message: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<LoginStep, LoadError>;

    /// The message that a client on its way in waits for, in a word.
    fn awaited(&self, login: &Self::Login) -> &'static str;

    /// The requests of a client that is inside.
    fn exchange(&self, login: &Self::Login, user: &User<'_>, size_bytes: usize) -> Exchange;

    /// A message that is not the answer that was due.
    ///
    /// # Errors
    /// If the server refuses, or speaks otherwise.
    fn handle_other(&self, login: &mut Self::Login, message: &[u8]) -> Result<Other, LoadError>;

    /// How a client leaves; `None` if it just closes.
    fn farewell(&self) -> Option<Farewell>;

    /// Whether the server speaks first, so that silence on a new connection means that it hangs.
    fn greets(&self) -> bool {
        false
    }

    /// What may be wrong if an answer is not the right one.
    fn advice(&self) -> &'static str {
        "is it the right server?"
    }
}

/// A client on one connection.
#[derive(Clone, Copy, Debug)]
pub struct User<'a> {
    /// The user that it is.
    pub name: &'a str,
    /// A number that no other client has.
    pub number: u64,
    /// Whether it will send requests.
    pub talks: bool,
    /// What it does in a chat, where there is one.
    pub role: Option<Role>,
}

/// What a client does in a chat; the numbers and the slots of clients go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It reads what is whispered to it alone.
    Listener,
    /// It whispers, by the clock.
    Whisperer,
    /// It writes what all readers read.
    Writer,
    /// It reads, as all others do.
    Reader,
}

impl Role {
    /// The role of a slot.
    pub(super) fn of(slot: usize) -> Role {
        [Role::Listener, Role::Whisperer, Role::Writer].get(slot).copied().unwrap_or(Role::Reader)
    }

    /// The first slot of a role.
    pub(super) fn slot(self) -> usize {
        self as usize
    }
}

/// How far a login is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginStep {
    /// Something else is to come.
    Waiting,
    /// The client has just said who it is: from here its login is measured.
    Asked,
    /// It is inside.
    Inside,
    /// It has what it came for, and closes.
    Done,
}

/// A message that is not the answer that was due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Other {
    /// One that changes nothing.
    Aside,
    /// An answer to something else.
    Answer,
    /// The server's farewell, with its reason.
    Bye(String),
}

/// How a client says that it leaves.
#[derive(Clone, Copy, Debug)]
pub struct Farewell {
    /// The message.
    pub bytes: &'static [u8],
    /// Whether it goes out with the last request, before the answer.
    pub is_along: bool,
    /// Whether the server sends a farewell of its own before it closes.
    pub is_answered: bool,
}

/// Digits by which requests differ, as far as the text has room.
const DIGITS: usize = 8;

/// A client's requests and their answers, all alike but for a number at the text's start: another one costs a copy and a
/// few digits, since the load must be cheaper than the server.
#[derive(Debug, Default)]
pub struct Exchange {
    request: Vec<u8>,
    answer: Vec<u8>,
    /// Where the number lies in each.
    at: [usize; 2],
    digits: usize,
}

impl Exchange {
    /// From a request and its answer, in both of which the text of so many bytes has so many others after it.
    pub fn new(request: Vec<u8>, answer: Vec<u8>, text_bytes: usize, bytes_after: usize) -> Exchange {
        let at = [&request, &answer].map(|bytes| bytes.len().saturating_sub(text_bytes + bytes_after));
        Exchange { request, answer, at, digits: text_bytes.min(DIGITS) }
    }

    /// Appends the request with this number.
    pub(super) fn append(&mut self, number: u64, out: &mut Vec<u8>) {
        write_number(&mut self.request[self.at[0]..][..self.digits], number);
        out.extend_from_slice(&self.request);
    }

    /// Whether a message is the answer to the request with this number.
    pub(super) fn is_answer(&mut self, number: u64, message: &[u8]) -> bool {
        write_number(&mut self.answer[self.at[1]..][..self.digits], number);
        self.answer == message
    }
}

/// Writes the number in hexadecimal, lowest digit first.
fn write_number(digits: &mut [u8], number: u64) {
    for (place, digit) in digits.iter_mut().enumerate() {
        *digit = b"0123456789abcdef"[(number >> (4 * place)) as usize & 15];
    }
}

/// Characters of one to four bytes, so that a server that counts characters where it should count bytes is found out.
const FILLING: &str = "the quick brown fox jumps over the lazy dog 0123456789 æøå ñ ß Ω ж 你好 日本 🦊 ";

/// A printable text of exactly so many bytes: room for a number, the client's own number, and filling.
pub fn text(client: u64, size_bytes: usize) -> String {
    let mut text = format!("{:0<1$}{client:x} ", "", size_bytes.min(DIGITS));
    text.truncate(size_bytes);
    let mut filling = FILLING.chars().cycle();
    while let Some(char) = filling.next().filter(|char| text.len() + char.len_utf8() <= size_bytes) {
        text.push(char);
    }
    while text.len() < size_bytes {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_comes_out_right_and_only_its_own_answer_is_one() {
        for size_bytes in (1..300).chain([4_096, 65_519]) {
            let text = text(1_234_567, size_bytes);
            assert!(text.len() == size_bytes && !text.contains(char::is_control));
            let (request, answer) = (format!("ask {text}\r\n"), format!("{text}\r\n"));
            let mut exchange = Exchange::new(request.into(), answer.into(), size_bytes, 2);
            let mut out = Vec::new();
            exchange.append(0x1f, &mut out);
            let echoed = out.strip_prefix(b"ask ").unwrap();
            assert_eq!((echoed.len(), echoed[0]), (size_bytes + 2, b'f'));
            assert!(exchange.is_answer(0x1f, echoed) && !exchange.is_answer(0x1e, echoed));
            assert!(!exchange.is_answer(0x1f, &echoed[1..]));
        }
    }
}
