//! Any stream of own and shared frames, written in any portions.

use super::*;
use crate::protocol::Meter;
use proptest::prelude::*;
use std::io::IoSlice;

/// What is done to an outbox next.
#[derive(Clone, Debug)]
enum Step {
    Own(String),
    Shared(Vec<String>),
    Write(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let text = || "[a-z]{0,40}";
    let step = prop_oneof![
        text().prop_map(Step::Own),
        prop::collection::vec(text(), 1..4).prop_map(Step::Shared),
        (0..90usize).prop_map(Step::Write),
    ];
    prop::collection::vec(step, 1..80)
}

/// An outbox, and what is to become of it.
#[derive(Default)]
struct Bench {
    outbox: Outbox,
    meter: Meter,
    expected: Vec<u8>,
    ends: Vec<usize>,
    written: Vec<u8>,
}

impl Bench {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Own(text) => {
                let reply = Reply::Message { sender: "", text };
                self.outbox.push(&reply);
                reply.encode(&mut self.expected);
                self.ends.push(self.expected.len());
            }
            Step::Shared(texts) => {
                let mut frames = Vec::new();
                for text in texts {
                    Reply::Bye(text).encode(&mut frames);
                    self.ends.push(self.expected.len() + frames.len());
                }
                self.expected.extend_from_slice(&frames);
                let end = frames.len();
                self.outbox.push_shared(&SharedFrames::new(frames, &self.meter), 0..end);
            }
            Step::Write(most) => self.write(*most),
        }
    }

    fn write(&mut self, most: usize) {
        let unsent = self.outbox.unsent().to_vec();
        assert_eq!(self.outbox.len(), unsent.len());
        let whole = self.outbox.unsent().whole();
        assert_eq!(whole.is_some(), self.outbox.unsent().slices().count() <= 1);
        assert!(whole.is_none_or(|whole| whole == unsent));
        assert!(self.outbox.unsent().slices().all(|slice| !slice.is_empty()));
        let count = most.min(unsent.len());
        self.written.extend_from_slice(&unsent[..count]);
        self.outbox.advance(count);
    }
}

proptest! {
    /// A peer that takes any portions gets the same bytes, once, in order; and nothing is held then.
    #[test]
    fn any_partial_writes_give_the_same_stream(steps in steps()) {
        let mut bench = Bench::default();
        steps.iter().for_each(|step| bench.take(step));
        bench.write(usize::MAX);
        prop_assert_eq!(bench.written, bench.expected);
        prop_assert_eq!(bench.meter.bytes(), 0);
    }

    /// After dropping, what was and will be written are whole frames: a prefix of those pushed. Of what is shared only a
    /// half written frame is held.
    #[test]
    fn dropping_ends_at_a_frame(steps in steps(), more in steps()) {
        let mut bench = Bench::default();
        steps.iter().for_each(|step| bench.take(step));
        let sent = bench.written.len();
        bench.outbox.drop_unsent_frames();
        prop_assert!(bench.meter.bytes() == 0 || !bench.outbox.is_empty());
        prop_assert!(bench.outbox.unsent().slices().count() <= 1);
        let end = sent + bench.outbox.len();
        prop_assert_eq!(bench.ends.iter().chain(&[0]).filter(|end| **end >= sent).min(), Some(&end));
        bench.expected.truncate(end);
        more.iter().for_each(|step| bench.take(step));
        bench.write(usize::MAX);
        prop_assert_eq!(bench.written, bench.expected);
    }

    /// Slices that are filled in any number and up to any length are the stream again.
    #[test]
    fn what_is_filled_is_what_is_unsent(steps in steps(), most in 1..200usize, places in 1..5usize) {
        let mut bench = Bench::default();
        steps.iter().for_each(|step| bench.take(step));
        let (mut filled, unsent) = (Vec::new(), bench.outbox.unsent());
        let mut portions = unsent.portions();
        while filled.len() < unsent.len() {
            let mut slices = vec![IoSlice::new(&[]); places];
            let (count, bytes) = portions.fill(most, &mut slices);
            prop_assert_eq!(bytes, slices[..count].iter().map(|slice| slice.len()).sum::<usize>());
            prop_assert!((1..=most).contains(&bytes));
            slices[..count].iter().for_each(|slice| filled.extend_from_slice(slice));
        }
        prop_assert_eq!(filled, unsent.to_vec());
    }
}

#[test]
fn shared_frames_are_held_once_until_the_last_has_sent_them() {
    let meter = Meter::default();
    let mut frames = Vec::new();
    Reply::Bye("to all").encode(&mut frames);
    let (room, length) = (frames.capacity(), frames.len());
    let shared = SharedFrames::new(frames, &meter);
    let mut outboxes = [(); 3].map(|()| Outbox::default());
    for outbox in &mut outboxes {
        outbox.push_shared(&shared, 0..shared.bytes().len());
    }
    drop(shared);
    for outbox in &mut outboxes {
        assert_eq!(meter.bytes(), room);
        assert!(outbox.held_bytes() < 300);
        outbox.advance(length);
    }
    assert_eq!(meter.bytes(), 0);
}

/// What a slow consumer leaves in memory is what it had begun to take.
#[test]
fn dropping_gives_the_memory_back() {
    let mut outbox = Outbox::default();
    let text = "x".repeat(1000);
    for _ in 0..1000 {
        outbox.push(&Reply::Bye(&text));
    }
    outbox.advance(1500);
    assert!(outbox.held_bytes() > 1_000_000);
    outbox.drop_unsent_frames();
    assert_eq!(outbox.len(), 2 * 1005 - 1500);
    assert!(outbox.held_bytes() < 1500);
}

/// Many that are cut off in the midst of one long frame do not get a copy each.
#[test]
fn a_frame_for_many_that_is_half_written_stays_shared() {
    let meter = Meter::default();
    let mut frames = Vec::new();
    Reply::Bye(&"x".repeat(1_000_000)).encode(&mut frames);
    let (room, length) = (frames.capacity(), frames.len());
    let shared = SharedFrames::new(frames, &meter);
    let mut outboxes = [(); 3].map(|()| Outbox::default());
    for outbox in &mut outboxes {
        outbox.push(&Reply::Bye("own"));
        outbox.push_shared(&shared, 0..shared.bytes().len());
        outbox.push_shared(&shared, 0..shared.bytes().len());
        outbox.advance(8 + 1);
        outbox.drop_unsent_frames();
        assert_eq!(outbox.len(), length - 1);
        assert!(outbox.held_bytes() < 1_000 && outbox.reached_bytes() > length);
        outbox.push(&Reply::Bye("slow"));
    }
    drop(shared);
    assert_eq!(meter.bytes(), room);
    for outbox in &mut outboxes {
        outbox.advance(length - 1);
        assert_eq!(outbox.unsent().to_vec()[5..], *b"slow");
    }
    assert_eq!(meter.bytes(), 0);
}

/// What one outbox no longer needs the next need not ask the system for.
#[test]
fn memory_goes_from_outbox_to_outbox() {
    let mut outbox = Outbox::default();
    assert!(outbox.is_bare() && outbox.reclaim().is_none());
    outbox.push(&Reply::Bye("one after another"));
    outbox.advance(outbox.len());
    let spare = outbox.reclaim().unwrap();
    let capacity = spare.capacity();
    assert!(outbox.is_bare() && capacity > "one after another".len());
    let mut next = Outbox::default();
    next.lend(spare);
    assert_eq!((next.is_bare(), next.len(), next.held_bytes()), (false, 0, capacity));
    next.push(&Reply::Bye("another"));
    assert_eq!(next.held_bytes(), capacity);
}
