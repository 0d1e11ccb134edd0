//! Too much waits for all together: who is cut off.

use super::*;

impl World {
    fn another(&mut self, name: &str) -> (ConnId, [u8; 16]) {
        let conn = self.engine.handle_connect(([192, 0, 2, 1], 4000).into(), self.now).unwrap();
        self.send(conn, Request::Identify(name.as_bytes()));
        self.send(conn, Request::Login(PASSWORD));
        let bytes = self.engine.output(conn).to_vec();
        let mut stream = bytes.as_slice();
        let bodies = std::iter::from_fn(|| stream.read_frame(u32::MAX).unwrap());
        (conn, bodies.last().map(|body| body[1..17].try_into().unwrap()).unwrap())
    }
}

/// The story: those went for whom most bytes waited. Of what is for many each has a reference only, so that readers of a
/// busy room were cut off, which freed nothing, before those whose own frames took the memory.
#[test]
fn those_by_whom_most_memory_is_freed_are_cut_off() {
    let config = Config { penalty: Duration::ZERO, chat_rate: 0, output_total_bytes: 6_000_000, ..config() };
    let mut world = World::new(config, Box::new(Chat));
    for name in ["ann", "bob", "cid"] {
        world.log_in(name);
    }
    let readers: Vec<_> = (0..40).map(|_| world.another("ann").0).collect();
    world.write_all();
    for _ in 0..5 {
        world.engine.handle_console_line(&"x".repeat(60_000), world.now);
        while world.engine.handle_work(1_000, world.now) > 0 {}
    }
    assert!(readers.iter().all(|conn| world.engine.output(*conn).len() > 300_000));
    let idlers: Vec<_> = (0..20).map(|_| world.another("bob").0).collect();
    let writer = world.another("cid");
    for _ in 0..9 {
        let text = format!("@bob {}", "x".repeat(30_000));
        world.send(writer.0, Request::Message { token: &writer.1, text: text.as_bytes() });
        while world.engine.is_working() {
            world.engine.handle_work(1_000, world.now);
        }
    }
    let closing = |conns: &[ConnId]| conns.iter().filter(|conn| world.engine.is_closing(**conn)).count();
    assert!(closing(&idlers) > 0, "{:?}", world.engine.statistics());
    assert_eq!(closing(&readers), 0);
}

/// The story: of short texts that many wait for, a reader's share was nothing, though its references to them took the memory:
/// nobody was cut off, nothing was handed out any more, and a stop never came to its Bye.
#[test]
fn readers_of_short_texts_are_cut_off_for_their_references() {
    let config = Config { penalty: Duration::ZERO, chat_rate: 0, output_total_bytes: 1_500_000, ..config() };
    let mut world = World::new(config, Box::new(Chat));
    world.log_in("ann");
    // More than are looked at once.
    let readers: Vec<_> = (0..300).map(|_| world.another("ann").0).collect();
    world.write_all();
    let mut texts = 0;
    while !readers.iter().any(|conn| world.engine.is_closing(*conn)) {
        assert!(texts < 1_000, "nobody is cut off: {:?}", world.engine.statistics());
        texts += 1;
        world.engine.handle_console_line("x", world.now);
        for _ in 0..100 {
            world.engine.handle_work(1_000, world.now);
        }
    }
    for _ in 0..1_000 {
        world.engine.handle_work(1_000, world.now);
    }
    assert!(world.engine.statistics().output_held_bytes <= 1_500_000);
    assert!(!world.engine.is_working(), "what was written is handed out");
}

/// The story: who had read nearly all that had waited for it held the room of all of it still.
#[test]
fn who_has_read_nearly_all_holds_little() {
    let (ann, mut world) = {
        let mut world = World::new(Config { chat_rate: 0, ..config() }, Box::new(Chat));
        (world.log_in("ann").0, world)
    };
    let held = |world: &World| world.engine.statistics().output_held_bytes;
    for _ in 0..15 {
        world.engine.handle_console_line(&format!("@ann {}", "x".repeat(50_000)), world.now);
    }
    assert!(held(&world) > 700_000);
    let left = world.engine.output(ann).len() - 740_000;
    world.engine.handle_writable(ann, world.now, |_| Written::bytes(740_000));
    assert_eq!(world.engine.output(ann).len(), left);
    assert!(held(&world) < 150_000, "{} for {left} bytes", held(&world));

    for _ in 0..10_000 {
        world.engine.handle_console_line("x", world.now);
        while world.engine.handle_work(1_000, world.now) > 0 {}
    }
    assert!(held(&world) > 300_000);
    let most = world.engine.output(ann).len() - 70;
    world.engine.handle_writable(ann, world.now, |_| Written::bytes(most));
    assert!(held(&world) < 100_000, "{}", held(&world));
    assert!(world.engine.output(ann).to_vec().ends_with(b"\x84\0x"));
}
