//! Several servers that share a store, with links that are slow, break and come back, a store that stops and starts again, and
//! servers that are killed or stopped: a world of its own for each seed.
//!
//! The scripts are the ones that servers send, run by the Lua that Redis has, upon a [model](redis) of its commands. What
//! holds all the time: a name is given once, what was acknowledged stays, nobody waits for more than a second, nobody is told
//! that a session is over that is not, names join and leave in turn, and texts come once and in order. When all is well again
//! the store keeps what the servers carry, and nothing more, and everybody hears everybody.

mod checks;
mod client;
mod link;
mod redis;
mod resp;
mod server;
mod store;
#[path = "../../../src/engine/driver.rs"]
mod turns;
mod twins;
mod world;

use crate::{Story, each_seed};
use std::rc::Rc;
use std::time::Duration;
use world::World;

fn run(seed: u64, story: &Story) {
    let mut world = World::new(seed, Rc::clone(story));
    world.pass(Duration::from_millis(100));
    let disturbances = world.random.below(12);
    for _ in 0..80 {
        if disturbances > 0 && world.random.below(20) < disturbances {
            world.disturb();
        } else {
            world.act();
        }
        let most = world.random.pick(&[1, 20, 300, 1_500]);
        let span = world.random.below(most);
        world.pass(Duration::from_millis(span as u64));
    }
    world.heal();
    world.check_twins();
    world.check_ends();
    world.check_room();
    world.check_directory();
    world.check_users();
}

#[test]
fn every_seed_holds() {
    each_seed("servers that share a store", 4, run);
}
