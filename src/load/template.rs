//! A message and its echo as templates, so that another message costs a copy and a few digits: the load tester
//! must be cheaper than the server that it loads.

use super::text;
use crate::auth::Token;
use crate::limits::HEADER_BYTES;
use crate::protocol::{Reply, Request};

/// Digits that tell messages apart, as far as the size has room.
const DIGITS: usize = 8;

/// The frames of one client's messages, all alike but for the digits at the text's start.
#[derive(Debug, Default)]
pub(super) struct Template {
    request: Vec<u8>,
    echo: Vec<u8>,
    text_bytes: usize,
}

impl Template {
    /// Messages of this size under this token; `client` makes their filling differ from others'.
    pub(super) fn new(token: &Token, client: u64, size_bytes: usize) -> Template {
        let mut text = String::new();
        text::compose(&mut text, client, size_bytes.saturating_sub(DIGITS));
        let text = format!("{:0>1$}", "", size_bytes.min(DIGITS)) + &text;
        let (mut request, mut echo) = (Vec::new(), Vec::new());
        Request::Message { token: token.expose(), text: text.as_bytes() }.encode(&mut request);
        Reply::Message { sender: "", text: &text }.encode(&mut echo);
        Template { request, echo: echo.split_off(HEADER_BYTES), text_bytes: text.len() }
    }

    /// Appends the frame of the message with this number.
    pub(super) fn append(&mut self, number: u64, out: &mut Vec<u8>) {
        let start = self.request.len() - self.text_bytes;
        number_text(&mut self.request[start..], number);
        out.extend_from_slice(&self.request);
    }

    /// Whether a frame's body is the echo of the message with this number.
    pub(super) fn is_echo(&mut self, number: u64, body: &[u8]) -> bool {
        let start = self.echo.len() - self.text_bytes;
        number_text(&mut self.echo[start..], number);
        self.echo == body
    }
}

/// Writes the number in hexadecimal, lowest digit first.
fn number_text(text: &mut [u8], number: u64) {
    const HEXADECIMAL: &[u8; 16] = b"0123456789abcdef";
    let mut rest = number;
    for digit in text.iter_mut().take(DIGITS) {
        *digit = HEXADECIMAL[(rest & 15) as usize];
        rest >>= 4;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_comes_out_right_and_only_its_own_echo_is_one() {
        let token = Token::new([7; 16]);
        for size_bytes in [1, 4, 8, 9, 64, 5_000] {
            let mut template = Template::new(&token, 3, size_bytes);
            let mut frame = Vec::new();
            template.append(5, &mut frame);
            let request = Request::decode(&frame[HEADER_BYTES..]).unwrap();
            let Request::Message { token: [7, ..], text } = request else { panic!("{request:?}") };
            assert_eq!(text.len(), size_bytes);
            let text = std::str::from_utf8(text).unwrap();
            let body = |sender, text: &str| {
                let mut frame = Vec::new();
                Reply::Message { sender, text }.encode(&mut frame);
                frame.split_off(HEADER_BYTES)
            };
            assert!(template.is_echo(5, &body("", text)));
            assert!(!template.is_echo(6, &body("", text)));
            assert!(!template.is_echo(5, &body("ann", text)) && !template.is_echo(5, &body("", &text[1..])));
        }
    }
}
