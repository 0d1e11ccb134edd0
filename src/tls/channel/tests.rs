//! Both sides in memory, over sockets that take and give as they please.

use super::super::tests::{client, client_config, name, server};
use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;

/// A socket that takes and gives a few bytes at a time, as many as its portions say in turn, and sometimes none.
#[derive(Default)]
struct Wire {
    incoming: VecDeque<u8>,
    outgoing: VecDeque<u8>,
    has_ended: bool,
    gives: Portions,
    /// Apart from what it gives, so that no rhythm of the calls makes one that takes nothing of one that sometimes does.
    takes: Portions,
}

#[derive(Clone, Default)]
struct Portions(VecDeque<usize>);

impl Portions {
    fn next(&mut self, most: usize) -> io::Result<usize> {
        let portion = self.0.pop_front().unwrap_or(1);
        self.0.push_back(portion);
        if portion == 0 || most == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(portion.min(most)) }
    }
}

impl Read for Wire {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.incoming.is_empty() && self.has_ended {
            return Ok(0);
        }
        let count = self.gives.next(self.incoming.len().min(into.len()))?;
        self.incoming.read(&mut into[..count])
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.takes.next(bytes.len())?;
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
        let gives = Portions(portions.iter().copied().collect());
        let wire = Wire { takes: gives.clone(), gives, ..Wire::default() };
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
    let [first, second] = [client(), server()];
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
    let mut side = Side::new(server(), b"", &[9]);
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
    side.wire.takes.0 = [0].into();
    let before = side.unsaid.len();
    for _ in 0..50 {
        side.turn();
    }
    assert!(before - side.unsaid.len() <= RECORD_BYTES);
}

/// A server of ours and a client that is driven by hand, done with the handshake.
fn with_bare_client() -> (Side, rustls::ClientConnection) {
    let mut side = Side::new(server(), b"", &[100_000]);
    let mut peer = rustls::ClientConnection::new(client_config(), name()).unwrap();
    while peer.is_handshaking() || side.channel.is_handshaking() {
        exchange(&mut side, &mut peer);
    }
    (side, peer)
}

/// Lets each say once what it has to say.
fn exchange(side: &mut Side, peer: &mut rustls::ClientConnection) {
    while peer.wants_write() {
        peer.write_tls(&mut side.wire.incoming).unwrap();
    }
    side.turn();
    while !side.wire.outgoing.is_empty() {
        peer.read_tls(&mut side.wire.outgoing).unwrap();
        peer.process_new_packets().unwrap();
    }
}

/// It is answered with what is said next.
#[test]
fn a_peer_may_change_its_keys() {
    let (mut side, mut peer) = with_bare_client();
    for round in 0..3 {
        peer.refresh_traffic_keys().unwrap();
        peer.writer().write_all(b"ask").unwrap();
        exchange(&mut side, &mut peer);
        assert_eq!(side.heard, b"ask".repeat(round + 1));
        side.unsaid = b"answer".to_vec();
        exchange(&mut side, &mut peer);
        let mut answer = [0; 6];
        peer.reader().read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"answer");
    }
}

/// Records of a handshake's first message, so many bytes in each.
fn fragmented(message: &[u8], fragment_bytes: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[0x16, 3, 1], &(part.len() as u16).to_be_bytes()[..], part].concat();
    message.chunks(fragment_bytes).flat_map(record).collect()
}

#[test]
fn a_message_of_the_handshake_may_come_in_many_records() {
    for (fragment_bytes, portion) in [(1, 1), (1, 7), (3, 1_000), (50, 3), (100, 100_000)] {
        let mut side = Side::new(server(), b"", &[portion]);
        let mut peer = rustls::ClientConnection::new(client_config(), name()).unwrap();
        let mut hello = Vec::new();
        peer.write_tls(&mut hello).unwrap();
        side.wire.incoming.extend(fragmented(&hello[5..], fragment_bytes));
        while !side.wire.incoming.is_empty() {
            // Whether it can be ended is asked in between, as when a deadline is met.
            assert!(!side.channel.tls.say(None, &mut side.channel.held, &mut side.channel.unsent));
            side.turn();
            assert!(side.end.is_none(), "{fragment_bytes} at a time, {portion} read: {:?}", side.end);
        }
        side.wire.gives.0 = [100_000].into();
        side.wire.takes.0 = [100_000].into();
        while peer.is_handshaking() || side.channel.is_handshaking() {
            exchange(&mut side, &mut peer);
        }
    }
}

#[test]
fn what_is_held_of_a_handshake_is_bounded() {
    let mut side = Side::new(server(), b"", &[100_000]);
    // A ClientHello of 65 535 bytes, a byte at a time: six are held for each.
    let message = [&[1, 0, 0xff, 0xff], &[0; 0xffff][..]].concat();
    side.wire.incoming.extend(fragmented(&message, 1));
    while side.end.is_none() {
        side.turn();
        assert!(side.channel.held.len() <= HELD_BYTES + RECORD_BYTES);
    }
    assert!(matches!(&side.end, Some(Err(error)) if error.kind() == ErrorKind::InvalidData));
    assert!(!side.wire.incoming.is_empty());
}

/// The story: an idle connection cost 8 KB, of which half was a buffer for what might come.
#[test]
fn nothing_is_held_while_nothing_is_said() {
    let mut sides = pair([b"abc", b"def"], [&[100_000], &[100_000]]);
    run(&mut sides, |sides| sides[0].heard == b"def" && sides[1].heard == b"abc");
    for Side { channel, .. } in &sides {
        let held = [&channel.text, &channel.held, &channel.unsent].map(Vec::capacity);
        assert_eq!(held, [0, 0, 0]);
    }
}
