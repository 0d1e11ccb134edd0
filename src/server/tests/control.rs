//! Who is connected to the control socket, turn by turn.

use super::*;
use crate::limits::{CONTROL_CONNECTIONS, CONTROL_IDLE, CONTROL_LINE_BYTES, CONTROL_SILENCE};
use crate::server::control::CONTROL_FILE;
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};

impl World {
    fn administered() -> World {
        let mut world = World::new();
        let data = world.data();
        world.server.attach_control(&data).unwrap();
        world
    }

    fn data(&self) -> std::path::PathBuf {
        self._folder.path().join("data")
    }

    /// Somebody who is connected and has been seen to.
    fn ask(&mut self, bytes: &[u8]) -> UnixStream {
        let mut asker = UnixStream::connect(self.data().join(CONTROL_FILE)).unwrap();
        asker.set_nonblocking(true).unwrap();
        asker.write_all(bytes).unwrap();
        self.settle();
        asker
    }

    /// Goes on until the control socket has nothing to be done.
    fn settle(&mut self) {
        self.turn();
        self.turns_until(|server| !server.has_control_work());
    }

    fn answers(&mut self, asker: &mut UnixStream) -> String {
        self.settle();
        let mut said = Vec::new();
        let _ = asker.read_to_end(&mut said);
        String::from_utf8(said).unwrap()
    }
}

#[test]
fn the_longest_line_may_end_later() {
    let mut world = World::administered();
    let line = vec![b'x'; CONTROL_LINE_BYTES];
    let mut asker = world.ask(&line);
    assert_eq!(world.answers(&mut asker), "");
    asker.write_all(b"\n").unwrap();
    assert!(world.answers(&mut asker).contains("no such command"));
    asker.write_all(&[&line[..], b"x"].concat()).unwrap();
    assert!(world.answers(&mut asker).contains("the line is longer"));
}

#[test]
fn lines_that_came_before_the_end_are_all_answered() {
    let mut world = World::administered();
    let mut asker = world.ask(b"");
    asker.write_all(&b"policy\n".repeat(3)).unwrap();
    asker.shutdown(Shutdown::Write).unwrap();
    assert_eq!(world.answers(&mut asker).matches("hash_rounds").count(), 3);
}

/// It wakes the server up, and is closed.
#[test]
fn who_is_idle_for_long_is_closed() {
    let mut world = World::administered();
    let mut asker = world.ask(b"policy\n");
    assert!(world.answers(&mut asker).contains("hash_rounds"));
    assert!(world.server.is_administered());
    let (due, now) = (world.server.next_control_deadline().unwrap(), world.server.clock.now());
    assert!(now < due && due <= now + CONTROL_IDLE, "{due:?} is not soon after {now:?}");
    crate::clock::slow::set(CONTROL_IDLE);
    world.turn();
    assert_eq!(asker.read(&mut [0]).unwrap(), 0);
    assert!(!world.server.is_administered());
}

/// Nobody who asks is kept out by those who do not.
#[test]
fn who_asks_for_nothing_gives_way() {
    let mut world = World::administered();
    let mut silent: Vec<UnixStream> = (0..CONTROL_CONNECTIONS)
        .map(|number| world.ask(if number % 2 == 0 { b"" } else { b"polic" }))
        .collect();
    let mut asker = world.ask(b"policy\n");
    assert_eq!(world.answers(&mut asker), "");
    crate::clock::slow::set(CONTROL_SILENCE);
    assert!(world.answers(&mut asker).contains("hash_rounds"));
    assert_eq!(silent[0].read(&mut [0]).unwrap(), 0);
    silent[1].write_all(b"y\n").unwrap();
    assert!(world.answers(&mut silent[1]).contains("hash_rounds"));
}

#[test]
fn the_socket_is_made_again_where_it_is_no_more() {
    let mut world = World::administered();
    let file = world.data().join(CONTROL_FILE);
    let mut keep = || {
        let Server { control: Some(control), poll, .. } = &mut world.server else { panic!("it is attached") };
        control.keep(poll.registry()).unwrap()
    };
    assert!(!keep());
    std::fs::remove_file(&file).unwrap();
    assert!(keep() && !keep());
    std::fs::remove_file(&file).unwrap();
    let _other = UnixListener::bind(&file).unwrap();
    assert!(keep() && !keep());
}
