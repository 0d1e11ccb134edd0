//! Both sides in memory, over sockets that take and give as they please.

use super::super::tests::{client, server};
use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

/// A socket that takes and gives a few bytes at a time, as many as `portions` says, and sometimes none.
#[derive(Default)]
struct Wire {
    incoming: VecDeque<u8>,
    outgoing: VecDeque<u8>,
    has_ended: bool,
    portions: VecDeque<usize>,
}

impl Wire {
    fn portion(&mut self, most: usize) -> io::Result<usize> {
        let portion = self.portions.pop_front().unwrap_or(1);
        self.portions.push_back(portion);
        if portion == 0 || most == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(portion.min(most)) }
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() && self.has_ended {
            return Ok(0);
        }
        let count = self.portion(self.incoming.len().min(into.len()))?;
        self.incoming.read(&mut into[..count])
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.portion(bytes.len())?;
        self.outgoing.write(&bytes[..count])
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A side, what it has to say, and what it heard.
struct Side {
    channel: Channel,
    wire: Wire,
    unsaid: Vec<u8>,
    heard: Vec<u8>,
    end: Option<io::Result<()>>,
}

impl Side {
    fn new(channel: Channel, unsaid: &[u8], portions: &[usize]) -> Side {
        let wire = Wire { portions: portions.iter().copied().collect(), ..Wire::default() };
        Side { channel, wire, unsaid: unsaid.to_vec(), heard: Vec::new(), end: None }
    }

    /// Does one thing of each kind.
    fn turn(&mut self) {
        match self.channel.write(&mut self.wire, &self.unsaid) {
            Ok(count) => drop(self.unsaid.drain(..count)),
            Err(error) => assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::BrokenPipe)),
        }
        let mut text = [0; 700];
        match self.channel.read(&mut self.wire, &mut text) {
            Ok(0) => self.end = Some(Ok(())),
            Ok(count) => self.heard.extend_from_slice(&text[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.end = Some(Err(error)),
        }
    }
}

fn pair(said: [&[u8]; 2], portions: [&[usize]; 2]) -> [Side; 2] {
    let [first, second] = [Channel::new(client()), Channel::new(server())];
    [Side::new(first, said[0], portions[0]), Side::new(second, said[1], portions[1])]
}

/// Lets both sides go on until `done`; they need so many turns at most.
fn run(sides: &mut [Side; 2], done: impl Fn(&[Side; 2]) -> bool) {
    for _ in 0..2_000_000 {
        if done(sides) {
            return;
        }
        let [first, second] = sides;
        first.turn();
        second.turn();
        second.wire.incoming.append(&mut first.wire.outgoing);
        first.wire.incoming.append(&mut second.wire.outgoing);
    }
    panic!("they do not get on");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever portions the sockets take and give, all arrives, once, in order.
    #[test]
    fn any_portions_give_the_same_text(
        first_bytes in 0..40_000usize,
        second_bytes in 0..40_000usize,
        first_portions in prop::collection::vec(0..900usize, 0..9),
        second_portions in prop::collection::vec(0..900usize, 0..9),
    ) {
        let text = |count: usize| (0..count).map(|n| (n % 251) as u8).collect::<Vec<_>>();
        let (first, second) = (text(first_bytes), text(second_bytes));
        // One that takes nothing at all would get nowhere.
        let (mut a, mut b) = (first_portions, second_portions);
        a.push(1 + first_bytes % 40);
        b.push(1 + second_bytes % 40);
        let mut sides = pair([&first, &second], [&a, &b]);
        run(&mut sides, |sides| {
            sides[0].heard.len() == second.len() && sides[1].heard.len() == first.len()
        });
        prop_assert_eq!(&sides[0].heard, &second);
        prop_assert_eq!(&sides[1].heard, &first);
        sides[0].channel.finish();
        run(&mut sides, |sides| matches!(sides[1].end, Some(Ok(()))));
    }
}

#[test]
fn the_handshake_agrees_on_version_and_protocol() {
    let mut sides = pair([b"x", b""], [&[1], &[1]]);
    run(&mut sides, |sides| sides[1].heard == b"x");
    for side in &sides {
        assert_eq!(side.channel.tls.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
        assert_eq!(side.channel.tls.alpn_protocol(), Some(super::super::ALPN));
    }
}

/// A `close_notify`, or a bare end, after any number of turns: the other side sees an end or an
/// error, and soon.
#[test]
fn an_end_at_any_stage_is_an_end() {
    for (turns, is_orderly) in (0..40).flat_map(|turns| [(turns, true), (turns, false)]) {
        let mut sides = pair([b"abc", b"def"], [&[90], &[90]]);
        let turn = std::cell::Cell::new(0);
        run(&mut sides, |_| turn.replace(turn.get() + 1) == turns);
        let [first, second] = &mut sides;
        if is_orderly {
            first.channel.finish();
            while first.channel.flush(&mut first.wire).is_err() {}
        }
        second.wire.incoming.append(&mut first.wire.outgoing);
        second.wire.has_ended = true;
        for _ in 0..200 {
            second.turn();
        }
        assert!(second.end.is_some(), "after {turns} turns");
    }
}

#[test]
fn what_is_not_tls_is_refused_with_an_alert() {
    let mut side = Side::new(Channel::new(server()), b"", &[9]);
    side.wire.incoming.extend(b"\0\0\0\x04\x01ann");
    side.turn();
    assert!(matches!(&side.end, Some(Err(error)) if error.kind() == ErrorKind::InvalidData));
    side.channel.flush(&mut side.wire).unwrap_or_default();
    assert!(side.wire.outgoing.make_contiguous().starts_with(b"\x15\x03"));
    assert_eq!(side.channel.write(&mut side.wire, b"x").unwrap_err().kind(), ErrorKind::BrokenPipe);
    // What else comes is thrown away, up to its end.
    side.wire.incoming.extend(b"more");
    side.wire.has_ended = true;
    side.turn();
    assert!(side.heard.is_empty() && side.wire.incoming.is_empty());
    assert!(matches!(side.end, Some(Ok(()))));
}

#[test]
fn no_more_than_a_record_waits() {
    let mut sides = pair([&[7; 100_000], b""], [&[400], &[400]]);
    run(&mut sides, |sides| !sides[0].channel.is_handshaking() && !sides[1].channel.is_handshaking());
    let side = &mut sides[0];
    // From now on the socket takes nothing.
    side.wire.portions = [0].into();
    let before = side.unsaid.len();
    for _ in 0..50 {
        side.turn();
    }
    assert!(before - side.unsaid.len() <= RECORD_BYTES);
}
