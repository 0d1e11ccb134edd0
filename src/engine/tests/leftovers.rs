//! What must not be left behind: input that nobody reads any more.

use super::*;

fn hungry(world: &mut World) -> Vec<ConnId> {
    std::iter::from_fn(|| world.engine.poll_hungry()).collect()
}

/// A connection that is not read while it waits is closed by something else: what its socket holds is to be discarded,
/// or closing would reset it and the last word be lost.
#[test]
fn a_connection_that_was_not_read_is_read_again_when_it_closes() {
    let mut world = world();
    let (held, token) = world.log_in("bob");
    let waiting = world.register("ann");
    while world.engine.appetite(held) != Appetite::Nothing {
        world.send(held, Request::Message { token: &token, text: &[b'x'; 30_000] });
    }
    hungry(&mut world);
    assert_eq!(world.engine.appetite(waiting), Appetite::Nothing);
    world.engine.handle_shutdown(world.now);
    let mut hungry = hungry(&mut world);
    hungry.sort();
    assert_eq!(hungry, [held, waiting]);
}
