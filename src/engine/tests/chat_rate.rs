//! Who writes faster than the chat rate is read more slowly, and loses nothing.

use super::*;
use crate::limits::CHAT_BURST;

const INTERVAL: Duration = Duration::from_millis(50);

fn room(config: Config) -> World {
    World::new(config, Box::new(Chat))
}

impl World {
    /// Hands in so many numbered texts at once.
    fn flood(&mut self, conn: ConnId, token: &[u8; 16], texts: std::ops::Range<u32>) {
        let mut bytes = Vec::new();
        for n in texts {
            Request::Message { token, text: n.to_string().as_bytes() }.encode(&mut bytes);
        }
        self.engine.handle_bytes(conn, &mut bytes, self.now);
        self.serve_backlogs(conn);
    }

    /// Gives a connection turns as long as it has a read budget for them.
    fn serve_backlogs(&mut self, conn: ConnId) {
        loop {
            while self.engine.handle_work(1_000, self.now) > 0 {}
            while self.engine.poll_unblocked().is_some() {}
            if self.engine.read_budget(conn) != ReadBudget::Backlog {
                return;
            }
            self.engine.handle_bytes(conn, &mut [], self.now);
        }
    }

    fn pass_and_serve(&mut self, conn: ConnId, span: Duration) {
        self.pass(span);
        self.serve_backlogs(conn);
    }

    /// The texts that somebody has read, of those that others wrote.
    fn texts(&mut self, conn: ConnId) -> Vec<String> {
        let said = self.said(conn);
        let text = |body: &Vec<u8>| match Reply::decode(body) {
            Ok(Reply::Message { sender, text }) if !sender.is_empty() => Some(text.to_owned()),
            _ => None,
        };
        said.iter().filter_map(text).collect()
    }
}

fn numbers(texts: std::ops::Range<u32>) -> Vec<String> {
    texts.map(|n| n.to_string()).collect()
}

#[test]
fn after_a_burst_texts_are_taken_at_their_rate_and_none_is_dropped() {
    let mut world = room(config());
    let (ann, token) = world.log_in("ann");
    let (bob, _) = world.log_in("bob");
    world.flood(ann, &token, 0..150);
    assert_eq!(world.texts(bob), numbers(0..CHAT_BURST));
    assert_eq!(world.engine.read_budget(ann), ReadBudget::Nothing, "nor is more read from its socket");
    world.pass_and_serve(ann, INTERVAL - Duration::from_nanos(1));
    assert!(world.texts(bob).is_empty());
    assert_eq!(world.engine.next_deadline(), Some(world.now + Duration::from_nanos(1)));
    world.pass_and_serve(ann, Duration::from_nanos(1));
    assert_eq!(world.texts(bob), numbers(100..101));
    world.pass_and_serve(ann, INTERVAL * 9);
    assert_eq!(world.texts(bob), numbers(101..110));
    world.pass_and_serve(ann, INTERVAL * 1_000);
    assert_eq!(world.texts(bob), numbers(110..150));
    assert!(matches!(world.engine.read_budget(ann), ReadBudget::Bytes(_)));
    // The pause was long enough for another burst.
    world.flood(ann, &token, 0..150);
    assert_eq!(world.texts(bob).len(), 60);
}

#[test]
fn an_exit_behind_the_texts_waits_its_turn() {
    let mut world = room(config());
    let (ann, token) = world.log_in("ann");
    let (bob, _) = world.log_in("bob");
    world.flood(ann, &token, 0..101);
    world.send(ann, Request::Exit);
    world.pass_and_serve(ann, INTERVAL);
    assert_eq!(world.texts(bob).len(), 101);
    assert!(!world.engine.is_closing(ann), "it has written all that it may");
    world.pass_and_serve(ann, INTERVAL);
    assert!(world.engine.is_closing(ann));
    assert_eq!(world.said(ann).last().unwrap()[0], 0x85);
}

#[test]
fn a_resume_does_not_empty_the_bucket() {
    let mut world = room(config());
    let (ann, token) = world.log_in("ann");
    let (bob, _) = world.log_in("bob");
    world.flood(ann, &token, 0..100);
    world.texts(bob);
    world.engine.handle_transport(ann, TransportEvent::Reset, world.now);
    for _ in 0..3 {
        let ann = world.connect();
        world.send(ann, Request::Resume(&token));
        assert_eq!(world.engine.read_budget(ann), ReadBudget::Nothing);
        let welcome = world.said(ann).pop().unwrap();
        let Ok(Reply::Welcome { token: new, .. }) = Reply::decode(&welcome) else { panic!("no Welcome") };
        world.flood(ann, new, 100..105);
        assert!(world.texts(bob).is_empty());
    }
}

#[test]
fn who_is_read_slowly_is_not_idle() {
    let mut world = room(Config { chat_rate: 1, idle_timeout: Some(Duration::from_millis(900)), ..config() });
    let (ann, token) = world.log_in("ann");
    world.flood(ann, &token, 0..102);
    for _ in 0..2 {
        world.pass_and_serve(ann, Duration::from_millis(950));
        assert!(!world.engine.is_closing(ann));
        world.pass_and_serve(ann, Duration::from_millis(50));
    }
    world.pass_and_serve(ann, Duration::from_secs(1));
    assert!(!world.engine.is_closing(ann), "its time begins when it may write again");
    world.pass(Duration::from_millis(900));
    world.expect_error(ann, Code::TimedOut);
}

#[test]
fn where_a_text_goes_to_one_alone_there_is_no_rate() {
    let mut world = world();
    let (ann, token) = world.log_in("ann");
    world.flood(ann, &token, 0..500);
    assert_eq!(world.said(ann).len(), 500);
    let mut world = room(Config { chat_rate: 0, ..config() });
    let (ann, token) = world.log_in("ann");
    let (bob, _) = world.log_in("bob");
    world.flood(ann, &token, 0..500);
    assert_eq!(world.texts(bob).len(), 500);
}
