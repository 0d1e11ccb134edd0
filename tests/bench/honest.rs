//! The honest client: messages at set times, whatever becomes of those before them.

use crate::host::{CEILING, Host, PASSWORD, frame};
use hdrhistogram::Histogram;
use porter::client::Client;
use porter::protocol::Reply;
use porter::tls::Channel;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// Between two messages: 500 a second.
const PACE: Duration = Duration::from_millis(2);

/// A connection, bare or inside TLS.
pub(crate) struct Line {
    pub(crate) stream: TcpStream,
    pub(crate) channel: Option<Channel>,
}

impl Read for Line {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.channel {
            None => self.stream.read(into),
            Some(channel) => channel.read(&mut self.stream, into),
        }
    }
}

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.channel {
            None => self.stream.write(bytes),
            Some(channel) => channel.write(&mut self.stream, bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.channel.as_mut().map_or(Ok(()), |channel| channel.flush(&mut self.stream))
    }
}

/// A client that is in, and talks.
pub(crate) struct Honest {
    line: Line,
    token: [u8; 16],
    /// What each text begins with, and under which name it comes back.
    address_words: &'static str,
    /// What came and is not a whole frame yet.
    incoming: Vec<u8>,
}

/// What the echoes of one stretch took, in microseconds, each from the moment at which its message was due.
pub(crate) struct Echoes(Histogram<u64>);

impl Echoes {
    /// A quantile, in milliseconds.
    pub(crate) fn quantile(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1000.0
    }

    /// p50, p99 and the longest, in milliseconds.
    pub(crate) fn shown(&self) -> String {
        let [median, late, longest] = [0.5, 0.99, 1.0].map(|quantile| self.quantile(quantile));
        format!("{median:.2} / {late:.2} / {longest:.2}")
    }
}

impl Honest {
    /// Comes in as `ann`, inside TLS if that is what the server speaks.
    pub(crate) fn arrive(host: &Host) -> Honest {
        let mut line = Line { stream: host.connect(), channel: host.tls_channel() };
        if let Some(channel) = &mut line.channel {
            channel.shake_hands(&mut line.stream).unwrap();
        }
        let mut client = Client::over(&mut line).unwrap();
        client.identify("ann").unwrap();
        client.login(PASSWORD).unwrap();
        let token = *client.token().unwrap().expose();
        Honest { line, token, address_words: host.address_words, incoming: Vec::new() }
    }

    /// Sends messages for a while, each when it is due, and checks that all come back, whole and in order.
    pub(crate) fn converse(&mut self, span: Duration) -> Echoes {
        let count = (span.as_micros() / PACE.as_micros()) as u32;
        let begin = Instant::now();
        let mut echoes = Histogram::new(3).unwrap();
        let (mut said, mut heard) = (0, 0);
        while heard < count {
            let due = begin + PACE * said;
            if said < count && due <= Instant::now() {
                let text = format!("{}{said}", self.address_words);
                self.line.write_all(&frame(0x05, &[&self.token, text.as_bytes()].concat())).unwrap();
                said += 1;
            } else if self.has_more_before(if said < count { due } else { Instant::now() + CEILING }) {
                while self.hears(&heard.to_string()) {
                    echoes.record((begin + PACE * heard).elapsed().as_micros() as u64).unwrap();
                    heard += 1;
                }
            }
        }
        Echoes(echoes)
    }

    /// Waits until something has come, and takes it; false if nothing has until then.
    fn has_more_before(&mut self, until: Instant) -> bool {
        let patience = until.saturating_duration_since(Instant::now());
        let patience =
            Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: i64::from(patience.subsec_nanos()) };
        let mut waited = [PollFd::new(&self.line.stream, PollFlags::IN)];
        if poll(&mut waited, Some(&patience)).unwrap() == 0 {
            return false;
        }
        let mut portion = [0; 64 * 1024];
        let count = self.line.read(&mut portion).unwrap();
        assert!(count > 0, "the honest client is not sent away");
        self.incoming.extend_from_slice(&portion[..count]);
        true
    }

    /// Whether the echo of this has come, which must be the next. What others write is passed over.
    fn hears(&mut self, text: &str) -> bool {
        let sender = if self.address_words.is_empty() { "" } else { "ann" };
        let (mut taken, mut heard) = (0, false);
        while let Some((header, rest)) = self.incoming[taken..].split_first_chunk()
            && let Some(body) = rest.get(..u32::from_be_bytes(*header) as usize)
            && !heard
        {
            taken += 4 + body.len();
            match Reply::decode(body) {
                Ok(Reply::Message { sender: from, text: words }) if from == sender => {
                    assert_eq!(words.strip_prefix(self.address_words), Some(text));
                    heard = true;
                }
                Ok(Reply::Message { .. }) if !sender.is_empty() => {}
                other => panic!("the honest client hears {other:?}"),
            }
        }
        self.incoming.drain(..taken);
        heard
    }
}
